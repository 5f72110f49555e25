//! What operators order. Knows nothing of who may: that is held against the row.

use super::asker::Asker;
use crate::core::{Core, Plan};
use crate::gateway::api::responses::refusal_response;
use crate::http::Response;
use crate::ops::Order;
use serde::Serialize;
use std::sync::Arc;

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

/// Carries out an order of `asker`.
pub fn administer(core: &mut Core, asker: &Asker, order: Order) -> Response {
    if let Err(error) = asker.permit_order(core) {
        return refusal_response(&error.into());
    }
    let drain = &core.shared.drain;
    match order {
        Order::Drain { over_ms, to } => {
            let over_ms = over_ms.unwrap_or(core.shared.settings.config.timeouts.shutdown.as_millis() as u64);
            asker.note_drain(over_ms, to.as_deref());
            drain.begin(Plan::new(core.now.ms, over_ms, to));
            core.call_all();
        }
        Order::CallOffDrain => {
            asker.note_drain_called_off();
            drain.call_off();
            core.call_all();
        }
        Order::ShowDrain => {}
    }
    show(core, core.shared.drain.plan())
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
