//! An upgrade of the running server to another binary: one at a time, on a thread of its own. How it is done is set by the
//! server, which knows its own process.

use super::audit::{AuditLine, By};
use super::shared::Shared;
use super::trusted::trusted;
use super::upgrades::{AskedBy, UpgradeError, UpgradeReport, UpgradeRequest, Upgraded};
use crate::metrics::LastUpgrade;
use crate::timer::Clock;
use log::{info, warn};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

/// The thread's name; the kernel shows fifteen bytes.
const THREAD: &str = "gannet-upgrade";

/// The right to upgrade: one at a time has it.
struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.upgrades.is_under_way.store(false, Ordering::Release);
    }
}

impl Shared {
    /// Begins an upgrade on a thread of its own, on which `then` gets its end. A refusal at once, and every end, is in the log
    /// and counted.
    ///
    /// # Errors
    /// [`UpgradeError::Refused`]: `then` is not called.
    pub fn begin_upgrade(
        self: &Arc<Self>,
        request: UpgradeRequest,
        asked_by: Option<AskedBy>,
        then: impl FnOnce(&Self, Upgraded) + Send + 'static,
    ) -> Result<(), UpgradeError> {
        let begun = self.take_turn().and_then(|turn| {
            if self.upgrades.is_called_off() {
                return Err(UpgradeError::Refused("the server stops".to_owned()));
            }
            let work = move || {
                let shared = Arc::clone(&turn.0);
                let upgraded = shared.upgrade(request, asked_by);
                // Before the answer: who has it may ask for the next.
                drop(turn);
                then(&shared, upgraded);
            };
            let started = thread::Builder::new().name(THREAD.to_owned()).spawn(work);
            started.map_err(|error| UpgradeError::Refused(format!("there is no thread for it: {error}")))
        });
        match begun {
            Ok(thread) => {
                *self.upgrades.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
                Ok(())
            }
            Err(error) => {
                warn!("{error}");
                self.metrics.upgrades.count_refused();
                Err(error)
            }
        }
    }

    /// Has `park` leave everything to the service manager, on this thread, in the place of an upgrade.
    ///
    /// # Errors
    /// An upgrade is under way, the server stops already, or `park` failed: then all is as before.
    pub fn park_by<T>(
        self: &Arc<Self>,
        park: impl FnOnce(&Arc<Self>) -> Result<T, UpgradeError>,
    ) -> Result<T, UpgradeError> {
        let turn = self.take_turn()?;
        self.upgrades.allow();
        park(&turn.0)
    }

    fn take_turn(self: &Arc<Self>) -> Result<Turn, UpgradeError> {
        let refused = |why: &str| Err(UpgradeError::Refused(why.to_owned()));
        if self.upgrades.is_under_way.swap(true, Ordering::AcqRel) {
            return refused("another one is under way");
        }
        let turn = Turn(Arc::clone(self));
        match self.turns_players_away() {
            true => refused("the server stops or is drained"),
            false => Ok(turn),
        }
    }

    /// This process has taken over, as the report says.
    pub fn note_taken_over(&self, report: &UpgradeReport) {
        self.metrics.upgrades.count_ok(LastUpgrade {
            at_unix_ms: Clock::wall_unix_ms(),
            outcome: "ok",
            sessions: report.sessions,
            bytes: report.bytes,
            took_ms: report.took_ms,
            longest_ms: report.longest_ms,
            why: None,
        });
        let target = Some(format!("version={} pid={}", report.version, report.pid).into());
        self.audit.add(AuditLine { target, ..By::default().did("upgrade") });
    }

    /// Upgrades. Only by the one whose turn it is.
    fn upgrade(&self, request: UpgradeRequest, asked_by: Option<AskedBy>) -> Upgraded {
        info!("upgrade: {}", Asked(&request));
        if asked_by.is_none() {
            // Who asks at the backend port has a line with a name.
            self.audit.add(AuditLine { result: "begun".into(), ..By::default().did("upgrade") });
        }
        let dry_run = request.dry_run;
        let hand_over = self.upgrades.hand_over.get();
        let embedded =
            || UpgradeError::Refused("the program that embeds this server does not offer it".to_owned());
        let upgraded = hand_over.ok_or_else(embedded).and_then(|hand_over| {
            let binary = request.binary.as_deref().map(trusted).transpose().map_err(UpgradeError::Refused)?;
            hand_over(&UpgradeRequest { binary, dry_run }, asked_by)
        });
        let metrics = &self.metrics.upgrades;
        match &upgraded {
            Ok(report) => info!("upgrade: {report}"),
            Err(error) => warn!("{error}"),
        }
        let line = |result: String| AuditLine { result: result.into(), ..By::default().did("upgrade") };
        match &upgraded {
            // The process that serves from now on says so.
            Ok(_) if !dry_run => {}
            Ok(report) => self.audit.add(line(report.to_string())),
            Err(error) => self.audit.add(line(error.to_string())),
        }
        match &upgraded {
            // The process that serves from now on counts its success; a dry run is no upgrade.
            Ok(_) => {}
            Err(_) if dry_run => {}
            Err(UpgradeError::Refused(why)) => {
                metrics.count_refused();
                metrics.note_failure("refused", why, Clock::wall_unix_ms());
            }
            Err(UpgradeError::Failed(why)) => {
                metrics.count_failed();
                metrics.note_failure("failed", why, Clock::wall_unix_ms());
            }
        }
        upgraded
    }
}

/// What was asked for, for the log.
struct Asked<'a>(&'a UpgradeRequest);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UpgradeRequest { binary, dry_run } = self.0;
        f.write_str(if *dry_run { "dry run" } else { "begins" })?;
        binary.iter().try_for_each(|binary| write!(f, ", binary {binary:?}"))
    }
}
