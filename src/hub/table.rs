//! A table from 64-bit hashes to sets of reactors: read by all threads without locks, written by one at a time. Start from
//! [`ReactorTable`]. Knows nothing of names and sessions.

use super::key::KeyHash;
use super::reactors::ReactorSet;
use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts that are written and grown apart from each other: writers seldom meet, and none waits for long while a part is copied.
const PARTS: usize = 64;
/// Places of the smallest part that has any.
const SMALLEST: usize = 8;

/// A change that made a hash known, or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// No reactor was in its set before, or none is now.
    Entry,
    /// Anything less.
    Less,
}

/// See the module. A set is 8 bytes where there are up to 64 reactors, 16 where there are more.
#[derive(Debug)]
pub(super) struct ReactorTable {
    /// Of every part that has no set.
    empty: Arc<Places>,
    parts: Box<[CachePadded<Part>]>,
}

#[derive(Debug)]
struct Part {
    places: ArcSwap<Places>,
    /// Whoever changes the places holds it.
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    /// Places with a set that is not empty.
    live: usize,
    /// Places with a hash: they keep it until the part is copied, so that a reader's search is never cut short.
    taken: usize,
}

/// Linear probing: a hash is at the first place that has it, from its own on, before any place without one.
#[derive(Debug)]
struct Places {
    /// A place is a hash, 0 for none, and the words of its set.
    cells: Box<[AtomicU64]>,
    /// Of a set.
    words: usize,
}

impl ReactorTable {
    /// An empty table for so many reactors.
    pub(super) fn new(reactors: usize) -> Self {
        let words = if reactors <= 64 { 1 } else { 2 };
        let empty = Arc::new(Places::new(0, words));
        let part = || Part { places: ArcSwap::new(Arc::clone(&empty)), tally: Mutex::default() };
        let parts = (0..PARTS).map(|_| CachePadded::new(part())).collect();
        Self { empty, parts }
    }

    /// The reactors in the set of `hash`.
    pub(super) fn get(&self, hash: KeyHash) -> ReactorSet {
        let places = self.part(hash).places.load();
        places.find(hash).map_or(ReactorSet::default(), |place| places.set_at(place))
    }

    /// The reactor is in the set of `hash` now.
    pub(super) fn insert(&self, hash: KeyHash, reactor: usize) -> Change {
        let part = self.part(hash);
        let mut tally = part.lock();
        let places = part.places.load();
        if let Some(place) = places.find(hash) {
            let before = places.set_at(place);
            places.change(place, |set| set.insert(reactor));
            if !before.is_empty() {
                return Change::Less;
            }
            tally.live += 1;
            return Change::Entry;
        }
        tally.live += 1;
        tally.taken += 1;
        let mut set = ReactorSet::default();
        set.insert(reactor);
        if tally.taken * 4 > places.len() * 3 {
            part.copy(&mut tally, Some((hash, set)));
        } else {
            places.take(hash, set);
        }
        Change::Entry
    }

    /// The reactor is not in the set of `hash` any more.
    pub(super) fn remove(&self, hash: KeyHash, reactor: usize) -> Change {
        let part = self.part(hash);
        let mut tally = part.lock();
        let places = part.places.load();
        let Some(place) = places.find(hash) else { return Change::Less };
        let before = places.set_at(place);
        places.change(place, |set| set.remove(reactor));
        if before.is_empty() || !places.set_at(place).is_empty() {
            return Change::Less;
        }
        tally.live -= 1;
        if tally.live == 0 {
            tally.taken = 0;
            part.places.store(Arc::clone(&self.empty));
        } else if tally.live * 8 <= places.len() && places.len() > SMALLEST {
            part.copy(&mut tally, None);
        }
        Change::Entry
    }

    fn part(&self, hash: KeyHash) -> &Part {
        // From the top: the places are chosen by the bits at the bottom.
        &self.parts[(hash.as_u64() >> (u64::BITS - PARTS.ilog2())) as usize]
    }
}

impl Part {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts places without the empty sets, and with one more set if there is one, before the readers; at most half of them
    /// are taken.
    #[cold]
    fn copy(&self, tally: &mut Tally, more: Option<(KeyHash, ReactorSet)>) {
        let old = self.places.load();
        let len = (tally.live * 2).next_power_of_two().max(SMALLEST);
        let new = Places::new(len, old.words);
        let live = (0..old.len()).filter_map(|place| {
            let hash = KeyHash::from_u64(old.hash_at(place).load(Ordering::Relaxed))?;
            Some((hash, old.set_at(place))).filter(|(_, set)| !set.is_empty())
        });
        live.chain(more).for_each(|(hash, set)| new.take(hash, set));
        tally.taken = tally.live;
        self.places.store(Arc::new(new));
    }
}

impl Places {
    fn new(len: usize, words: usize) -> Self {
        let cells = std::iter::repeat_with(AtomicU64::default).take(len * (1 + words));
        Self { cells: cells.collect(), words }
    }

    fn len(&self) -> usize {
        self.cells.len() / (1 + self.words)
    }

    fn hash_at(&self, place: usize) -> &AtomicU64 {
        &self.cells[place * (1 + self.words)]
    }

    fn words_at(&self, place: usize) -> &[AtomicU64] {
        &self.cells[place * (1 + self.words) + 1..][..self.words]
    }

    fn set_at(&self, place: usize) -> ReactorSet {
        let mut words = [0; 2];
        words
            .iter_mut()
            .zip(self.words_at(place))
            .for_each(|(word, cell)| *word = cell.load(Ordering::Acquire));
        ReactorSet::from_words(words)
    }

    /// For whoever holds the part's tally.
    fn change(&self, place: usize, change: impl FnOnce(&mut ReactorSet)) {
        let mut set = self.set_at(place);
        change(&mut set);
        self.words_at(place)
            .iter()
            .zip(set.to_words())
            .for_each(|(cell, word)| cell.store(word, Ordering::Release));
    }

    /// The places from that of `hash` on, once around.
    fn probe(&self, hash: KeyHash) -> impl Iterator<Item = usize> {
        let len = self.len();
        (0..len).map(move |step| (hash.as_u64() as usize).wrapping_add(step) & (len - 1))
    }

    fn find(&self, hash: KeyHash) -> Option<usize> {
        self.probe(hash)
            .map(|place| (place, self.hash_at(place).load(Ordering::Acquire)))
            .take_while(|(_, found)| *found != 0)
            .find(|(_, found)| *found == hash.as_u64())
            .map(|(place, _)| place)
    }

    /// Puts a hash that is not here at the first place that has none. The set is there before the hash can be found.
    fn take(&self, hash: KeyHash, set: ReactorSet) {
        let Some(place) = self.probe(hash).find(|&place| self.hash_at(place).load(Ordering::Relaxed) == 0)
        else {
            debug_assert!(false, "a quarter of the places is free");
            return;
        };
        self.words_at(place)
            .iter()
            .zip(set.to_words())
            .for_each(|(cell, word)| cell.store(word, Ordering::Release));
        self.hash_at(place).store(hash.as_u64(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Xorshift;
    use std::collections::BTreeMap;

    fn hash(number: u64) -> KeyHash {
        KeyHash::from_u64(number).unwrap()
    }

    fn places(table: &ReactorTable) -> usize {
        table.parts.iter().map(|part| part.places.load().len()).sum()
    }

    /// Hashes that share parts and places, against a map.
    fn obey(reactors: usize, seed: u64) {
        let table = ReactorTable::new(reactors);
        let mut model: BTreeMap<u64, ReactorSet> = BTreeMap::new();
        let mut random = Xorshift(seed);
        for round in 0..20_000_u32 {
            // Grows for a while, then shrinks.
            let grows = (round / 4_000).is_multiple_of(2);
            let number = u64::from(random.below(3)) << 62 | u64::from(random.below(700) / 3 * 64 + 1);
            let reactor = random.below(reactors as u32) as usize;
            let set = model.entry(number).or_default();
            let before = *set;
            let change = if random.below(8) < if grows { 6 } else { 1 } {
                set.insert(reactor);
                table.insert(hash(number), reactor)
            } else {
                set.remove(reactor);
                table.remove(hash(number), reactor)
            };
            assert_eq!(change == Change::Entry, before.is_empty() != set.is_empty());
            assert_eq!(table.get(hash(number)), *set);
            if round % 500 == 0 {
                model.iter().for_each(|(number, set)| assert_eq!(table.get(hash(*number)), *set));
            }
        }
        for (number, set) in model {
            set.iter().for_each(|reactor| _ = table.remove(hash(number), reactor));
        }
        assert_eq!(places(&table), 0, "an empty table has no memory");
    }

    #[test]
    fn answers_like_a_map() {
        for (reactors, seed) in [(1, 1), (2, 2), (64, 3), (65, 4), (128, 5)] {
            obey(reactors, seed);
        }
    }

    #[test]
    fn names_that_come_and_go_do_not_make_it_grow() {
        let table = ReactorTable::new(4);
        (1..=1_000).for_each(|number| _ = table.insert(hash(number), 0));
        let before = places(&table);
        for number in 1..=100_000 {
            table.remove(hash(number), 0);
            table.insert(hash(number + 1_000), 0);
        }
        assert!(places(&table) <= before, "{} after {before}", places(&table));
        assert_eq!(table.get(hash(101_000)).iter().collect::<Vec<_>>(), [0]);
    }
}
