//! Writing: what is queued for a connection, what is written at once, and what a turn's end flushes, one vectored write a
//! connection. Knows nothing of what the bytes mean.

use super::Core;
use super::Settings;
use crate::config::Slow;
use crate::connection::{Connection, Flag, Flushed, Item, Offered, OutboxLimits, Phase, Stage, Tick};
use crate::metrics::{DropReason, ReactorMetrics};
use crate::timer::Moment;
use std::io::IoSlice;
use std::net::Shutdown;

/// Emptied outboxes kept for the next one who needs one, no more than there are connections, and the most items' room such an
/// outbox may hold on to.
pub(super) const POOLED_OUTBOXES: usize = 1024;
const POOLED_CAPACITY: usize = 32;

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
        if taken {
            self.pace(slot, tick, begins);
        }
        taken
    }

    fn queue(&mut self, slot: u32, item: Item, releases: bool) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let mut item = item;
        if connection.phase == Phase::Open {
            let limits = limits_of(connection, &self.shared.settings);
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
            self.settlements.drop_for(DropReason::TooSlow);
        }
        self.close_slow(slot);
        false
    }

    #[cold]
    fn queue_at_bound(&mut self, slot: u32, item: Item, limits: OutboxLimits) -> Offered {
        if self.flush_at_bound(slot) {
            let pool = &mut self.pool;
            let Some(connection) = self.connections.slot_mut(slot) else { return Offered::TooSlow(item) };
            if connection.phase != Phase::Open {
                return Offered::TooSlow(item);
            }
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            return match outbox.offer(item, limits, &mut self.settlements) {
                Ok(()) => Offered::Queued,
                Err(back) => self.queue_by_policy(slot, back, limits),
            };
        }
        self.queue_by_policy(slot, item, limits)
    }

    fn queue_by_policy(&mut self, slot: u32, item: Item, limits: OutboxLimits) -> Offered {
        let slow = self.slow_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return Offered::TooSlow(item) };
        match &mut connection.outbox {
            Some(outbox) => outbox.offer_at_bound(item, limits, &slow, &mut self.settlements),
            None => Offered::TooSlow(item),
        }
    }

    /// A queue that is full may be this turn's own, or wait for a tick, and the socket has not been asked: asks it for all it
    /// takes, so that nobody is called too slow for what the turn's share has kept back. Returns whether it did.
    fn flush_at_bound(&mut self, slot: u32) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        if connection.flags.has(Flag::Blocked) {
            return false;
        }
        if let Some(outbox) = &mut connection.outbox {
            outbox.wait_for(None);
        }
        self.flush(slot, usize::MAX);
        // What is left has deadlines, and a socket that is behind.
        self.mark_dirty(slot);
        true
    }

    fn slow_of(&self, slot: u32) -> Slow {
        let app = self.hub.app_of(slot);
        app.map_or_else(Slow::default, |app| self.shared.delivery_rules.slow(app))
    }

    /// Writes what `control` and `answer` hold for `slot` at once, behind what waits already; what the socket refuses is
    /// queued. Both are empty afterwards.
    pub fn write_answers(&mut self, slot: u32) {
        self.write_answers_and(slot, &[]);
    }

    /// The same, with `tail` behind them.
    pub fn write_answers_and(&mut self, slot: u32, tail: &[u8]) {
        if self.control.is_empty() && self.answer.is_empty() {
            return;
        }
        let (mut control, mut answer) = (std::mem::take(&mut self.control), std::mem::take(&mut self.answer));
        self.write_now(slot, &control, &mut answer, tail);
        control.clear();
        answer.clear();
        (self.control, self.answer) = (control, answer);
    }

    fn write_now(&mut self, slot: u32, control: &[u8], answer: &mut Vec<u8>, tail: &[u8]) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Doomed {
            return;
        }
        if connection.outbox.is_some() {
            answer.extend_from_slice(tail);
            self.queue_answers(slot, control, answer);
            return;
        }
        let mut pieces = [control, answer, tail].map(IoSlice::new);
        let (first, last) = (usize::from(control.is_empty()), if tail.is_empty() { 2 } else { 3 });
        let mut left = &mut pieces[first..last];
        let (mut written, mut writes) = (0, 0);
        while !left.is_empty() {
            writes += 1;
            match connection.write(left) {
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
        if !left.is_empty() {
            // The socket may have taken half a frame: not even an urgent push may come between.
            let rest: Vec<u8> = left.iter().flat_map(|piece| piece.iter().copied()).collect();
            let outbox = connection.outbox.insert(self.pool.pop().unwrap_or_default());
            outbox.resume(rest.into(), &mut self.settlements);
            self.mark_dirty(slot);
        }
    }

    fn queue_answers(&mut self, slot: u32, control: &[u8], answer: &[u8]) {
        if !control.is_empty() && !self.offer_control(slot, control) {
            return;
        }
        if !answer.is_empty() {
            self.offer(slot, Item::Owned(answer.into()));
        }
    }

    /// Queues a control frame before the messages that wait. Returns whether there was room; if not, the connection is
    /// closed with 4003.
    pub fn offer_control(&mut self, slot: u32, frame: &[u8]) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let limits = limits_of(connection, &self.shared.settings);
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        let refused = outbox.offer_control(frame.into(), limits, &mut self.settlements).err();
        let queued = refused.is_none_or(|frame| self.queue_control_at_bound(slot, frame, limits));
        if queued {
            self.mark_dirty(slot);
        } else {
            self.close_slow(slot);
        }
        queued
    }

    #[cold]
    fn queue_control_at_bound(&mut self, slot: u32, frame: Box<[u8]>, limits: OutboxLimits) -> bool {
        let slow = self.slow_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let Some(outbox) = &mut connection.outbox else { return false };
        let made = outbox.make_room(frame.len(), limits, &slow, &mut self.settlements);
        made && outbox.offer_control(frame, limits, &mut self.settlements).is_ok()
    }

    /// Queues the last bytes of a connection behind everything, whatever the bounds.
    pub fn append(&mut self, slot: u32, bytes: Vec<u8>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if bytes.is_empty() || connection.phase == Phase::Doomed {
            return;
        }
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        outbox.append(bytes.into(), &mut self.settlements);
        outbox.wait_for(None);
        self.mark_dirty(slot);
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

    /// The same for those who are listed behind the first `kept`. Returns how many are listed afterwards.
    pub fn flush_dirty_from(&mut self, kept: usize) -> usize {
        let share = self.shared.settings.config.limits.turn_write_bytes;
        let mut next_turn = Vec::new();
        while self.dirty.len() > kept
            && let Some(slot) = self.dirty.pop()
        {
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            connection.flags.clear(Flag::Dirty);
            if !connection.flags.has(Flag::Blocked) && self.flush(slot, share) == Flushed::Share {
                next_turn.push(slot);
            }
            self.arm(slot);
            self.note_behind(slot);
        }
        next_turn.into_iter().for_each(|slot| self.mark_dirty(slot));
        self.dirty.len()
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.flags.clear(Flag::Blocked);
        if !connection.is_drained() {
            self.mark_dirty(slot);
        }
    }

    /// Writes up to about `share` bytes of what waits for the connection in `slot`.
    pub fn flush(&mut self, slot: u32, share: usize) -> Flushed {
        let now = Moment { ms: self.now.ms, ns: self.shared.clock.now().ns };
        let mut flushed = Flushed::All;
        let Some(connection) = self.connections.slot_mut(slot) else { return flushed };
        if connection.phase == Phase::Doomed {
            return flushed;
        }
        if connection.outbox.is_none() {
            if connection.flush_tls().is_err() {
                self.fail(slot);
                return flushed;
            }
        } else {
            let Ok((progress, how_far)) = connection.write_outbox(share, now, &mut self.settlements) else {
                self.fail(slot);
                return flushed;
            };
            flushed = how_far;
            count_written(
                connection,
                progress.written,
                progress.writes,
                self.shared.metrics.reactor(self.index),
            );
            let waits_for_room = connection.stage.is_paused();
            if connection.outbox.as_ref().is_some_and(|outbox| outbox.is_empty()) {
                self.free_outbox(slot);
                if waits_for_room {
                    self.read_later(slot);
                }
            }
        }
        self.shut_down_if_drained(slot);
        flushed
    }

    pub fn free_outbox(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let Some(mut outbox) = connection.outbox.take() else { return };
        if let Some(place) = outbox.behind.take() {
            self.strike_behind(place);
        }
        if self.pool.len() < POOLED_OUTBOXES && outbox.capacity() <= POOLED_CAPACITY {
            outbox.wait_for(None);
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

fn limits_of(connection: &Connection, settings: &Settings) -> OutboxLimits {
    match connection.stage {
        Stage::Link(_) => settings.link_outbox,
        _ => settings.outbox,
    }
}

fn count_written(connection: &mut Connection, bytes: usize, writes: u32, metrics: &ReactorMetrics) {
    metrics.bytes_out.add(bytes as u64);
    metrics.socket_writes.add(u64::from(writes));
    if let Stage::Player(player) = &mut connection.stage {
        player.bytes_out += bytes as u64;
    }
}
