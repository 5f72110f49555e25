//! What the service manager is told (sd_notify(3)): that the server is ready, reloads, stops, that its reactors turn, and which
//! process serves. Without a service manager, which names its socket in `NOTIFY_SOCKET`, nothing happens.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, getppid, pidfd_open};

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

/// Whether there is a service manager.
pub fn is_there() -> bool {
    env::var_os(notify::SOCKET).is_some()
}

/// What systemd calls what it keeps for [`park`].
const PARKED: &str = "gannet-parked";

/// Has systemd keep `descriptor` until this service starts again, which gets it as a passed socket of the name
/// [`PARKED`]. It is kept even if the other end of it is closed.
///
/// # Errors
/// It cannot be reached.
pub fn park(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    notify::tell_with(&format!("FDSTORE=1\nFDNAME={PARKED}\nFDPOLL=0\n"), descriptor)
}

/// systemd no longer keeps what was parked.
pub fn unpark() {
    tell(&format!("FDSTOREREMOVE=1\nFDNAME={PARKED}\n"));
}

/// The process that this one takes over from, its parent. Until that has ended, it may be the main process of the unit, and the
/// manager does not listen to this one.
pub struct Predecessor(Option<OwnedFd>);

impl Predecessor {
    /// A process that has handed over ends at once.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// How often it is looked whether the server has ended meanwhile.
    const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

    /// The parent of this process, if it is there.
    pub fn parent() -> Self {
        Self(getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok()))
    }

    /// Waits until it has ended, or `end` has.
    pub fn wait(&self, end: &Receiver<()>) {
        let Some(process) = &self.0 else { return };
        let since = Instant::now();
        while since.elapsed() < Self::PATIENCE && end.try_recv() == Err(TryRecvError::Empty) {
            let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            if poll(&mut ended, Some(&Self::LOOK)).is_ok_and(|ready| ready > 0) {
                return;
            }
        }
    }
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
        tell_pulse(pulse, period);
    }
}

/// Tells the watchdog of a process that has taken over. Another main process is no reason for it to wait for longer: without
/// this, upgrades that follow each other closely would be taken for a server that hangs.
pub fn watch_on(pulse: &Pulse) {
    notify::watchdog_period().into_iter().for_each(|period| tell_pulse(pulse, period));
}

fn tell_pulse(pulse: &Pulse, period: Duration) {
    match pulse.beats(period / 4) {
        true => tell("WATCHDOG=1\n"),
        false => warn!("a reactor has not turned for {:?}: the watchdog is not told", period / 4),
    }
}

fn tell(message: &str) {
    if let Err(error) = notify::tell(message) {
        warn!("the service manager cannot be told: {error}");
    }
}
