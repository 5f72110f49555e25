//! One of the parts into which the channels and keys of a Redis Cluster are divided.

use std::fmt;

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
