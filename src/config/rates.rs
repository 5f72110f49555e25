//! `[rates]`: how often things may happen.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::table::{COUNT, GIB, Legal, Number, table};

table! {
    /// `[rates]`: how often clients may do what costs the server something. All that concerns players is off by default:
    /// behind a proxy every client has the proxy's address.
    ///
    /// ```
    /// use gannet::config::Config;
    /// let config = Config::from_toml("[rates]\nupgrades_per_address = { per_second = 5, burst = 20 }").unwrap();
    /// assert_eq!(config.rates.upgrades_per_address.burst(), 20);
    /// assert!(!config.rates.messages.is_on());
    /// ```
    pub struct Rates in "rates" {
        /// Upgrade requests of all clients together; beyond it: 429.
        pub upgrades: Rate = 0, in 0..=COUNT;
        /// Upgrade requests from one IPv4 address or one IPv6 network of 64 bits; beyond it: 429.
        pub upgrades_per_address: Rate = 0, in 0..=COUNT;
        /// Requests on the backend port without a key or with a wrong one, from one IPv4 address or one IPv6 network of 64
        /// bits; beyond it: 429, and the connection ends. A right key is never refused for it.
        pub wrong_keys_per_address: Rate = 10, in 0..=COUNT;
        /// Messages, pings and pongs from one session.
        pub messages: Rate = 0, in 0..=COUNT;
        /// Bytes from one session, frame headers and all; a compressed message with what it inflates to.
        pub bytes: Rate = 0, in 0..=GIB;
        /// What becomes of a session that sends more messages or bytes.
        pub beyond: BeyondRate = BeyondRate::Close;
    }
}

/// So many a second on average, and so many at once after a pause.
///
/// ```
/// use gannet::config::Rate;
/// assert!(!Rate::default().is_on());
/// assert_eq!(Rate { per_second: 10, burst: 0 }.burst(), 10);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// On average; 0 is off.
    pub per_second: usize,
    /// At once; 0 is as many as in a second.
    pub burst: usize,
}

impl Rate {
    /// Whether there is a bound at all.
    pub fn is_on(self) -> bool {
        self.per_second > 0
    }

    /// How many at once.
    pub fn burst(self) -> usize {
        if self.burst == 0 { self.per_second } else { self.burst }
    }
}

/// What becomes of a session that sends more than its rate.
///
/// ```
/// use gannet::config::{BeyondRate, Config};
/// let config = Config::from_toml("[rates]\nbeyond = 'pause'").unwrap();
/// assert_eq!(config.rates.beyond, BeyondRate::Pause);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BeyondRate {
    /// It is closed with 1008.
    #[default]
    Close,
    /// It is not read until it is within its rate again: TCP slows the sender down.
    Pause,
}

impl Number for Rate {
    fn of(value: u64) -> Self {
        Self { per_second: Number::of(value), burst: 0 }
    }

    fn check(&self, key: &str, legal: &Legal) -> Result<(), ConfigError> {
        self.per_second.check(&format!("{key}.per_second"), legal)?;
        self.burst.check(&format!("{key}.burst"), legal)
    }
}
