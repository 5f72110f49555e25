//! `[log]`: what is logged, how, and where to.

use std::path::{Path, PathBuf};

use log::LevelFilter;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::table::{COUNT, table};

table! {
    /// `[log]`: what is logged, how, and where to.
    ///
    /// ```
    /// assert_eq!(gannet::config::Log::default().level, log::LevelFilter::Info);
    /// ```
    pub struct Log in "log" {
        /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
        #[serde(with = "Level")]
        pub level: LevelFilter = LevelFilter::Info;
        /// How a line looks.
        pub format: LogFormat = LogFormat::Text;
        /// The file to append to, relative to the configuration file; `None` is standard error.
        pub file: Option<PathBuf> = None;
        /// Lines that wait to be written at most; those that come then are lost and counted.
        pub queue_lines: usize = 4_096, in 1..=COUNT;
        /// Lines about clients that are remembered for a second, at most: of one kind and one client, a second line within it
        /// is held back. 0 holds nothing back.
        pub remembered_clients: usize = 4_096, in 0..=COUNT;
    }
}

impl Log {
    /// Takes a relative path as one from `base` on.
    pub(super) fn resolve(&mut self, base: &Path) {
        self.file = self.file.take().map(|file| base.join(file));
    }
}

/// How a line of the log looks.
///
/// ```
/// use gannet::config::{Config, LogFormat};
/// let config = Config::from_toml("log.format = 'json'").unwrap();
/// assert_eq!(config.log.format, LogFormat::Json);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Time in UTC, level, place and message.
    #[default]
    Text,
    /// A JSON object: `time`, `level`, `target` and `message`.
    Json,
}

/// A log level by its name.
pub struct Level;

impl Level {
    pub fn serialize<S: Serializer>(level: &LevelFilter, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&level.as_str().to_ascii_lowercase())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LevelFilter, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| {
            D::Error::invalid_value(Unexpected::Str(&name), &"off, error, warn, info, debug or trace")
        })
    }
}
