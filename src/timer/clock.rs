//! The clocks: monotonic time since the start for everything that is waited for, the wall clock for what is shown or signed.

use super::Moment;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The server's clock: time since it started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The wall clock as it is set now, in milliseconds since the Unix epoch: what others sign has its readings.
    pub fn wall_unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    /// Time since the start.
    pub fn now(&self) -> Moment {
        self.start.elapsed().into()
    }
}
