//! The answers of the backend port that concern no session: health, counters, the page for operators.

use crate::core::{Core, Shared};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::responses::refusal_response;
use crate::http::Response;
use crate::metrics::Snapshot;
use crate::ops::{self, Page};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// Where a page comes from.
pub enum Paged {
    /// It is this.
    Here(Response),
    /// The observer has it.
    OfProcess(ProcessPage),
}

/// A page about the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessPage {
    /// `/metrics`.
    Metrics,
    /// `/v1/stats`.
    Stats,
}

/// The page that is asked for.
pub fn page(core: &Core, page: Page) -> Paged {
    Paged::Here(match page {
        Page::Stats => return Paged::OfProcess(ProcessPage::Stats),
        Page::Metrics => return Paged::OfProcess(ProcessPage::Metrics),
        Page::Ready if core.shared.draining.load(Ordering::Relaxed) => {
            let error = CommandError::new(ErrorCode::Draining, "the server is going away");
            refusal_response(&error.into())
        }
        Page::Ready => Response::json(200, "{\"ready\":true}"),
        Page::Health => Response::json(200, "{\"alive\":true}"),
        Page::OpenApi => Response::json(200, ops::openapi::document()),
        Page::Console => Response::text(200, index()),
    })
}

/// The counters as Prometheus text.
pub fn metrics(shared: &Shared) -> Response {
    let mut text = String::new();
    shared.metrics.render_prometheus(&mut text);
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
        #[serde(flatten)]
        snapshot: Snapshot,
    }
    let counts = shared.interest.counts();
    let stats = Stats {
        reactor,
        distinct_users: counts.users,
        distinct_groups: counts.groups,
        distinct_tags: counts.tags,
        snapshot: shared.metrics.snapshot(),
    };
    // Numbers and names of fields: nothing that JSON cannot hold.
    Response::json(200, serde_json::to_string(&stats).unwrap_or_default())
}

/// More pages about the whole process are asked for than are rendered.
pub fn too_many_pages() -> Response {
    let message = "too many requests for /metrics and /v1/stats wait: ask less often";
    refusal_response(&CommandError::new(ErrorCode::Overloaded, message).into())
}

fn index() -> String {
    format!("gannet {}: {}\n", env!("CARGO_PKG_VERSION"), ops::paths())
}
