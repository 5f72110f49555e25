//! What the service manager is told (sd_notify(3)): that the server is ready, reloads, stops, and that its reactors turn.
//! Without a service manager, which names its socket in `NOTIFY_SOCKET`, nothing happens.

use std::sync::mpsc::{Receiver, RecvTimeoutError};

use log::{debug, warn};
use sd_notify::NotifyState;

use crate::Pulse;

/// Players can connect.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is read again; [`ready`] says that it is done.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // systemd wants the time of it, so that it can tell this reload from an earlier one.
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!("the service manager is not told of the reload: {error}"),
    }
}

/// Another process serves from now on. Only its predecessor can say so: with `NotifyAccess=main` the manager does not listen
/// to any other process than the main one.
pub fn handed_over(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// No new players come, and those who are there leave.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: no new players, and every session is closed"),
    ]);
}

/// Tells the watchdog, where there is one, that every reactor turns, until `end` ends. Where one does not, it is not told:
/// then the manager does what the unit says.
pub fn watch(pulse: &Pulse, end: &Receiver<()>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    // Half of it is what sd_watchdog_enabled(3) recommends; a reactor has the other half to turn.
    while end.recv_timeout(period / 2) == Err(RecvTimeoutError::Timeout) {
        match pulse.beats(period / 4) {
            true => tell(&[NotifyState::Watchdog]),
            false => warn!("a reactor has not turned for {:?}: the watchdog is not told", period / 4),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("the service manager cannot be told: {error}");
    }
}
