//! The clocks: monotonic time since the start for everything that is waited for, the wall clock for what is shown or signed.
//!
//! Time that the machine sleeps counts (CLOCK_BOOTTIME): for other machines, which wait for this one or hold a lease for it, it passes
//! too. What is held against peers is attended time, in which that of a sleep is not.

use super::Moment;
use minicbor::{Decode, Encode};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The server's clock: time since it started. It goes on where another process takes the server over.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// In nanoseconds of CLOCK_BOOTTIME.
    start_ns: u64,
    /// What it said at `start_ns`.
    before: Duration,
}

/// A reading of a server's clock that another process can go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedClock {
    /// Nanoseconds of the server's clock.
    #[n(0)]
    server_ns: u64,
    /// Nanoseconds of CLOCK_BOOTTIME at that moment, which all processes of a machine share.
    #[n(1)]
    boot_ns: u64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { start_ns: boot_ns(), before: Duration::ZERO }
    }

    /// What it says now, for another process.
    pub fn carry(&self) -> CarriedClock {
        // In this order the other one is ahead by the time in between, and never behind.
        let boot_ns = boot_ns();
        CarriedClock { server_ns: self.now().ns, boot_ns }
    }

    /// The clock of another process goes on here.
    pub fn going_on(carried: CarriedClock) -> Self {
        let start_ns = boot_ns();
        let since = Duration::from_nanos(start_ns.saturating_sub(carried.boot_ns));
        Self { start_ns, before: Duration::from_nanos(carried.server_ns).saturating_add(since) }
    }

    /// The wall clock as it is set now, in milliseconds since the Unix epoch: what others sign has its readings.
    pub fn wall_unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    /// The same in microseconds: what follows on each other on several machines is told apart by it.
    pub fn wall_unix_us() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
    }

    /// What the wall clock, as it is set now, said when this clock was at 0, to the nearest millisecond.
    pub fn zero_unix_ms(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let zero = wall.saturating_sub(self.elapsed());
        (zero + Duration::from_micros(500)).as_millis() as u64
    }

    /// Time since the start.
    pub fn now(&self) -> Moment {
        self.elapsed().into()
    }

    fn elapsed(&self) -> Duration {
        self.before + Duration::from_nanos(boot_ns().saturating_sub(self.start_ns))
    }
}

fn boot_ns() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    // Of a machine that runs for less than five hundred years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_on_is_never_behind() {
        let first = Clock::start();
        let second = Clock::going_on(first.carry());
        let before = first.now().ns;
        let after = second.now().ns;
        assert!(after >= before, "{after} is behind {before}");
        assert!(second.now().ns.abs_diff(first.now().ns) < 1_000_000_000);
        let ahead_ms = Clock::wall_unix_ms() - second.now().ms;
        assert!(second.zero_unix_ms().abs_diff(ahead_ms) < 1_000, "its zero is now, less what it says");
        let late = Clock::going_on(CarriedClock { server_ns: u64::MAX, boot_ns: u64::MAX });
        assert!(late.now().ms > 0);
    }
}
