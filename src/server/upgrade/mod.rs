//! The upgrade of a server that runs: another process takes over its listeners and connections, or nothing changes.

use super::{BindError, Server};
use crate::config::Config;
use crate::core::{AskedBy, Shared, UpgradeError, UpgradeReport, UpgradeRequest};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How this process was started, so that another one can be started the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(dead_code, reason = "in the making")]
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

/// Starts another process and hands everything over to it.
fn upgrade(
    _shared: &Arc<Shared>,
    _program: &Program,
    _request: &UpgradeRequest,
    _asked_by: Option<AskedBy>,
) -> Result<UpgradeReport, UpgradeError> {
    Err(UpgradeError::Refused("this version cannot be upgraded yet".to_owned()))
}

/// The process that is to take over, before it serves. Its predecessor is at the other end of what was its standard input.
#[derive(Debug)]
pub struct Successor(());

impl Successor {
    /// Begins to take over. First of all, before standard input is read.
    ///
    /// # Errors
    /// Standard input is not what a predecessor gives.
    pub fn begin() -> io::Result<Self> {
        Err(io::Error::other("standard input is no predecessor's"))
    }

    /// Tells the predecessor why it has to go on: `why`.
    pub fn refuse(&self, _why: &str) {}

    /// Takes everything over, for a server that goes by `config`. Returns when this process serves, or when the predecessor
    /// has died before it had handed over all: then the server begins with the listeners that it has got.
    ///
    /// # Errors
    /// [`BindError`], of which the predecessor has been told.
    pub fn bind(self, config: Config) -> Result<Server, BindError> {
        Server::bind(config)
    }
}
