//! A map in shards, each behind a lock of its own, for what several reactors change as sessions come and go. Never on the
//! way of a message.

use crossbeam_utils::CachePadded;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};

/// More than there are cores to want the same one at once.
const SHARDS: usize = 64;

type Shard<K, V> = CachePadded<Mutex<HashMap<K, V>>>;

/// See the module. Its hash is seeded at random: nobody can choose keys that meet in one shard.
#[derive(Debug)]
pub struct Sharded<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: DefaultHashBuilder,
}

impl<K: Hash + Eq, V> Sharded<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Hands the shard that `key` is or would be in to `act`, which must be short.
    pub fn with<R>(&self, key: &K, act: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // Each change is one call on a map: what a panicked holder left is whole.
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut shard)
    }

    /// Entries in all shards.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}
