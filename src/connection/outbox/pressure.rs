//! What becomes of a message for which an outbox has no room: something of a lower class gives way, or what the app's
//! policy for its class says. Knows nothing of apps.

use super::item::Item;
use super::settlements::Settlements;
use super::{Outbox, OutboxLimits};
use crate::config::{Slow, SlowPolicy};
use crate::dispatch::{Class, Fate};
use crate::metrics::DropReason;

/// The classes in the order in which they give way.
const ORDER: [Class; 3] = [Class::Droppable, Class::Normal, Class::Urgent];

/// What [`Outbox::offer_at_bound`] did with an item.
#[derive(Debug)]
pub enum Offered {
    /// It waits; others may have given way to it.
    Queued,
    /// It is gone and counted.
    Dropped,
    /// There is no room, and the connection is to be closed for that. The item comes back, uncounted.
    TooSlow(Item),
}

impl Outbox {
    /// Queues `item`, for which [`Outbox::offer`] had no room, if others may give way to it; if not, does what `slow` says
    /// of its class. Nothing gives way in vain, and never what is on the wire or the connection's own.
    pub fn offer_at_bound(
        &mut self,
        item: Item,
        limits: OutboxLimits,
        slow: &Slow,
        settlements: &mut Settlements,
    ) -> Offered {
        if matches!(item, Item::Owned(_) | Item::Event(_)) {
            return match self.make_room(item.bytes().len(), limits, slow, settlements) {
                true => self.offered(item, settlements),
                false => Offered::TooSlow(item),
            };
        }
        let class = item.class();
        let policy = slow.of(class);
        if self.give_way(item.bytes().len(), yielding_to(class, slow), limits, settlements) {
            return self.offered(item, settlements);
        }
        match policy {
            SlowPolicy::Close => Offered::TooSlow(item),
            SlowPolicy::DropOldest | SlowPolicy::DropNewest => {
                settlements.turn_away(&item, DropReason::Newest);
                Offered::Dropped
            }
        }
    }

    /// Makes room for `bytes` of the connection's own, for which any push goes that its app would rather lose than the
    /// session. Returns whether there is room.
    pub fn make_room(
        &mut self,
        bytes: usize,
        limits: OutboxLimits,
        slow: &Slow,
        settlements: &mut Settlements,
    ) -> bool {
        let kept = |class: &Class| *class != Class::Droppable && slow.of(*class) == SlowPolicy::Close;
        let classes = ORDER.iter().position(kept).unwrap_or(ORDER.len());
        self.give_way(bytes, &ORDER[..classes], limits, settlements)
    }

    fn offered(&mut self, item: Item, settlements: &mut Settlements) -> Offered {
        self.push_back(item, settlements);
        Offered::Queued
    }

    /// Drops the oldest messages of the first of `classes`, then of the next, until `bytes` more fit; none where that
    /// would not be enough. Returns whether they fit.
    fn give_way(
        &mut self,
        bytes: usize,
        classes: &[Class],
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> bool {
        let (mut messages_left, mut bytes_left) = (self.messages(), self.bytes);
        let fits = |messages, before| {
            messages == 0 || (messages < limits.messages && before + bytes <= limits.bytes)
        };
        let mut victims = [0; ORDER.len()];
        for (&class, count) in classes.iter().zip(&mut victims) {
            if class == Class::Droppable && self.droppable == 0 {
                continue;
            }
            for item in self.lane(class).iter().filter(|item| item.is_push_of(class)) {
                if fits(messages_left, bytes_left) {
                    break;
                }
                messages_left -= 1;
                bytes_left -= item.bytes().len();
                *count += 1;
            }
        }
        if !fits(messages_left, bytes_left) {
            return false;
        }
        for (&class, count) in classes.iter().zip(victims) {
            self.drop_oldest(class, count, settlements);
        }
        true
    }

    fn drop_oldest(&mut self, class: Class, count: usize, settlements: &mut Settlements) {
        let mut from = 0;
        for _ in 0..count {
            let lane = self.lane_mut(class);
            let Some(ahead) = lane.range(from..).position(|item| item.is_push_of(class)) else { return };
            from += ahead;
            let Some(item) = lane.remove(from) else { return };
            self.took_out(&item);
            settlements.settle(item, Fate::Dropped, 0);
            settlements.drop_for(DropReason::Oldest);
        }
    }
}

/// The classes that give way to a message of `class`: lower ones, as far as their apps let them, and with `drop-oldest` its
/// own.
fn yielding_to(class: Class, slow: &Slow) -> &'static [Class] {
    let classes = match (slow.of(class), class) {
        (SlowPolicy::DropOldest, Class::Droppable) => 1,
        (SlowPolicy::DropOldest, Class::Normal) => 2,
        (SlowPolicy::DropOldest, Class::Urgent) => 3,
        (_, Class::Droppable) => 0,
        (_, Class::Normal) => 1,
        (_, Class::Urgent) => 1 + usize::from(slow.of(Class::Normal) != SlowPolicy::Close),
    };
    &ORDER[..classes]
}
