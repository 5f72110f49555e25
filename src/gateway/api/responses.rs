//! The responses of the backend port that are no command's outcome: errors, the upgrade of a link, the pages for operators.
//! Knows nothing of connections.

use super::refusal::Refusal;
use super::{render, routes};
use crate::core::{Core, Shared};
use crate::dispatch::{CommandError, ErrorCode, LinkForm};
use crate::http::{Request, Response};
use crate::link_bin::SUBPROTOCOL;
use crate::metrics::Snapshot;
use crate::protocol::handshake::{check_upgrade, write_accept};
use routes::Routed;
use serde::Serialize;
use std::sync::atomic::Ordering;

/// The subprotocol of a link whose messages are JSON.
const LINK_JSON: &str = "gannet.link.json";

/// A request that HTTP itself does not allow.
pub fn error_response(status: u16, message: &str) -> Response {
    let code = match status {
        413 | 414 | 431 => ErrorCode::PayloadTooLarge,
        _ => ErrorCode::BadRequest,
    };
    let mut body = String::new();
    render::http_error(&mut body, &CommandError::new(code, message));
    Response::json(status, body)
}

pub fn refusal_response(refusal: &Refusal) -> Response {
    let mut body = String::new();
    let status = render::http_error(&mut body, &refusal.error);
    let response = Response::json(status, body);
    match refusal.allow {
        Some(allow) => response.with_header("Allow", allow),
        None => response,
    }
}

pub fn unauthorized() -> Response {
    let message = "show the key of this port: Authorization: Bearer <key>";
    let refusal = Refusal::from(CommandError::new(ErrorCode::Unauthorized, message));
    // RFC 9110 §11.6.1: a 401 names the scheme.
    refusal_response(&refusal).with_header("WWW-Authenticate", "Bearer")
}

/// The form and the 101 of a link, or why there is none.
pub fn link_upgrade(core: &Core, request: &Request<'_>) -> Result<(LinkForm, Vec<u8>), Response> {
    let upgrade =
        check_upgrade(request.method, request.version_minor, request.headers()).map_err(|error| {
            let response = error_response(error.status(), &error.to_string());
            match error.status() {
                426 => {
                    response.with_header("Sec-WebSocket-Version", "13").with_header("Upgrade", "websocket")
                }
                _ => response,
            }
        })?;
    // The first that is spoken here: the client offers them in its order of preference (RFC 6455 §4.2.2).
    let form_of = |offered: &&str| match *offered {
        LINK_JSON => Some((LinkForm::Json, LINK_JSON)),
        SUBPROTOCOL => Some((LinkForm::Binary, SUBPROTOCOL)),
        _ => None,
    };
    let Some((form, subprotocol)) = upgrade.subprotocols.iter().find_map(form_of) else {
        return Err(error_response(400, "offer the subprotocol gannet.link.json or gannet.link.bin"));
    };
    if core.draining {
        let error = CommandError::new(ErrorCode::Draining, "the server is going away");
        return Err(refusal_response(&error.into()));
    }
    let mut accept = Vec::new();
    write_accept(upgrade.key, Some(subprotocol), None, &mut accept);
    Ok((form, accept))
}

/// The answers that concern no session, but for those of the observer.
pub fn page(core: &Core, routed: &Routed) -> Response {
    match routed {
        Routed::Ready if core.shared.draining.load(Ordering::Relaxed) => {
            let error = CommandError::new(ErrorCode::Draining, "the server is going away");
            refusal_response(&error.into())
        }
        Routed::Ready => Response::json(200, "{\"ready\":true}"),
        Routed::Health => Response::json(200, "{\"alive\":true}"),
        _ => Response::text(200, index()),
    }
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
    format!("gannet {}: {}\n", env!("CARGO_PKG_VERSION"), routes::PATHS)
}
