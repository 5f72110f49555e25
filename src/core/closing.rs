//! Closing: the handshake behind what waits already, the end of a session for everybody else, and the slot freed when the
//! turn's events have been handled. Knows nothing of who asked for it.

use super::EVENTS;
use super::{Core, Ended};
use crate::connection::{Connection, Flag, Kind, Phase};
use crate::dispatch::Fate;
use crate::metrics::{CloseClass, LingerEnd};
use crate::protocol::{CloseCode, CloseFrame};
use crate::session::{SessionId, close_codes};
use crate::stream;

/// Connections of whom so few are left that a storm is over.
const FEW: usize = 16;

impl Core {
    /// Starts the closing handshake behind what waits already: the session is over for everybody else from now on.
    /// A reason that is too long for a Close frame is cut, and a code that may not be in one becomes 1011: it is the server
    /// that is at fault, and the peer is to hear that the connection ends (RFC 6455 §5.5, §7.4).
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        let reason = CloseFrame::fitting_reason(reason);
        let code = if code.is_allowed_on_wire() { code } else { CloseCode::INTERNAL_ERROR };
        match self.connections.slot(slot).map(|connection| connection.phase) {
            // There is nobody to be told, and nothing that would be worth to come back for.
            Some(Phase::Away) => return self.end_away(slot, code.0, reason, LingerEnd::Closed),
            Some(Phase::Open) => {}
            _ => return,
        }
        // What the socket takes its client need not come back for.
        if self.resume_of(slot).is_some() {
            self.flush(slot, self.rules.settings.config.limits.turn_write_bytes);
        }
        let slot = self.part(slot, code.0, reason);
        self.shake_hands_for_the_end(slot, code, reason);
    }

    /// The same for good, whatever the code: nobody comes back for the session.
    pub fn close_for_good(&mut self, slot: u32, code: CloseCode, reason: &str) {
        if self.connections.slot(slot).is_some_and(|connection| connection.phase == Phase::Open) {
            self.forget_resume(slot);
        }
        self.close(slot, code, reason);
    }

    /// The session in `slot` has been silent for too long. One that has not answered a probe is to make room: it does not linger.
    pub fn close_idle(&mut self, slot: u32) {
        match self.connections.slot(slot).is_some_and(|connection| connection.flags.has(Flag::Probed)) {
            true => self.close_for_good(slot, close_codes::IDLE, "idle"),
            false => self.close(slot, close_codes::IDLE, "idle"),
        }
    }

    fn shake_hands_for_the_end(&mut self, slot: u32, code: CloseCode, reason: &str) {
        let attended_ms = self.attended_ms();
        let mut frame = Vec::new();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        if connection.flags.has(Flag::Stream) {
            return self.close_stream(slot, code, reason);
        }
        let Some(websocket) = &mut connection.websocket else { return self.finish(slot) };
        let closed = websocket.close(Some(code), reason, &mut frame).is_ok();
        connection.end(if closed { Phase::Closing } else { Phase::Finishing }, attended_ms);
        self.resume_for_the_end(slot);
        self.end_session(slot, code.0, reason);
        self.append(slot, frame);
        self.mark_dirty(slot);
    }

    /// An event stream ends with the event that says why, behind what waits already, and the end of its connection.
    fn close_stream(&mut self, slot: u32, code: CloseCode, reason: &str) {
        let mut event = Vec::new();
        stream::close(code.0, reason, &mut event);
        self.end_session(slot, code.0, reason);
        self.append(slot, event);
        if let Some(stream) = self.connections.slot_mut(slot).and_then(Connection::stream) {
            stream.end();
        }
        self.finish(slot);
    }

    /// Closes a connection whose peer does not take what it is sent: what waits is given up, so that the Close frame is
    /// the next thing it reads.
    pub fn close_slow(&mut self, slot: u32) {
        if self.connections.slot(slot).is_some_and(|connection| connection.phase == Phase::Away) {
            self.clear_outbox(slot);
            return self.end_away(slot, close_codes::TOO_SLOW.0, "too slow", LingerEnd::Overflow);
        }
        // It has lost messages: nobody can come back for the rest.
        self.remember_overflow(slot);
        let acting = self.act_for(slot);
        let before = self.settlements.events;
        let connection = self.connections.slot_mut(slot).filter(|one| one.phase == Phase::Open);
        let outbox = connection.and_then(|connection| connection.outbox.as_mut());
        let gave_up = outbox.map(|outbox| outbox.clear_unsent(Fate::Closed, &mut self.settlements));
        self.end_acting(acting);
        if gave_up.is_some() {
            self.events_left(slot, before);
            self.close_for_good(slot, close_codes::TOO_SLOW, "too slow");
        }
    }

    /// Whether the connection in `slot` is a link.
    pub fn is_link(&self, slot: u32) -> bool {
        self.connections.slot(slot).is_some_and(|connection| connection.kind == Kind::Link)
    }

    /// Ends a link whose backend does not answer. What its socket has not taken is for others of its share, or for its next
    /// connection: nothing but the Close frame is written any more, and its answer is not waited for.
    pub fn end_silent_link(&mut self, slot: u32) {
        let Some(id) = self.connections.id_of(slot) else { return };
        self.seats.is_given_up(id, &self.listeners);
        let before = self.settlements.events;
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if let Some(outbox) = &mut connection.outbox {
            outbox.clear_unsent(Fate::Closed, &mut self.settlements);
        }
        // Behind half a frame there is no other.
        let is_between = connection.outbox.as_ref().is_none_or(|outbox| outbox.is_empty());
        self.events_left(slot, before);
        if is_between {
            self.close(slot, close_codes::IDLE, "idle");
            self.flush(slot, self.rules.settings.config.limits.turn_write_bytes);
        }
        self.doom(slot);
    }

    /// Nothing more will be queued: write what waits, shut down, wait for the peer's end under a deadline.
    pub fn finish(&mut self, slot: u32) {
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if matches!(connection.phase, Phase::Finishing | Phase::Doomed) {
            return;
        }
        connection.end(Phase::Finishing, attended_ms);
        if let Some(outbox) = &mut connection.outbox {
            outbox.wait_for(None);
        }
        self.resume_for_the_end(slot);
        self.mark_dirty(slot);
    }

    /// The socket failed or the peer vanished: no closing handshake is possible.
    pub fn fail(&mut self, slot: u32) {
        let slot = self.part(slot, CloseCode::ABNORMAL.0, "");
        self.end_session(slot, CloseCode::ABNORMAL.0, "");
        self.doom(slot);
    }

    /// Frees the connection when the turn's events have been handled.
    pub fn doom(&mut self, slot: u32) {
        let Some(id) = self.connections.id_of(slot) else { return };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Doomed {
            connection.phase = Phase::Doomed;
            self.doomed.push(id);
        }
    }

    /// Takes the session out of every table, once, and remembers that it has to be told.
    pub fn end_session(&mut self, slot: u32, code: u16, reason: &str) {
        if self.hub.id_of(slot).is_none() {
            return;
        }
        self.answer_poll(slot, Some((code, reason)));
        self.remember_end(slot, code, reason);
        self.record_end(slot, code, reason);
        let is_unknown = self.forget_crossing(slot);
        self.forget_resume(slot);
        let user = self.hub.user_of(slot).cloned();
        self.forget_recalls(slot);
        let captured = self.capture(slot);
        let state = self.listeners.any_is_told_of_its_own().then(|| self.state_in(slot)).flatten();
        let Some((id, app)) = self.leave_hub(slot) else { return };
        self.listeners.departs(app, id, state.as_ref());
        let extras = self.connections.slot_mut(slot).and_then(|connection| connection.extras.as_mut());
        let network = extras.and_then(|extras| extras.session_from.take());
        self.shared.admission.leave(app, user.as_ref(), id, network);
        let metrics = self.metrics();
        metrics.closed.of(CloseClass::from_code(code)).add(1);
        metrics.apps.closed.of(app.0).add(1);
        metrics.apps.sessions.of(app.0).sub(1);
        if !is_unknown {
            self.ended.push(Ended { id, app, user, code, reason: reason.into(), captured });
        }
    }

    /// Frees what the turn doomed. Returns the connections, for a last look at each.
    pub fn reap(&mut self) -> Vec<(SessionId, Connection)> {
        let mut reaped = Vec::with_capacity(self.doomed.len());
        for id in std::mem::take(&mut self.doomed) {
            self.wheel.disarm(id.slot());
            self.clear_outbox(id.slot());
            self.forget_incoming(id.slot());
            self.leave_record(id);
            let Some(connection) = self.connections.remove(id) else {
                debug_assert!(false, "a slot is freed once: {id}");
                continue;
            };
            self.metrics().paused.sub(u64::from(!connection.pauses.is_empty()));
            if let Some(extras) = &connection.extras
                && let Some(app) = extras.echo_of
            {
                self.shared.admission.leave(app, None, id, extras.session_from);
            }
            reaped.push((id, connection));
        }
        self.pool.truncate(self.connections.len());
        if !reaped.is_empty() {
            self.give_memory_back();
        }
        reaped
    }

    /// Gives up what waits for a socket that has gone.
    pub(super) fn clear_outbox(&mut self, slot: u32) {
        let before = self.settlements.events;
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let Some(mut outbox) = connection.outbox.take() else { return };
        if let Some(place) = outbox.leave_behind() {
            self.strike_behind(place);
        }
        let acting = self.act_for(slot);
        outbox.clear(Fate::Closed, &mut self.settlements);
        self.end_acting(acting);
        self.events_left(slot, before);
    }

    /// The last ones take with them what all have left: the room of lists that were as long as they were many.
    fn give_memory_back(&mut self) {
        if self.connections.len() <= FEW {
            renew(&mut self.dirty);
            renew(&mut self.selected);
            renew(&mut self.settlements.latencies_ns);
        }
        debug_assert!(
            !self.connections.is_empty() || self.wheel.next_deadline().is_none(),
            "a connection that is gone has left its deadline"
        );
    }
}

/// A list that has grown begins anew, lower in the heap: shrunk where it is, it would keep what lies before it.
fn renew<T>(list: &mut Vec<T>) {
    if list.capacity() > EVENTS {
        let grown = std::mem::replace(list, Vec::with_capacity(EVENTS));
        list.extend(grown);
    }
}
