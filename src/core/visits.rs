//! Requests about sessions over plain HTTP that come on other connections than the session's, on any reactor: polls, messages of
//! clients, their leaving. A request goes to the reactor that has the session, and an answer to it comes back, always. Knows nothing
//! of HTTP.

use super::Core;
use super::departed::End;
use super::envelope::Envelope;
use super::lingering::is_away;
use super::visit::{PollClaim, Visit, Visited};
use crate::auth::Ticket;
use crate::connection::{Away, Connection, Flag, Form, Item, Phase, Resume, Visitor};
use crate::dispatch::ErrorCode;
use crate::metrics::{ResumeFailure, Throttled};
use crate::protocol::{CloseCode, OpCode, encode_frame};
use crate::session::SessionId;
use crate::stream::{self, Beside, Document};
use crate::timer::Clock;

/// gannet's own messages that wait for one client's next poll.
const MOST_OWN: usize = 64;

impl Core {
    /// Sends a request to the reactor that has the session.
    pub fn send_visit(&mut self, visit: Visit) {
        let owner = usize::from(visit.ticket.session.worker());
        self.peers.post_always(owner, Envelope::Visit(Box::new(visit)));
    }

    /// Sends the answer to where the request came from.
    pub fn answer_visit(&mut self, visitor: Visitor, answer: Visited) {
        let home = usize::from(visitor.connection.worker());
        self.peers.post_always(home, Envelope::Visited(visitor, Box::new(answer)));
    }

    /// The session that the ticket is for, if it is good: its slot.
    pub fn visited(&self, ticket: Ticket) -> Option<u32> {
        let slot = ticket.session.slot();
        let is_here = self.hub.id_of(slot) == Some(ticket.session);
        self.resume_of(slot).filter(|resume| is_here && resume.takes(ticket.number)).map(|_| slot)
    }

    /// A session without a connection, of the client of the connection `from`. It is in no table.
    pub fn open_without_connection(&mut self, from: u32) -> Option<SessionId> {
        let since_unix_ms = Clock::wall_unix_ms();
        let bounds_input = self.rules.settings.inbound.is_some();
        let visitor = self.connections.slot(from)?;
        let connection = Connection::of_visitor(visitor, since_unix_ms, bounds_input);
        let mut connection = Some(connection);
        let made = |_| connection.take().expect("the slab calls for one value at the most");
        self.connections.insert_with(made)
    }

    /// The session in `slot`, which has just opened without a connection, waits for its client's first poll. `false` where as many
    /// are away as may be.
    pub fn await_polls(&mut self, slot: u32) -> bool {
        let linger_ms = self.linger_ms(slot);
        let until_ms = self.end_of_wait(linger_ms);
        let away = Away { until_ms, code: CloseCode::ABNORMAL.0, reason: "".into() };
        let waits = self.go_away(slot, away);
        if waits {
            if let Some(resume) = self.resume_of_mut(slot) {
                resume.poll = Some(Box::default());
            }
            self.arm(slot);
        }
        waits
    }

    pub(super) fn linger_ms(&self, slot: u32) -> u64 {
        let rules = self.hub.app_of(slot).and_then(|app| self.rules.resume_rules.of(app));
        rules.map_or(0, |rules| rules.linger_ms)
    }

    /// A client polls: it is answered at once with what there is, and else when something comes, or its time is over.
    pub fn poll(&mut self, ticket: Ticket, visitor: Visitor, claim: PollClaim) {
        let PollClaim { app, claimant, received, expires_unix_ms, wait_ms, was } = claim;
        let is_late = self.visited(ticket).is_some_and(|slot| {
            let is_it = |resume: &Resume| claimant.is_none_or(|claimant| resume.claimant == claimant);
            self.resume_of(slot).is_some_and(is_it) && self.is_late(slot, received)
        });
        if is_late {
            return self.answer_visit(visitor, Visited::Overtaken);
        }
        let slot = match self.examine_ticket(ticket, app, claimant, received) {
            Ok(slot) => slot,
            Err(why) => {
                let answer = self.answer_to_poll_in_vain(ticket, claim, why);
                return self.answer_visit(visitor, answer);
            }
        };
        if !self.connections.slot(slot).is_some_and(is_away) && !self.take_from_connection(slot) {
            return self
                .answer_visit(visitor, Visited::Refused(ErrorCode::Overloaded, "too many clients are away"));
        }
        self.does_not_go(slot, ResumeFailure::Unknown);
        let until_ms = self.attended_ms() + wait_ms;
        let Some(resume) = self.resume_of_mut(slot) else { return };
        resume.is_proven |= ticket.number == resume.ticket;
        if let Some(away) = &mut resume.away {
            away.until_ms = until_ms;
        }
        let before = resume.poll.get_or_insert_default().waiting.replace(visitor);
        match before {
            Some(before) => self.answer_visit(before, Visited::Overtaken),
            None => self.metrics().polls.add(1),
        }
        self.send_rest_again(slot);
        self.set_expiry(slot, expires_unix_ms, Clock::wall_unix_ms());
        self.wheel_anew(slot);
        if wait_ms == 0 || was.is_some() || self.has_for_poll(slot) {
            self.answer_poll_of(slot, None, was);
        }
    }

    /// What a poll is answered with whose session cannot go on with it: how that ended, or another session.
    fn answer_to_poll_in_vain(&mut self, ticket: Ticket, claim: PollClaim, why: ResumeFailure) -> Visited {
        if why == ResumeFailure::Expired
            && let Some(End { code, reason, .. }) = self.end_to_tell(ticket.session, claim.claimant)
        {
            let resume = self.shared.tickets.write(ticket);
            let session = ticket.session.to_string();
            let beside = Beside::of(&session, &resume, claim.received);
            return Visited::Document(Document::default().finish(&beside, Some((code, &reason))));
        }
        self.metrics().resume_failures.of(why).add(1);
        self.give_up_for_gap(ticket.session, claim.received, why);
        Visited::Instead(why)
    }

    /// Whether a client that polls has said of the session in `slot` to have read more than so many messages: who says so now came
    /// late.
    pub(super) fn is_late(&self, slot: u32, received: u64) -> bool {
        let polls = self.resume_of(slot).filter(|resume| resume.poll.is_some());
        polls.is_some_and(|resume| received < resume.kept.confirmed())
    }

    /// The client of the session in `slot`, which polls, is sent elsewhere for this reason of a Close 1012: the poll that waits hears
    /// it, or the next one. The session stays for a client that comes back all the same.
    pub fn send_poller_elsewhere(&mut self, slot: u32, reason: &str) {
        let Some(poll) = self.resume_of_mut(slot).and_then(|resume| resume.poll.as_mut()) else { return };
        poll.leaving = Some(reason.into());
        if poll.waiting.is_some() {
            self.answer_poll(slot, None);
        }
    }

    /// The client of the session in `slot`, if it polls, is not sent elsewhere any more.
    pub fn keep_poller(&mut self, slot: u32) {
        if let Some(poll) = self.resume_of_mut(slot).and_then(|resume| resume.poll.as_mut()) {
            poll.leaving = None;
        }
    }

    /// Whether the client of the session in `slot` polls.
    pub fn polls(&self, slot: u32) -> bool {
        self.resume_of(slot).is_some_and(|resume| resume.poll.is_some())
    }

    /// What has gone to the wire and has not been read waits anew, before everything else.
    fn send_rest_again(&mut self, slot: u32) {
        let place = self.connections.slot(slot).and_then(Connection::resume);
        let Some(resume) = place.and_then(|place| self.resumes.get_mut(place)) else { return };
        let again = resume.kept.take_rest(&mut self.settlements);
        if again.is_empty() {
            return;
        }
        self.metrics().resent.add(again.len() as u64);
        let pool = &mut self.pool;
        if let Some(connection) = self.connections.slot_mut(slot) {
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            outbox.go_on(Box::default(), again, Form { speaks_own: false }, &mut self.settlements);
        }
    }

    /// Whether something is there for the poll that waits.
    pub(super) fn has_for_poll(&self, slot: u32) -> bool {
        let waits = self.connections.slot(slot).is_some_and(|connection| connection.outbox.is_some());
        let poll = self.resume_of(slot).and_then(|resume| resume.poll.as_deref());
        poll.is_some_and(|poll| {
            let leaves = poll.leaving.is_some() && self.shared.drain.is_on();
            poll.waiting.is_some() && (waits || !poll.own.is_empty() || leaves)
        })
    }

    /// Answers the poll that waits for the session in `slot`, with what there is. `close` is what the session ends with, if it does.
    /// Returns whether one was waiting.
    pub(super) fn answer_poll(&mut self, slot: u32, close: Option<(u16, &str)>) -> bool {
        self.answer_poll_of(slot, close, None)
    }

    /// The same for a client whose session was called otherwise, where it was on another node.
    fn answer_poll_of(&mut self, slot: u32, close: Option<(u16, &str)>, was: Option<SessionId>) -> bool {
        let now = crate::timer::Moment { ms: self.now.ms, ns: self.shared.clock.now().ns };
        let (app, until_ms) = (self.hub.app_of(slot), self.end_of_wait(self.linger_ms(slot)));
        let Some(id) = self.connections.id_of(slot) else { return false };
        let Some(place) = self.connections.slot(slot).and_then(Connection::resume) else { return false };
        let Some(resume) = self.resumes.get_mut(place) else { return false };
        let Some(poll) = &mut resume.poll else { return false };
        let Some(visitor) = poll.waiting.take() else { return false };
        self.shared.metrics.reactor(self.index).polls.sub(1);
        let mut document = Document::default();
        poll.own.drain(..).for_each(|json| document.own(&json));
        // A drain that has been called off counts no more, also where this reactor has not heard of it yet.
        let leaving = poll.leaving.clone().filter(|_| self.shared.drain.is_on());
        if let Some(away) = &mut resume.away {
            away.until_ms = until_ms;
        }
        let number = resume.ticket;
        let most = self.rules.settings.config.limits.turn_write_bytes;
        let acting = self.act_for(slot);
        let mut keeping = Self::keeping(&mut self.resumes, &self.rules, place, app);
        let outbox = self.connections.slot_mut(slot).and_then(|connection| connection.outbox.as_mut());
        let is_empty = outbox.is_none_or(|outbox| {
            outbox.put_into_document(&mut document, most, now, &mut self.settlements, keeping.as_mut());
            outbox.is_empty()
        });
        self.end_acting(acting);
        if is_empty {
            self.free_outbox(slot);
        }
        let received = self.resume_of(slot).map_or(0, |resume| resume.kept.sent());
        let resume = self.shared.tickets.write(Ticket { session: id, number });
        let session = id.to_string();
        let was = was.map(|was| was.to_string());
        let came = Beside {
            resumed: was.as_ref().map(|_| true),
            was: was.as_deref(),
            ..Beside::of(&session, &resume, received)
        };
        let elsewhere = leaving.as_deref().filter(|_| is_empty);
        let close = close.or(elsewhere.map(|reason| (CloseCode::SERVICE_RESTART.0, reason)));
        self.answer_visit(visitor, Visited::Document(document.finish(&came, close)));
        self.wheel_anew(slot);
        true
    }

    /// The session in `slot` is taken from the connection that it has, and is away then. `false` where as many are as may be.
    pub(super) fn take_from_connection(&mut self, slot: u32) -> bool {
        let away = Away { until_ms: self.attended_ms(), code: CloseCode::ABNORMAL.0, reason: "".into() };
        let goes = self.go_away(slot, away);
        if goes {
            self.leave_socket(slot);
        }
        goes
    }

    /// Its next deadline may be later than the one on the wheel, or sooner.
    pub(super) fn wheel_anew(&mut self, slot: u32) {
        self.wheel.disarm(slot);
        self.arm(slot);
    }

    /// Whether the client of the session in `slot` may say something of so many bytes now.
    ///
    /// # Errors
    /// What it is refused with. A session that is closed for being too fast is closed.
    pub fn may_say(&mut self, slot: u32, bytes: usize) -> Result<(), (ErrorCode, &'static str)> {
        let (Some(limits), now) = (&self.rules.settings.inbound, self.now) else { return Ok(()) };
        let closes = limits.beyond == crate::config::BeyondRate::Close;
        let Some(inbound) = self.connections.slot_mut(slot).and_then(Connection::inbound) else {
            return Ok(());
        };
        // One that has to wait is not charged for asking.
        if inbound.resume_ms.is_some_and(|resume_ms| resume_ms > now.ms) {
            return Err((ErrorCode::RateLimited, "too fast: try again later"));
        }
        inbound.resume_ms = None;
        let what = [(Throttled::Messages, 1), (Throttled::Bytes, bytes as u64)];
        let beyond = what.into_iter().find(|(what, count)| inbound.charge(*what, *count, limits, now));
        let Some((what, _)) = beyond else { return Ok(()) };
        self.metrics().throttled.of(what).add(1);
        if closes {
            self.close_for_good(slot, CloseCode::POLICY_VIOLATION, "too fast");
            return Err((ErrorCode::RateLimited, "too fast: the session is closed"));
        }
        // It goes over once; the next one waits.
        Ok(())
    }

    /// gannet's own message to the client of the session in `slot`, whichever way it is reached.
    pub fn tell_own(&mut self, slot: u32, json: &str) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        match (connection.phase, connection.flags.has(Flag::Stream)) {
            (Phase::Open, true) => {
                let mut event = Vec::new();
                stream::own(json, &mut event);
                self.offer(slot, Item::Owned(event.into()));
            }
            (Phase::Open, false) => {
                let text = [&[crate::dispatch::MARK as u8], json.as_bytes()].concat();
                self.offer(slot, Item::Owned(encode_frame(OpCode::Text, &text).into()));
            }
            _ => {
                let Some(resume) = self.resume_of_mut(slot) else { return };
                let own = &mut resume.poll.get_or_insert_default().own;
                if own.len() == MOST_OWN {
                    own.remove(0);
                }
                own.push(json.as_bytes().into());
                self.mark_dirty(slot);
            }
        }
    }
}
