//! A client comes back for its session: its new connection goes to the reactor that has the session, which lets the session go on
//! there, or says why it cannot. Knows nothing of how the client has proven who it is.

use super::Core;
use super::lingering::is_away;
use super::whereabouts::Whereabouts;
use crate::auth::Ticket;
use crate::connection::{Carrier, Claimant, Connection, Flag, Form, Phase, Resume, Speech, Stream};
use crate::dispatch::Profile;
use crate::metrics::{LingerEnd, ResumeFailure};
use crate::protocol::{DeflateParameters, WebSocket};
use crate::session::{AppId, Name, SessionId, close_codes};
use crate::timer::Clock;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the connection is told that a session had until its client came back on another one.
const TAKEN_OVER: &str = "resumed on another connection";

/// A client that asks for its session, and all that it takes to open another one where it cannot have it.
#[derive(Debug)]
pub struct Claim {
    /// Its ticket, which is one of this server's, or of another node.
    pub ticket: Ticket,
    /// The session that it has come for, as it was called then.
    pub was: SessionId,
    /// Where that is.
    pub whereabouts: Whereabouts,
    /// How many messages of the session it has read.
    pub received: u64,
    /// Who it is, as it has proven or claims.
    pub claimant: Claimant,
    /// Whether it has to be who opened the session: where players are taken at their word, one that names nobody need not.
    pub says_who: bool,
    /// The app.
    pub app: AppId,
    /// Who it is in a session of its own.
    pub user: Option<Name>,
    /// The groups of that.
    pub groups: Vec<Name>,
    /// Its tags.
    pub tags: Vec<Name>,
    /// What is kept of what it has shown.
    pub profile: Option<Arc<Profile>>,
    /// When its token expires, in milliseconds since the Unix epoch.
    pub expires_unix_ms: Option<u64>,
    /// The answer to its upgrade request (RFC 6455 §4.2.2).
    pub accept: Vec<u8>,
    /// Whether it wants no welcome.
    pub raw: bool,
    /// Whether it speaks gannet's own messages.
    pub speaks_own: bool,
    /// What has been agreed on for compression.
    pub deflate: Option<DeflateParameters>,
    /// It gets its messages as events, not as frames.
    pub events: Option<TakesEvents>,
    /// The origin of the page that asks, where that may know of the answer (the CORS protocol).
    pub page: Option<Box<str>>,
}

/// How a client takes the messages of its session that has asked for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakesEvents {
    /// Compressed with gzip.
    pub is_compressed: bool,
}

/// What a client hears first that gets its session back.
#[derive(Debug)]
pub struct First {
    /// The answer to its request, and the welcome.
    pub bytes: Vec<u8>,
    /// The event stream that begins so.
    pub stream: Option<Stream>,
}

/// A claim with what its connection goes over, which is counted as a session's and in no list and no slab.
#[derive(Debug)]
pub struct Claimed {
    /// What is claimed.
    pub claim: Claim,
    /// What it came over.
    pub carrier: Carrier,
}

/// Claims that wait for a turn.
pub(super) type Claims = VecDeque<Box<Claimed>>;

impl Core {
    /// Takes the connection in `slot` out, to go to another reactor, or to another slot of this one. It stays counted.
    pub fn take_out(&mut self, slot: u32) -> Option<Carrier> {
        let id = self.connections.id_of(slot)?;
        self.wheel.disarm(slot);
        self.forget_incoming(slot);
        Some(self.connections.remove(id)?.into_carrier())
    }

    /// A claim that waits for its turn.
    pub fn put_off_claim(&mut self, claimed: Box<Claimed>) {
        self.claims.push_back(claimed);
    }

    /// The next claim, as far as this turn's budget goes.
    pub fn next_claim(&mut self) -> Option<Box<Claimed>> {
        if self.claims.is_empty() {
            return None;
        }
        self.budget.resumes = self.budget.resumes.checked_sub(1)?;
        self.claims.pop_front()
    }

    /// Whether the session that is claimed can go on with the client that claims it: the slot of the session.
    ///
    /// # Errors
    /// Why it cannot, which is counted.
    pub fn examine(&mut self, claim: &Claim) -> Result<u32, ResumeFailure> {
        let examined = match claim.whereabouts {
            Whereabouts::Refused(why) => Err(why),
            _ => {
                let claimant = claim.says_who.then_some(claim.claimant);
                self.examine_count(claim.ticket, claim.app, claimant, claim.received)
            }
        };
        if let Err(why) = examined {
            self.metrics().resume_failures.of(why).add(1);
        }
        examined
    }

    /// The same of a client that has a connection that counts on.
    pub(super) fn examine_count(
        &mut self,
        ticket: Ticket,
        app: AppId,
        claimant: Option<Claimant>,
        received: u64,
    ) -> Result<u32, ResumeFailure> {
        let slot = ticket.session.slot();
        let again = self.connections.slot(slot).and_then(|connection| connection.outbox.as_ref());
        let again = again.map_or(0, |outbox| outbox.waits_again()) as u64;
        // An older claim of the client, which came late, may have taken the session from a connection on which the client has read
        // on: some of what is to be sent again on that one it has read then.
        let sent = self.resume_of(slot).map_or(0, |resume| resume.kept.sent());
        let received = match received.checked_sub(sent) {
            Some(more) if more <= again => sent,
            _ => received,
        };
        self.examine_ticket(ticket, app, claimant, received)
    }

    /// The same for a client that has `received` so many messages and, where there is a `claimant`, has to be that one.
    pub(super) fn examine_ticket(
        &mut self,
        ticket: Ticket,
        app: AppId,
        claimant: Option<Claimant>,
        received: u64,
    ) -> Result<u32, ResumeFailure> {
        let Ticket { session, number } = ticket;
        let slot = session.slot();
        if !self.hub.contains(session, app) {
            return Err(match self.has_overflowed(session) {
                true => ResumeFailure::Gap,
                false => ResumeFailure::Expired,
            });
        }
        let Some(place) = self.connections.slot(slot).and_then(Connection::resume) else {
            return Err(ResumeFailure::Unknown);
        };
        let resume = self.resumes.get_mut(place).filter(|resume| resume.takes(number));
        let resume: &mut Resume = resume.ok_or(ResumeFailure::Unknown)?;
        if claimant.is_some_and(|claimant| resume.claimant != claimant) {
            return Err(ResumeFailure::User);
        }
        let acknowledged = resume.kept.acknowledge(received, &mut self.settlements);
        acknowledged.map(|()| slot).map_err(|_| ResumeFailure::Gap)
    }

    /// What the client of the session in `slot` has read does not come once more, be it in the ring or waiting to be sent again.
    pub(super) fn skip_what_was_read(&mut self, slot: u32, received: u64) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let Some(resume) = connection.resume().and_then(|place| self.resumes.get_mut(place)) else { return };
        let sent = resume.kept.sent();
        // More may have been sent since it was examined: what was partly on the wire. It cannot fail: nothing has been forgotten.
        let acknowledged = resume.kept.acknowledge(received.min(sent), &mut self.settlements);
        debug_assert!(acknowledged.is_ok(), "it has been examined");
        let more = received.saturating_sub(sent);
        if let Some(outbox) = connection.outbox.as_mut().filter(|_| more > 0) {
            let more = usize::try_from(more).unwrap_or(usize::MAX);
            resume.kept.skip(outbox.skip_again(more, &mut self.settlements));
        }
    }

    /// A session that is claimed and cannot go on, since the client has missed more than is kept, is of no use to anybody any more.
    pub fn give_up_claimed(&mut self, claim: &Claim, why: ResumeFailure) {
        self.give_up_for_gap(claim.ticket.session, claim.received, why);
    }

    /// The same, of a client that says to have `received` so many messages. One that polls and has said to have read more than that
    /// goes on: this was said before, and came late.
    pub(super) fn give_up_for_gap(&mut self, id: SessionId, received: u64, why: ResumeFailure) {
        let slot = id.slot();
        let is_waiting = self.connections.get(id).is_some_and(is_away) && !self.is_late(slot, received);
        if why == ResumeFailure::Gap && is_waiting {
            let code =
                self.resume_of(slot).and_then(|resume| resume.away.as_ref()).map_or(1006, |away| away.code);
            self.clear_outbox(slot);
            self.end_away(slot, code, "", LingerEnd::Gap);
        }
    }

    /// The session in `slot`, which has been examined, goes on with this connection: behind `first`, which is written before
    /// everything else, come the messages that the client has not read. The poll has still to know its socket. Returns whether
    /// its client was away until now.
    pub fn go_on_with(&mut self, slot: u32, claimed: Claimed, first: First) -> bool {
        let Claimed { claim, carrier } = claimed;
        let Claim { received, speaks_own, deflate, expires_unix_ms, .. } = claim;
        let was_away = self.connections.slot(slot).is_some_and(is_away);
        self.does_not_go(slot, ResumeFailure::Unknown);
        if !was_away {
            self.leave_socket(slot);
        }
        self.skip_what_was_read(slot, received);
        let First { bytes: first, stream } = first;
        let (speech, idle_ms) =
            (self.speech(deflate, speaks_own, stream), self.rules.settings.silence.idle_ms);
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return was_away };
        connection.go_on(carrier, speech, attended_ms);
        if connection.flags.has(Flag::Stream) {
            connection.stream.give_up_after_ms(idle_ms);
        }
        let place = connection.resume();
        let mut again = Vec::new();
        if let Some(resume) = place.and_then(|place| self.resumes.get_mut(place)) {
            resume.is_proven = false;
            again = resume.kept.take_rest(&mut self.settlements);
        }
        self.metrics().resent.add(again.len() as u64);
        self.come_back(slot);
        let pool = &mut self.pool;
        if let Some(connection) = self.connections.slot_mut(slot) {
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            outbox.go_on(first.into(), again, Form { speaks_own }, &mut self.settlements);
        }
        self.metrics().resumed.add(1);
        self.count_address_anew(slot);
        self.set_expiry(slot, expires_unix_ms, Clock::wall_unix_ms());
        self.mark_dirty(slot);
        self.read_later(slot);
        self.wheel.disarm(slot);
        self.arm(slot);
        was_away
    }

    /// How a session speaks on a connection that has agreed on this, where it is no event stream.
    pub fn speech(
        &self,
        deflate: Option<DeflateParameters>,
        speaks_own: bool,
        stream: Option<Stream>,
    ) -> Speech {
        if let Some(stream) = stream {
            return Speech::Events(stream);
        }
        let mut websocket = WebSocket::server(Arc::clone(&self.rules.settings.player_limits));
        if let (Some(agreed), Some(engine)) = (deflate, &self.deflate) {
            websocket = websocket.with_deflate(agreed, Arc::clone(engine));
        }
        Speech::WebSocket(websocket, speaks_own)
    }

    /// The event stream of a session that is resumed with `ticket`, as its client takes it.
    pub fn stream_of(&self, events: TakesEvents, ticket: Option<&str>) -> Stream {
        let stream = Stream::new(ticket.map(Into::into));
        match events.is_compressed {
            true => stream.compressed(self.deflate.clone()),
            false => stream,
        }
    }

    /// The next ticket of the session in `slot`, for a client that came back with `used`. The newest one stays where its client
    /// never got it: however often that happens, the one that the client has is the one before.
    pub fn next_ticket(&mut self, slot: u32, used: Ticket) -> Option<Ticket> {
        let session = self.connections.id_of(slot)?;
        let resume = self.resume_of_mut(slot)?;
        if used.number == resume.ticket {
            resume.ticket = resume.ticket.wrapping_add(1);
        }
        Some(Ticket { session, number: resume.ticket })
    }

    /// The session in `slot` is taken from the socket that it has, whose peer is told so, if it is there still.
    pub(super) fn leave_socket(&mut self, slot: u32) {
        let code = close_codes::REPLACED;
        self.resume_for_the_end(slot);
        self.forget_incoming(slot);
        match self.connections.insert_with(|_| Connection::without_socket()) {
            Some(new) => {
                self.move_socket(slot, new, false);
                self.close(new.slot(), code, TAKEN_OVER);
            }
            // No slot is left to say so in: the socket just ends.
            None => {
                if let Some(connection) = self.connections.slot_mut(slot) {
                    drop(connection.part());
                }
                self.part_outbox(slot, false);
            }
        }
    }

    /// Its client may come from another address than before.
    fn count_address_anew(&mut self, slot: u32) {
        let address = self.address_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let before = connection.extras.as_mut().and_then(|extras| extras.session_from.take());
        let network = self.shared.admission.move_address(before, address);
        if let (Some(_), Some(connection)) = (network, self.connections.slot_mut(slot)) {
            connection.extras().session_from = network;
        }
    }

    /// Whether the session lives here with its client away; for what needs its connection.
    pub fn is_away(&self, id: SessionId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.phase == Phase::Away)
    }
}
