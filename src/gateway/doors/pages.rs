//! The answers of the backend port that concern no session: health, counters, the page for operators.

use super::console;
use super::job::{Answered, Job};
use crate::core::{Core, Shared, why_not_ready};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::refusal::Refusal;
use crate::gateway::api::responses::{refusal_response, with_fields};
use crate::http::{Request, Response};
use crate::metrics::Snapshot;
use crate::ops::{self, Page};
use serde::Serialize;

/// The page that is asked for.
pub fn page(core: &Core, page: Page, request: &Request<'_>) -> Answered {
    Answered::Here(match page {
        Page::Stats => return Answered::Elsewhere(Job::Stats),
        Page::Metrics => return Answered::Elsewhere(Job::Metrics),
        Page::Cluster => return Answered::Elsewhere(Job::Cluster),
        Page::Ready => ready(core),
        Page::Health => alive(core),
        Page::OpenApi => Response::json(200, ops::openapi::document()),
        Page::Console if core.rules.settings.config.backend.console => console::page(request),
        Page::Console => {
            refusal_response(&Refusal::unknown_path("/", "the console is turned off (backend.console)"))
        }
        Page::StatsStream => return Answered::Figures,
    })
}

/// How the server is, for a request to the client port, which has no other pages.
pub fn health(core: &Core, request: &Request<'_>) -> Response {
    let is_get = matches!(request.method, "GET" | "HEAD");
    match ops::health_page(request.path) {
        Some(Page::Ready | Page::Health) if !is_get => {
            refusal_response(&Refusal::method_not_allowed(request.method, "GET, HEAD"))
        }
        Some(Page::Ready) => ready(core),
        Some(Page::Health) => alive(core),
        None
        | Some(
            Page::Stats | Page::Metrics | Page::Cluster | Page::OpenApi | Page::Console | Page::StatsStream,
        ) => refusal_response(&Refusal::unknown_path(request.path, "players connect to /ws or /ws/{app}")),
    }
}

/// Whether the server takes sessions. No more is said: whoever asks has shown nothing.
fn ready(core: &Core) -> Response {
    core.metrics().health_requests.add(1);
    if core.shared.turns_players_away() {
        let response = Response::json(503, "{\"ready\":false,\"why\":\"draining\"}");
        return with_fields(response, ErrorCode::Draining, None);
    }
    match why_not_ready(&core.shared) {
        Some(why) => Response::json(503, format!("{{\"ready\":false,\"why\":\"{why}\"}}")),
        None => Response::json(200, "{\"ready\":true}"),
    }
}

fn alive(core: &Core) -> Response {
    core.metrics().health_requests.add(1);
    Response::json(200, "{\"alive\":true}")
}

/// The counters as Prometheus text.
pub fn metrics(shared: &Shared) -> Response {
    let mut text = String::new();
    shared.metrics.render_prometheus(&shared.setup(), &mut text);
    Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}

/// The counters as JSON, and which reactor the connection that asks is on.
pub fn stats(shared: &Shared, reactor: usize) -> Response {
    /// The sums over the reactors; what several of them count is counted once in the `distinct_` fields.
    #[derive(Serialize)]
    struct Stats {
        /// The reactor that the connection is on.
        reactor: usize,
        distinct_users: usize,
        distinct_groups: usize,
        distinct_tags: usize,
        /// New players are refused, because the server stops or is drained.
        draining: bool,
        #[serde(flatten)]
        snapshot: Snapshot,
    }
    let counts = shared.interest.counts();
    let stats = Stats {
        reactor,
        distinct_users: counts.users,
        distinct_groups: counts.groups,
        distinct_tags: counts.tags,
        draining: shared.turns_players_away(),
        snapshot: shared.metrics.snapshot(),
    };
    // Numbers and names of fields: nothing that JSON cannot hold.
    Response::json(200, serde_json::to_string(&stats).unwrap_or_default())
}

/// The cluster as this node sees it.
pub fn cluster(shared: &Shared) -> Response {
    Response::json(200, shared.bus_status_json())
}

/// More is asked of the observer's thread than it has done.
pub fn too_many_jobs() -> Response {
    let message = "too many requests for /metrics, /v1/stats, /v1/cluster and /v1/admin wait: ask less often";
    refusal_response(&CommandError::new(ErrorCode::Overloaded, message).into())
}
