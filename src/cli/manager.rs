//! What the service manager is told (sd_notify(3)): that the server is ready, reloads, stops, that its reactors turn, and which
//! process serves. Without a service manager, which names its socket in `NOTIFY_SOCKET`, nothing happens.

use std::sync::mpsc::{Receiver, RecvTimeoutError};

use log::warn;

use super::notify;
use crate::Pulse;

/// Players can connect.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}\n"));
}

/// The configuration is read again; [`ready`] says that it is done.
pub fn reloading() {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", notify::monotonic_usec()));
}

/// Another process serves from now on. Only its predecessor can say so: with `NotifyAccess=main` the manager does not listen
/// to any other process than the main one.
pub fn handed_over(pid: u32) {
    tell(&format!("MAINPID={pid}\n"));
}

/// No new players come, and those who are there leave.
pub fn stopping() {
    tell("STOPPING=1\nSTATUS=stopping: no new players, and every session is closed\n");
}

/// Tells the watchdog, where there is one, that every reactor turns, until `end` ends. Where one does not, it is not told:
/// then the manager does what the unit says.
pub fn watch(pulse: &Pulse, end: &Receiver<()>) {
    let Some(period) = notify::watchdog_period() else { return };
    // Half of it is what sd_watchdog_enabled(3) recommends; a reactor has the other half to turn.
    while end.recv_timeout(period / 2) == Err(RecvTimeoutError::Timeout) {
        match pulse.beats(period / 4) {
            true => tell("WATCHDOG=1\n"),
            false => warn!("a reactor has not turned for {:?}: the watchdog is not told", period / 4),
        }
    }
}

fn tell(message: &str) {
    if let Err(error) = notify::tell(message) {
        warn!("the service manager cannot be told: {error}");
    }
}
