//! The client port before and at the upgrade: a head read under bounds and a deadline, the refusals, and a session
//! opened. Knows nothing of who is let in, nor of the backend port.

mod opening;
mod visiting;

pub use opening::{open_instead, words_of_return};

use super::admit::{Admitted, What, admit, admit_stream, charge_request, greet};
use super::entering::claimant_of;
use super::pages::health;
use super::refusing;
use super::visits::{self, Asks, CarriedVisits, Visits};
use crate::connection::{Kind, log_client};
use crate::core::{Claim, Core, HalfReceived, Owed, Reply};
use crate::dispatch::ErrorCode;
use crate::gateway::api::identity::Identity;
use crate::gateway::api::over_http::{Cors, HttpRoute, OfApp, http_path, http_route};
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::responses::refused as refused_response;
use crate::http::{
    CONTINUE, CarriedReader, HeadLimits, HeadScanner, MessageLimits, Request, RequestProgress, RequestReader,
    Response,
};
use crate::metrics::RefusalReason;
use crate::ops::health_page;
use crate::proxy::begins_header;
use crate::session::{AppId, SessionId};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use opening::{know, open};

/// An upgrade request, or one of a session over plain HTTP, that is being read.
#[derive(Debug, Default)]
pub struct Head {
    reader: RequestReader,
    /// Of a session over plain HTTP, once its head is whole: what the page that asks may know of the answer.
    cors: Option<Cors>,
    /// Once it has asked for something of a session that goes over no connection of its own.
    visits: Option<Box<Visits>>,
}

/// What a request comes to that is let in.
enum Asked {
    /// This answer.
    Answer(Response),
    /// A session or an echo; the beginning of the answer is in the reply.
    Admitted(Admitted),
    /// Something of a session that goes over no connection of its own.
    Of(Asks),
}

/// A [`Head`] on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedHead {
    #[n(0)]
    reader: CarriedReader,
    #[n(1)]
    visits: Option<CarriedVisits>,
    /// The origin of the page that waits for an answer, if it may read it; empty where it may not.
    #[n(2)]
    page: Option<Box<str>>,
}

/// What an upgrade opened.
#[derive(Debug)]
pub enum Opened {
    /// A session of this app.
    Session(AppId),
    /// Nothing yet: a session is claimed, which another reactor may have.
    Claim(Box<Claim>),
    /// A session that is polled for, of this app; it goes over no connection.
    Polled(SessionId, AppId),
    /// An echo.
    Echo,
}

impl Head {
    /// As it is carried.
    pub fn carry(&self) -> CarriedHead {
        let Self { reader, cors, visits } = self;
        let visits = visits.as_deref().map(Visits::carry);
        let page = cors.as_ref().map(|cors| cors.origin().unwrap_or_default().into());
        CarriedHead { reader: reader.carry(), visits, page }
    }

    /// The request that was carried.
    ///
    /// # Errors
    /// No head is being read like that: one that is whole has been answered.
    pub fn restore(carried: CarriedHead) -> Result<Self, InvalidState> {
        let any = HeadLimits { max_bytes: usize::MAX, max_headers: usize::MAX, max_target_bytes: usize::MAX };
        let CarriedHead { reader, visits, page } = carried;
        let visits = visits.map(Visits::restore).transpose()?.map(Box::new);
        let (wants_body, is_waiting) =
            visits.as_ref().map_or((false, false), |visits| (visits.wants_body(), visits.is_waiting()));
        let is_being_read = |reader: &RequestReader| {
            if wants_body || is_waiting {
                // What comes behind a request that waits is not looked at.
                return true;
            }
            let is_head = reader.is_between_requests() || reader.is_in_head();
            is_head && HeadScanner::default().scan(reader.unread(), &any) == Ok(None)
        };
        let reader = RequestReader::restore(reader).filter(is_being_read);
        let reader = reader.ok_or_else(|| InvalidState::new("an upgrade request is read as none can be"))?;
        let cors = page.map(|page| Cors::allowing(Some(page).filter(|page| !page.is_empty())));
        Ok(Self { reader, cors, visits })
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
        if self.visits.as_ref().is_some_and(|visits| visits.is_waiting()) {
            // One request at a time: what comes behind it waits, and is no more than a head and a body may be.
            self.note_half(core, slot);
            let limits = &core.rules.settings.config.limits;
            if self.reader.held_bytes() > limits.max_head_bytes + limits.max_message_bytes {
                core.finish(slot);
            }
            return None;
        }
        self.go_on(core, reply, id, input.len())
    }

    /// Reads on, where the last `came` bytes have just come.
    fn go_on(
        &mut self,
        core: &mut Core,
        reply: &mut Reply,
        id: SessionId,
        came: usize,
    ) -> Option<(usize, Opened)> {
        let slot = id.slot();
        if let Some(refused) = no_http(self.reader.unread()) {
            self.refuse(core, slot, &refused);
            return None;
        }
        let settings = &core.rules.settings;
        let max_body_bytes = settings.config.limits.max_message_bytes;
        let limits = MessageLimits { max_body_bytes, ..settings.message_limits };
        let asked = match self.reader.read(&limits) {
            Ok(RequestProgress::Head(request)) => {
                self.cors = cors(core, &request);
                let is_first = self.visits.is_none();
                let asked = ask(core, reply, id, &request, self.cors.as_ref(), is_first);
                if let Ok(Asked::Of(_)) = &asked {
                    self.visits.get_or_insert_default().begin(core, &request);
                }
                asked
            }
            Ok(RequestProgress::Whole(_, body))
                if self.visits.as_ref().is_some_and(|one| one.wants_body()) =>
            {
                let body = std::mem::take(body);
                self.reader.next_request();
                return self.say(core, id, body);
            }
            Ok(RequestProgress::ExpectsContinue) => {
                core.append(slot, CONTINUE.to_vec());
                self.note_half(core, slot);
                return None;
            }
            Ok(_) => {
                self.note_half(core, slot);
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
                what: What::Claim { identity, expires_unix_ms, ticket, whereabouts, received },
                raw,
                speaks_own,
                deflate,
                events,
            })) => {
                know(core, slot);
                core.connection(slot)?.leave_door();
                let accept = std::mem::take(&mut reply.messages);
                let Identity { app, user, groups, tags, profile } = identity;
                let claimant = claimant_of(core, user.as_ref());
                let says_who = user.is_some() || !core.rules.auth.takes_words();
                Opened::Claim(Box::new(Claim {
                    ticket,
                    was: ticket.session,
                    whereabouts,
                    received,
                    claimant,
                    says_who,
                    app,
                    user,
                    groups,
                    tags,
                    profile,
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
            Ok(Asked::Of(asks)) => return self.visit(core, reply, id, asks),
            Err(refused) => {
                reply.clear();
                self.refuse(core, slot, &refused);
                return None;
            }
        };
        // All that was read before belongs to the head: it was not whole then. What has been sent behind a request on the same
        // connection, before that was answered, is of no session.
        Some((came.saturating_sub(self.reader.unread().len()), opened))
    }

    /// Accounts for what has half come. A stranger has one deadline for all.
    fn note_half(&self, core: &mut Core, slot: u32) {
        let bytes = self.reader.held_bytes();
        let owed = self.visits.as_ref().is_some_and(|visits| !visits.is_waiting()).then_some(Owed::Rest);
        core.note_incoming(slot, HalfReceived { bytes, owed, ..HalfReceived::default() });
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
    let (auth, apps) = (&core.rules.auth, &core.rules.apps);
    Some(match http_path(request.path, &core.rules.open_apps)? {
        OfApp::Named(app) => Cors::of(request, |origin| auth.allows_origin(app, Some(origin))),
        // Of which app the session is, its ticket says to the reactor that has it.
        OfApp::Any => {
            let mut all = (0..apps.names().count()).map(|app| AppId(app as u16));
            Cors::of(request, |origin| all.any(|app| auth.allows_origin(app, Some(origin))))
        }
    })
}

/// Looks at what is asked for.
fn ask(
    core: &mut Core,
    reply: &mut Reply,
    id: SessionId,
    request: &Request<'_>,
    cors: Option<&Cors>,
    is_first: bool,
) -> Result<Asked, Refused> {
    if is_first {
        greet(core, id, request)?;
    }
    let route = http_route(request, &core.rules.open_apps);
    let has_own_rate = matches!(route, Ok(Some(HttpRoute::Poll(_) | HttpRoute::Say | HttpRoute::Leave)));
    // What is asked of a session that is there has rates of its own.
    if !has_own_rate || visits::shown_ticket(core, request).is_none() {
        charge_request(core, id)?;
    }
    if health_page(request.path).is_some() {
        return Ok(Asked::Answer(health(core, request)));
    }
    match (route?, cors) {
        (Some(HttpRoute::Stream(app)), Some(cors)) => {
            admit_stream(core, reply, id, request, app, cors).map(Asked::Admitted)
        }
        (Some(HttpRoute::Poll(app)), _) => visits::poll(core, id, request, app).map(Asked::Of),
        (Some(HttpRoute::Say), _) => visits::say(core, request).map(Asked::Of),
        (Some(HttpRoute::Leave), _) => visits::leave(core, request).map(Asked::Of),
        (Some(HttpRoute::Preflight(methods)), Some(cors)) => Ok(Asked::Answer(cors.preflight(methods))),
        _ => admit(core, reply, id, request).map(Asked::Admitted),
    }
}

/// Answers with an error and ends the connection.
fn refuse(core: &mut Core, slot: u32, refused: &Refused, head_only: bool, cors: Option<&Cors>) {
    refusing::note(core, refused);
    if let Some(id) = core.connections.id_of(slot) {
        let (status, message) = (refused.status, &refused.message);
        log_client!(debug, connection = id, core.remote_of(id), "refused with {status}: {message}");
    }
    let mut response = refused_response(refused);
    if let Some(cors) = cors {
        response = cors.add_to(response);
    }
    answer(core, slot, &response, head_only);
}

/// A stranger's request was not whole in time, at either port, and it is not the client port that answers.
pub fn count_late(core: &Core) {
    core.metrics().refused.of(RefusalReason::HeadTimeout).add(1);
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

/// Answers and ends the connection.
fn answer(core: &mut Core, slot: u32, response: &Response, head_only: bool) {
    let mut bytes = Vec::new();
    response.write(false, head_only, Some(core.http_date()), &mut bytes);
    core.append(slot, bytes);
    end(core, slot);
}

/// Ends the connection behind what it has been answered.
fn end(core: &mut Core, slot: u32) {
    if let Some(connection) = core.connection(slot) {
        connection.kind = Kind::Discard;
    }
    core.note_incoming(slot, HalfReceived::default());
    core.finish(slot);
}
