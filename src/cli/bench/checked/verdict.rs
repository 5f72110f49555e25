//! What a run came to.

use super::faults::Faults;
use crate::cli::bench::result::RunResult;

/// The result, like that of every load, and the lines under it.
#[derive(Debug)]
pub struct Verdict {
    /// The counts.
    pub result: RunResult,
    /// The first faults in words, and their sums.
    pub report: String,
    /// How many faults there are.
    pub faults: u64,
}

impl Verdict {
    /// Of a run in which these faults were found.
    pub fn new(result: RunResult, faults: &Faults) -> Self {
        Self { result, report: faults.report(), faults: faults.total() }
    }
}
