//! The obvious timer wheel: a `BTreeMap` from keys to ticks, and operations read from bytes that it and the real one must
//! answer alike. A fuzzer may choose the bytes.

use super::{DUE, FAR, LEVELS, RESOLUTION_MS, SLOTS, Wheel};
use crate::choices::Choices;
use std::collections::BTreeMap;

#[derive(Default)]
struct Model {
    now_ms: u64,
    ticks: BTreeMap<u32, u64>,
}

impl Model {
    fn now(&self) -> u64 {
        self.now_ms / RESOLUTION_MS
    }

    fn arm(&mut self, key: u32, deadline_ms: u64) {
        // One that has passed is armed for now.
        self.ticks.insert(key, deadline_ms.div_ceil(RESOLUTION_MS).max(self.now()));
    }

    fn expire(&mut self, now_ms: u64) -> Vec<u32> {
        self.now_ms = self.now_ms.max(now_ms);
        let now = self.now();
        let fired = self.ticks.iter().filter(|&(_, tick)| *tick <= now).map(|(key, _)| *key).collect();
        self.ticks.retain(|_, tick| *tick > now);
        fired
    }

    fn deadline_of(&self, key: u32) -> Option<u64> {
        self.ticks.get(&key).map(|tick| tick.saturating_mul(RESOLUTION_MS))
    }

    /// When the first key fires.
    fn earliest_ms(&self) -> Option<u64> {
        self.ticks.values().min().map(|tick| tick.saturating_mul(RESOLUTION_MS))
    }
}

impl Wheel {
    /// The entries of all lists: the number of each list, and the keys in it.
    fn lists(&self) -> impl Iterator<Item = (usize, Vec<u32>)> {
        let buckets = self.levels.iter().flat_map(|level| &level.buckets);
        let keys = buckets.map(|bucket| bucket.iter().map(|entry| entry.key).collect());
        let far = self.far.iter().map(|&(_, key)| key).collect();
        keys.enumerate().chain([(DUE, self.due.clone()), (FAR, far)])
    }

    /// Entries in all lists, counted.
    pub(super) fn entries(&self) -> usize {
        let buckets = self.levels.iter().flat_map(|level| &level.buckets).map(Vec::len);
        buckets.sum::<usize>() + self.due.len() + self.far.len()
    }

    /// Entries that the lists have memory for, and keys that the positions have memory for.
    pub(super) fn capacities(&self) -> (usize, usize) {
        let buckets = self.levels.iter().flat_map(|level| &level.buckets).map(Vec::capacity);
        let lists = buckets.sum::<usize>() + self.due.capacity() + self.far.capacity();
        (lists, self.positions.capacity())
    }

    /// Every entry is where its key's position says, no key has two, and the bits of the levels are right.
    fn check(&self) {
        for (list, keys) in self.lists() {
            for (index, &key) in keys.iter().enumerate() {
                let position = self.positions.get(key).expect("what has an entry has a position");
                assert_eq!((position.list(), position.index()), (list, index), "key {key}");
                assert!(list == DUE || self.tick_at(position) > self.now);
            }
            if list < DUE {
                let occupied = self.levels[list / SLOTS].occupied >> (list % SLOTS) & 1 == 1;
                assert_eq!(occupied, !keys.is_empty(), "list {list}");
            }
        }
        assert!(self.far.iter().all(|&(tick, _)| tick >= self.far_least));
        assert_eq!((self.entries(), self.positions.armed()), (self.len, self.len));
    }
}

struct Pair {
    wheel: Wheel,
    model: Model,
    /// Keys armed so far; the next new key.
    keys: u32,
}

/// Does what `bytes` say to a wheel, and panics where the model answers differently.
pub(crate) fn obey(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let now_ms = choices.number(u64::BITS);
    let model = Model { now_ms, ..Model::default() };
    let mut pair = Pair { wheel: Wheel::new(now_ms), model, keys: 0 };
    for step in 1.. {
        if choices.is_empty() {
            break;
        }
        pair.step(&mut choices);
        pair.agree();
        if step % 64 == 0 {
            pair.agree_in_full();
        }
    }
    pair.agree_in_full();
    pair.follow_deadlines();
    pair.expire(u64::MAX);
    pair.agree_in_full();
    pair.forget();
}

impl Pair {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let now_ms = self.model.now_ms;
        match choices.below(16) {
            0..=2 => self.arm_new(now_ms.saturating_add(choices.number(u64::BITS))),
            // Within the wheel's reach, and in the past.
            3 => self.arm_new(now_ms.saturating_add(choices.number(36))),
            4 => self.arm_new(now_ms.saturating_sub(choices.number(u64::BITS))),
            5 => self.expire(now_ms.saturating_add(choices.number(u64::BITS))),
            6 => self.expire(now_ms.saturating_add(choices.number(16))),
            7 => match self.wheel.next_deadline() {
                Some(next) => self.expire(next),
                // The clock never goes back.
                None => self.expire(now_ms.saturating_sub(choices.number(16))),
            },
            8..=10 => {
                let key = self.known_key(choices);
                self.arm(key, now_ms.saturating_add(choices.number(36)));
            }
            11 => {
                let key = self.known_key(choices);
                self.arm(key, now_ms.saturating_add(choices.number(u64::BITS)));
            }
            12 => {
                let key = self.known_key(choices);
                self.arm(key, now_ms.saturating_sub(choices.number(u64::BITS)));
            }
            13 | 14 => {
                let key = self.known_key(choices);
                self.disarm(key);
            }
            // The sessions of a storm go.
            _ => {
                let first = self.known_key(choices);
                (first..first + choices.below(256)).for_each(|key| self.disarm(key));
            }
        }
    }

    /// A key that may have been armed, in most cases.
    fn known_key(&self, choices: &mut Choices<'_>) -> u32 {
        (choices.below(256) << 8 | choices.below(256)) % (self.keys + 1)
    }

    fn arm_new(&mut self, deadline_ms: u64) {
        self.arm(self.keys, deadline_ms);
    }

    fn arm(&mut self, key: u32, deadline_ms: u64) {
        self.keys = self.keys.max(key + 1);
        self.wheel.arm(key, deadline_ms);
        self.model.arm(key, deadline_ms);
        assert_eq!(self.wheel.deadline_of(key), self.model.deadline_of(key), "key {key}");
    }

    fn disarm(&mut self, key: u32) {
        assert_eq!(self.wheel.deadline_of(key), self.model.deadline_of(key), "key {key}");
        self.wheel.disarm(key);
        self.model.ticks.remove(&key);
        assert_eq!(self.wheel.deadline_of(key), None, "key {key}");
    }

    fn expire(&mut self, now_ms: u64) {
        let mut fired = vec![u32::MAX];
        self.wheel.expire(now_ms, &mut fired);
        assert_eq!(fired.remove(0), u32::MAX, "what was in the list stays");
        fired.sort_unstable();
        assert_eq!(fired, self.model.expire(now_ms));
        assert!(fired.iter().all(|&key| self.wheel.deadline_of(key).is_none()));
    }

    fn agree(&self) {
        assert_eq!(self.wheel.len(), self.model.ticks.len());
        assert_eq!(self.wheel.is_empty(), self.model.ticks.is_empty());
        match (self.wheel.next_deadline(), self.model.earliest_ms()) {
            (Some(next), Some(earliest)) => assert!(next <= earliest, "{next} sleeps through {earliest}"),
            (next, earliest) => assert_eq!(next, earliest),
        }
    }

    fn agree_in_full(&self) {
        self.agree();
        self.wheel.check();
        for key in 0..self.keys {
            assert_eq!(self.wheel.deadline_of(key), self.model.deadline_of(key), "key {key}");
        }
    }

    /// A reactor that sleeps until the next deadline gets on, with few wakes for nothing.
    fn follow_deadlines(&mut self) {
        // One more where the least of the far ticks has been disarmed.
        let (mut wakes, most) = (0, self.model.ticks.len() * (LEVELS + 1) + 1);
        // The last ticks end after the last millisecond: what is armed for them never fires.
        while let Some(next) =
            self.wheel.next_deadline().filter(|&next| next / RESOLUTION_MS < u64::MAX / RESOLUTION_MS)
        {
            self.expire(next);
            self.agree();
            wakes += 1;
        }
        assert!(wakes <= most, "{wakes} wakes");
    }

    /// Keys that are disarmed leave nothing behind, whether they have fired or not.
    fn forget(&mut self) {
        (0..self.keys).for_each(|key| self.disarm(key));
        self.wheel.check();
        assert_eq!(self.wheel.capacities(), (0, 0));
    }
}
