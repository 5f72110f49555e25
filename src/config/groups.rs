//! `[[apps.NAME.groups]]`: how the pushes to groups are delivered, and what groups remember.

use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "cli")]
use super::Config;
#[cfg(feature = "cli")]
use super::duration::Millis;
#[cfg(feature = "cli")]
use super::table::Legal;
use super::table::{COUNT, DAY_MS, GIB, MIB};
use super::{ConfigError, GroupFault, Limits, duration};

/// The most messages and keys that a group may keep.
const MESSAGES: std::ops::RangeInclusive<u64> = 1..=COUNT;
/// The most memory that a group may keep, in bytes.
const BYTES: std::ops::RangeInclusive<u64> = 1..=16 * GIB;
/// The longest time for which a group keeps anything.
const TTL_MS: std::ops::RangeInclusive<u64> = 1..=30 * DAY_MS;

/// An entry of `groups` of an app: what holds for the groups whose names begin with `prefix`. Of several that match, the one with
/// the longest prefix counts.
///
/// ```
/// let text = "[[apps.chess.groups]]\nprefix = 'match/'\nlatest = true\nlog = { messages = 50 }";
/// let config = gannet::config::Config::from_toml(text).unwrap();
/// let group = &config.apps["chess"].groups[0];
/// assert_eq!((group.latest_keys, group.log.as_ref().unwrap().messages), (512, 50));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// How the names of the groups begin.
    pub prefix: String,
    /// Milliseconds between the ticks at which pushes to them are written; `None` is as without this entry.
    #[serde(default, deserialize_with = "some_millis", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "cli", schemars(with = "Option<Millis>", transform = Legal::from(0..=Config::MAX_TICK_MS)))]
    pub tick_ms: Option<u64>,
    /// Whether the newest push of each key is kept.
    #[serde(default)]
    pub latest: bool,
    /// Keys of one group of which the newest push is kept; beyond it the one that has not changed for the longest time goes.
    #[serde(default = "latest_keys")]
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(MESSAGES)))]
    pub latest_keys: usize,
    /// The memory of these pushes, in bytes.
    #[serde(default = "latest_bytes")]
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(BYTES)))]
    pub latest_bytes: usize,
    /// A group without members and pushes forgets the newest push of each key after so long.
    #[serde(default = "latest_idle_ms", deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(TTL_MS)))]
    pub latest_idle_ms: u64,
    /// The last pushes are kept, numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogConfig>,
}

/// `log` of an entry of `groups`: the bounds of what one group keeps of its last pushes.
///
/// ```
/// assert_eq!(gannet::config::LogConfig::default().messages, 200);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Messages.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(MESSAGES)))]
    pub messages: usize,
    /// Their memory, in bytes.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(BYTES)))]
    pub bytes: usize,
    /// How long each is kept, in milliseconds.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(TTL_MS)))]
    pub ttl_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { messages: 200, bytes: MIB as usize, ttl_ms: 300_000 }
    }
}

impl GroupConfig {
    /// What holds for groups whose names begin with `prefix`: nothing is kept, until that is changed.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            tick_ms: None,
            latest: false,
            latest_keys: latest_keys(),
            latest_bytes: latest_bytes(),
            latest_idle_ms: latest_idle_ms(),
            log: None,
        }
    }

    /// Whether the groups remember anything.
    pub fn remembers(&self) -> bool {
        self.latest || self.log.is_some()
    }

    /// Whether every number is within its bounds; `key` is what the configuration calls the entry.
    pub(super) fn check_ranges(&self, key: &str) -> Result<(), ConfigError> {
        let log = self.log.unwrap_or_default();
        for (name, value, legal) in [
            ("tick_ms", self.tick_ms.unwrap_or(0), 0..=super::Config::MAX_TICK_MS),
            ("latest_keys", self.latest_keys as u64, MESSAGES),
            ("latest_bytes", self.latest_bytes as u64, BYTES),
            ("latest_idle_ms", self.latest_idle_ms, TTL_MS),
            ("log.messages", log.messages as u64, MESSAGES),
            ("log.bytes", log.bytes as u64, BYTES),
            ("log.ttl_ms", log.ttl_ms, TTL_MS),
        ] {
            super::table::Legal::from(legal).check(format!("{key}.{name}"), value)?;
        }
        Ok(())
    }

    /// Whether what a session gets that joins fits into its outbox; `key` is what the configuration calls the entry.
    pub(super) fn check_fits(&self, key: &str, limits: &Limits) -> Result<(), ConfigError> {
        let (messages, bytes) = (limits.outbox_messages, limits.outbox_bytes);
        let latest = self.latest.then_some([
            ("latest_keys", self.latest_keys, messages, "limits.outbox_messages"),
            ("latest_bytes", self.latest_bytes, bytes, "limits.outbox_bytes"),
        ]);
        let log = self.log.map(|log| {
            [
                ("log.messages", log.messages, messages, "limits.outbox_messages"),
                ("log.bytes", log.bytes, bytes, "limits.outbox_bytes"),
            ]
        });
        let mut all = latest.into_iter().chain(log).flatten();
        match all.find(|(_, value, most, _)| value > most) {
            None => Ok(()),
            Some((name, value, most, or_raise)) => {
                let (key, fault) = (format!("{key}.{name}"), GroupFault::TooMuch { value, most, or_raise });
                Err(ConfigError::AppGroup { key, fault })
            }
        }
    }
}

fn latest_keys() -> usize {
    512
}

fn latest_bytes() -> usize {
    MIB as usize / 2
}

fn latest_idle_ms() -> u64 {
    3_600_000
}

fn some_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    duration::whole(deserializer).map(Some)
}
