//! What an HTTP connection of the backend port waits for when its turn is over.

use super::{Backend, Stopped};
use crate::connection::{Flag, Pause};
use crate::core::{Core, HalfReceived, Owed};
use crate::session::SessionId;

impl Backend {
    /// Says when this connection is read on, when it is due, and what it holds.
    pub(super) fn settle(&mut self, core: &mut Core, id: SessionId, stopped: Stopped) {
        let slot = id.slot();
        if self.last && self.is_idle() {
            return core.finish(slot);
        }
        let most = core.rules.settings.config.limits.max_pipelined;
        // With nothing left to handle it is read on all the same: most wait for an answer before they ask again.
        let has_more = !self.last && self.reader.has_more();
        let waits = has_more && (!self.may_go_on(most) || !matches!(stopped, Stopped::NeedsMore));
        core.set_pause(slot, Pause::Barrier, waits && self.barrier.is_some());
        core.set_pause(slot, Pause::Answers, waits && self.barrier.is_none());
        if matches!(stopped, Stopped::NextTurn) || self.hurries {
            core.read_later(slot);
        }
        let attended_ms = core.attended_ms();
        if let Some(connection) = core.connection(slot) {
            if self.completed {
                connection.answered(attended_ms);
            }
            match self.is_idle() {
                true => connection.flags.clear(Flag::Busy),
                false => _ = connection.flags.set(Flag::Busy),
            }
        }
        let mut receipts = std::mem::take(&mut self.receipts);
        core.set_door_due(slot, receipts.next_due_ms(|sequence| self.is_awaited(sequence)));
        self.receipts = receipts;
        core.note_incoming(slot, self.half_received());
    }

    /// What has come of the next request, and the batch that is worked off.
    pub(super) fn half_received(&mut self) -> HalfReceived {
        let owed = match self.reader.is_in_head() {
            true => Some(Owed::Head),
            false => (!self.reader.is_between_requests()).then_some(Owed::Rest),
        };
        // Room that has been made and not been touched is no memory yet.
        let bytes = self.reader.held_bytes();
        let whole = self.batch.as_ref().map_or(0, |batch| batch.bytes());
        HalfReceived { bytes, whole, owed, began: std::mem::take(&mut self.completed) }
    }
}
