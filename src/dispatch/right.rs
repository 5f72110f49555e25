//! What a key of the backend port may do.

use serde::{Deserialize, Serialize};

/// What a key of the backend port may do, and what a command asks of the key that sends it.
///
/// ```
/// use gannet::dispatch::Right;
/// assert!(Right::All.covers(Right::Push) && !Right::Read.covers(Right::Push));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Look: sessions, listings, counters.
    Read,
    /// Push messages.
    Push,
    /// Everything.
    All,
}

impl Right {
    /// Whether a key with this right may do what asks for `needed`.
    pub fn covers(self, needed: Self) -> bool {
        self == Self::All || self == needed
    }

    /// As the configuration and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
            Self::All => "all",
        }
    }
}
