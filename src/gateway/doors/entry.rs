//! Whether a request on the backend port is let in, and as whom: looked at when its head is whole, before any of its body is
//! kept. Knows nothing of what is asked for, but that health is for everybody.

use super::asker::{Asker, note_refused_key};
use crate::auth::{Foreign, Sender};
use crate::connection::{Connection, Shown, log_client};
use crate::core::Core;
use crate::gateway::api::bearer::bearer_token;
use crate::gateway::api::responses::{
    error_response, forbidden_page, too_many_keys, unauthorized, unknown_host,
};
use crate::http::{Request, Response};
use crate::metrics::BackendRefusal;
use crate::ops::keyless_page;
use crate::session::{Remote, SessionId};
use log::warn;
use smallvec::SmallVec;
use std::sync::Arc;

/// A request that is not let in.
pub struct TurnedAway {
    /// Its answer.
    pub response: Response,
    /// Whether the connection ends with it.
    pub ends: bool,
}

/// Who asks, if that one may ask at all.
///
/// # Errors
/// The answer: 401, 403, 421, 429 or 503. It is counted.
pub fn enter(core: &mut Core, id: SessionId, request: &Request<'_>) -> Result<Asker, TurnedAway> {
    let rules = &core.rules;
    if keyless_page(request.path).is_some() {
        // A load balancer has no key, and says what it likes.
        return Ok(Asker::new(core, id, Arc::clone(rules.backend_keys.nobody())));
    }
    let (mut origins, mut sites, mut authorization) = (Fields::new(), Fields::new(), None);
    // One pass: each look for a name would walk all lines of the head.
    for (name, value) in request.headers() {
        if name.eq_ignore_ascii_case("origin") {
            origins.push(value);
        } else if name.eq_ignore_ascii_case("sec-fetch-site") {
            sites.push(value);
        } else if name.eq_ignore_ascii_case("authorization") {
            authorization = authorization.or(Some(value));
        }
    }
    let sender = Sender {
        origins: &origins,
        sites: &sites,
        host: request.host.map(str::as_bytes),
        is_tls: rules.tls.backend.is_some(),
    };
    if let Err(foreign) = rules.backend_pages.admit(&sender) {
        let (reason, response) = match foreign {
            Foreign::Page => (BackendRefusal::Page, forbidden_page()),
            Foreign::Host => (BackendRefusal::Host, unknown_host()),
        };
        core.metrics().backend_refused.of(reason).add(1);
        let what = "a page of another origin, or another name than this port's";
        log_client!(debug, connection = id, core.remote_of(id), "{what}");
        return Err(TurnedAway { response, ends: false });
    }
    let key = authorization.and_then(bearer_token);
    let Some(access) = rules.backend_keys.access(key) else {
        return Err(refuse_key(core, id, key.is_some()));
    };
    let asker = Asker::new(core, id, Arc::clone(access));
    // From here on no stranger takes its place.
    match core.recognise(id.slot()) {
        true => Ok(asker),
        false => Err(full(core)),
    }
}

/// As many are there that may ask as there may be.
fn full(core: &Core) -> TurnedAway {
    core.metrics().backend_refused.of(BackendRefusal::Full).add(1);
    let message = "as many connections to the backend port are open as limits.max_backend_connections and the limit of open \
                   files allow: try again later";
    TurnedAway { response: error_response(503, message), ends: true }
}

/// The values of a field that a request has once, if at all.
type Fields<'a> = SmallVec<[&'a [u8]; 1]>;

/// No key, or a wrong one. A right one is never asked how many wrong ones came from its address.
fn refuse_key(core: &Core, id: SessionId, shown: bool) -> TurnedAway {
    let remote = core.connections.get(id).map(Connection::remote);
    let refusal = core.shared.admission.refuse_key(remote.and_then(Remote::ip), core.now.ns);
    let reason = if refusal.is_within { BackendRefusal::Key } else { BackendRefusal::KeyRate };
    core.metrics().backend_refused.of(reason).add(1);
    if let (Some(count), Some(remote)) = (refusal.summary, remote) {
        warn!(
            "{count} requests on the backend port without a key or with a wrong one since the last such line, the last \
             from {}",
            remote.ip().map_or(remote.to_string(), |ip| ip.to_string())
        );
    }
    if refusal.is_within {
        note_refused_key(Shown(remote), shown);
    }
    match refusal.is_within {
        true => TurnedAway { response: unauthorized(), ends: false },
        false => TurnedAway { response: too_many_keys(), ends: true },
    }
}
