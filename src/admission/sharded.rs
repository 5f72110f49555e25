//! A map in shards, each behind a lock of its own, for what several reactors change as sessions come and go. Never on the
//! way of a message. Gives the memory of a storm back.

use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// More than there are cores to want the same one at once.
const SHARDS: usize = 64;

/// A shard with room for no more entries than this is never shrunk.
const FEW: usize = 64;

type Shard<K, V> = CachePadded<Mutex<HashMap<K, V>>>;

/// See the module. Its hash is SipHash, seeded at random: nobody can choose keys that meet in one shard, and addresses that
/// follow on each other do not meet in a few, as they may by a quicker hash's lowest bits.
#[derive(Debug)]
pub struct Sharded<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
    /// Counts up: the shard that [`Sharded::with_next`] hands out next.
    next: AtomicUsize,
}

impl<K: Hash + Eq, V> Sharded<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            hasher: RandomState::new(),
            next: AtomicUsize::new(0),
        }
    }

    /// Hands the shard that `key` is or would be in to `act`, which must be short.
    pub fn with<R>(&self, key: &K, act: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
        self.with_shard(self.hasher.hash_one(key) as usize, act)
    }

    /// As [`Sharded::with`], with each shard in its turn: so many calls as there are shards have been everywhere.
    pub fn with_next<R>(&self, act: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
        self.with_shard(self.next.fetch_add(1, Ordering::Relaxed), act)
    }

    /// Shows every entry, a shard at a time.
    pub fn each(&self, mut see: impl FnMut(&K, &V)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.iter().for_each(|(key, value)| see(key, value));
        }
    }

    fn with_shard<R>(&self, number: usize, act: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
        // Each change is one call on a map: what a panicked holder left is whole.
        let mut shard = self.shards[number % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut shard);
        if shard.capacity() > FEW && shard.len() <= shard.capacity() / 4 {
            // Twice what is there: half of it has to go, or as much to come, before the shard is copied again.
            let room = 2 * shard.len();
            shard.shrink_to(room);
        }
        done
    }

    /// Entries in all shards.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    /// Entries that there is room for, in all shards.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Network;
    use std::net::Ipv4Addr;

    #[test]
    fn neighbours_are_spread_over_all_shards_whatever_the_seed() {
        for first in [0x0a00_0000, 0x0a0f_4240, 0xc000_0200] {
            let sharded = Sharded::new();
            for number in 0..64 * SHARDS as u32 {
                let network = Network::of(Ipv4Addr::from_bits(first + number).into(), 32);
                sharded.with(&network, |shard| shard.insert(network, ()));
            }
            let sizes = sharded.shards.iter().map(|shard| shard.lock().unwrap().len());
            let (fewest, most) = (sizes.clone().min(), sizes.max());
            // 64 on average; 16 is six standard deviations away.
            assert!(fewest >= Some(16) && most <= Some(128), "{fewest:?} to {most:?}");
        }
    }

    #[test]
    fn the_room_of_a_storm_comes_back_and_is_not_asked_for_again_by_each_who_comes_and_goes() {
        let sharded = Sharded::new();
        let storm = 0..100_000_u32;
        storm.clone().for_each(|key| _ = sharded.with(&key, |shard| shard.insert(key, key)));
        let most = sharded.capacity();
        assert!(most >= 100_000);
        // Half of it at a stand: who leaves and comes back moves nothing.
        storm.clone().skip(50_000).for_each(|key| _ = sharded.with(&key, |shard| shard.remove(&key)));
        let half = sharded.capacity();
        for key in 0..1_000 {
            sharded.with(&key, |shard| shard.remove(&key));
            sharded.with(&key, |shard| shard.insert(key, key));
        }
        assert_eq!(sharded.capacity(), half);
        storm.skip(100).for_each(|key| _ = sharded.with(&key, |shard| shard.remove(&key)));
        assert!(sharded.capacity() <= SHARDS * FEW, "room for {} of {most}", sharded.capacity());
        assert!((0..100).all(|key| sharded.with(&key, |shard| shard.get(&key) == Some(&key))));
    }
}
