//! Items of an event stream put together for the wire. What an event is on the wire depends on what went before it, its number
//! and the compression: so it is made when it goes, a bounded share at a time, and not when it is queued.

use super::item::{Item, Staged};
use super::{Outbox, Settlements};
use crate::connection::stream::Stream;
use crate::dispatch::Fate;

/// Bytes beyond which no further item is put to those that go together.
const SHARE: usize = 16 * 1024;

impl Staged {
    /// The socket has taken so many of the bytes: the items that end there have been written.
    pub(super) fn settle_written(&mut self, written: usize, now_ns: u64, settlements: &mut Settlements) {
        while self.items.front().is_some_and(|(_, end)| *end <= written)
            && let Some((item, _)) = self.items.pop_front()
        {
            settlements.settle(item, Fate::Written, now_ns);
        }
    }

    /// The connection is gone.
    pub(super) fn give_up(self, fate: Fate, settlements: &mut Settlements) {
        settlements.unstage(self.bytes.len());
        for (item, _) in self.items {
            settlements.settle(item, fate, 0);
        }
    }
}

impl Outbox {
    /// Puts what is due together for the wire, where nothing is on it. Returns how many of the first items may be written then.
    pub(super) fn stage(&mut self, stream: &mut Stream, settlements: &mut Settlements) -> usize {
        if self.wire.is_some() {
            return 1;
        }
        let mut staged = Box::<Staged>::default();
        let mut count = 0;
        while staged.bytes.len() < SHARE
            && let Some(item) = self.next_due()
        {
            self.took_out(&item);
            count += u64::from(item.is_message());
            item.put_into(stream, count, &mut staged.bytes);
            settlements.charge_forms(&item);
            staged.items.push_back((item, staged.bytes.len()));
        }
        if self.urgent.is_empty() && self.normal.is_empty() {
            stream.take_end(&mut staged.bytes);
        }
        if staged.bytes.is_empty() {
            return 0;
        }
        settlements.stage(staged.bytes.len());
        self.bytes += staged.bytes.len();
        self.wire = Some((Item::Staged(staged), 0));
        1
    }

    fn next_due(&mut self) -> Option<Item> {
        // The normal lane may wait for its tick.
        let is_normal_due = self.tick.is_none();
        self.urgent.pop_front().or_else(|| if is_normal_due { self.normal.pop_front() } else { None })
    }
}
