//! What a reactor has done elsewhere, because it would hold up every session.

use crate::core::{By, UpgradeRequest};
use crate::http::Response;
use log::LevelFilter;

/// What the observer's thread is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// `/metrics`.
    Metrics,
    /// `/v1/stats`.
    Stats,
    /// `/v1/cluster`.
    Cluster,
    /// Read the configuration again, for this one.
    Reload(By),
    /// Look at the streams of figures. It has no answer.
    Figures,
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
    /// It is a stream of figures.
    Figures,
    /// The thread of the upgrade has it, or the process that takes over.
    Upgrade(UpgradeRequest),
}
