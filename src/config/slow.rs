//! `slow` of an app: what becomes of a session that does not take its messages as fast as they come.

use serde::{Deserialize, Serialize};

use crate::dispatch::Class;

/// `slow` of an app: what happens when a session's outbox has no room for a message, by the message's class.
///
/// Messages of a lower class give way first, oldest first: droppable ones to any other, normal ones to urgent ones where
/// their own policy is not `close`.
///
/// ```
/// use gannet::config::{Config, SlowPolicy};
/// let config = Config::from_toml("[apps.default]\nslow = { normal = 'drop-oldest' }").unwrap();
/// assert_eq!(config.apps["default"].slow.normal, SlowPolicy::DropOldest);
/// assert_eq!(config.apps["default"].slow.urgent, SlowPolicy::Close);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// For `class=normal`.
    pub normal: SlowPolicy,
    /// For `class=urgent`.
    pub urgent: SlowPolicy,
    /// For `class=droppable`.
    pub droppable: SlowPolicy,
}

impl Slow {
    /// The policy for messages of `class`.
    pub fn of(&self, class: Class) -> SlowPolicy {
        match class {
            Class::Normal => self.normal,
            Class::Urgent => self.urgent,
            Class::Droppable => self.droppable,
        }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self { normal: SlowPolicy::Close, urgent: SlowPolicy::Close, droppable: SlowPolicy::DropOldest }
    }
}

/// What happens to a message for which an outbox has no room.
///
/// ```
/// use gannet::config::{Slow, SlowPolicy};
/// let slow: Slow = serde_json::from_str(r#"{"droppable":"drop-newest"}"#).unwrap();
/// assert_eq!(slow.droppable, SlowPolicy::DropNewest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SlowPolicy {
    /// The session is closed with 4003.
    Close,
    /// The oldest messages of its class go, after those of lower ones, until it fits.
    DropOldest,
    /// It is dropped itself.
    DropNewest,
}
