//! Control frames and what stands for them on an event stream: they go before the messages that wait, and where a queue is full,
//! messages give way to them.

use super::Core;
use super::writing::limits_of;
use crate::connection::{Flag, Kind, OutboxLimits};
use crate::stream;
use crate::timer::Stamp;

impl Core {
    /// Queues a control frame before the messages that wait. Returns whether there was room; if not, the connection is
    /// closed with 4003.
    pub fn offer_control(&mut self, slot: u32, frame: &[u8]) -> bool {
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let limits = limits_of(connection, &self.rules.settings);
        let pool = &mut self.pool;
        let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
        let refused = outbox.offer_control(frame.into(), limits, &mut self.settlements).err();
        let queued = refused.is_none_or(|frame| {
            let acting = self.act_for(slot);
            let queued = self.queue_control_at_bound(slot, frame, limits);
            self.end_acting(acting);
            queued
        });
        if queued {
            self.mark_dirty(slot);
        } else {
            self.close_slow(slot);
        }
        queued
    }

    /// Asks the peer for a sign of life; of an event stream only that its way is kept open.
    pub fn ping(&mut self, slot: u32) {
        if self.connections.slot(slot).is_some_and(|connection| connection.flags.has(Flag::Stream)) {
            return self.offer_heartbeat(slot);
        }
        if let Some(frame) = self.ping_frame(slot) {
            self.offer_ping(slot, &frame);
        }
    }

    /// A ping for the connection in `slot`, which goes behind all that its socket has taken.
    pub(super) fn ping_frame(&mut self, slot: u32) -> Option<Vec<u8>> {
        // The pong brings it back: the round-trip time needs no state of ours.
        let sent_ns = self.shared.clock.now().ns;
        let attended_ms = self.attended_ms();
        let id = self.connections.id_of(slot)?;
        let connection = self.connections.slot_mut(slot)?;
        let mut frame = Vec::new();
        connection.websocket.as_mut()?.ping(&sent_ns.to_be_bytes(), &mut frame).ok()?;
        if connection.kind == Kind::Link {
            self.seats.confirming.asks(id, sent_ns, attended_ms);
        }
        Some(frame)
    }

    /// Queues a ping. From when it is written the peer has its time to answer.
    fn offer_ping(&mut self, slot: u32, frame: &[u8]) {
        let attended_ms = self.attended_ms();
        if self.offer_control(slot, frame)
            && let Some(connection) = self.connections.slot_mut(slot)
        {
            connection.since = Stamp::at(attended_ms);
            connection.flags.set(Flag::Pinged);
            connection.flags.set(Flag::PingWaits);
        }
    }

    /// Queues a comment for an event stream on which nothing was sent for long. Where something waits for the socket, that has to
    /// leave first, and does as well.
    fn offer_heartbeat(&mut self, slot: u32) {
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.since = Stamp::at(attended_ms);
        if connection.is_drained() {
            let mut comment = Vec::new();
            stream::comment(&mut comment);
            self.offer_control(slot, &comment);
        }
    }

    #[cold]
    fn queue_control_at_bound(&mut self, slot: u32, frame: Box<[u8]>, limits: OutboxLimits) -> bool {
        let mut frame = frame;
        while self.flush_at_bound(slot) {
            let pool = &mut self.pool;
            let Some(connection) = self.connections.slot_mut(slot) else { return false };
            let outbox = connection.outbox.get_or_insert_with(|| pool.pop().unwrap_or_default());
            match outbox.offer_control(frame, limits, &mut self.settlements) {
                Ok(()) => return true,
                Err(back) => frame = back,
            }
        }
        let slow = self.slow_of(slot);
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let Some(outbox) = &mut connection.outbox else { return false };
        let made = outbox.make_room(frame.len(), limits, &slow, &mut self.settlements);
        made && outbox.offer_control(frame, limits, &mut self.settlements).is_ok()
    }
}
