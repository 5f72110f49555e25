//! The end of a process, seen through a descriptor of it (pidfd_open(2)).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a process with many sockets may take from the end of its stream to its own.
pub(super) const DYING: Duration = Duration::from_secs(3);

/// Waits until the process has ended. Whether it has, at the deadline; a process that cannot be looked at has not.
pub(super) fn has_ended_by(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let timeout = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref()) {
            Err(Errno::INTR) => {}
            polled => return polled.is_ok_and(|count| count > 0),
        }
    }
}
