//! One of the parts into which the channels and keys of a Redis Cluster are divided.

use std::fmt;

use super::{RedisPlace, RedisUrl};

/// One of so many parts of a Redis Cluster, which all nodes number alike: the server that has its slot has its channels and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    /// From 0 on.
    pub number: u16,
    /// How many there are.
    pub of: u16,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}/{}", self.number, self.of)
    }
}

impl RedisUrl {
    /// The part of a Redis Cluster that it stands for, wherever in it that is.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// The same, for a part of the Redis Cluster that is asked there.
    pub(crate) fn of_shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// The same at another place of the Redis Cluster; a `host` that is empty is that of this one.
    pub(crate) fn moved_to(&self, host: &str, port: u16) -> Self {
        let host = match &self.place {
            RedisPlace::Tcp { host: own, .. } if host.is_empty() => own,
            _ => host,
        };
        let place = RedisPlace::Tcp { host: host.to_owned(), port };
        let mut moved = self.clone();
        moved.place = place;
        moved
    }

    /// What tells its server from others: where it is, or the part of a Redis Cluster, which is at one place today and at another tomorrow.
    pub(crate) fn identity(&self) -> String {
        self.shard.map_or_else(|| self.place.to_string(), |shard| shard.to_string())
    }

    /// Whether a connection to one leads to the same database as one to the other, whoever logs in.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self.shard, other.shard) {
            (None, None) => {
                (&self.place, self.db, self.is_secure) == (&other.place, other.db, other.is_secure)
            }
            (own, theirs) => own == theirs,
        }
    }
}
