//! The client port before and at the upgrade: a head read under bounds and a deadline, the refusals, and a session
//! opened. Knows nothing of who is let in, nor of the backend port.

use super::admit::{Admitted, What, admit, admit_stream, greet, session_instead};
use super::pages::health;
use crate::auth::Ticket;
use crate::connection::{Claimant, Figures, Inbound, Kind, Speech, Stream, log_client};
use crate::core::{Claim, Core, First, HalfReceived, Reply, TakesEvents, displace};
use crate::dispatch::{Apps, CommandError, ErrorCode};
use crate::gateway::api::identity::Identity;
use crate::gateway::api::over_http::{Cors, HttpRoute, http_path, http_route};
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::render::{self, Welcome};
use crate::gateway::api::responses::refusal;
use crate::http::{
    CarriedReader, HeadLimits, HeadScanner, Request, RequestProgress, RequestReader, Response,
};
use crate::metrics::{Label, RefusalReason, ResumeFailure};
use crate::ops::keyless_page;
use crate::protocol::{OpCode, encode_frame};
use crate::proxy::begins_header;
use crate::session::{AppId, Name, SessionId};
use crate::stream::{self, EventId};
use crate::timer::Clock;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

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
    /// A session or an echo; the beginning of the answer is in the reply.
    Admitted(Admitted),
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
                self.cors = cors(core, &request);
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
            Ok(Asked::Answer(response)) => {
                answer(core, slot, &response, self.reader.is_head());
                return None;
            }
            Ok(Asked::Admitted(Admitted {
                what: What::Claim { identity, expires_unix_ms, ticket, received },
                raw,
                speaks_own,
                deflate,
                events,
            })) => {
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
                    events,
                    page: self.cors.as_ref().and_then(Cors::origin).map(Into::into),
                }))
            }
            Ok(Asked::Admitted(admitted)) => open(core, reply, id, admitted, None)?,
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
        refuse(core, slot, refused, self.reader.is_head(), self.cors.as_ref());
    }
}

/// What the page that asks may know of the answer, where it asks for something of a session over plain HTTP.
fn cors(core: &Core, request: &Request<'_>) -> Option<Cors> {
    let app = http_path(request.path, &core.rules.open_apps)?.unwrap_or(Apps::DEFAULT);
    Some(Cors::of(request, |origin| core.rules.auth.allows_origin(app, Some(origin))))
}

/// Looks at what is asked for.
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
            admit_stream(core, reply, id, request, app, cors).map(Asked::Admitted)
        }
        (Some(HttpRoute::Preflight(methods)), Some(cors)) => Ok(Asked::Answer(cors.preflight(methods))),
        _ => admit(core, reply, id, request).map(Asked::Admitted),
    }
}

/// Answers with an error and ends the connection.
fn refuse(core: &mut Core, slot: u32, refused: &Refused, head_only: bool, cors: Option<&Cors>) {
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
    if let Some(cors) = cors {
        response = cors.add_to(response);
    }
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
            let cors = claim.events.map(|_| Cors::allowing(claim.page));
            refuse(core, id.slot(), &refused, false, cors.as_ref());
            return None;
        }
    };
    let Claim { accept, raw, speaks_own, deflate, events, .. } = claim;
    reply.messages.extend_from_slice(&accept);
    match open(core, reply, id, Admitted { what, raw, speaks_own, deflate, events }, Some(why))? {
        Opened::Session(app) => Some(app),
        Opened::Echo | Opened::Claim(_) => None,
    }
}

/// What a client hears first that gets its session back: the answer to its upgrade, and the welcome with its next ticket.
pub fn words_of_return(core: &mut Core, slot: u32, claim: &Claim) -> First {
    let mut first = First { bytes: claim.accept.clone(), stream: None };
    let ticket = core.next_ticket(slot, claim.ticket).map(|ticket| core.shared.tickets.write(ticket));
    if let (false, Some(session)) = (claim.raw, core.connections.id_of(slot)) {
        let welcome = Welcome {
            session,
            user: core.hub.user_of(slot).map(|user| user.as_str()),
            expires_unix_ms: claim.expires_unix_ms,
            ticket: ticket.as_deref(),
            resumed: Some(Ok(())),
        };
        match claim.events {
            None => first.bytes.extend_from_slice(&frame_of(&welcome)),
            Some(events) => {
                let mut stream = core.stream_of(events, ticket.as_deref());
                begin_stream(core, &mut stream, &welcome, claim.received, &mut first.bytes);
                first.stream = Some(stream);
            }
        }
    }
    first
}

/// Appends what an event stream begins with, of a client that has read so many messages of its session.
fn begin_stream(core: &Core, stream: &mut Stream, welcome: &Welcome<'_>, received: u64, out: &mut Vec<u8>) {
    let (mut first, mut text) = (Vec::new(), String::new());
    stream::padding(core.rules.settings.config.limits.stream_padding_bytes, &mut first);
    if let Some(ticket) = welcome.ticket {
        // From here on the client comes back with this one.
        EventId { ticket, count: received }.write(&mut first);
    }
    render::welcome(&mut text, welcome);
    stream::welcome(&text, &mut first);
    stream.begin(&first, out);
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
    // A stream has to know its ticket.
    let speech = admitted.events.is_none().then(|| core.speech(admitted.deflate, admitted.speaks_own, None));
    let since_unix_ms = Clock::wall_unix_ms();
    let (bounds_input, attended_ms) = (core.rules.settings.inbound.is_some(), core.attended_ms());
    let connection = core.connection(slot)?;
    connection.leave_door();
    if bounds_input {
        connection.extras().inbound = Some(Inbound::default());
    }
    if let Some(speech) = speech {
        connection.speak(speech);
    }
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
            if let Some(expires_unix_ms) = expires_unix_ms {
                core.expire_at(slot, expires_unix_ms, since_unix_ms);
            }
            enter(core, id, &identity);
            displace(core, identity.app, entered.displaced);
            if !admitted.raw {
                let claimant = claimant_of(core, identity.user.as_ref());
                let ticket = core.let_resume(slot, claimant).map(|number| Ticket { session: id, number });
                let why = why_anew.or(came_back.then_some(ResumeFailure::Unknown));
                welcome(core, reply, id, admitted.events, expires_unix_ms, ticket, why);
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
    core: &mut Core,
    reply: &mut Reply,
    session: SessionId,
    events: Option<TakesEvents>,
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
    let Some(events) = events else { return reply.messages.extend_from_slice(&frame_of(&welcome)) };
    let mut stream = core.stream_of(events, ticket.as_deref());
    begin_stream(core, &mut stream, &welcome, 0, &mut reply.messages);
    let idle_ms = core.rules.settings.silence.idle_ms;
    if let Some(connection) = core.connection(session.slot()) {
        connection.speak(Speech::Events(stream));
        connection.stream.give_up_after_ms(idle_ms);
    }
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
