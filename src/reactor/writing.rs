//! Writing: what is queued for a connection, what is written at once, and what a turn's end flushes, one vectored write a
//! connection. Knows nothing of what the bytes mean.

use super::core::Core;
use super::shared::Settings;
use crate::connection::{Connection, Item, Moment, Offered, OutboxLimits, Phase, Stage};
use crate::metrics::ReactorMetrics;
use std::net::Shutdown;

/// Emptied outboxes kept for the next one who needs one, and the most items' room such an outbox may hold on to.
const POOLED_OUTBOXES: usize = 1024;
const POOLED_CAPACITY: usize = 32;

impl Core {
    /// Queues `item` for the connection in `slot`, to be written at the end of the turn. A connection that is too slow
    /// for it is closed with 4003. Returns whether the item was taken.
    pub fn offer(&mut self, slot: u32, item: Item) -> bool {
        let mut item = item;
        for attempt in 0..2 {
            let Some(connection) = self.connections.slot_mut(slot) else { return false };
            if connection.phase != Phase::Open {
                break;
            }
            let limits = limits_of(connection, &self.shared.settings);
            let pool = &mut self.pool;
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            match outbox.offer(item, limits, &mut self.settlements) {
                Offered::Queued => {
                    self.mark_dirty(slot);
                    return true;
                }
                Offered::Dropped => {
                    self.settlements.dropped += 1;
                    return false;
                }
                Offered::Full(back) => item = back,
            }
            if attempt == 0 && !connection.blocked {
                // The queue is this turn's own and the socket has not been asked yet.
                self.flush(slot);
            } else {
                break;
            }
        }
        self.settlements.dropped += u64::from(matches!(item, Item::Shared(_) | Item::Deflated(_)));
        self.close_slow(slot);
        false
    }

    /// Writes what `control` and `answer` hold for `slot` at once, behind what waits already; what the socket refuses is
    /// queued. Both are empty afterwards.
    pub fn write_answers(&mut self, slot: u32) {
        if self.control.is_empty() && self.answer.is_empty() {
            return;
        }
        let (mut control, mut answer) = (std::mem::take(&mut self.control), std::mem::take(&mut self.answer));
        self.write_now(slot, &mut control, &mut answer);
        control.clear();
        answer.clear();
        (self.control, self.answer) = (control, answer);
    }

    fn write_now(&mut self, slot: u32, control: &mut Vec<u8>, answer: &mut Vec<u8>) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Doomed {
            return;
        }
        if connection.outbox.is_some() {
            self.queue_answers(slot, control, answer);
            return;
        }
        control.append(answer);
        let mut written = 0;
        while written < control.len() {
            match connection.write(&control[written..]) {
                Ok(0) => break,
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    connection.blocked = true;
                    break;
                }
                Err(_) => {
                    self.fail(slot);
                    return;
                }
            }
        }
        if connection.has_unsent() {
            connection.blocked = true;
        }
        count_written(connection, written, self.shared.metrics.reactor(self.index));
        if written < control.len() {
            // The socket may have taken half a frame: not even an urgent push may come between.
            let outbox = connection.outbox.insert(self.pool.pop().unwrap_or_default());
            outbox.resume(control[written..].into(), &mut self.settlements);
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
        let queued = outbox.offer_control(frame.into(), limits, &mut self.settlements).is_ok();
        if queued {
            self.mark_dirty(slot);
        } else {
            self.close_slow(slot);
        }
        queued
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
        self.mark_dirty(slot);
    }

    /// The connection in `slot` is flushed, and its deadlines looked at, at the end of the turn.
    pub fn mark_dirty(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && !std::mem::replace(&mut connection.dirty, true)
        {
            self.dirty.push(slot);
        }
    }

    /// Writes what waits for every connection that got something this turn: one vectored write each.
    pub fn flush_dirty(&mut self) {
        while let Some(slot) = self.dirty.pop() {
            let Some(connection) = self.connections.slot_mut(slot) else { continue };
            connection.dirty = false;
            if !connection.blocked {
                self.flush(slot);
            }
            self.arm(slot);
        }
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.blocked = false;
        if !connection.is_drained() {
            self.mark_dirty(slot);
        }
    }

    pub(super) fn flush(&mut self, slot: u32) {
        let now = Moment { ms: self.now.ms, ns: self.shared.clock.now().ns };
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase == Phase::Doomed {
            return;
        }
        if connection.outbox.is_none() {
            if connection.flush_tls().is_err() {
                return self.fail(slot);
            }
        } else {
            let Ok(written) = connection.write_outbox(now, &mut self.settlements) else {
                return self.fail(slot);
            };
            count_written(connection, written, self.shared.metrics.reactor(self.index));
            let waits_for_room = connection.stage.is_paused();
            if connection.outbox.as_ref().is_some_and(|outbox| outbox.is_empty()) {
                self.free_outbox(slot);
                if waits_for_room {
                    self.read_later(slot);
                }
            }
        }
        self.shut_down_if_drained(slot);
    }

    pub(super) fn free_outbox(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if let Some(outbox) = connection.outbox.take()
            && self.pool.len() < POOLED_OUTBOXES
            && outbox.capacity() <= POOLED_CAPACITY
        {
            self.pool.push(outbox);
        }
    }

    pub(super) fn shut_down_if_drained(&mut self, slot: u32) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Finishing || !connection.is_drained() || connection.write_closed {
            return;
        }
        if let Some((session, _)) = connection.tls() {
            session.close();
            match connection.flush_tls() {
                Ok(()) if connection.blocked => return,
                Ok(()) => {}
                Err(_) => return self.doom(slot),
            }
        }
        connection.write_closed = true;
        let gone = connection.stream.shutdown(Shutdown::Write).is_err() || connection.read_closed;
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

fn count_written(connection: &mut Connection, bytes: usize, metrics: &ReactorMetrics) {
    metrics.bytes_out.add(bytes as u64);
    if let Stage::Player(player) = &mut connection.stage {
        player.bytes_out += bytes as u64;
    }
}
