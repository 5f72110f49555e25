//! The obvious timer wheel: a `BTreeMap` from ticks to keys, and operations read from bytes that it and the real one must
//! answer alike. A fuzzer may choose the bytes.

use super::{LEVELS, RESOLUTION_MS, Wheel};
use crate::choices::Choices;
use std::collections::BTreeMap;

#[derive(Default)]
struct Model {
    now_ms: u64,
    keys: BTreeMap<u64, Vec<u32>>,
}

impl Model {
    fn arm(&mut self, deadline_ms: u64, key: u32) {
        self.keys.entry(deadline_ms.div_ceil(RESOLUTION_MS)).or_default().push(key);
    }

    fn expire(&mut self, now_ms: u64) -> Vec<u32> {
        self.now_ms = self.now_ms.max(now_ms);
        let later = self.keys.split_off(&(self.now_ms / RESOLUTION_MS + 1));
        let mut fired: Vec<u32> = std::mem::replace(&mut self.keys, later).into_values().flatten().collect();
        fired.sort_unstable();
        fired
    }

    fn len(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// When the first key can fire: its tick, or now for one that is overdue.
    fn earliest_ms(&self) -> Option<u64> {
        let (tick, _) = self.keys.first_key_value()?;
        Some(tick.saturating_mul(RESOLUTION_MS).max(self.now_ms / RESOLUTION_MS * RESOLUTION_MS))
    }
}

struct Pair {
    wheel: Wheel<u32>,
    model: Model,
    /// Keys armed so far; the next key.
    armed: u32,
}

/// Does what `bytes` say to a wheel, and panics where the model answers differently.
pub(crate) fn obey(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let now_ms = choices.number(u64::BITS);
    let model = Model { now_ms, ..Model::default() };
    let mut pair = Pair { wheel: Wheel::new(now_ms), model, armed: 0 };
    while !choices.is_empty() {
        pair.step(&mut choices);
        pair.agree();
    }
    pair.follow_deadlines();
    pair.expire(u64::MAX);
    pair.agree();
}

impl Pair {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let now_ms = self.model.now_ms;
        match choices.below(8) {
            0..=2 => self.arm(now_ms.saturating_add(choices.number(u64::BITS))),
            // Within the wheel's reach, and in the past.
            3 => self.arm(now_ms.saturating_add(choices.number(36))),
            4 => self.arm(now_ms.saturating_sub(choices.number(u64::BITS))),
            5 => self.expire(now_ms.saturating_add(choices.number(u64::BITS))),
            6 => self.expire(now_ms.saturating_add(choices.number(16))),
            _ => match self.wheel.next_deadline() {
                Some(next) => self.expire(next),
                // The clock never goes back.
                None => self.expire(now_ms.saturating_sub(choices.number(16))),
            },
        }
    }

    fn arm(&mut self, deadline_ms: u64) {
        // Some keys are armed several times.
        let key = self.armed / 2;
        self.armed += 1;
        self.wheel.arm(deadline_ms, key);
        self.model.arm(deadline_ms, key);
    }

    fn expire(&mut self, now_ms: u64) {
        let mut fired = vec![u32::MAX];
        self.wheel.expire(now_ms, &mut fired);
        assert_eq!(fired.remove(0), u32::MAX, "what was in the list stays");
        fired.sort_unstable();
        assert_eq!(fired, self.model.expire(now_ms));
    }

    fn agree(&self) {
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.is_empty(), self.model.len() == 0);
        match (self.wheel.next_deadline(), self.model.earliest_ms()) {
            (Some(next), Some(earliest)) => assert!(next <= earliest, "{next} sleeps through {earliest}"),
            (next, earliest) => assert_eq!(next, earliest),
        }
    }

    /// A reactor that sleeps until the next deadline gets on, with few wakes for nothing.
    fn follow_deadlines(&mut self) {
        let (mut wakes, most) = (0, self.model.len() * (LEVELS + 1));
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
}
