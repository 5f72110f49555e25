//! What a node says of itself once in a while, and its bytes: a CBOR map, so that a later version may say more.

use minicbor::{Decode, Encode};
use std::fmt;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heartbeat {
    /// Its number.
    #[n(0)]
    pub node: u16,
    /// A random number of this process of it.
    #[n(1)]
    pub incarnation: u64,
    /// What it is called.
    #[n(2)]
    pub name: String,
    /// Where players reach it.
    #[n(3)]
    pub advertise: Option<String>,
    /// The version of gannet that it runs.
    #[n(4)]
    pub version: String,
    /// Whether it takes no new players.
    #[n(5)]
    pub is_draining: bool,
    /// Its sessions.
    #[n(6)]
    pub sessions: u64,
    /// Whether it hears some names by hashed channels.
    #[n(7)]
    pub has_buckets: bool,
    /// Whether its sessions are to be reached by their ids: its number is its own, or nobody had one before.
    #[n(8)]
    pub is_reachable: bool,
    /// Whether it hears everything that it wants to over the Redis that this comes over.
    #[n(9)]
    pub is_ready: bool,
    /// How much the reactor has published that this comes from, over the Redis that it comes over.
    #[n(10)]
    pub published: u64,
    /// Its clock, in milliseconds.
    #[n(11)]
    pub stamp_ms: u64,
    /// The set of Redis servers of its configuration, by its [id](crate::cluster::Spread::id).
    #[n(12)]
    #[cbor(default)]
    pub aim: u64,
    /// The sets of Redis servers by which it hears everything that it wants to, by their ids.
    #[n(13)]
    #[cbor(default)]
    pub hears: Vec<u64>,
    /// The sets of Redis servers by which its reactors publish: the hashes of the addresses of each.
    #[n(14)]
    #[cbor(default)]
    pub speaks: Vec<Vec<u64>>,
    /// Whether it tells of its users those who ask: a node of an older version does not.
    #[n(15)]
    #[cbor(default)]
    pub tells_users: bool,
    /// The apps in which links of it ask who is online.
    #[n(16)]
    #[cbor(default)]
    pub asks_users: Vec<String>,
    /// Counts how often it has asked: with another number than before, all is to be told again.
    #[n(17)]
    #[cbor(default)]
    pub asked: u64,
    /// The shares whose links listen for what is about users.
    #[n(18)]
    #[cbor(default)]
    pub shares: Vec<SharedLinks>,
    /// Stands for the links that hear of the sessions of all nodes, and what they ask for; 0 for none.
    #[n(19)]
    #[cbor(default)]
    pub links: u64,
}

/// A share with links that listen for what is about users.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SharedLinks {
    /// The name of its app.
    #[n(0)]
    pub app: String,
    /// Its name.
    #[n(1)]
    pub share: String,
    /// How many links it counts for.
    #[n(2)]
    pub links: u8,
    /// A bit for each kind of events.
    #[n(3)]
    pub events: u32,
}

/// Bytes that are no heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAHeartbeat;

impl fmt::Display for NotAHeartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a heartbeat that is none")
    }
}

impl std::error::Error for NotAHeartbeat {}

impl Heartbeat {
    /// Appends its bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = minicbor::encode(self, out);
    }

    /// Reads them. What is behind it is of a later version.
    ///
    /// # Errors
    /// [`NotAHeartbeat`].
    pub fn read(bytes: &[u8]) -> Result<Self, NotAHeartbeat> {
        minicbor::decode(bytes).map_err(|_| NotAHeartbeat)
    }
}
