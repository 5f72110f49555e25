//! Writing: what is queued for a connection, what is written at once, and what a turn's end flushes, one vectored write a
//! connection. Knows nothing of what the bytes mean.

use super::settings::Settings;
use super::{Core, Reply};
use crate::config::Slow;
use crate::connection::{
    Connection, Flag, Flushed, Item, KeptFrame, KeptItem, Kind, Offered, OutboxLimits, Pause, Phase, Tick,
};
use crate::dispatch::EncodedFrame;
use crate::metrics::{DropReason, ReactorMetrics};
use crate::timer::{Moment, Stamp};
use std::io::IoSlice;
use std::net::Shutdown;
use std::rc::Rc;

/// Emptied outboxes kept for the next one who needs one, no more than there are connections, and the most items' room such an
/// outbox may hold on to.
pub(super) const POOLED_OUTBOXES: usize = 1024;
const POOLED_CAPACITY: usize = 32;

/// What became of a message that was sent to a session.
///
/// ```
/// use gannet::{Sent, Session};
///
/// /// Whether the session is to be sent more.
/// fn greet(session: &mut Session<'_>) -> bool {
///     match session.send_text("welcome") {
///         Sent::Sent => true,
///         // Its client is behind: leave out what can be left out.
///         Sent::Queued | Sent::Dropped => false,
///         Sent::Closed => false,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It goes to the socket with the answers of this handler.
    Sent,
    /// It waits in the session's outbox, behind others.
    Queued,
    /// The outbox was full, and its app's policy drops what finds no room.
    Dropped,
    /// The session is closed, perhaps for being too slow for this message.
    Closed,
}

impl Core {
    /// Queues `item` for the connection in `slot`, to be written at the end of the turn. A connection that is too slow
    /// for it is closed with 4003, unless its app would rather lose messages. Returns whether the item was taken.
    pub fn offer(&mut self, slot: u32, item: Item) -> bool {
        // What is not urgent takes with it what waits for a tick before it.
        let releases = !item.is_urgent();
        let taken = self.queue(slot, item, releases);
        if taken {
            self.mark_dirty(slot);
        }
        taken
    }

    /// The same for an item that waits for `tick`.
    pub fn offer_for_tick(&mut self, slot: u32, item: Item, tick: Tick) -> bool {
        let outbox = self.connections.slot(slot).and_then(|connection| connection.outbox.as_ref());
        let begins = outbox.is_none_or(|outbox| outbox.is_normal_empty());
        let taken = self.queue(slot, item, false);
        if taken && self.connections.slot(slot).is_some_and(|connection| connection.phase == Phase::Away) {
            self.mark_dirty(slot);
        } else if taken {
            self.pace(slot, tick, begins);
        }
        taken
    }

    fn queue(&mut self, slot: u32, item: Item, releases: bool) -> bool {
        let before = self.act_for(slot);
        let taken = self.queue_item(slot, item, releases);
        self.end_acting(before);
        taken
    }

    #[inline]
    fn queue_item(&mut self, slot: u32, item: Item, releases: bool) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let mut item = item;
        if connection.takes_messages() {
            let limits = limits_of(connection, &self.rules.settings);
            let pool = &mut self.pool;
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            if releases {
                outbox.wait_for(None);
            }
            match outbox.offer(item, limits, &mut self.settlements) {
                Ok(()) => return true,
                Err(back) => match self.queue_at_bound(slot, back, limits) {
                    Offered::Queued => return true,
                    Offered::Dropped => return false,
                    Offered::TooSlow(back) => item = back,
                },
            }
        }
        if item.push().is_some() {
            self.settlements.turn_away(&item, DropReason::TooSlow);
        }
        self.close_slow(slot);
        false
    }

    #[cold]
    fn queue_at_bound(&mut self, slot: u32, item: Item, limits: OutboxLimits) -> Offered {
        let mut item = item;
        while self.flush_at_bound(slot) {
            let pool = &mut self.pool;
            let Some(connection) = self.connections.slot_mut(slot) else { return Offered::TooSlow(item) };
            if !connection.takes_messages() {
                return Offered::TooSlow(item);
            }
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            match outbox.offer(item, limits, &mut self.settlements) {
                Ok(()) => return Offered::Queued,
                Err(back) => item = back,
            }
        }
        self.queue_by_policy(slot, item, limits)
    }

    fn queue_by_policy(&mut self, slot: u32, item: Item, limits: OutboxLimits) -> Offered {
        let slow = self.slow_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return Offered::TooSlow(item) };
        match &mut connection.outbox {
            Some(outbox) => {
                // The socket takes nothing: the values of a tick that were kept for it give way to a newer one.
                let mut item = item;
                if outbox.wait_for_socket() {
                    match outbox.offer(item, limits, &mut self.settlements) {
                        Ok(()) => return Offered::Queued,
                        Err(back) => item = back,
                    }
                }
                outbox.offer_at_bound(item, limits, &slow, &mut self.settlements)
            }
            None => Offered::TooSlow(item),
        }
    }

    /// A queue that is full may be this turn's own, or wait for a tick, and the socket has not been asked: writes one share
    /// of it, so that nobody is called too slow for what the turn has kept back. It counts in the turn's budget, and a push
    /// that has used that up goes on in the next turn. Returns whether the socket took something.
    pub(super) fn flush_at_bound(&mut self, slot: u32) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        if connection.flags.has(Flag::Blocked) || connection.phase == Phase::Doomed {
            return false;
        }
        let Some(outbox) = &mut connection.outbox else { return false };
        outbox.wait_for(None);
        let before = (outbox.messages(), outbox.bytes());
        let share = self.rules.settings.config.limits.turn_write_bytes;
        self.flush(slot, share);
        // What is left has deadlines, and perhaps a socket that is behind.
        self.mark_dirty(slot);
        let outbox = self.connections.slot(slot).and_then(|connection| connection.outbox.as_ref());
        outbox.is_none_or(|outbox| (outbox.messages(), outbox.bytes()) != before)
    }

    pub(super) fn slow_of(&self, slot: u32) -> Slow {
        let app = self.hub.app_of(slot);
        app.map_or_else(Slow::default, |app| self.rules.delivery_rules.slow(app))
    }

    /// Writes a reply at once, behind what waits already; what the socket refuses is queued. It is empty afterwards.
    pub fn write_reply(&mut self, slot: u32, reply: &mut Reply) {
        self.write_reply_and(slot, reply, &[]);
    }

    /// The same, with `tail` behind it: the payload of its last message, where that was read.
    pub fn write_reply_and(&mut self, slot: u32, reply: &mut Reply, tail: &[u8]) {
        if !reply.is_empty() {
            self.write_now(slot, reply, tail);
            reply.clear();
        }
    }

    fn write_now(&mut self, slot: u32, reply: &mut Reply, tail: &[u8]) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        // A client that is away cannot be answered.
        if matches!(connection.phase, Phase::Away | Phase::Doomed) {
            return;
        }
        let Reply { control, messages } = reply;
        if connection.outbox.is_some() {
            messages.extend_from_slice(tail);
            self.queue_reply(slot, control, messages);
            return;
        }
        let mut pieces = [&**control, &**messages, tail].map(IoSlice::new);
        let (first, last) = (usize::from(control.is_empty()), if tail.is_empty() { 2 } else { 3 });
        let mut left = &mut pieces[first..last];
        let (mut written, mut writes) = (0, 0);
        while !left.is_empty() {
            writes += 1;
            match connection.write(left, &mut self.scratch) {
                Ok(0) => break,
                Ok(bytes) => {
                    written += bytes;
                    IoSlice::advance_slices(&mut left, bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    connection.flags.set(Flag::Blocked);
                    break;
                }
                Err(_) => {
                    self.fail(slot);
                    return;
                }
            }
        }
        if connection.has_unsent() {
            connection.flags.set(Flag::Blocked);
        }
        count_written(connection, written, writes, self.shared.metrics.reactor(self.index));
        self.budget.charge_socket(writes as usize, written);
        if !left.is_empty() {
            // The socket may have taken half a frame: not even an urgent push may come between.
            let rest: Vec<u8> = left.iter().flat_map(|piece| piece.iter().copied()).collect();
            let outbox = connection.outbox.insert(self.pool.pop().unwrap_or_default());
            outbox.begin_with(rest.into(), &mut self.settlements);
            self.mark_dirty(slot);
        }
        self.record_written(slot, &[control, messages, tail], written);
    }

    /// Keeps a reply, and what waits already, as if the socket took nothing, until [`Core::writable`]. Returns whether there is anything
    /// to wait for it.
    pub(super) fn write_later(&mut self, slot: u32, reply: &mut Reply) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        if matches!(connection.phase, Phase::Away | Phase::Doomed) {
            return false;
        }
        if connection.outbox.is_some() {
            connection.flags.set(Flag::Blocked);
            self.write_reply(slot, reply);
            return true;
        }
        if reply.is_empty() {
            return false;
        }
        let all = reply.take_all();
        self.record_written(slot, &[&all], 0);
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let outbox = connection.outbox.insert(self.pool.pop().unwrap_or_default());
        outbox.begin_with(all.into(), &mut self.settlements);
        connection.flags.set(Flag::Blocked);
        true
    }

    fn queue_reply(&mut self, slot: u32, control: &[u8], messages: &[u8]) {
        if !control.is_empty() && !self.offer_control(slot, control) {
            return;
        }
        if !messages.is_empty() {
            self.offer(slot, Item::Owned(messages.into()));
        }
    }

    /// Queues the last bytes of a connection behind everything, whatever the bounds.
    pub fn append(&mut self, slot: u32, bytes: Vec<u8>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if bytes.is_empty() || matches!(connection.phase, Phase::Away | Phase::Doomed) {
            return;
        }
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        outbox.append(Item::Owned(bytes.into()), &mut self.settlements);
        outbox.wait_for(None);
        self.mark_dirty(slot);
    }

    /// Queues an event for the link in `slot`: how many may wait is the gate's affair. Returns whether the link takes any.
    pub fn append_event(&mut self, slot: u32, frame: EncodedFrame) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        if connection.phase != Phase::Open || connection.kind != Kind::Link {
            return false;
        }
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        outbox.append(Item::Event(frame), &mut self.settlements);
        self.mark_dirty(slot);
        true
    }

    /// Sends a message of the program's own to the session in `slot`, behind what waits already, within the bounds.
    pub fn send(&mut self, slot: u32, frame: EncodedFrame) -> Sent {
        let is_open = |core: &Self| core.connections.slot(slot).is_some_and(Connection::takes_messages);
        let item = match self.resume_of(slot) {
            // Its client counts it.
            Some(_) => {
                let (frame, is_marked) = (Rc::new(KeptFrame::new(frame)), self.speaks_own(slot));
                Item::Kept(KeptItem { frame, is_marked, is_again: false })
            }
            None if self.speaks_own(slot) => Item::Message(frame.marked().unwrap_or(frame)),
            None => Item::Message(frame),
        };
        match is_open(self) && self.offer(slot, item) {
            true => Sent::Queued,
            false if is_open(self) => Sent::Dropped,
            false => Sent::Closed,
        }
    }

    /// The connection in `slot` is flushed, and its deadlines looked at, at the end of the turn.
    pub fn mark_dirty(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && connection.flags.set(Flag::Dirty)
        {
            self.dirty.push(slot);
        }
    }

    /// Writes what waits for every connection that got something this turn: one vectored write each. What is beyond a
    /// connection's share of the turn goes on in the next one.
    pub fn flush_dirty(&mut self) {
        self.flush_dirty_from(0);
    }

    /// The same for those who are listed behind the first `kept`, as far as the budget goes. Returns how many are listed
    /// afterwards.
    pub fn flush_dirty_from(&mut self, kept: usize) -> usize {
        let share = self.rules.settings.config.limits.turn_write_bytes;
        let mut next_turn = Vec::new();
        let mut at = kept;
        while at < self.dirty.len() && !self.budget.is_spent_on_sockets() {
            let slot = self.dirty[at];
            at += 1;
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            connection.flags.clear(Flag::Dirty);
            if connection.phase == Phase::Away {
                // What waits has deadlines, and no socket; a poll may wait for it.
                match self.has_for_poll(slot) {
                    true => _ = self.answer_poll(slot, None),
                    false => self.arm(slot),
                }
                continue;
            }
            if !connection.flags.has(Flag::Blocked) && self.flush(slot, share) == Flushed::Share {
                next_turn.push(slot);
            }
            // With everything written nothing is due sooner than it was.
            if !self.connections.slot(slot).is_some_and(Connection::is_only_put_off) {
                self.note_behind(slot);
                self.arm(slot);
            }
        }
        self.dirty.drain(kept..at);
        next_turn.into_iter().for_each(|slot| self.mark_dirty(slot));
        self.dirty.len()
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, slot: u32) {
        if self.is_held(slot) {
            return;
        }
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.flags.clear(Flag::Blocked);
        if !connection.is_drained() {
            self.mark_dirty(slot);
        }
    }

    /// Writes up to about `share` bytes of what waits for the connection in `slot`.
    pub fn flush(&mut self, slot: u32, share: usize) -> Flushed {
        let before = self.settlements.events;
        let flushed = self.flush_outbox(slot, share);
        if self.settlements.events != before {
            self.events_left(slot, before);
        }
        self.shut_down_if_drained(slot);
        flushed
    }

    fn flush_outbox(&mut self, slot: u32, share: usize) -> Flushed {
        let before = self.act_for(slot);
        let flushed = self.write_waiting(slot, share);
        self.end_acting(before);
        flushed
    }

    #[inline]
    fn write_waiting(&mut self, slot: u32, share: usize) -> Flushed {
        let now = Moment { ms: self.now.ms, ns: self.shared.clock.now().ns };
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return Flushed::All };
        if matches!(connection.phase, Phase::Away | Phase::Doomed) {
            return Flushed::All;
        }
        if connection.outbox.is_none() {
            if connection.flush_tls().is_err() {
                self.fail(slot);
            }
            return Flushed::All;
        }
        let place = connection.resume();
        let keeping = place
            .and_then(|place| Self::keeping(&mut self.resumes, &self.rules, place, self.hub.app_of(slot)));
        let Ok((progress, flushed)) =
            connection.write_outbox(share, now, &mut self.settlements, &mut self.scratch, keeping)
        else {
            self.fail(slot);
            return Flushed::All;
        };
        self.budget.charge_socket(progress.writes as usize, progress.written);
        let metrics = self.shared.metrics.reactor(self.index);
        count_written(connection, progress.written, progress.writes, metrics);
        note_progress(connection, progress.written, attended_ms);
        let waits_for_room = connection.pauses.has(Pause::Answers);
        let outbox = connection.outbox.as_ref();
        let (is_empty, own_bytes) =
            outbox.map_or((true, 0), |outbox| (outbox.is_empty(), outbox.bounded_bytes()));
        if is_empty {
            self.free_outbox(slot);
        }
        // Events may wait in a link's outbox always: it is its answers that have to leave.
        if waits_for_room && own_bytes <= self.rules.settings.outbox.bytes / 2 {
            self.read_later(slot);
        }
        flushed
    }

    pub fn free_outbox(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let Some(mut outbox) = connection.outbox.take() else { return };
        if let Some(place) = outbox.leave_behind() {
            self.strike_behind(place);
        }
        if self.pool.len() < POOLED_OUTBOXES && outbox.capacity() <= POOLED_CAPACITY {
            outbox.reset();
            self.pool.push(outbox);
        }
    }

    pub fn shut_down_if_drained(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Finishing
            || !connection.is_drained()
            || connection.flags.has(Flag::WriteClosed)
        {
            return;
        }
        if let Some((session, _)) = connection.tls() {
            session.close();
            match connection.flush_tls() {
                Ok(()) if connection.flags.has(Flag::Blocked) => return,
                Ok(()) => {}
                Err(_) => return self.doom(slot),
            }
        }
        connection.flags.set(Flag::WriteClosed);
        let gone =
            connection.stream.shutdown(Shutdown::Write).is_err() || connection.flags.has(Flag::ReadClosed);
        if gone {
            self.doom(slot);
        }
    }
}

/// What a socket that took bytes says of its peer.
fn note_progress(connection: &mut Connection, written: usize, attended_ms: u64) {
    if written == 0 {
        return;
    }
    if connection.flags.has(Flag::Stream) && connection.phase == Phase::Open {
        // It is the silence of the stream that has to be broken, not that of its client.
        connection.since = Stamp::at(attended_ms);
    }
    let is_behind = connection.outbox.as_ref().is_some_and(|outbox| outbox.behind().is_some());
    if is_behind && connection.kind.must_progress() {
        connection.extras().progress_ms = attended_ms;
    }
    if connection.flags.has(Flag::PingWaits) {
        // Until the ping is on the wire the peer cannot answer it; one whose socket takes something is alive.
        connection.since = Stamp::at(attended_ms);
        if connection.outbox.as_ref().is_none_or(|outbox| outbox.is_urgent_empty()) {
            connection.flags.clear(Flag::PingWaits);
        }
    }
}

pub(super) fn limits_of(connection: &Connection, settings: &Settings) -> OutboxLimits {
    match connection.kind {
        Kind::Link => settings.link_outbox,
        _ => settings.outbox,
    }
}

fn count_written(connection: &mut Connection, bytes: usize, writes: u32, metrics: &ReactorMetrics) {
    metrics.bytes_out.add(bytes as u64);
    metrics.socket_writes.add(u64::from(writes));
    connection.figures.add_out(bytes);
}
