//! Reading a connection, or not, for reasons that add up. The deadlines for silence consult the same set.

use super::Core;
use crate::connection::{Flag, Pause, Phase};
use crate::metrics::PauseReason;

const REASONS: [Pause; 4] = [Pause::Answers, Pause::Barrier, Pause::Rate, Pause::Link];

impl Core {
    /// The connection in `slot` is not read for this reason, until [`Core::resume`].
    pub fn pause(&mut self, slot: u32, reason: Pause) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if connection.phase != Phase::Open || connection.pauses.has(reason) {
            return;
        }
        let was_read = connection.pause(reason);
        let metrics = self.metrics();
        metrics.paused.add(u64::from(was_read));
        metrics.pauses.of(label(reason)).add(1);
    }

    /// This reason is over. If it was the last one, the connection is read on: first what is held for it.
    pub fn resume(&mut self, slot: u32, reason: Pause) {
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        if reason == Pause::Rate
            && let Some(inbound) = connection.inbound()
        {
            inbound.resume_ms = None;
        }
        if connection.unpause(reason, attended_ms) {
            self.metrics().paused.sub(1);
            self.restart_incoming(slot);
            self.read_later(slot);
            self.arm(slot);
        }
    }

    /// Pauses or resumes.
    pub fn set_pause(&mut self, slot: u32, reason: Pause, is_paused: bool) {
        match is_paused {
            true => self.pause(slot, reason),
            false => self.resume(slot, reason),
        }
    }

    /// Every reason is over: the end of the connection begins, and what comes has to be read.
    pub fn resume_for_the_end(&mut self, slot: u32) {
        REASONS.into_iter().for_each(|reason| self.resume(slot, reason));
    }

    /// The socket is read on in a later turn: it may hold more, and no event will say so.
    pub fn read_later(&mut self, slot: u32) {
        if let Some(connection) = self.connections.slot_mut(slot)
            && connection.flags.set(Flag::Unread)
        {
            self.unread.push_back(slot);
        }
    }
}

fn label(reason: Pause) -> PauseReason {
    match reason {
        Pause::Answers => PauseReason::Answers,
        Pause::Barrier => PauseReason::Barrier,
        Pause::Rate => PauseReason::Rate,
        Pause::Link => PauseReason::Link,
    }
}
