//! What a node says of itself, some times a second.

use crate::session::Name;
use minicbor::{Decode, Encode};
use std::fmt;

/// The most bytes of one: more than any node of this version sends.
const MAX_BYTES: usize = 128 * 1024;
/// The longest URL.
const MAX_ADVERTISE_BYTES: usize = 256;
/// The longest version.
const MAX_VERSION_BYTES: usize = 64;

/// What a node says of itself. Fields that a later version adds are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heartbeat {
    /// Its number; 0 while it is not sure that it has one.
    #[n(0)]
    pub node: u16,
    /// What tells this start of the node from every other.
    #[n(1)]
    pub incarnation: u64,
    /// What it is called.
    #[n(2)]
    pub name: String,
    /// The URL at which players reach it.
    #[n(3)]
    pub advertise: Option<String>,
    /// The version of gannet.
    #[n(4)]
    pub version: String,
    /// It takes no new players.
    #[n(5)]
    pub draining: bool,
    /// The sessions that it has.
    #[n(6)]
    pub sessions: u64,
    /// It is subscribed to buckets: a name of its sessions may have no channel.
    #[n(7)]
    pub uses_buckets: bool,
    /// It is subscribed to all that it has to hear.
    #[n(8)]
    pub is_ready: bool,
    /// How far it has published.
    #[n(9)]
    pub published: Vec<PublishedTo>,
    /// When it said this, by its own clock.
    #[n(10)]
    pub stamp_ms: u64,
}

/// How far one reactor has published to one Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PublishedTo {
    /// The reactor.
    #[n(0)]
    pub reactor: u8,
    /// The place of the Redis in the configuration.
    #[n(1)]
    pub server: u8,
    /// The sequence number of the last message.
    #[n(2)]
    pub last: u64,
}

/// Why bytes are no heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidHeartbeat {
    /// More bytes than one has.
    TooLong,
    /// Not in the form of one.
    Form,
    /// A text in it is longer than it may be, or has a control character.
    Text,
}

impl fmt::Display for InvalidHeartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a heartbeat has at most {MAX_BYTES} bytes"),
            Self::Form => f.write_str(
                "it is no heartbeat: another program may publish to the channels of cluster.prefix",
            ),
            Self::Text => f.write_str("a name in the heartbeat is too long or has a control character"),
        }
    }
}

impl std::error::Error for InvalidHeartbeat {}

impl Heartbeat {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Cannot fail: a Vec takes all that is written, and no field has an encoder that refuses a value.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// The heartbeat that was encoded as these bytes.
    ///
    /// # Errors
    /// [`InvalidHeartbeat`], whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidHeartbeat> {
        if bytes.len() > MAX_BYTES {
            return Err(InvalidHeartbeat::TooLong);
        }
        let heartbeat: Self = minicbor::decode(bytes).map_err(|_| InvalidHeartbeat::Form)?;
        let is_plain = |text: &str, max| text.len() <= max && !text.chars().any(char::is_control);
        let Self { name, advertise, version, .. } = &heartbeat;
        let is_fine = Name::check(name).is_ok()
            && advertise.as_ref().is_none_or(|url| is_plain(url, MAX_ADVERTISE_BYTES))
            && is_plain(version, MAX_VERSION_BYTES);
        if is_fine { Ok(heartbeat) } else { Err(InvalidHeartbeat::Text) }
    }
}
