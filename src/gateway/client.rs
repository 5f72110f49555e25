//! The client port before and at the upgrade: a head read under bounds and a deadline, the checks in their order, the
//! refusals, and a session opened. Knows nothing of the backend port.

use super::Gateway;
use super::identity::{ClientRoute, Identity, IdentityLimits, client_route};
use super::refusal::Refusal;
use super::render;
use crate::connection::{Player, Stage};
use crate::dispatch::{CommandError, ErrorCode};
use crate::http::{HeadScanner, Request, Response};
use crate::metrics::RefusalReason;
use crate::protocol::handshake::{Upgrade, UpgradeError, check_upgrade, write_accept};
use crate::protocol::{DeflateParameters, WebSocket};
use crate::reactor::Core;
use crate::session::SessionId;
use log::debug;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The subprotocol of clients that want no welcome.
const RAW: &str = "gannet.raw";

/// What a refusal with 503 tells a client to wait, in seconds.
const RETRY_AFTER: &str = "5";

/// An upgrade request that is being read.
#[derive(Debug)]
pub struct Head {
    /// When it must be complete, in milliseconds of the server's clock.
    pub deadline_ms: u64,
    bytes: Vec<u8>,
    scanner: HeadScanner,
}

impl Head {
    /// Nothing read yet.
    pub fn new(deadline_ms: u64) -> Self {
        Self { deadline_ms, bytes: Vec::new(), scanner: HeadScanner::default() }
    }
}

/// A request that is not let in.
struct Refused {
    status: u16,
    reason: RefusalReason,
    message: Box<str>,
    allow: Option<&'static str>,
}

impl Refused {
    fn new(status: u16, reason: RefusalReason, message: impl ToString) -> Self {
        Self { status, reason, message: message.to_string().into(), allow: None }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.error.code.status();
        Self { allow: refusal.allow, ..Self::new(status, reason_for(status), refusal.error.message) }
    }
}

impl From<UpgradeError> for Refused {
    fn from(error: UpgradeError) -> Self {
        Self::new(error.status(), reason_for(error.status()), error)
    }
}

fn reason_for(status: u16) -> RefusalReason {
    match status {
        401 => RefusalReason::Unauthorized,
        403 => RefusalReason::Forbidden,
        404 => RefusalReason::NotFound,
        405 => RefusalReason::Method,
        408 => RefusalReason::HeadTimeout,
        414 => RefusalReason::TargetTooLong,
        426 => RefusalReason::Version,
        431 => RefusalReason::HeadTooLarge,
        _ => RefusalReason::Malformed,
    }
}

fn code_for(status: u16, reason: RefusalReason) -> ErrorCode {
    match (status, reason) {
        (401, _) => ErrorCode::Unauthorized,
        (403, _) => ErrorCode::Forbidden,
        (404, _) => ErrorCode::NotFound,
        (405, _) => ErrorCode::MethodNotAllowed,
        (414 | 431, _) => ErrorCode::PayloadTooLarge,
        (429, _) => ErrorCode::RateLimited,
        (_, RefusalReason::Draining) => ErrorCode::Draining,
        (503, _) => ErrorCode::Overloaded,
        _ => ErrorCode::BadRequest,
    }
}

/// A request that is let in.
struct Admitted {
    route: ClientRoute,
    raw: bool,
    deflate: Option<DeflateParameters>,
}

impl Gateway {
    /// Bytes of an upgrade request. Once it is whole: how many of `input` were its own; what follows belongs to the
    /// session.
    pub fn head(&mut self, core: &mut Core, slot: u32, input: &[u8]) -> Option<usize> {
        let limits = core.shared.settings.head_limits;
        let Some(Stage::Head(head)) = core.connection(slot).map(|connection| &mut connection.stage) else {
            return None;
        };
        let before = head.bytes.len();
        head.bytes.extend_from_slice(input);
        let length = match head.scanner.scan(&head.bytes, &limits) {
            Ok(Some(length)) => length,
            Ok(None) => return None,
            Err(error) => {
                let status = error.status();
                refuse(core, slot, &Refused::new(status, reason_for(status), error));
                return None;
            }
        };
        let bytes = std::mem::take(&mut head.bytes);
        match admit(core, &bytes[..length]) {
            Ok(admitted) => self.open(core, slot, admitted),
            Err(refused) => {
                core.control.clear();
                refuse(core, slot, &refused);
                return None;
            }
        }
        // All that was read before belongs to the head: it was not whole then.
        Some(length - before)
    }

    /// The upgrade request was not whole in time.
    pub fn head_late(&mut self, core: &mut Core, slot: u32) {
        let refused = match core.draining {
            true => draining(),
            false => Refused::new(408, RefusalReason::HeadTimeout, "the request was not complete in time"),
        };
        refuse(core, slot, &refused);
    }

    /// The 101 waits in `core.control`: opens what was asked for, and writes both answers.
    fn open(&mut self, core: &mut Core, slot: u32, admitted: Admitted) {
        let (Some(id), now) = (core.connections.id_of(slot), core.now) else { return };
        let mut websocket = WebSocket::server(Arc::clone(&core.shared.settings.player_limits));
        if let (Some(agreed), Some(engine)) = (admitted.deflate, &core.deflate) {
            websocket = websocket.with_deflate(agreed, Arc::clone(engine));
        }
        let since_unix_ms = core.shared.clock.unix_ms(now);
        core.answering = Some(slot);
        let Some(connection) = core.connection(slot) else { return };
        match admitted.route {
            ClientRoute::Echo => connection.stage = Stage::Echo(websocket),
            ClientRoute::Session(identity) => {
                let round_trip_us = 0;
                let (bytes_in, bytes_out) = (0, 0);
                connection.stage =
                    Stage::Player(Player { websocket, since_unix_ms, bytes_in, bytes_out, round_trip_us });
                enter(core, id, &identity);
                if !admitted.raw {
                    welcome(core, id);
                }
                // Whatever the app does, even an urgent push, comes behind the answer to the upgrade and the welcome.
                core.write_answers(slot);
                self.opened(core, id, identity.app);
            }
        }
        core.write_answers(slot);
        core.answering = None;
    }
}

/// Checks a whole head: first what is asked for, then whether it is a valid upgrade, then whether there is room. The 101
/// is in `core.control` then.
fn admit(core: &mut Core, head: &[u8]) -> Result<Admitted, Refused> {
    let settings = &core.shared.settings;
    let request = Request::parse(head, &settings.head_limits)
        .map_err(|error| Refused::new(error.status(), reason_for(error.status()), error))?;
    let limits = &settings.config.limits;
    let limits = IdentityLimits { max_groups: limits.groups_per_session, max_tags: limits.tags_per_session };
    let route = client_route(&request, &core.shared.apps, settings.config.echo, &limits)?;
    let upgrade: Upgrade<'_> = check_upgrade(request.method, request.version_minor, request.headers())?;
    if core.draining || core.shared.draining.load(Ordering::Relaxed) {
        return Err(draining());
    }
    let most = settings.config.limits.max_sessions;
    // The one that asks is counted among them already.
    if core.shared.clients() > most {
        let message =
            format!("{most} sessions are open, as many as limits.max_sessions allows: try again later");
        return Err(Refused::new(503, RefusalReason::Full, message));
    }
    let raw = upgrade.subprotocols.contains(&RAW);
    let deflate = settings.deflate.as_ref().and_then(|config| config.accept(&upgrade.extensions));
    let extension = deflate.map(|agreed| agreed.to_string());
    write_accept(upgrade.key, raw.then_some(RAW), extension.as_deref(), &mut core.control);
    Ok(Admitted { route, raw, deflate })
}

fn draining() -> Refused {
    Refused::new(503, RefusalReason::Draining, "the server is going away: connect again, to another one")
}

/// Puts a session and its names into the hub.
fn enter(core: &mut Core, id: SessionId, identity: &Identity) {
    let slot = id.slot();
    core.hub.insert(id, identity.app);
    core.hub.bind(slot, identity.user.as_ref());
    for group in &identity.groups {
        core.hub.join(slot, group);
    }
    for tag in &identity.tags {
        core.hub.tag(slot, tag);
    }
    core.metrics().opened.add(1);
}

fn welcome(core: &mut Core, id: SessionId) {
    let mut text = String::new();
    render::welcome(&mut text, id, core.hub.user_of(id.slot()).map(|user| user.as_str()));
    core.answer
        .extend_from_slice(&crate::protocol::encode_frame(crate::protocol::OpCode::Text, text.as_bytes()));
}

/// Answers with an error and ends the connection.
fn refuse(core: &mut Core, slot: u32, refused: &Refused) {
    core.metrics().refused.of(refused.reason).add(1);
    if let Some(id) = core.connections.id_of(slot) {
        debug!("connection {id} refused with {}: {}", refused.status, refused.message);
    }
    let error = CommandError::new(code_for(refused.status, refused.reason), refused.message.clone());
    let mut body = String::new();
    render::http_error(&mut body, &error);
    let mut response = Response::json(refused.status, body);
    if let Some(allow) = refused.allow {
        response = response.with_header("Allow", allow);
    }
    match refused.status {
        // RFC 6455 §4.2.2: the versions that are spoken here.
        426 => {
            response = response.with_header("Sec-WebSocket-Version", "13").with_header("Upgrade", "websocket")
        }
        503 => response = response.with_header("Retry-After", RETRY_AFTER),
        _ => {}
    }
    let mut bytes = Vec::new();
    response.write(false, false, &mut bytes);
    if let Some(connection) = core.connection(slot) {
        connection.stage = Stage::Discard;
    }
    core.append(slot, bytes);
    core.finish(slot);
}
