//! A coarse hierarchical timer wheel: arms, moves and disarms a key in constant time, fires in batches, keeps 12 bytes for
//! each key. A key has one deadline. Knows nothing of clocks, and nothing of what a key stands for.

mod positions;

use positions::{MOST_KEYS, MOST_LISTS, Position, Positions};

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

/// The numbers of the lists in a [`Position`]: bucket `s` of level `l` is `l * SLOTS + s`, then come these.
const DUE: usize = LEVELS * SLOTS;
const FAR: usize = DUE + 1;

/// A list with room for more entries than this does not keep four times the room that it needs.
const SMALL: usize = 64;

/// Keys with a deadline each. Times are milliseconds since the reactor started.
pub struct Wheel {
    /// Everything up to this tick has fired.
    now: u64,
    /// Armed for the past: fires at the next chance.
    due: Vec<u32>,
    levels: Box<[Level; LEVELS]>,
    /// Ticks whose bits above `WHEEL_BITS` differ from `now`'s.
    far: Vec<(u64, u32)>,
    /// None of `far` is less; the least may have been disarmed.
    far_least: u64,
    /// Where each key's entry is in these lists. Every move of an entry is written here.
    positions: Positions,
    len: usize,
}

/// One level: slot `s` holds the ticks that agree with `now` above this level's bits and have `s` in them.
struct Level {
    /// Bit `s` is set when bucket `s` has an entry. Every such `s` is greater than `now`'s bits of this level.
    occupied: u64,
    buckets: [Vec<Entry>; SLOTS],
}

#[derive(Clone, Copy)]
struct Entry {
    /// The low `WHEEL_BITS` of the tick; `now` has the others.
    tick: u32,
    key: u32,
}

/// What has to be done next, and at which tick.
enum Step {
    /// Bucket `slot` of `level` is reached: of level 0 it fires, of the others it spreads over the lower levels.
    Bucket { level: usize, slot: usize },
    /// Far ticks come within the levels' reach.
    Far,
}

impl Wheel {
    /// Every key must be less than this.
    pub const MOST_KEYS: u32 = MOST_KEYS;

    /// An empty wheel that stands at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        let level = |_| Level { occupied: 0, buckets: std::array::from_fn(|_| Vec::new()) };
        Self {
            now: now_ms / RESOLUTION_MS,
            due: Vec::new(),
            levels: Box::new(std::array::from_fn(level)),
            far: Vec::new(),
            far_least: u64::MAX,
            positions: Positions::new(),
            len: 0,
        }
    }

    /// Lets `key` fire once, when `deadline_ms` has passed, and not at the deadline it had before. A key that will not be
    /// armed again has to be disarmed, even when it has fired: until then the wheel keeps memory for it.
    pub fn arm(&mut self, key: u32, deadline_ms: u64) {
        // Rounded up: never early.
        let tick = deadline_ms.div_ceil(RESOLUTION_MS).max(self.now);
        match self.positions.get(key) {
            Some(position) if self.tick_at(position) == tick => return,
            Some(position) => self.take_out(position),
            None => self.len += 1,
        }
        if tick == self.now {
            self.positions.set(key, Position::new(DUE, self.due.len()));
            push(&mut self.due, key);
        } else {
            self.place(tick, key);
        }
    }

    /// Forgets `key`: it does not fire.
    pub fn disarm(&mut self, key: u32) {
        if let Some(position) = self.positions.remove(key) {
            self.take_out(position);
            self.len -= 1;
        }
    }

    /// When `key` fires: its deadline rounded up to the resolution, or a time that has passed already; `None` when it is
    /// not armed.
    pub fn deadline_of(&self, key: u32) -> Option<u64> {
        let position = self.positions.get(key)?;
        Some(self.tick_at(position).saturating_mul(RESOLUTION_MS))
    }

    /// Moves the keys whose deadline has passed to the end of `out`. A `now_ms` before the last one counts as that.
    pub fn expire(&mut self, now_ms: u64, out: &mut Vec<u32>) {
        let before = out.len();
        for key in std::mem::take(&mut self.due) {
            self.fire(key, out);
        }
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

    /// When to call [`Wheel::expire`] next: never after the moment at which a key can fire. It may be before, where a
    /// bucket has to be spread first; then that `expire` moves it on.
    pub fn next_deadline(&self) -> Option<u64> {
        if !self.due.is_empty() {
            return Some(self.now.saturating_mul(RESOLUTION_MS));
        }
        self.next_step().map(|(tick, _)| tick.saturating_mul(RESOLUTION_MS))
    }

    /// Keys that are armed.
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

    /// Puts a tick after `now` under the highest of the bits in which they differ.
    fn place(&mut self, tick: u64, key: u32) {
        debug_assert!(tick > self.now);
        let highest_bit = (tick ^ self.now).ilog2();
        if highest_bit >= WHEEL_BITS {
            self.far_least = self.far_least.min(tick);
            self.positions.set(key, Position::new(FAR, self.far.len()));
            push(&mut self.far, (tick, key));
            return;
        }
        let index = highest_bit / LEVEL_BITS;
        let slot = (tick >> (LEVEL_BITS * index)) as usize % SLOTS;
        let level = &mut self.levels[index as usize];
        level.occupied |= 1 << slot;
        let bucket = &mut level.buckets[slot];
        self.positions.set(key, Position::new(index as usize * SLOTS + slot, bucket.len()));
        push(bucket, Entry { tick: low(tick), key });
    }

    fn place_or_fire(&mut self, tick: u64, key: u32, out: &mut Vec<u32>) {
        if tick == self.now {
            self.fire(key, out);
        } else {
            self.place(tick, key);
        }
    }

    fn fire(&mut self, key: u32, out: &mut Vec<u32>) {
        self.positions.fire(key);
        out.push(key);
    }

    /// The tick of the entry at `position`, which is `now` for one that is due.
    fn tick_at(&self, position: Position) -> u64 {
        match position.list() {
            DUE => self.now,
            FAR => self.far[position.index()].0,
            list => {
                let entry = self.levels[list / SLOTS].buckets[list % SLOTS][position.index()];
                self.with_low(entry.tick)
            }
        }
    }

    /// Takes the entry at `position` out of its list; the last of that list comes into its place.
    fn take_out(&mut self, position: Position) {
        let index = position.index();
        let moved = match position.list() {
            DUE => strike(&mut self.due, index).copied(),
            FAR => {
                let moved = strike(&mut self.far, index).map(|&(_, key)| key);
                if self.far.is_empty() {
                    self.far_least = u64::MAX;
                }
                moved
            }
            list => {
                let (level, slot) = (&mut self.levels[list / SLOTS], list % SLOTS);
                let moved = strike(&mut level.buckets[slot], index).map(|entry| entry.key);
                if level.buckets[slot].is_empty() {
                    level.occupied &= !(1 << slot);
                }
                moved
            }
        };
        if let Some(key) = moved {
            self.positions.set(key, position);
        }
    }

    /// The memory goes back at once: kept, it would lie about in the heap between what a storm of sessions has left.
    fn open(&mut self, level: usize, slot: usize, out: &mut Vec<u32>) {
        self.levels[level].occupied &= !(1 << slot);
        for Entry { tick, key } in std::mem::take(&mut self.levels[level].buckets[slot]) {
            self.place_or_fire(self.with_low(tick), key, out);
        }
    }

    fn approach(&mut self, out: &mut Vec<u32>) {
        self.far_least = u64::MAX;
        for (tick, key) in std::mem::take(&mut self.far) {
            self.place_or_fire(tick, key, out);
        }
    }

    /// The tick that has these low bits, and the others of `now`.
    fn with_low(&self, tick: u32) -> u64 {
        self.now >> WHEEL_BITS << WHEEL_BITS | u64::from(tick)
    }
}

fn low(tick: u64) -> u32 {
    (tick & ((1 << WHEEL_BITS) - 1)) as u32
}

/// Lists grow by a quarter, not to twice their length: every idle session has an entry.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(4));
    }
    list.push(item);
}

/// Takes an item out, and its memory with it where most of the list is unused. Returns the item that took its place.
fn strike<T>(list: &mut Vec<T>, index: usize) -> Option<&T> {
    list.swap_remove(index);
    if list.is_empty() {
        *list = Vec::new();
    } else if list.capacity() > SMALL && list.len() <= list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
    list.get(index)
}

const _: () = assert!(WHEEL_BITS <= u32::BITS && size_of::<Entry>() == 8 && FAR < MOST_LISTS);

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
                    for before in [None, Some(0), Some(start + 1), Some(deadline + 8), Some(u64::MAX)] {
                        let mut wheel = Wheel::new(start);
                        if let Some(before) = before {
                            wheel.arm(7, before);
                        }
                        wheel.arm(7, deadline);
                        fires_once(&mut wheel, start, deadline);
                    }
                }
            }
        }
    }

    /// Key 7 is armed at `start` for `deadline`.
    fn fires_once(wheel: &mut Wheel, start: u64, deadline: u64) {
        let mut fired = Vec::new();
        let end = deadline.next_multiple_of(RESOLUTION_MS);
        assert_eq!(wheel.deadline_of(7), Some(end.max(start / RESOLUTION_MS * RESOLUTION_MS)));
        if deadline / RESOLUTION_MS > start / RESOLUTION_MS {
            wheel.expire(deadline - 1, &mut fired);
            assert!(fired.is_empty(), "{deadline} armed at {start}: early");
        }
        wheel.expire(end, &mut fired);
        assert_eq!(fired, [7], "{deadline} armed at {start}");
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn the_end_of_time_is_far_and_costs_no_walk() {
        let mut wheel = Wheel::new(5);
        wheel.arm(1, u64::MAX);
        wheel.arm(2, u64::MAX - 100);
        assert!(wheel.next_deadline().is_some());
        assert_eq!(wheel.deadline_of(1), Some(u64::MAX));
        let mut fired = Vec::new();
        wheel.expire(u64::MAX, &mut fired);
        assert_eq!((fired, wheel.len()), (vec![2], 1));
        // The clock never goes back.
        wheel.expire(0, &mut Vec::new());
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn a_key_that_has_been_disarmed_does_not_fire() {
        let mut wheel = Wheel::new(1_000);
        for (key, deadline_ms) in [0, 1_010, 1_010, 31_000, 1 << 40, 1 << 41].into_iter().enumerate() {
            wheel.arm(key as u32, deadline_ms);
        }
        for key in [0, 2, 3, 5, 5, 77] {
            wheel.disarm(key);
            assert_eq!(wheel.deadline_of(key), None);
        }
        let mut fired = Vec::new();
        wheel.expire(1 << 42, &mut fired);
        assert_eq!(fired, [1, 4]);
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn the_next_deadline_follows_a_key_that_is_put_off_and_one_that_is_disarmed() {
        let mut wheel = Wheel::new(0);
        wheel.arm(1, 16);
        wheel.arm(2, 160);
        assert_eq!(wheel.next_deadline(), Some(16));
        wheel.arm(1, 240);
        assert_eq!(wheel.next_deadline(), Some(160));
        wheel.disarm(2);
        assert_eq!(wheel.next_deadline(), Some(240));
        wheel.arm(1, 0);
        assert_eq!(wheel.next_deadline(), Some(0));
        wheel.disarm(1);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn a_key_has_one_entry_however_often_a_short_deadline_comes_before_a_long_one() {
        const KEYS: u32 = 3;
        let (mut wheel, mut fired) = (Wheel::new(0), Vec::new());
        let mut most = (0, 0);
        for cycle in 0..5_000 {
            let now_ms = cycle * 40;
            for key in 0..KEYS {
                // A ping is due after a while; the session is paused, and resumed; a message waits, and leaves in time.
                let (pause_ms, ttl_ms) = (8 + u64::from(key), 900 + cycle % 7 * 100);
                wheel.arm(key, now_ms + 25_000);
                for sooner_ms in [ttl_ms, pause_ms] {
                    wheel.arm(key, now_ms + sooner_ms);
                }
                if cycle % 3 == 0 {
                    wheel.arm(key, now_ms + 200 * 24 * 60 * 60 * 1000);
                }
            }
            assert_eq!(wheel.entries(), KEYS as usize);
            wheel.expire(now_ms + 30, &mut fired);
            let (lists, positions) = wheel.capacities();
            most = (lists.max(most.0), positions.max(most.1));
        }
        assert!(fired.len() > 5_000, "short deadlines have come");
        assert!(most.0 <= 8 * KEYS as usize && most.1 <= 64, "{most:?}");
    }

    #[test]
    fn an_idle_key_costs_few_bytes() {
        let mut wheel = Wheel::new(0);
        let bytes = random_bytes(3, 1_000_000);
        let mut random = Choices::new(&bytes);
        (0..100_000).for_each(|key| wheel.arm(key, 20_000 + random.number(12)));
        let (lists, positions) = wheel.capacities();
        assert!(lists * size_of::<Entry>() + positions * 4 <= 14 * 100_000, "{lists} and {positions}");
    }

    #[test]
    fn memory_comes_back_after_a_storm() {
        const KEYS: u32 = 200_000;
        let bytes = random_bytes(5, 1_000_000);
        let mut random = Choices::new(&bytes);
        let mut storm = || {
            let mut wheel = Wheel::new(0);
            (1..KEYS).for_each(|key| wheel.arm(key, random.number(42)));
            wheel.arm(0, 0);
            let (lists, positions) = wheel.capacities();
            assert!(lists >= KEYS as usize && positions >= KEYS as usize);
            wheel
        };
        let (mut expired, mut disarmed, mut nearly) = (storm(), storm(), storm());
        expired.expire(1 << 43, &mut Vec::new());
        assert_eq!(expired.capacities().0, 0);
        (0..KEYS).for_each(|key| expired.disarm(key));
        (0..KEYS).for_each(|key| disarmed.disarm(key));
        for wheel in [&expired, &disarmed] {
            assert!(wheel.is_empty() && wheel.next_deadline().is_none());
            assert_eq!(wheel.capacities(), (0, 0));
        }
        // A few that stay do not keep what the others have left.
        (10..KEYS).for_each(|key| nearly.disarm(key));
        let (lists, positions) = nearly.capacities();
        assert!(lists <= 10 * SMALL && positions <= 64, "{lists} and {positions}");
    }
}
