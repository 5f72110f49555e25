//! A reading of the clock.

use std::time::Duration;

/// A reading of the server's clock: time since it started. Read once a turn and passed down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Whole milliseconds.
    pub ms: u64,
    /// Nanoseconds.
    pub ns: u64,
}

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Self {
        // Both overflow only after five hundred years.
        Self { ms: since_start.as_millis() as u64, ns: since_start.as_nanos() as u64 }
    }
}
