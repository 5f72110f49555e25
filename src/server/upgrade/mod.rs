//! The upgrade of a server that runs: another process takes over its listeners and connections, or nothing changes.

mod handing_over;
mod state;
mod successor;

#[cfg(any(test, feature = "fuzzing"))]
pub use handing_over::hello;
#[cfg(any(test, feature = "fuzzing"))]
pub use state::{CarriedServer, CarriedSetup, FORMATS, SERVER_PART, SETUP_PART, decode, unpack};
pub use successor::{Arriving, TakingOver, feeds};
#[cfg(feature = "cli")]
pub use successor::{Bound, Successor};
#[cfg(any(test, feature = "fuzzing"))]
pub use successor::{Greeted, finish_pushes};

use super::Server;
use crate::core::{UpgradeError, UpgradeRequest};
pub use handing_over::park;
use handing_over::upgrade;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// How this process was started, so that another one can be started the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The path that it was started from, absolute. Another file may lie there by now.
    pub binary: PathBuf,
    /// What stood behind `serve`, less `--take-over`.
    pub arguments: Vec<OsString>,
}

impl Server {
    /// Lets operators upgrade this server: `program` is how its process was started, or why another one cannot be started the
    /// same way. `handed_over` gets the process that serves from then on, before [`Server::run`] returns. Only the first call
    /// counts.
    pub(crate) fn upgrade_by(
        &self,
        program: Result<Program, String>,
        handed_over: impl Fn(u32) + Send + Sync + 'static,
    ) {
        let shared = Arc::downgrade(&self.shared);
        let hand_over = move |request: &UpgradeRequest, asked_by| {
            let program = program.as_ref().map_err(|why| UpgradeError::Refused(why.clone()))?;
            let gone = || UpgradeError::Refused("the server has ended".to_owned());
            let report = upgrade(&shared.upgrade().ok_or_else(gone)?, program, request, asked_by)?;
            if !report.dry_run {
                handed_over(report.pid);
            }
            Ok(report)
        };
        let _ = self.shared.upgrades.hand_over.set(Box::new(hand_over));
    }
}
