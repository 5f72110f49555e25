//! Requests about sessions over plain HTTP, one after another on a connection of the client port that outlives them: polls,
//! messages of clients, their leaving. Each is sent to the session, and answered when its answer comes. Knows nothing of what a
//! session does with it.

use super::admit::{PollIn, admit_poll, ticket_of};
use super::entering::{claimant_of, enter_by_name, join_its_groups};
use super::refusing::{self, no_place};
use crate::auth::{SealedTicket, Ticket};
use crate::connection::Visitor;
use crate::core::{Core, PollClaim, Poller, Visit, Visited, Visiting, Whereabouts, displace};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::identity::Identity;
use crate::gateway::api::over_http::{Cors, is_text, wait_ms};
use crate::gateway::api::params;
use crate::gateway::api::refusal::Refused;
use crate::gateway::api::responses::{refusal, refused as refused_response};
use crate::http::{Request, Response, accepts_gzip};
use crate::metrics::{Label, ResumeFailure};
use crate::session::{AppId, Name, SessionId};
use crate::stream::{Beside, Document, Gzip};
use crate::timer::Clock;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub struct Visits {
    /// The number of the last request that was sent on.
    sequence: u64,
    state: State,
    /// Of the request that is answered next.
    keep_alive: bool,
    takes_gzip: bool,
}

#[derive(Debug, Default)]
enum State {
    /// For the next request.
    #[default]
    Idle,
    /// For the body of this one.
    Body(Saying),
    /// For the answer; with who polls, where that may have to be opened a session for.
    Answer(Option<Box<Opening>>),
}

/// A message whose body is to come.
#[derive(Debug, Clone, Copy)]
pub struct Saying {
    ticket: Ticket,
    is_text: bool,
}

/// A session that is to be opened.
#[derive(Debug)]
pub struct Opening {
    identity: Identity,
    expires_unix_ms: Option<u64>,
    /// The session that was asked for, and how.
    asked: Option<(SessionId, PollClaim)>,
}

impl Opening {
    /// The app of the session.
    pub fn app(&self) -> AppId {
        self.identity.app
    }
}

/// What a request comes to.
pub enum Asks {
    /// It is sent on.
    Visit(Ticket, Visiting, Option<Box<Opening>>),
    /// The session of this ticket is on another node, and comes here.
    Elsewhere(Ticket, SealedTicket, Box<Opening>),
    /// It is sent on when its body is there.
    Body(Saying),
    /// A session is opened.
    Open(Box<Opening>, Option<ResumeFailure>),
}

/// [`Visits`] on their way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedVisits {
    #[n(0)]
    sequence: u64,
    /// Of a message whose body is to come: session and number of the ticket, and whether it is text.
    #[n(1)]
    body: Option<(u64, u32, bool)>,
    /// It waits for its answer.
    #[n(2)]
    waits: Option<bool>,
    #[n(3)]
    keep_alive: bool,
    #[n(4)]
    takes_gzip: bool,
}

/// The ticket that a request shows, if this server has made it.
pub fn shown_ticket(core: &Core, request: &Request<'_>) -> Option<Ticket> {
    let mut pairs = params::pairs(request.query).filter_map(Result::ok);
    pairs.find(|(name, _)| name == "resume").and_then(|(_, text)| ticket_of(core, &text))
}

/// A poll for a session of the app that the path names.
pub fn poll(core: &Core, id: SessionId, request: &Request<'_>, app: Option<AppId>) -> Result<Asks, Refused> {
    let timeouts = &core.rules.settings.config.timeouts;
    let ms = |time: Duration| time.as_millis() as u64;
    let (wait_ms, query) = wait_ms(request.query, (ms(timeouts.poll_wait), ms(timeouts.max_poll_wait)))?;
    let mut asked = *request;
    asked.query = Some(&query);
    let PollIn { identity, expires_unix_ms, ticket, came_back } = admit_poll(core, id, &asked, app)?;
    if core.rules.resume_rules.of(identity.app).is_none() {
        let message = "polling needs sessions that may resume: set linger_ms in [apps.NAME.resume]";
        return Err(Refused::status(400, message).in_app(identity.app));
    }
    let says_who = identity.user.is_some() || !core.rules.auth.takes_words();
    let claimant = says_who.then(|| claimant_of(core, identity.user.as_ref()));
    let app = identity.app;
    let claim_of = |received| PollClaim { app, claimant, received, expires_unix_ms, wait_ms, was: None };
    let asked = ticket.map(|(ticket, _, received)| (ticket.session, claim_of(received)));
    let opening = Box::new(Opening { identity, expires_unix_ms, asked });
    Ok(match ticket {
        Some((ticket, Whereabouts::Elsewhere(Some(sealed)), _)) => {
            if core.shared.turns_players_away() {
                return Err(Refused::draining());
            }
            Asks::Elsewhere(ticket, sealed, opening)
        }
        Some((ticket, _, received)) => Asks::Visit(ticket, Visiting::Poll(claim_of(received)), Some(opening)),
        None => Asks::Open(opening, came_back.then_some(ResumeFailure::Unknown)),
    })
}

/// A message of a client, whose body is to come.
pub fn say(core: &Core, request: &Request<'_>) -> Result<Asks, Refused> {
    let ticket = only_ticket(core, request)?;
    Ok(Asks::Body(Saying { ticket, is_text: is_text(request)? }))
}

/// A client that leaves.
pub fn leave(core: &Core, request: &Request<'_>) -> Result<Asks, Refused> {
    Ok(Asks::Visit(only_ticket(core, request)?, Visiting::Leave, None))
}

fn only_ticket(core: &Core, request: &Request<'_>) -> Result<Ticket, Refused> {
    let [ticket] = params::single(request.query, ["resume"])?;
    let ticket = params::needed("resume", ticket)?;
    ticket_of(core, &ticket).ok_or_else(|| Refused::because(ErrorCode::UnknownSession, NO_SESSION))
}

/// What a ticket is answered with that is good for nothing.
pub const NO_SESSION: &str = "there is no session that this ticket is good for: poll or connect without it";

impl Visits {
    /// Whether a request is being answered: what comes behind it waits.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Answer(_))
    }

    /// Whether the body of a message is to come.
    pub fn wants_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// The next request, whose head is this.
    pub fn begin(&mut self, core: &Core, request: &Request<'_>) {
        self.keep_alive = request.keep_alive();
        self.takes_gzip = core.deflate.is_some() && accepts_gzip(request);
    }

    /// The body of a message is to come.
    pub fn await_body(&mut self, saying: Saying) {
        self.state = State::Body(saying);
    }

    /// The body of the message has come: it is sent on.
    ///
    /// # Errors
    /// It was said to be text and is none.
    pub fn body(&mut self, core: &mut Core, id: SessionId, body: Vec<u8>) -> Result<(), Refused> {
        let State::Body(Saying { ticket, is_text }) = self.state else { return Ok(()) };
        if is_text && std::str::from_utf8(&body).is_err() {
            return Err(Refused::status(400, "the text is not UTF-8"));
        }
        self.visit(core, id, ticket, Visiting::Say(is_text, body), None);
        Ok(())
    }

    /// Sends a request on to the session.
    pub fn visit(
        &mut self,
        core: &mut Core,
        id: SessionId,
        ticket: Ticket,
        what: Visiting,
        opening: Option<Box<Opening>>,
    ) {
        self.sequence += 1;
        self.state = State::Answer(opening);
        core.set_door_due(id.slot(), None);
        let visitor = Visitor { connection: id, sequence: self.sequence };
        core.send_visit(Visit { ticket, visitor, what });
    }

    /// The session that a poll asks for is on another node, where it is called so: it is to come here, and the poll waits for it.
    pub fn await_from_elsewhere(
        &mut self,
        core: &mut Core,
        id: SessionId,
        (session, sealed): (SessionId, Option<SealedTicket>),
        opening: Box<Opening>,
    ) {
        self.sequence += 1;
        core.set_door_due(id.slot(), None);
        let visitor = Visitor { connection: id, sequence: self.sequence };
        let user = opening.identity.user.clone();
        let asked = opening.asked;
        self.state = State::Answer(Some(opening));
        match asked {
            Some((was, claim)) => core.poll_elsewhere(Poller { visitor, session, was, sealed, claim, user }),
            None => core.answer_visit(visitor, Visited::Instead(ResumeFailure::Unknown)),
        }
    }

    /// The response that the answer to the request with this number comes to, if that is the one that waits, and the session that
    /// was opened for it.
    pub fn answered(
        &mut self,
        core: &mut Core,
        visitor: Visitor,
        answer: Visited,
    ) -> Option<(Response, Option<(SessionId, AppId)>)> {
        if visitor.sequence != self.sequence {
            return None;
        }
        let State::Answer(opening) = std::mem::take(&mut self.state) else { return None };
        Some(match answer {
            Visited::Document(document) => (self.document(core, document), None),
            Visited::Done => (Response::empty(204), None),
            Visited::Refused(code, message) => {
                (refusal(code.status(), &CommandError::new(code, message), None), None)
            }
            Visited::Overtaken => {
                let error =
                    CommandError::new(ErrorCode::Conflict, "another request has come for this session");
                (refusal(409, &error, None), None)
            }
            Visited::Elsewhere(session) => {
                // Of an older process: its client polls again.
                let Some(opening) = opening else {
                    return Some((
                        refuse(core, &Refused::because(ErrorCode::UnknownSession, NO_SESSION)),
                        None,
                    ));
                };
                self.await_from_elsewhere(core, visitor.connection, (session, None), opening);
                return None;
            }
            Visited::Instead(why) => match opening {
                Some(opening) => match open(core, visitor.connection, &opening, Some(why)) {
                    Ok((session, document)) => {
                        let opened = (session, opening.identity.app);
                        (self.document(core, document), Some(opened))
                    }
                    Err(refused) => (refuse(core, &refused), None),
                },
                None => (refuse(core, &Refused::because(ErrorCode::UnknownSession, NO_SESSION)), None),
            },
        })
    }

    /// The answer to a poll.
    pub fn document(&self, core: &Core, document: Vec<u8>) -> Response {
        let json = "application/json";
        let engine = core.deflate.as_deref().filter(|_| self.takes_gzip);
        let response = match engine.and_then(|engine| engine.encode_block(&document)) {
            None => Response::new(200, json, document),
            Some(block) => {
                let (mut gzip, mut body) = (Gzip::default(), Gzip::HEADER.to_vec());
                gzip.append_block(&block, &document, &mut body);
                gzip.end(&mut body);
                Response::new(200, json, body).with_header("Content-Encoding", "gzip")
            }
        };
        response.with_header("Vary", "Accept-Encoding")
    }

    /// Writes a response: to the request that has been answered. Whether the connection goes on.
    pub fn respond(&self, core: &mut Core, slot: u32, response: Response, cors: Option<&Cors>) -> bool {
        let response = cors.map_or_else(|| response.clone(), |cors| cors.add_to(response.clone()));
        let keep_alive = self.keep_alive && !core.draining;
        let mut bytes = Vec::new();
        response.write(keep_alive, false, Some(core.http_date()), &mut bytes);
        core.append(slot, bytes);
        match keep_alive {
            true => {
                let idle_ms = core.rules.settings.silence.upgrade_ms;
                core.set_door_due(slot, Some(core.now.ms + idle_ms));
            }
            false => core.set_door_due(slot, None),
        }
        keep_alive
    }

    /// As they are carried.
    pub fn carry(&self) -> CarriedVisits {
        let Self { sequence, state, keep_alive, takes_gzip } = self;
        let body = match state {
            State::Body(Saying { ticket, is_text }) => {
                Some((ticket.session.as_u64(), ticket.number, *is_text))
            }
            State::Idle | State::Answer(_) => None,
        };
        CarriedVisits {
            sequence: *sequence,
            body,
            // Whoever waits has its session: no envelope is on its way.
            waits: self.is_waiting().then_some(true),
            keep_alive: *keep_alive,
            takes_gzip: *takes_gzip,
        }
    }

    /// Those that were carried.
    ///
    /// # Errors
    /// They wait for two things.
    pub fn restore(carried: CarriedVisits) -> Result<Self, InvalidState> {
        let CarriedVisits { sequence, body, waits, keep_alive, takes_gzip } = carried;
        let state = match (body, waits == Some(true)) {
            (None, false) => State::Idle,
            (None, true) => State::Answer(None),
            (Some((session, number, is_text)), false) => {
                let ticket = Ticket { session: SessionId::from_u64(session), number };
                State::Body(Saying { ticket, is_text })
            }
            (Some(_), true) => {
                return Err(InvalidState::new("a request that waits for its body and its answer"));
            }
        };
        Ok(Self { sequence, state, keep_alive, takes_gzip })
    }
}

/// Counts a refusal, and makes its response.
fn refuse(core: &mut Core, refused: &Refused) -> Response {
    refusing::note(core, refused);
    refused_response(refused)
}

/// Opens the session of a client that polls, and makes the document of its first answer.
///
/// # Errors
/// There is no place for it.
pub fn open(
    core: &mut Core,
    from: SessionId,
    opening: &Opening,
    why: Option<ResumeFailure>,
) -> Result<(SessionId, Vec<u8>), Refused> {
    let Opening { identity, expires_unix_ms, asked: _ } = opening;
    let app = identity.app;
    if core.shared.turns_players_away() {
        return Err(Refused::draining());
    }
    let full =
        || Refused::because(ErrorCode::Overloaded, "too many clients are away: try again later").in_app(app);
    let session = core.open_without_connection(from.slot()).ok_or_else(full)?;
    let slot = session.slot();
    let entered =
        core.shared.admission.enter(app, identity.user.as_ref(), session, || core.address_of(from.slot()));
    let entered = match entered {
        Ok(entered) => entered,
        Err(no_room) => {
            core.connections.remove(session);
            return Err(no_place(core, no_room, app, identity.user.as_ref()));
        }
    };
    if let Some(connection) = core.connection(slot)
        && entered.network.is_some()
    {
        connection.extras().session_from = entered.network;
    }
    if let Some(expires_unix_ms) = *expires_unix_ms {
        core.expire_at(slot, expires_unix_ms, Clock::wall_unix_ms());
    }
    enter_by_name(core, session, identity);
    let claimant = claimant_of(core, identity.user.as_ref());
    let number = core.let_resume(slot, claimant);
    let (Some(number), true) = (number, core.await_polls(slot)) else {
        core.end_session(slot, 1006, "");
        core.doom(slot);
        // Nobody has been told that it opened.
        core.ended.retain(|ended| ended.id != session);
        return Err(full());
    };
    let groups = join_its_groups(core, slot, identity);
    displace(core, app, session, entered.displaced);
    // What the groups remember waits for the next poll.
    groups.iter().for_each(|group| core.recall_for(slot, group, None));
    let resume = core.shared.tickets.write(Ticket { session, number });
    let id = session.to_string();
    let beside = Beside {
        resumed: why.map(|_| false),
        why: why.map(ResumeFailure::text),
        user: Some(identity.user.as_ref().map(Name::as_str)),
        expires_unix_ms: *expires_unix_ms,
        ..Beside::of(&id, &resume, 0)
    };
    Ok((session, Document::default().finish(&beside, None)))
}
