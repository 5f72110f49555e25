//! One turn: a short list of phases, each with the reason for its place.

use super::absence::{LATE_MS, Sleep};
use super::{LISTENERS, Reactor, StopReport, WAKE};
use crate::connection::{Due, Flag, Pause};
use crate::core::{BUS_TOKENS, EVENTS, Envelope};
use crate::session::close_codes;
use crate::timer::{Clock, Moment};
use mio::event::Event;
use mio::{Events, Token};
use std::io;
use std::time::Duration;

/// How long a warning about that stands for all that follow; the counter has them all.
const QUIET_MS: u64 = 10_000;

/// So many times in a row the timers wait for what had come while the reactor was away.
const CATCHING_UP: usize = 1 + (1 << 22) / EVENTS;

/// Whether an envelope only has its reactor turn.
pub(super) fn is_call(envelope: &Envelope) -> bool {
    matches!(envelope, Envelope::Call)
}

impl Reactor {
    pub(super) fn turn(&mut self, report: &mut StopReport) -> io::Result<()> {
        self.wait()?;
        let began = self.begin();
        // Input first: what has come must be heard before time is held against anybody, and an answer is written at once.
        self.read_ready();
        // What earlier turns left of pushes and operations goes before whatever asks for more: they are done in their order,
        // and who asks gets only what is left of this turn's deliveries.
        self.core.budget.refill_sockets();
        self.core.go_on_with_work();
        // Then those that the last turn did not read to the end, with a share of their own: behind those who have just come,
        // so that one who sends without end delays nobody.
        self.read_unread();
        // Players that a link kept waiting: after the input of that link's reactor, which may have made room.
        self.read_through_gates();
        // Few handshakes, since each costs as much as a hundred messages.
        self.shake_hands();
        // Other reactors' envelopes: after the own input, so that a flood of them does not delay it.
        self.drain();
        // What other nodes push and ask, as far as this reactor is not behind with what it was asked: the rest stays in the sockets.
        self.core.hear_bus();
        // Those who come back, a bounded number: of what has come for their sessions nothing is behind them then.
        self.take_claims();
        self.look_for_the_stop(report);
        self.empty();
        // After a change of the rules; before deadlines are looked at, which may be others.
        self.core.review();
        // Deadlines after all that could have put them off.
        self.time();
        // After all input: only what is half received then is held. Who is shed is told so by this turn's writes.
        self.shed();
        // Every end is told before what it leads to is posted and written.
        self.tell_ended();
        // What has been posted goes out before this reactor's own sockets are written: the others can work meanwhile.
        self.core.peers.retry();
        self.gateway.go_on_with_links(&mut self.core);
        self.core.wake_peers();
        // One write to each Redis for all that the turn has published: before the sockets where players of other nodes wait for it, and
        // behind them where it only answers, since players here wait for what is answered.
        let has_news = self.core.has_news_for_bus();
        if has_news {
            self.core.flush_bus();
        }
        // One write for each connection that got something in any of the phases above.
        self.core.budget.refill_sockets();
        self.core.flush_ticks();
        self.core.flush_dirty();
        if !has_news {
            self.core.flush_bus();
        }
        // Only what is left after writing is pressure.
        self.core.relieve();
        self.core.shorten_rings();
        // Writing and relief may have ended sessions, and telling that may post once more.
        self.tell_ended();
        // Slots are freed when nothing of the turn can name them any more.
        self.reap();
        self.core.settle();
        self.core.wake_peers();
        self.end(began);
        Ok(())
    }

    /// Reads the clock, and what it says of the time in which the reactor was not there.
    fn begin(&mut self) -> Moment {
        self.core.now = self.core.shared.clock.now();
        let (began_ms, expected_ms, ended_ms) = (self.ended.ms, self.expected_ms, self.core.now.ms);
        let interrupted = std::mem::take(&mut self.interrupted);
        if let Some(missed_ms) = (Sleep { began_ms, expected_ms, ended_ms, interrupted }).missed_ms() {
            self.was_absent(missed_ms);
        }
        // What is left over, or is read on, may push more that can share the writes.
        let is_alone = self.core.unread.is_empty() && !self.core.is_behind_with_work();
        self.core.goes_ahead = is_alone && self.receiver.len() <= 1;
        self.core.budget.refill();
        self.follow_rules();
        self.core.now
    }

    /// For so long nobody could be heard, at the most. What has come meanwhile is read to the end before a timer closes anybody.
    fn was_absent(&mut self, ms: u64) {
        self.core.absent_ms += ms;
        self.catching_up = CATCHING_UP;
        self.core.metrics().absences.add(1);
        let now_ms = self.core.shared.clock.now().ms;
        if now_ms >= self.quiet_until_ms {
            self.quiet_until_ms = now_ms + QUIET_MS;
            log::warn!(
                "reactor {} could not run for up to {ms} ms: was the process or the machine stopped, or does the app take so long?",
                self.core.index
            );
        }
    }

    fn read_ready(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let count = events.iter().count();
        for event in &events {
            match event.token() {
                Token(slot) if slot < BUS_TOKENS => self.ready(slot as u32, event),
                Token(bus) if bus < LISTENERS => self.core.bus_ready(bus),
                WAKE => {}
                Token(listener) => self.accept(listener - LISTENERS),
            }
        }
        self.events = events;
        // Fewer than were asked for: the poll has no more, and all that had come is read or in the list of the unread.
        self.catching_up = if count < EVENTS { 0 } else { self.catching_up.saturating_sub(1) };
    }

    fn ready(&mut self, slot: u32, event: &Event) {
        if event.is_writable() {
            self.core.writable(slot);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let hung_up = event.is_read_closed() || event.is_error();
            // What was left over from the last turn is read once, behind those who have just come.
            let has_its_turn = self.core.connection(slot).is_some_and(|connection| {
                if hung_up {
                    connection.flags.set(Flag::HungUp);
                }
                connection.flags.has(Flag::Unread)
            });
            match self.may_read() {
                true if has_its_turn => {}
                true => self.read(slot),
                false => self.core.read_later(slot),
            }
        }
    }

    /// Whether this phase has time for another socket's input.
    fn may_read(&self) -> bool {
        !self.core.budget.is_spent_on_sockets() && !self.core.is_flooded_with_work()
    }

    /// Sockets that one turn did not read to the end, and connections that may go on after a pause.
    fn read_unread(&mut self) {
        self.core.budget.refill_sockets();
        for _ in 0..self.core.unread.len() {
            if !self.may_read() {
                break;
            }
            let Some(slot) = self.core.unread.pop_front() else { break };
            if let Some(connection) = self.core.connection(slot) {
                connection.flags.clear(Flag::Unread);
                self.gateway.go_on(&mut self.core, slot);
                self.read(slot);
            }
        }
    }

    /// Players that had to wait for a link, as many as its queue has room for.
    fn read_through_gates(&mut self) {
        self.core.budget.refill_sockets();
        while self.may_read()
            && let Some(slot) = self.core.next_through_gate()
        {
            self.read(slot);
        }
    }

    pub(super) fn drain(&mut self) {
        // However much input there was: what the other reactors ask has its share of every turn.
        self.core.budget.refill_sockets();
        for _ in 0..self.core.rules.settings.config.limits.turn_envelopes {
            if self.core.is_far_behind_with_work() || self.core.budget.is_spent_on_sockets() {
                break;
            }
            let Some(envelope) = self.receiver.pop() else { break };
            // It may have been sent by rules that this reactor does not follow yet.
            self.follow_rules();
            self.open(envelope);
        }
        self.receiver.drained();
    }

    pub(super) fn open(&mut self, envelope: Envelope) {
        match envelope {
            Envelope::Adopt(arrival) => self.adopt(*arrival),
            Envelope::Resume(claimed) => self.core.put_off_claim(claimed),
            Envelope::Visit(visit) => self.gateway.visit(&mut self.core, &mut self.reply, *visit),
            Envelope::Feed(request) => self.gateway.feed(&mut self.core, *request),
            Envelope::Fed(visitor, answer) => self.gateway.fed(&mut self.core, visitor, *answer),
            Envelope::Visited(visitor, answer) => {
                self.gateway.visited(&mut self.core, &mut self.reply, visitor, *answer);
            }
            Envelope::Publish(push) => self.core.publish_for_thread(&push),
            Envelope::Start(operation) => self.core.start_for_thread(&operation),
            Envelope::Bus(news) => self.core.bus_news(*news),
            Envelope::Push(push) => self.core.deliver(&push),
            Envelope::Remember(push) => self.core.publish_as_owner(&push),
            Envelope::Recall(request) => self.core.asked_to_recall(request),
            Envelope::Recalled(answer) => self.core.recalled(*answer),
            Envelope::PushDone(push) => self.gateway.push_done(&mut self.core, &push),
            Envelope::Operation(operation) => self.core.operate(&operation),
            Envelope::OperationDone(operation) => self.gateway.operation_done(&mut self.core, &operation),
            Envelope::Event(link, session, frame) => self.core.event_arrives(link, session, frame),
            Envelope::Users(report) => self.core.hear_of_users(*report),
            Envelope::Probe(probe) => self.core.probe(*probe),
            Envelope::Replace(replaced) => self.core.replaced_by_another(replaced),
            Envelope::ReplacedTold(session) => self.core.replaced_told(session),
            Envelope::Move(mover) => self.take_mover(*mover),
            Envelope::Hold(link) => self.gateway.hold_for(&mut self.core, link),
            Envelope::Through(link) => self.core.one_is_through(link),
            Envelope::Await(link, session, barrier) => self.core.barrier_arrives(link, session, barrier),
            Envelope::Passed(link, session) => self.core.has_passed(link, session),
            Envelope::ToldOfAll(link) => self.gateway.one_told_of_all(&mut self.core, link),
            Envelope::ComeBack(link, events) => self.core.events_come_back(link, events),
            Envelope::Page { connection, sequence, response } => {
                self.gateway.page_done(&mut self.core, connection, sequence, *response);
            }
            Envelope::Stats(stream, part) => self.gateway.stats_part(&mut self.core, &stream, *part),
            Envelope::Largest(largest) => self.core.answer_largest(&largest),
            Envelope::EventsLost(link) => self.core.events_lost(link),
            Envelope::GateOpen(link) => self.core.called_to_gate(link),
            Envelope::MakeRoom(port) => self.core.make_room(port),
            // It was sent to end the sleep: the turn itself looks at what has been asked for.
            Envelope::Call => {}
            Envelope::StopBackends => self.end_all(),
            Envelope::Relieve => self.core.asked_for_relief(),
        }
    }

    fn time(&mut self) {
        self.core.look_at_wall_clock(Clock::wall_unix_ms);
        self.core.expire_memory();
        self.core.expire_users();
        self.core.expire_unheard();
        self.core.expire_records();
        self.core.ask_links();
        self.core.bus_time(self.poll.registry());
        // While what came in an absence is not all read, nobody is judged by the clock.
        if self.catching_up == 0 {
            let mut due = std::mem::take(&mut self.due);
            self.core.take_due(&mut due);
            for (slot, what) in due.drain(..) {
                self.is_due(slot, what);
                self.core.arm(slot);
            }
            self.due = due;
        }
        self.core.end_late_seats();
        self.resume_accepting();
    }

    fn is_due(&mut self, slot: u32, what: Due) {
        match what {
            Due::Wrapping => self.core.wrapping_late(slot),
            Due::Head => self.gateway.head_late(&mut self.core, slot),
            Due::Ping => self.core.ping(slot),
            Due::Idle => self.idle(slot),
            Due::Close => self.core.doom(slot),
            Due::Expiry => self.core.expire(slot),
            Due::Expiring => self.core.note_expiring(slot),
            Due::Token => self.core.close(slot, close_codes::TOKEN_EXPIRED, "token expired"),
            Due::Resume => self.core.resume(slot, Pause::Rate),
            Due::Message => self.gateway.give_up(&mut self.core, slot, true),
            Due::Door => self.gateway.due(&mut self.core, slot),
            Due::Stalled => self.core.close_slow(slot),
            Due::Linger => self.core.linger_over(slot),
        }
    }

    fn idle(&mut self, slot: u32) {
        match self.core.connection(slot).map(|connection| connection.kind.is_http()) {
            Some(true) => self.core.finish(slot),
            Some(false) if self.core.is_link(slot) => self.core.end_silent_link(slot),
            Some(false) => self.core.close_idle(slot),
            None => {}
        }
    }

    /// Closes those that hold the most where all that is half received is beyond its bound.
    fn shed(&mut self) {
        for slot in self.core.shed_incoming() {
            self.gateway.give_up(&mut self.core, slot, false);
        }
    }

    fn end(&mut self, began: Moment) {
        self.check();
        self.measure(began);
        let turned_ms = self.ended.ms.saturating_sub(began.ms);
        if turned_ms > LATE_MS {
            // Attended time is the clock's less what was missed of it: both have to be of one reading.
            self.core.now = self.ended;
            self.was_absent(turned_ms);
        }
        self.may_sleep = self.timeout();
        let latest = |sleep: Duration| self.ended.ms.saturating_add(sleep.as_millis() as u64);
        self.expected_ms = self.may_sleep.map_or(u64::MAX, latest);
    }

    /// What holds at the end of every turn.
    fn check(&self) {
        debug_assert!(self.core.ended.is_empty(), "every end has been told");
        debug_assert!(self.reply.is_empty(), "every reply has been written");
        self.core.check();
    }

    /// How long the poll may sleep: not at all while something has been left over from the last turn.
    fn timeout(&self) -> Option<Duration> {
        if self.core.has_work() || self.catching_up > 0 {
            return Some(Duration::ZERO);
        }
        let accept = self.acceptor.as_ref().and_then(super::Acceptor::resume_at_ms);
        let wall = self.core.next_look_ms();
        let drain = self.emptying.as_ref().and_then(super::Emptying::next_ms);
        let seat = self.core.next_seat_ms();
        let next_ms = [self.core.next_deadline_ms(), accept, wall, drain, seat, self.stop.next_ms()]
            .into_iter()
            .flatten()
            .min()?;
        Some(Duration::from_millis(next_ms.saturating_sub(self.ended.ms)))
    }
}
