//! The two bounds of a queue, messages and bytes, in one atomic number. Knows nothing of the items.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const BYTE_BITS: u32 = 40;
const MAX_BYTES: u64 = (1 << BYTE_BITS) - 1;
const MAX_MESSAGES: u64 = (1 << (u64::BITS - BYTE_BITS)) - 1;

/// What a queue holds and what it may hold.
///
/// Both counts change in one step, so that room is either taken or not, and never taken and put back: a second producer
/// would see the queue full for a moment with nobody to tell it that it is not.
pub(super) struct Room {
    /// Messages · bytes (40 bits).
    held: AtomicU64,
    /// From 1 to `MAX_MESSAGES`.
    messages: u64,
    /// At most `MAX_BYTES`.
    bytes: u64,
}

impl Room {
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        let messages = (messages as u64).clamp(1, MAX_MESSAGES);
        Self { held: AtomicU64::new(0), messages, bytes: (bytes as u64).min(MAX_BYTES) }
    }

    /// The bound in messages.
    pub(super) fn messages(&self) -> usize {
        self.messages as usize
    }

    /// The bytes that are held.
    pub(super) fn bytes_held(&self) -> usize {
        (self.held.load(Relaxed) & MAX_BYTES) as usize
    }

    /// Takes room for one message of `weight` bytes; false if there is none.
    pub(super) fn take(&self, weight: usize) -> bool {
        let weight = clip(weight);
        let admit = |held: u64| {
            let (messages, bytes) = (held >> BYTE_BITS, held & MAX_BYTES);
            // One that is heavier than the bound would otherwise wait for ever.
            let light_enough = weight == 0 || bytes == 0 || bytes + weight <= self.bytes;
            (messages < self.messages && light_enough).then(|| held + charge(1, weight))
        };
        // Acquire: the queue's slots that the consumer emptied before it gave this room back are seen empty.
        self.held.fetch_update(Acquire, Relaxed, admit).is_ok()
    }

    /// Gives back what [`Room::take`] took.
    pub(super) fn give_back(&self, freed: &Freed) {
        self.held.fetch_sub(charge(freed.messages, freed.bytes), Release);
    }
}

/// Messages popped and not yet given back.
#[derive(Default)]
pub(super) struct Freed {
    messages: u64,
    bytes: u64,
}

impl Freed {
    pub(super) fn add(&mut self, weight: usize) {
        self.messages += 1;
        self.bytes += clip(weight);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

fn clip(weight: usize) -> u64 {
    (weight as u64).min(MAX_BYTES)
}

fn charge(messages: u64, bytes: u64) -> u64 {
    messages << BYTE_BITS | bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_a_heavy_message_passes_alone() {
        let room = Room::new(3, 10);
        assert!(room.take(11), "alone");
        assert!(!room.take(1), "beside a message over the bound");
        assert!(room.take(0) && room.take(0), "what weighs nothing");
        assert!(!room.take(0), "the fourth");
        assert_eq!(room.bytes_held(), 11);

        let mut freed = Freed::default();
        freed.add(11);
        room.give_back(&freed);
        assert!(room.take(10));
        assert!(!room.take(0));
    }

    #[test]
    fn limits_and_weights_out_of_range_are_cut() {
        let room = Room::new(0, usize::MAX);
        assert_eq!(room.messages(), 1);
        assert!(room.take(usize::MAX));
        assert_eq!(room.bytes_held() as u64, MAX_BYTES);
        let mut freed = Freed::default();
        freed.add(usize::MAX);
        room.give_back(&freed);
        assert_eq!(room.bytes_held(), 0);
        assert_eq!(Room::new(usize::MAX, 0).messages() as u64, MAX_MESSAGES);
    }
}
