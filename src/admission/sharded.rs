//! A map in shards, each behind a lock of its own, for what several reactors change as sessions come and go. Never on the
//! way of a message.

use crossbeam_utils::CachePadded;
use hashbrown::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

/// More than there are cores to want the same one at once.
const SHARDS: usize = 64;

type Shard<K, V> = CachePadded<Mutex<HashMap<K, V>>>;

/// See the module. Its hash is SipHash, seeded at random: nobody can choose keys that meet in one shard, and addresses that
/// follow on each other do not meet in a few, as they may by a quicker hash's lowest bits.
#[derive(Debug)]
pub struct Sharded<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Sharded<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| CachePadded::default()).collect(), hasher: RandomState::new() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::address::client_network;
    use std::net::Ipv4Addr;

    #[test]
    fn neighbours_are_spread_over_all_shards_whatever_the_seed() {
        for first in [0x0a00_0000, 0x0a0f_4240, 0xc000_0200] {
            let sharded = Sharded::new();
            for number in 0..64 * SHARDS as u32 {
                let network = client_network(Ipv4Addr::from_bits(first + number).into());
                sharded.with(&network, |shard| shard.insert(network, ()));
            }
            let sizes = sharded.shards.iter().map(|shard| shard.lock().unwrap().len());
            let (fewest, most) = (sizes.clone().min(), sizes.max());
            // 64 on average; 16 is six standard deviations away.
            assert!(fewest >= Some(16) && most <= Some(128), "{fewest:?} to {most:?}");
        }
    }
}
