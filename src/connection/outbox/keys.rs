//! Conflation: what becomes of a message that waits when a newer one with its key comes. Where the socket takes what it is given,
//! and messages wait for their tick alone, nothing: a player who keeps up gets every value. What waits for the socket is replaced.

use super::item::Item;
use super::settlements::Settlements;
use super::{Outbox, OutboxLimits, Tick};
use crate::dispatch::{Class, Fate};
use std::collections::VecDeque;

/// What becomes of a message that waits when a newer one with its key comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// The newer one takes its place. No two that wait have the same key.
    Replace,
    /// Both are sent: the normal lane waits for its tick, and the socket has taken all that was before.
    KeepAll,
    /// The newer one takes the place of all that wait with its key: they were kept for their tick and wait for the socket now, or
    /// the older was on the wire of a connection that was cut.
    ReplaceAll,
}

impl Outbox {
    /// The normal lane begins with a message that waits for `tick`; the socket `is_ready`, or has not taken all that was before.
    pub fn begin_tick(&mut self, tick: Tick, is_ready: bool) {
        self.wait_for(Some(tick));
        match is_ready {
            true => self.keys = Keys::KeepAll,
            false => _ = self.wait_for_socket(),
        }
    }

    /// The socket takes no more for now: what waits for its tick waits for that too. Whether that is something new.
    pub fn wait_for_socket(&mut self) -> bool {
        let is_new = self.keys == Keys::KeepAll;
        if is_new {
            self.keys = Keys::ReplaceAll;
        }
        is_new
    }

    /// `item` takes the place of an unsent older message with its key. Gives `item` back where there is none, or where the place
    /// is in the other lane or too small; the older message is gone all the same.
    pub(super) fn replace_older(
        &mut self,
        item: Item,
        limits: OutboxLimits,
        settlements: &mut Settlements,
    ) -> Option<Item> {
        let Some(key) = item.key() else { return Some(item) };
        match self.keys {
            Keys::Replace => {}
            // One that overtakes what waits must not be followed by something older.
            Keys::KeepAll if !item.is_urgent() => return Some(item),
            Keys::KeepAll | Keys::ReplaceAll => self.leave_one(key, settlements),
        }
        let (class, index) = match (place_of(key, &self.urgent), place_of(key, &self.normal)) {
            (Some(index), _) => (Class::Urgent, index),
            (None, Some(index)) => (Class::Normal, index),
            (None, None) => return Some(item),
        };
        let same_lane = (class == Class::Urgent) == (item.class() == Class::Urgent);
        let older_len = self.lane(class)[index].bytes().len();
        let (older, homeless) = if same_lane && self.bytes - older_len + item.bytes().len() <= limits.bytes {
            self.admit(&item, settlements);
            (Some(std::mem::replace(&mut self.lane_mut(class)[index], item)), None)
        } else {
            (self.lane_mut(class).remove(index), Some(item))
        };
        if let Some(older) = older {
            self.took_out(&older);
            settlements.settle(older, Fate::Replaced, 0);
        }
        homeless
    }

    /// Of the messages that wait with `key` the first stays, and the others are replaced.
    fn leave_one(&mut self, key: (u64, &str), settlements: &mut Settlements) {
        let mut is_there = false;
        for class in [Class::Urgent, Class::Normal] {
            let mut from = 0;
            while let Some(ahead) = self.lane(class).range(from..).position(|one| one.key() == Some(key)) {
                from += ahead;
                if !std::mem::replace(&mut is_there, true) {
                    from += 1;
                } else if let Some(older) = self.lane_mut(class).remove(from) {
                    self.took_out(&older);
                    settlements.settle(older, Fate::Replaced, 0);
                }
            }
        }
    }
}

fn place_of(key: (u64, &str), lane: &VecDeque<Item>) -> Option<usize> {
    lane.iter().position(|waiting| waiting.key() == Some(key))
}
