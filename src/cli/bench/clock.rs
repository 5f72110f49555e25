//! The time of a run, in nanoseconds since it began, and a wait that is precise to microseconds where epoll's is to
//! milliseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Nanoseconds since a [`Clock`] was made.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// A clock that all threads of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that stands at 0 now.
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }
}

/// A duration in nanoseconds; centuries are as good as for ever.
pub fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A timerfd.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// Waits of at least this are left to epoll, which wakes at whole milliseconds.
    const COARSE: Nanos = 2_000_000;

    /// A timer whose expiry wakes `poll` with `token`.
    pub fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Prepares a wait of at most `wait` and says what timeout to give to `poll`. It may end early.
    pub fn arm(&self, wait: Nanos) -> io::Result<Option<Duration>> {
        if wait == 0 {
            return Ok(Some(Duration::ZERO));
        }
        if wait >= Self::COARSE {
            return Ok(Some(Duration::from_millis(wait / 1_000_000 - 1)));
        }
        // Less than a second: it fits. Setting it also makes it forget an expiry, so that it need not be read.
        let once = Timespec { tv_sec: 0, tv_nsec: wait as _ };
        let time = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: once };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &time)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_waits_are_the_timers_and_long_ones_epolls() {
        let mut poll = Poll::new().unwrap();
        let timer = Timer::new(&poll, Token(3)).unwrap();
        assert_eq!(timer.arm(0).unwrap(), Some(Duration::ZERO));
        assert_eq!(timer.arm(2 * SECOND).unwrap(), Some(Duration::from_millis(1999)));
        let mut events = mio::Events::with_capacity(4);
        for _ in 0..3 {
            assert_eq!(timer.arm(1000).unwrap(), None);
            poll.poll(&mut events, None).unwrap();
            assert!(events.iter().all(|event| event.token() == Token(3)) && !events.is_empty());
        }
    }
}
