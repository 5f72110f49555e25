//! The client port before and at the upgrade: a head read under bounds and a deadline, the refusals, and a session
//! opened. Knows nothing of who is let in, nor of the backend port.

use super::admit::{Admitted, What, admit, greet, session_instead};
use super::pages::health;
use crate::auth::Ticket;
use crate::connection::{Claimant, Figures, Flag, Inbound, Kind, log_client};
use crate::core::{Claim, Core, HalfReceived, Reply, displace};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::identity::Identity;
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::render::{self, Welcome};
use crate::gateway::api::responses::refusal;
use crate::http::{CarriedReader, HeadLimits, HeadScanner, RequestProgress, RequestReader, Response};
use crate::metrics::{Label, RefusalReason, ResumeFailure};
use crate::ops::keyless_page;
use crate::protocol::{OpCode, WebSocket, encode_frame};
use crate::proxy::begins_header;
use crate::session::{AppId, Name, SessionId};
use crate::timer::Clock;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// An upgrade request that is being read.
#[derive(Debug, Default)]
pub struct Head {
    reader: RequestReader,
}

/// A [`Head`] on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedHead {
    #[n(0)]
    reader: CarriedReader,
}

/// What an upgrade opened.
#[derive(Debug)]
pub enum Opened {
    /// A session of this app.
    Session(AppId),
    /// Nothing yet: a session is claimed, which another reactor may have.
    Claim(Box<Claim>),
    /// An echo.
    Echo,
}

impl Head {
    /// As it is carried.
    pub fn carry(&self) -> CarriedHead {
        let Self { reader } = self;
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
        Ok(Self { reader })
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
        let admitted = match self.reader.read(&limits) {
            Ok(RequestProgress::Head(request)) => match greet(core, id, &request) {
                Ok(()) if keyless_page(request.path).is_some() => {
                    let response = health(core, &request);
                    answer(core, slot, &response, request.method == "HEAD");
                    return None;
                }
                Ok(()) => admit(core, reply, id, &request),
                Err(refused) => Err(refused),
            },
            Ok(_) => {
                // There is a deadline for the whole head already.
                let half = HalfReceived { bytes: self.reader.held_bytes(), ..HalfReceived::default() };
                core.note_incoming(slot, half);
                return None;
            }
            Err(error) => Err(Refused::status(error.status(), error)),
        };
        core.note_incoming(slot, HalfReceived::default());
        let opened = match admitted {
            Ok(Admitted {
                what: What::Claim { identity, expires_unix_ms, ticket, received },
                raw,
                speaks_own,
                deflate,
            }) => {
                core.stranger_known(slot);
                core.connection(slot)?.leave_door();
                let accept = std::mem::take(&mut reply.messages);
                let Identity { app, user, groups, tags } = identity;
                let claimant = claimant_of(core, user.as_ref());
                let says_who = user.is_some() || !core.rules.auth.takes_words();
                Opened::Claim(Box::new(Claim {
                    ticket,
                    received,
                    claimant,
                    says_who,
                    app,
                    user,
                    groups,
                    tags,
                    expires_unix_ms,
                    accept,
                    raw,
                    speaks_own,
                    deflate,
                }))
            }
            Ok(admitted) => open(core, reply, id, admitted, None)?,
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

    fn refuse(&self, core: &mut Core, slot: u32, refused: &Refused) {
        refuse(core, slot, refused, self.reader.is_head());
    }
}

/// Answers with an error and ends the connection.
fn refuse(core: &mut Core, slot: u32, refused: &Refused, head_only: bool) {
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
    let response = refusal(refused.status, &error, refused.allow.clone());
    answer(core, slot, &response, head_only);
}

/// A client has come back for a session that it cannot have, to the connection `id`: it gets another one, and is told why. Returns
/// the app of that, unless there is no place for it.
pub fn open_instead(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    claim: Claim,
    why: ResumeFailure,
) -> Option<AppId> {
    let what = match session_instead(core, id, &claim) {
        Ok(what) => what,
        Err(refused) => {
            refuse(core, id.slot(), &refused, false);
            return None;
        }
    };
    let Claim { accept, raw, speaks_own, deflate, .. } = claim;
    reply.messages.extend_from_slice(&accept);
    match open(core, reply, id, Admitted { what, raw, speaks_own, deflate }, Some(why))? {
        Opened::Session(app) => Some(app),
        Opened::Echo | Opened::Claim(_) => None,
    }
}

/// What a client hears first that gets its session back: the answer to its upgrade, and the welcome with its next ticket.
pub fn words_of_return(core: &mut Core, slot: u32, claim: &Claim) -> Vec<u8> {
    let mut first = claim.accept.clone();
    let ticket = core.next_ticket(slot, claim.ticket.number).map(|ticket| core.shared.tickets.write(ticket));
    if let (false, Some(session)) = (claim.raw, core.connections.id_of(slot)) {
        let welcome = Welcome {
            session,
            user: core.hub.user_of(slot).map(|user| user.as_str()),
            expires_unix_ms: claim.expires_unix_ms,
            ticket: ticket.as_deref(),
            resumed: Some(Ok(())),
        };
        first.extend_from_slice(&frame_of(&welcome));
    }
    first
}

/// Who opens a session, or comes back for it.
fn claimant_of(core: &Core, user: Option<&Name>) -> Claimant {
    Claimant(core.shared.tickets.digest_of_user(user.map(|user| user.as_str())))
}

/// A stranger's request was not whole in time, at either port, and it is not the client port that answers.
pub fn count_late(core: &Core) {
    core.metrics().refused.of(RefusalReason::HeadTimeout).add(1);
}

/// Opens what was asked for. The 101 and the welcome are written before anything that the app does: whatever it pushes
/// comes behind them.
fn open(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    admitted: Admitted,
    why_anew: Option<ResumeFailure>,
) -> Option<Opened> {
    let slot = id.slot();
    if why_anew.is_none() {
        core.stranger_known(slot);
    }
    let mut websocket = WebSocket::server(Arc::clone(&core.rules.settings.player_limits));
    if let (Some(agreed), Some(engine)) = (admitted.deflate, &core.deflate) {
        websocket = websocket.with_deflate(agreed, Arc::clone(engine));
    }
    let since_unix_ms = Clock::wall_unix_ms();
    let (bounds_input, attended_ms) = (core.rules.settings.inbound.is_some(), core.attended_ms());
    let connection = core.connection(slot)?;
    connection.leave_door();
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
        What::Session { identity, expires_unix_ms, entered, came_back } => {
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
                let claimant = claimant_of(core, identity.user.as_ref());
                let ticket = core.let_resume(slot, claimant).map(|number| Ticket { session: id, number });
                let why = why_anew.or(came_back.then_some(ResumeFailure::Unknown));
                welcome(core, reply, id, expires_unix_ms, ticket, why);
            }
            Opened::Session(identity.app)
        }
        What::Claim { .. } => return None,
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
    let metrics = core.metrics();
    metrics.opened.of(identity.app.0).add(1);
    metrics.apps.sessions.of(identity.app.0).add(1);
}

fn welcome(
    core: &Core,
    reply: &mut Reply,
    session: SessionId,
    expires_unix_ms: Option<u64>,
    ticket: Option<Ticket>,
    why_anew: Option<ResumeFailure>,
) {
    let ticket = ticket.map(|ticket| core.shared.tickets.write(ticket));
    let welcome = Welcome {
        session,
        user: core.hub.user_of(session.slot()).map(|user| user.as_str()),
        expires_unix_ms,
        ticket: ticket.as_deref(),
        resumed: why_anew.map(|why| Err(why.text())),
    };
    reply.messages.extend_from_slice(&frame_of(&welcome));
}

fn frame_of(welcome: &Welcome<'_>) -> Vec<u8> {
    let mut text = String::new();
    render::welcome(&mut text, welcome);
    encode_frame(OpCode::Text, text.as_bytes())
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
