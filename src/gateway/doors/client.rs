//! The client port before and at the upgrade: a head read under bounds and a deadline, the refusals, and a session
//! opened. Knows nothing of who is let in, nor of the backend port.

use super::admit::{Admitted, What, admit};
use crate::connection::{Inbound, Player, Stage};
use crate::core::Core;
use crate::core::displace;
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::Gateway;
use crate::gateway::api::identity::Identity;
use crate::gateway::api::refusal::Refusal;
use crate::gateway::api::render;
use crate::http::{HeadScanner, Response};
use crate::metrics::RefusalReason;
use crate::protocol::WebSocket;
use crate::protocol::handshake::UpgradeError;
use crate::proxy::begins_header;
use crate::session::SessionId;
use log::debug;
use std::sync::Arc;

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
pub struct Refused {
    status: u16,
    reason: RefusalReason,
    message: Box<str>,
    allow: Option<&'static str>,
}

impl Refused {
    /// With this status and message, counted under this reason.
    pub fn new(status: u16, reason: RefusalReason, message: impl ToString) -> Self {
        Self { status, reason, message: message.to_string().into(), allow: None }
    }

    /// With this status and message, counted under the reason that goes with the status.
    pub fn status(status: u16, message: impl ToString) -> Self {
        Self::new(status, reason_for(status), message)
    }

    /// The server stops.
    pub fn draining() -> Self {
        Self::new(503, RefusalReason::Draining, "the server is going away: connect again, to another one")
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { allow: refusal.allow, ..Self::status(refusal.error.code.status(), refusal.error.message) }
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        Self::status(error.code.status(), error.message)
    }
}

impl From<UpgradeError> for Refused {
    fn from(error: UpgradeError) -> Self {
        Self::status(error.status(), error)
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
        if let Some(refused) = no_http(&head.bytes) {
            refuse(core, slot, &refused);
            return None;
        }
        let length = match head.scanner.scan(&head.bytes, &limits) {
            Ok(Some(length)) => length,
            Ok(None) => return None,
            Err(error) => {
                refuse(core, slot, &Refused::status(error.status(), error));
                return None;
            }
        };
        let bytes = std::mem::take(&mut head.bytes);
        match admit(core, core.connections.id_of(slot)?, &bytes[..length]) {
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
            true => Refused::draining(),
            false => Refused::status(408, "the request was not complete in time"),
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
        let bounds_input = core.shared.settings.inbound.is_some();
        let Some(connection) = core.connection(slot) else { return };
        if bounds_input {
            connection.terms().inbound = Some(Inbound::default());
        }
        match admitted.what {
            What::Echo => connection.stage = Stage::Echo(websocket),
            What::Session { identity, expires_ms, entered } => {
                if expires_ms.is_some() || entered.network.is_some() {
                    let terms = connection.terms();
                    (terms.expires_ms, terms.session_from) = (expires_ms, entered.network);
                }
                let round_trip_us = 0;
                let (bytes_in, bytes_out) = (0, 0);
                connection.stage =
                    Stage::Player(Player { websocket, since_unix_ms, bytes_in, bytes_out, round_trip_us });
                enter(core, id, &identity);
                displace(core, identity.app, entered.displaced);
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

/// What begins as no request does, and is known well enough to be told apart.
fn no_http(bytes: &[u8]) -> Option<Refused> {
    // A TLS record of the type handshake (RFC 8446 §5.1).
    if bytes.starts_with(&[22, 3]) {
        let message = "this port speaks no TLS: connect with ws://, or set tls.cert and tls.key";
        return Some(Refused::new(400, RefusalReason::TlsOnPlain, message));
    }
    begins_header(bytes).then(|| {
        let message = "a PROXY header from an address that is not in proxy.protocol_from";
        Refused::new(400, RefusalReason::ProxyHeader, message)
    })
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
        // RFC 9110 §11.6.1: a 401 names the scheme.
        401 => response = response.with_header("WWW-Authenticate", "Bearer"),
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
