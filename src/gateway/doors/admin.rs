//! What operators order. Knows nothing of who may: that is held against the row.

use super::asker::Asker;
use super::job::{Answered, Job};
use crate::config::Config;
use crate::core::{
    AskedBy, AuditLine, By, Core, Envelope, Plan, Shared, UpgradeError, UpgradeReport, UpgradeRequest,
    Upgraded,
};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::responses::refusal_response;
use crate::http::Response;
use crate::mailbox::Full;
use crate::ops::Order;
use crate::ops::bounds::page_limit;
use log::LevelFilter;
use serde::Serialize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// After so long a mailbox that was full is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// The drain, as it is answered.
#[derive(Debug, Serialize)]
struct Drained<'a> {
    draining: bool,
    over_ms: Option<u64>,
    elapsed_ms: Option<u64>,
    to: Option<&'a str>,
    closed: u64,
    sessions: u64,
}

/// What is logged from now on, as it is answered.
#[derive(Debug, Serialize)]
struct Logged {
    level: String,
    for_ms: Option<u64>,
}

/// Carries out an order of `asker`.
pub fn administer(core: &mut Core, asker: &Asker, order: Order) -> Answered {
    if let Err(error) = asker.permit_order(core) {
        return Answered::Here(refusal_response(&error.into()));
    }
    asker.note_order(&order);
    let drain = &core.shared.drain;
    match order {
        Order::Drain { over_ms, to } => {
            let shutdown = core.rules.settings.config.timeouts.shutdown;
            let over_ms = over_ms.unwrap_or(shutdown.as_millis() as u64);
            drain.begin(Plan::new(core.now.ms, over_ms, to));
            core.call_all();
        }
        Order::CallOffDrain => {
            drain.call_off();
            core.call_all();
        }
        Order::ShowDrain => {}
        Order::Reload => return Answered::Elsewhere(Job::Reload(asker.by())),
        Order::Upgrade { binary, dry_run } => return Answered::Upgrade(UpgradeRequest { binary, dry_run }),
        Order::Log { level, for_ms } => return Answered::Elsewhere(Job::Log { level, for_ms }),
        Order::ShowAudit(limit) => return Answered::Here(audit(core, limit)),
        Order::ShowConfig { defaults } => {
            // Every key has a name, and every value is one that JSON can hold; secrets are not shown.
            let config = match defaults {
                true => serde_json::to_string(&Config::default()).unwrap_or_default(),
                false => serde_json::to_string(&core.rules.settings.config).unwrap_or_default(),
            };
            return Answered::Here(Response::json(200, config));
        }
    }
    Answered::Here(show(core, core.shared.drain.plan()))
}

/// The newest lines of the audit trail, so many.
fn audit(core: &Core, limit: Option<u64>) -> Response {
    #[derive(Serialize)]
    struct Trail<'a> {
        count: usize,
        lines: Vec<&'a AuditLine>,
    }
    match page_limit(limit, &core.rules.settings.command_limits) {
        Ok(limit) => {
            let (count, lines) = core.shared.audit.newest(limit);
            let trail = Trail { count, lines: lines.iter().map(|line| &**line).collect() };
            // Numbers and texts: nothing that JSON cannot hold.
            Response::json(200, serde_json::to_string(&trail).unwrap_or_default())
        }
        Err(error) => refusal_response(&error.into()),
    }
}

/// Reads the configuration again. Not on a reactor: it waits for all of them.
pub fn reload(shared: &Shared, by: &By) -> Response {
    match shared.reload_from_source(by) {
        // Names of keys alone.
        Ok(reloaded) => Response::json(200, serde_json::to_string(&reloaded).unwrap_or_default()),
        Err(error) => refusal_response(&CommandError::new(ErrorCode::Conflict, error.to_string()).into()),
    }
}

/// Begins an upgrade for a request. Its answer comes as an [`Envelope::Page`]: here, or in the process that has taken over.
///
/// # Errors
/// It was not begun: the answer.
pub fn begin_upgrade(
    shared: &Arc<Shared>,
    request: UpgradeRequest,
    asked_by: AskedBy,
) -> Result<(), Response> {
    let answer = move |shared: &Shared, result: Upgraded| {
        if result.as_ref().is_ok_and(|report| !report.dry_run) {
            // The connection is the new process's.
            return;
        }
        let AskedBy { connection, sequence } = asked_by;
        let response = Box::new(upgraded(result.as_ref()));
        let mut envelope = Envelope::Page { connection, sequence, response };
        let reactor = usize::from(connection.worker());
        while let Err(Full(refused)) = shared.handle.post(reactor, envelope) {
            if shared.handle.is_closed(reactor) {
                return;
            }
            thread::sleep(RETRY);
            envelope = refused;
        }
    };
    let begun = shared.begin_upgrade(request, Some(asked_by), answer);
    begun.map_err(|error| upgraded(Err(&error)))
}

/// How an upgrade ended.
pub fn upgraded(upgraded: Result<&UpgradeReport, &UpgradeError>) -> Response {
    match upgraded {
        // Numbers and text: nothing that JSON cannot hold.
        Ok(report) => Response::json(200, serde_json::to_string(report).unwrap_or_default()),
        Err(error) => refusal_response(&CommandError::new(ErrorCode::Conflict, error.to_string()).into()),
    }
}

/// How much is logged from now on.
pub fn log_level(level: LevelFilter, for_ms: Option<u64>) -> Response {
    let logged = Logged { level: level.as_str().to_ascii_lowercase(), for_ms };
    Response::json(200, serde_json::to_string(&logged).unwrap_or_default())
}

fn show(core: &Core, plan: Option<Arc<Plan>>) -> Response {
    let plan = plan.as_deref();
    let drained = Drained {
        draining: plan.is_some(),
        over_ms: plan.map(|plan| plan.over_ms),
        elapsed_ms: plan.map(|plan| core.now.ms.saturating_sub(plan.began_ms)),
        to: plan.and_then(|plan| plan.to.as_deref()),
        closed: plan.map_or(0, Plan::closed),
        sessions: core.shared.metrics.sessions(),
    };
    // Numbers and a URL of visible ASCII: nothing that JSON cannot hold.
    Response::json(200, serde_json::to_string(&drained).unwrap_or_default())
}
