//! What signals do to a server that runs.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{info, warn};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGUSR2};
use signal_hook::iterator::Signals;

use super::log::Running;
use super::manager;
use crate::server::{UpgradeRequest, Upgrader};
use crate::{Reloader, Server, Stopper};

/// What the service manager shows of a server that runs.
pub const READY: &str = "players can connect";

/// No process.
pub const NOBODY: u32 = 0;

/// A signal to stop that came when it was too late to take an upgrade back is for the process that serves, a child of this one.
pub fn pass_on(signal: i32, heir: u32) {
    let heir = i32::try_from(heir).ok().and_then(Pid::from_raw);
    if let Some((heir, signal)) = heir.zip(Signal::from_named_raw(signal)) {
        info!("process {heir} gets the signal");
        // One that has ended by now has stopped as well.
        let _ = kill_process(heir, signal);
    }
}

/// What signals act on.
pub struct Handles {
    stopper: Stopper,
    reloader: Reloader,
    upgrader: Upgrader,
    /// Set when another process serves, or will.
    handed_over: Arc<AtomicBool>,
}

impl Handles {
    /// Of this server.
    pub fn of(server: &Server, handed_over: &Arc<AtomicBool>) -> Self {
        Self {
            stopper: server.stopper(),
            reloader: server.reloader(),
            upgrader: server.upgrader(),
            handed_over: Arc::clone(handed_over),
        }
    }

    /// Leaves the players to the service manager, if the configuration says so and it keeps them.
    fn park(&self) -> bool {
        if !self.upgrader.parks_on_stop() || !manager::is_there() {
            return false;
        }
        self.upgrader.call_off();
        if self.handed_over.load(Ordering::Acquire) {
            return true;
        }
        let parked = self.upgrader.park(|descriptor| {
            manager::park(descriptor)?;
            // Before the reactors end, and the process with them.
            self.handed_over.store(true, Ordering::Release);
            Ok(())
        });
        match parked {
            Ok(sessions) => info!("{sessions} sessions are left to the service manager, for the next start"),
            Err(error) => warn!("the players are not left to the service manager: {error}"),
        }
        self.handed_over.load(Ordering::Acquire)
    }
}

/// SIGTERM and SIGINT stop the server in good order, a second one of them at once. SIGHUP opens the log file again and
/// reads the configuration again: a terminal that is closed does not take the server with it. SIGUSR2 upgrades. Returns what
/// has stopped the server.
pub fn obey_signals(signals: &mut Signals, handles: &Handles, log: &Running) -> Option<i32> {
    let mut stopped_by = None;
    for signal in signals.forever() {
        match signal {
            SIGHUP => {
                log.reopen();
                info!("SIGHUP: the log file is opened again, and the configuration is read again");
                manager::reloading();
                match handles.reloader.reload() {
                    Ok(_) => manager::ready(READY),
                    Err(error) => {
                        manager::ready(&format!("{READY}; the last reload changed nothing: {error}"))
                    }
                }
            }
            SIGUSR2 => {
                info!("SIGUSR2: what lies where this process was started from takes over");
                // What is wrong is in the log.
                let _ = handles.upgrader.begin(UpgradeRequest::default());
            }
            signal if stopped_by.is_some() => {
                warn!("signal {signal}: ending at once");
                log.finish();
                process::exit(128 + signal);
            }
            signal => {
                info!(
                    "signal {signal}: no new players, and every session will be closed; a second signal ends the process at once"
                );
                stopped_by = Some(signal);
                if !handles.park() {
                    manager::stopping();
                    handles.stopper.stop();
                }
            }
        }
    }
    stopped_by
}
