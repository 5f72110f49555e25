//! The client port before and at the upgrade: a head read under bounds and a deadline, the refusals, and a session
//! opened. Knows nothing of who is let in, nor of the backend port.

use super::admit::{Admitted, SessionIn, What, admit, greet};
use super::pages::health;
use super::streams;
use crate::connection::{Figures, Flag, Inbound, Kind, log_client};
use crate::core::{Core, HalfReceived, Reply, displace};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::identity::Identity;
use crate::gateway::api::over_http::{Cors, HttpRoute, http_route};
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::render;
use crate::gateway::api::responses::refusal;
use crate::http::{
    CarriedReader, HeadLimits, HeadScanner, Request, RequestProgress, RequestReader, Response,
};
use crate::metrics::RefusalReason;
use crate::ops::keyless_page;
use crate::protocol::{OpCode, WebSocket, encode_frame};
use crate::proxy::begins_header;
use crate::session::{AppId, SessionId};
use crate::timer::Clock;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// An upgrade request, or one of a session over plain HTTP, that is being read.
#[derive(Debug, Default)]
pub struct Head {
    reader: RequestReader,
    /// Of a session over plain HTTP, once its head is whole: what the page that asks may know of the answer.
    cors: Option<Cors>,
}

/// What a request comes to that is let in.
enum Asked {
    /// This answer.
    Answer(Response),
    /// An upgrade, whose 101 is in the reply.
    Upgrade(Admitted),
    /// The event stream of a session of this app, which has begun.
    Stream(AppId),
}

/// A [`Head`] on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedHead {
    #[n(0)]
    reader: CarriedReader,
}

/// What an upgrade opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A session of this app.
    Session(AppId),
    /// An echo.
    Echo,
}

impl Head {
    /// As it is carried.
    pub fn carry(&self) -> CarriedHead {
        // A head that is whole has been answered.
        let Self { reader, cors: _ } = self;
        CarriedHead { reader: reader.carry() }
    }

    /// The request that was carried.
    ///
    /// # Errors
    /// No head is being read like that: one that is whole has been answered.
    pub fn restore(carried: CarriedHead) -> Result<Self, InvalidState> {
        let any = HeadLimits { max_bytes: usize::MAX, max_headers: usize::MAX, max_target_bytes: usize::MAX };
        let is_being_read = |reader: &RequestReader| {
            let is_head = reader.is_between_requests() || reader.is_in_head();
            is_head && HeadScanner::default().scan(reader.unread(), &any) == Ok(None)
        };
        let reader = RequestReader::restore(carried.reader).filter(is_being_read);
        let reader = reader.ok_or_else(|| InvalidState::new("an upgrade request is read as none can be"))?;
        Ok(Self { reader, cors: None })
    }

    /// Its connection has come into this process: what it holds is counted.
    pub fn rejoin(&self, core: &mut Core, slot: u32) {
        let half = HalfReceived { bytes: self.reader.held_bytes(), ..HalfReceived::default() };
        core.note_incoming(slot, half);
    }

    /// Whether a part of the request has come.
    pub fn has_begun(&self) -> bool {
        !self.reader.is_between_requests()
    }

    /// Bytes of the request. Once it is whole and let in: how many of `input` were its own, and what was opened; the answer
    /// has been written. Who is not let in has been answered so.
    pub fn take(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
        input: &[u8],
    ) -> Option<(usize, Opened)> {
        let slot = id.slot();
        self.reader.push(input);
        if let Some(refused) = no_http(self.reader.unread()) {
            self.refuse(core, slot, &refused);
            return None;
        }
        let limits = core.rules.settings.message_limits;
        let asked = match self.reader.read(&limits) {
            Ok(RequestProgress::Head(request)) => {
                self.cors = streams::cors(core, &request);
                ask(core, reply, id, &request, self.cors.as_ref())
            }
            Ok(_) => {
                // There is a deadline for the whole head already.
                let half = HalfReceived { bytes: self.reader.held_bytes(), ..HalfReceived::default() };
                core.note_incoming(slot, half);
                return None;
            }
            Err(error) => Err(Refused::status(error.status(), error)),
        };
        core.note_incoming(slot, HalfReceived::default());
        let opened = match asked {
            Ok(Asked::Upgrade(admitted)) => open(core, reply, id, admitted)?,
            Ok(Asked::Stream(app)) => Opened::Session(app),
            Ok(Asked::Answer(response)) => {
                answer(core, slot, &response, self.reader.is_head());
                return None;
            }
            Err(refused) => {
                reply.clear();
                self.refuse(core, slot, &refused);
                return None;
            }
        };
        // All that was read before belongs to the head: it was not whole then.
        Some((input.len() - self.reader.unread().len(), opened))
    }

    /// The upgrade request was not whole in time, or the server stops.
    pub fn refuse_late(&self, core: &mut Core, slot: u32) {
        let refused = match core.draining {
            true => Refused::draining(),
            false => Refused::status(408, "the request was not complete in time"),
        };
        self.refuse(core, slot, &refused);
    }

    /// All that is half received is beyond its bound.
    pub fn refuse_full(&self, core: &mut Core, slot: u32) {
        let message = "too much is half received: try again later";
        self.refuse(core, slot, &Refused::because(ErrorCode::Overloaded, message));
    }

    /// Answers with an error and ends the connection.
    fn refuse(&self, core: &mut Core, slot: u32, refused: &Refused) {
        let metrics = core.metrics();
        metrics.refused.of(refused.reason).add(1);
        if let Some(app) = refused.app {
            metrics.apps.refused.of(app.0).add(1);
        }
        if let Some(id) = core.connections.id_of(slot) {
            let (status, message) = (refused.status, &refused.message);
            log_client!(debug, connection = id, core.remote_of(id), "refused with {status}: {message}");
        }
        let error = CommandError::new(refused.code, refused.message.clone());
        let mut response = refusal(refused.status, &error, refused.allow.clone());
        if let Some(cors) = &self.cors {
            response = cors.add_to(response);
        }
        answer(core, slot, &response, self.reader.is_head());
    }
}

/// Looks at what is asked for. An event stream has been opened then.
fn ask(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    request: &Request<'_>,
    cors: Option<&Cors>,
) -> Result<Asked, Refused> {
    greet(core, id, request)?;
    if keyless_page(request.path).is_some() {
        return Ok(Asked::Answer(health(core, request)));
    }
    match (http_route(request, &core.rules.open_apps)?, cors) {
        (Some(HttpRoute::Stream(app)), Some(cors)) => {
            streams::open(core, reply, id, request, app, cors).map(Asked::Stream)
        }
        (Some(HttpRoute::Preflight(methods)), Some(cors)) => Ok(Asked::Answer(cors.preflight(methods))),
        _ => admit(core, reply, id, request).map(Asked::Upgrade),
    }
}

/// A stranger's request was not whole in time, at either port, and it is not the client port that answers.
pub fn count_late(core: &Core) {
    core.metrics().refused.of(RefusalReason::HeadTimeout).add(1);
}

/// Opens what was asked for. The 101 and the welcome are written before anything that the app does: whatever it pushes
/// comes behind them.
fn open(core: &mut Core, reply: &mut Reply, id: SessionId, admitted: Admitted) -> Option<Opened> {
    let slot = id.slot();
    core.stranger_known(slot);
    let mut websocket = WebSocket::server(Arc::clone(&core.rules.settings.player_limits));
    if let (Some(agreed), Some(engine)) = (admitted.deflate, &core.deflate) {
        websocket = websocket.with_deflate(agreed, Arc::clone(engine));
    }
    let since_unix_ms = Clock::wall_unix_ms();
    let (bounds_input, attended_ms) = (core.rules.settings.inbound.is_some(), core.attended_ms());
    let connection = core.connection(slot)?;
    if bounds_input {
        connection.extras().inbound = Some(Inbound::default());
    }
    connection.websocket = Some(websocket);
    // They count from the upgrade.
    connection.figures = Figures::since(since_unix_ms);
    let opened = match admitted.what {
        What::Echo { app, expires_unix_ms, entered } => {
            connection.kind = Kind::Echo;
            connection.touch(attended_ms);
            let extras = connection.extras();
            (extras.session_from, extras.echo_of) = (entered.network, Some(app));
            if let Some(expires_unix_ms) = expires_unix_ms {
                core.expire_at(slot, expires_unix_ms, since_unix_ms);
            }
            Opened::Echo
        }
        What::Session(SessionIn { identity, expires_unix_ms, entered }) => {
            connection.kind = Kind::Player;
            connection.touch(attended_ms);
            if entered.network.is_some() {
                connection.extras().session_from = entered.network;
            }
            if admitted.speaks_own {
                connection.flags.set(Flag::SpeaksOwn);
            }
            if let Some(expires_unix_ms) = expires_unix_ms {
                core.expire_at(slot, expires_unix_ms, since_unix_ms);
            }
            enter(core, id, &identity);
            displace(core, identity.app, entered.displaced);
            if !admitted.raw {
                welcome(core, reply, id, expires_unix_ms);
            }
            Opened::Session(identity.app)
        }
    };
    core.write_reply(slot, reply);
    Some(opened)
}

/// What begins as no request does, and is known well enough to be told apart.
fn no_http(bytes: &[u8]) -> Option<Refused> {
    // A TLS record of the type handshake (RFC 8446 §5.1).
    if bytes.starts_with(&[22, 3]) {
        let message = "this port speaks no TLS: connect with ws://, or set tls.cert and tls.key";
        return Some(Refused::new(ErrorCode::BadRequest, RefusalReason::TlsOnPlain, message));
    }
    begins_header(bytes).then(|| {
        let message = "a PROXY header from an address that is not in proxy.protocol_from";
        Refused::new(ErrorCode::BadRequest, RefusalReason::ProxyHeader, message)
    })
}

/// Puts a session and its names into the hub.
pub fn enter(core: &mut Core, id: SessionId, identity: &Identity) {
    let slot = id.slot();
    core.hub.insert(id, identity.app);
    core.hub.bind(slot, identity.user.as_ref());
    for group in &identity.groups {
        core.hub.join(slot, group);
    }
    for tag in &identity.tags {
        core.hub.tag(slot, tag);
    }
    let metrics = core.metrics();
    metrics.opened.of(identity.app.0).add(1);
    metrics.apps.sessions.of(identity.app.0).add(1);
}

fn welcome(core: &Core, reply: &mut Reply, id: SessionId, expires_unix_ms: Option<u64>) {
    let text = welcome_of(core, id, expires_unix_ms);
    reply.messages.extend_from_slice(&encode_frame(OpCode::Text, text.as_bytes()));
}

/// What the client of a session that has opened is told first.
pub fn welcome_of(core: &Core, id: SessionId, expires_unix_ms: Option<u64>) -> String {
    let mut text = String::new();
    let user = core.hub.user_of(id.slot()).map(|user| user.as_str());
    render::welcome(&mut text, id, user, expires_unix_ms);
    text
}

/// Answers and ends the connection.
fn answer(core: &mut Core, slot: u32, response: &Response, head_only: bool) {
    let mut bytes = Vec::new();
    response.write(false, head_only, Some(core.http_date()), &mut bytes);
    if let Some(connection) = core.connection(slot) {
        connection.kind = Kind::Discard;
    }
    core.note_incoming(slot, HalfReceived::default());
    core.append(slot, bytes);
    core.finish(slot);
}
