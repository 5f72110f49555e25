//! What is asked of an upgrade of the running server to another binary, and what comes of it.

use crate::session::SessionId;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// What an upgrade is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The binary that is to take over, by its absolute path; without one, what now lies where the running one was started from.
    pub binary: Option<PathBuf>,
    /// Only see whether it would: the new process starts, reads its configuration, and ends.
    pub dry_run: bool,
}

/// The request that asked for an upgrade. Its connection comes along, so the new process answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedBy {
    /// The connection to the backend port.
    pub connection: SessionId,
    /// Which of its answers it waits for.
    pub sequence: u64,
}

/// An upgrade that succeeded, or a dry run that found nothing wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UpgradeReport {
    /// Whether it was a dry run: then the figures from `sessions` on are 0.
    pub dry_run: bool,
    /// The version of the new process.
    pub version: String,
    /// The new process.
    pub pid: u32,
    /// The number of its reactors.
    pub reactors: usize,
    /// Players' sessions that were taken over.
    pub sessions: u64,
    /// Connections that were taken over, those of the sessions included.
    pub connections: u64,
    /// Bytes of state.
    pub bytes: u64,
    /// Milliseconds from the moment that the old process stopped reading to the moment that the new one served.
    pub took_ms: u64,
    /// The longest time for which any one socket was not served, in milliseconds.
    pub longest_ms: u64,
    /// What an operator should know: what was not carried, and what a restart would do.
    pub notes: Vec<String>,
}

impl fmt::Display for UpgradeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dry_run, version, pid, sessions, connections, took_ms, longest_ms, notes, .. } = self;
        match dry_run {
            true => write!(f, "version {version} would take over")?,
            false => write!(
                f,
                "process {pid} of version {version} has taken over {sessions} sessions and {connections} connections: it took \
                 {took_ms} ms, and no socket waited longer than {longest_ms} ms"
            )?,
        }
        notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// Why there was no upgrade: the running process serves on as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeError {
    /// It was not begun, or the new process would not take over: the reason.
    Refused(String),
    /// It was begun and did not come to its end; everything was taken back: the reason.
    Failed(String),
}

impl UpgradeError {
    /// The reason.
    pub fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Failed(why) => why,
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Refused(_) => "no upgrade",
            Self::Failed(_) => "the upgrade failed",
        };
        write!(f, "{what}: {}; the server goes on as before", self.why())
    }
}

impl std::error::Error for UpgradeError {}

/// How an upgrade ended.
pub type Upgraded = Result<UpgradeReport, UpgradeError>;

/// Carries out an upgrade. It blocks for seconds, so never on a reactor. Where it returns the report of an upgrade that is no
/// dry run, this process no longer owns its connections.
pub type HandOver = Box<dyn Fn(&UpgradeRequest, Option<AskedBy>) -> Upgraded + Send + Sync>;

/// The upgrades of a server.
#[derive(Default)]
pub struct Upgrades {
    /// What carries them out; without it there are none.
    pub hand_over: OnceLock<HandOver>,
    /// Whether there is one under way, dry runs included.
    pub(super) is_under_way: AtomicBool,
    /// Whether the one under way is to be taken back: this process is about to leave its players to the service manager.
    is_called_off: AtomicBool,
    /// The thread of the one under way, or of the last.
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Upgrades {
    /// Waits for the end of the one under way.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of it is in the log.
        let _ = thread.map(JoinHandle::join);
    }

    /// Has the one under way taken back, unless the other process serves already, and waits for its end. Until
    /// [`Upgrades::allow`] there is no other one.
    pub fn call_off(&self) {
        self.is_called_off.store(true, Ordering::Release);
        self.join();
    }

    /// Ends what [`Upgrades::call_off`] began.
    pub fn allow(&self) {
        self.is_called_off.store(false, Ordering::Release);
    }

    /// Whether the one under way has been called off.
    pub fn is_called_off(&self) -> bool {
        self.is_called_off.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_and_errors_are_sentences() {
        let report = UpgradeReport {
            version: "0.2.0".to_owned(),
            pid: 4711,
            sessions: 10,
            connections: 14,
            took_ms: 80,
            longest_ms: 95,
            notes: vec!["reactors: 4, as before".to_owned()],
            ..UpgradeReport::default()
        };
        assert_eq!(
            report.to_string(),
            "process 4711 of version 0.2.0 has taken over 10 sessions and 14 connections: it took 80 ms, and no socket waited \
             longer than 95 ms; reactors: 4, as before"
        );
        let dry = UpgradeReport { dry_run: true, version: "0.2.0".to_owned(), ..UpgradeReport::default() };
        assert_eq!(dry.to_string(), "version 0.2.0 would take over");
        let failed = UpgradeError::Failed("the new process hung".to_owned());
        assert_eq!(
            failed.to_string(),
            "the upgrade failed: the new process hung; the server goes on as before"
        );
    }
}
