//! What a reactor has done elsewhere, because it would hold up every session.

use crate::core::UpgradeRequest;
use crate::http::Response;
use log::LevelFilter;

/// What the observer's thread is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// `/metrics`.
    Metrics,
    /// `/v1/stats`.
    Stats,
    /// `/v1/cluster`.
    Cluster,
    /// Read the configuration again.
    Reload,
    /// Log so much, for so many milliseconds.
    Log {
        /// How much.
        level: LevelFilter,
        /// For how long; `None` until it is changed again.
        for_ms: Option<u64>,
    },
}

/// Where an answer comes from.
pub enum Answered {
    /// It is this.
    Here(Response),
    /// The observer's thread has it when it has done this.
    Elsewhere(Job),
    /// The thread of the upgrade has it, or the process that takes over.
    Upgrade(UpgradeRequest),
}
