//! A coarse hierarchical timer wheel: arms in constant time, fires in batches, keeps 8 bytes an entry for a 32-bit key.
//! Knows nothing of clocks, and nothing of what a key stands for: the owner compares a fired key with the deadline it
//! holds now, and arms it again if that has moved. So there is no cancelling.

/// How exact the wheel is, in milliseconds: a key fires at most this much late, and never early.
pub const RESOLUTION_MS: u64 = 8;

/// Bits of a tick that choose the slot of a level.
const LEVEL_BITS: u32 = 6;
/// A level's slots; their occupancy is one word.
const SLOTS: usize = 1 << LEVEL_BITS;
/// With 8 ms a tick the levels reach 0.5 s, 32 s, 35 min, 37 h and 99 days.
const LEVELS: usize = 5;
/// Bits of a tick that the levels tell apart; ticks that differ beyond them are `far`.
const WHEEL_BITS: u32 = LEVEL_BITS * LEVELS as u32;

/// Keys with deadlines. Times are milliseconds since the reactor started.
pub struct Wheel<K> {
    /// Everything up to this tick has fired.
    now: u64,
    /// Armed for the past: fires at the next chance.
    due: Vec<K>,
    levels: Box<[Level<K>; LEVELS]>,
    /// Ticks whose bits above `WHEEL_BITS` differ from `now`'s, and the least of them.
    far: Vec<(u64, K)>,
    far_least: u64,
    len: usize,
}

/// One level: slot `s` holds the ticks that agree with `now` above this level's bits and have `s` in them.
struct Level<K> {
    /// Bit `s` is set when bucket `s` has an entry. Every such `s` is greater than `now`'s bits of this level.
    occupied: u64,
    buckets: [Vec<Entry<K>>; SLOTS],
}

#[derive(Clone, Copy)]
struct Entry<K> {
    /// The low `WHEEL_BITS` of the tick; `now` has the others.
    tick: u32,
    key: K,
}

/// What has to be done next, and at which tick.
enum Step {
    /// Bucket `slot` of `level` is reached: of level 0 it fires, of the others it spreads over the lower levels.
    Bucket { level: usize, slot: usize },
    /// Far ticks come within the levels' reach.
    Far,
}

impl<K: Copy> Wheel<K> {
    /// An empty wheel that stands at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        let level = |_| Level { occupied: 0, buckets: std::array::from_fn(|_| Vec::new()) };
        Self {
            now: now_ms / RESOLUTION_MS,
            due: Vec::new(),
            levels: Box::new(std::array::from_fn(level)),
            far: Vec::new(),
            far_least: u64::MAX,
            len: 0,
        }
    }

    /// Lets `key` fire once, when `deadline_ms` has passed; the same key may be armed any number of times.
    pub fn arm(&mut self, deadline_ms: u64, key: K) {
        self.len += 1;
        // Rounded up: never early.
        let tick = deadline_ms.div_ceil(RESOLUTION_MS);
        if tick <= self.now {
            self.due.push(key);
        } else {
            self.place(tick, key);
        }
    }

    /// Moves the keys whose deadline has passed to the end of `out`. A `now_ms` before the last one counts as that.
    pub fn expire(&mut self, now_ms: u64, out: &mut Vec<K>) {
        let before = out.len();
        drain_bucket(&mut self.due, |key| out.push(key));
        let target = now_ms / RESOLUTION_MS;
        while let Some((tick, step)) = self.next_step().filter(|&(tick, _)| tick <= target) {
            self.now = tick;
            match step {
                Step::Bucket { level, slot } => self.open(level, slot, out),
                Step::Far => self.approach(out),
            }
        }
        self.now = self.now.max(target);
        self.len -= out.len() - before;
    }

    /// Forgets every key, and gives their memory back.
    pub fn clear(&mut self) {
        self.due = Vec::new();
        (self.far, self.far_least) = (Vec::new(), u64::MAX);
        for level in self.levels.iter_mut().filter(|level| level.occupied != 0) {
            level.buckets.fill_with(Vec::new);
            level.occupied = 0;
        }
        self.len = 0;
    }

    /// When to call [`Wheel::expire`] next: never after the moment at which a key can fire. It may be before, where a
    /// bucket has to be spread first; then that `expire` moves it on.
    pub fn next_deadline(&self) -> Option<u64> {
        if !self.due.is_empty() {
            return Some(self.now.saturating_mul(RESOLUTION_MS));
        }
        self.next_step().map(|(tick, _)| tick.saturating_mul(RESOLUTION_MS))
    }

    /// Keys armed and not fired.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is armed.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn next_step(&self) -> Option<(u64, Step)> {
        // The first level that has anything has the earliest: a higher level's slots start after all of its.
        for (level, Level { occupied, .. }) in self.levels.iter().enumerate() {
            if *occupied != 0 {
                let slot = occupied.trailing_zeros() as usize;
                let shift = LEVEL_BITS * level as u32;
                let above = self.now >> (shift + LEVEL_BITS) << (shift + LEVEL_BITS);
                return Some((above | (slot as u64) << shift, Step::Bucket { level, slot }));
            }
        }
        (!self.far.is_empty()).then_some((self.far_least >> WHEEL_BITS << WHEEL_BITS, Step::Far))
    }

    /// Files a tick after `now` under the highest of the bits in which they differ.
    fn place(&mut self, tick: u64, key: K) {
        debug_assert!(tick > self.now);
        let highest_bit = (tick ^ self.now).ilog2();
        if highest_bit >= WHEEL_BITS {
            self.far_least = self.far_least.min(tick);
            self.far.push((tick, key));
            return;
        }
        let index = highest_bit / LEVEL_BITS;
        let slot = (tick >> (LEVEL_BITS * index)) as usize % SLOTS;
        let level = &mut self.levels[index as usize];
        level.occupied |= 1 << slot;
        level.buckets[slot].push(Entry { tick: low(tick), key });
    }

    fn place_or_fire(&mut self, tick: u64, key: K, out: &mut Vec<K>) {
        if tick == self.now {
            out.push(key);
        } else {
            self.place(tick, key);
        }
    }

    fn open(&mut self, level: usize, slot: usize, out: &mut Vec<K>) {
        self.levels[level].occupied &= !(1 << slot);
        let mut bucket = std::mem::take(&mut self.levels[level].buckets[slot]);
        let above = self.now >> WHEEL_BITS << WHEEL_BITS;
        drain_bucket(&mut bucket, |Entry { tick, key }| {
            self.place_or_fire(above | u64::from(tick), key, out)
        });
        // Nothing was placed here meanwhile: what a bucket spreads goes to lower levels.
        self.levels[level].buckets[slot] = bucket;
    }

    fn approach(&mut self, out: &mut Vec<K>) {
        self.far_least = u64::MAX;
        for (tick, key) in std::mem::take(&mut self.far) {
            self.place_or_fire(tick, key, out);
        }
    }
}

fn low(tick: u64) -> u32 {
    (tick & ((1 << WHEEL_BITS) - 1)) as u32
}

/// The memory goes back at once: kept, it would lie about in the heap between what a storm of sessions has left.
fn drain_bucket<T>(bucket: &mut Vec<T>, each: impl FnMut(T)) {
    std::mem::take(bucket).into_iter().for_each(each);
}

const _: () = assert!(WHEEL_BITS <= u32::BITS && size_of::<Entry<u32>>() == 8);

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Choices, random_bytes};

    #[test]
    fn answers_like_the_model() {
        for seed in 1..=200 {
            model::obey(&random_bytes(seed, 4_000));
        }
    }

    #[test]
    fn deadlines_at_the_seams_are_exact_to_the_tick() {
        for bits in [0, 3, 8, 9, 10, 15, 21, 27, 33, 34, 50, 63] {
            for deadline in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                for start in [0, deadline / 2, deadline.saturating_sub(9), deadline] {
                    let mut wheel = Wheel::new(start);
                    wheel.arm(deadline, 7_u32);
                    let mut fired = Vec::new();
                    if deadline / RESOLUTION_MS > start / RESOLUTION_MS {
                        wheel.expire(deadline - 1, &mut fired);
                        assert!(fired.is_empty(), "{deadline} armed at {start}: early");
                    }
                    wheel.expire(deadline.next_multiple_of(RESOLUTION_MS), &mut fired);
                    assert_eq!(fired, [7], "{deadline} armed at {start}");
                    assert!(wheel.is_empty());
                }
            }
        }
    }

    #[test]
    fn the_end_of_time_is_far_and_costs_no_walk() {
        let mut wheel = Wheel::new(5);
        wheel.arm(u64::MAX, 1);
        wheel.arm(u64::MAX - 100, 2);
        assert!(wheel.next_deadline().is_some());
        let mut fired = Vec::new();
        wheel.expire(u64::MAX, &mut fired);
        assert_eq!((fired, wheel.len()), (vec![2], 1));
        // The clock never goes back.
        wheel.expire(0, &mut Vec::new());
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn memory_comes_back_after_a_storm() {
        let mut wheel = Wheel::new(0);
        let slots = |wheel: &Wheel<u32>| -> usize {
            let levels = wheel.levels.iter().flat_map(|level| &level.buckets).map(Vec::capacity);
            levels.sum::<usize>() + wheel.due.capacity() + wheel.far.capacity()
        };
        let bytes = random_bytes(5, 1_000_000);
        let mut random = Choices::new(&bytes);
        for key in 0..200_000 {
            wheel.arm(random.number(42), key);
        }
        wheel.arm(0, 200_000);
        let mut other = Wheel::new(0);
        (0..200_000).for_each(|key| other.arm(random.number(42), key));
        assert!(slots(&wheel) >= 200_000 && slots(&other) >= 200_000);
        wheel.expire(1 << 43, &mut Vec::new());
        other.clear();
        for wheel in [&wheel, &other] {
            assert!(wheel.is_empty() && wheel.next_deadline().is_none());
            assert_eq!(slots(wheel), 0);
        }
    }
}
