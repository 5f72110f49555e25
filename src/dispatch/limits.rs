//! The bounds of what one command can ask, whichever way it comes.

use std::time::Duration;

/// The bounds of what one command can ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLimits {
    /// The payload of a push, in bytes.
    pub max_push_bytes: usize,
    /// The time to live of a push that names none.
    pub default_ttl: Duration,
    /// The longest time to live that a push can ask for.
    pub max_ttl: Duration,
    /// The most sessions on a page.
    pub max_page: usize,
    /// The most selectors of one target, each session, user, group and tag counted.
    pub max_selectors: usize,
    /// The most sessions that a receipt names.
    pub receipt_names: u32,
    /// The most events of one record.
    pub record_frames: usize,
    /// The most commands in one batch.
    pub max_batch_lines: usize,
}

impl CommandLimits {
    /// No bounds: for a command that another node has checked, whose configuration may be another.
    pub(crate) const BOUNDLESS: Self = Self {
        max_push_bytes: usize::MAX,
        default_ttl: Duration::MAX,
        max_ttl: Duration::MAX,
        max_page: usize::MAX,
        max_selectors: usize::MAX,
        receipt_names: u32::MAX,
        record_frames: usize::MAX,
        max_batch_lines: usize::MAX,
    };
}

#[cfg(any(test, feature = "fuzzing"))]
impl CommandLimits {
    /// Small enough to run into.
    pub fn small() -> Self {
        Self {
            max_push_bytes: 64,
            default_ttl: Duration::from_secs(60),
            max_ttl: Duration::from_secs(3600),
            max_page: 1000,
            max_selectors: 4,
            receipt_names: 3,
            record_frames: 300,
            max_batch_lines: 8,
        }
    }
}
