//! What is wrong with an entry of `groups` of an app.

use std::fmt;

use crate::session::InvalidName;

/// What is wrong with an entry of `groups` of an app.
///
/// ```
/// use gannet::config::{Config, ConfigError, GroupFault};
/// let twice = "[[apps.default.groups]]\nprefix = 'a/'\n".repeat(2);
/// let refused = Config::from_toml(&twice).unwrap().validate();
/// assert!(matches!(refused, Err(ConfigError::AppGroup { fault: GroupFault::Twice, .. })));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupFault {
    /// The prefix begins no group's name.
    Prefix(InvalidName),
    /// Another entry has the prefix, or `group_tick_ms` has it and both say a tick.
    Twice,
    /// A group may keep more than an outbox has room for.
    TooMuch {
        /// What it may keep.
        value: usize,
        /// What an outbox has room for.
        most: usize,
        /// The key of the outbox.
        or_raise: &'static str,
    },
}

impl fmt::Display for GroupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => write!(f, "begins no group's name: {error}"),
            Self::Twice => {
                f.write_str("is there twice, or has a tick in group_tick_ms too: say in one entry what holds for these groups")
            }
            Self::TooMuch { value, most, or_raise } => write!(
                f,
                "= {value} is more than an outbox has room for, and who joins gets all of it: set it to {most} or less, or raise \
                 {or_raise}"
            ),
        }
    }
}
