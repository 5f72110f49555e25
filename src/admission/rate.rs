//! Rates: so many a second on average, so many at once. A token bucket as the generic cell rate algorithm has it (ITU-T
//! I.371), whose whole state is one moment. Knows nothing of what is counted.

use crate::config::Rate;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND_NS: u64 = 1_000_000_000;

/// A rate in the units of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limiter {
    per_second: u64,
    /// How far ahead of the clock a meter may be.
    burst_ns: u64,
}

/// What one source has taken: the moment until which it has been paid for, in nanoseconds of the server's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter(u64);

impl Limiter {
    /// The limiter of a rate; `None` where that is off.
    pub fn new(rate: Rate) -> Option<Self> {
        let unbounded = Self { per_second: rate.per_second as u64, burst_ns: 0 };
        rate.is_on().then(|| Self { burst_ns: unbounded.cost_ns(rate.burst() as u64), ..unbounded })
    }

    /// Takes one, if that is within the rate.
    pub fn take(&self, meter: &mut Meter, now_ns: u64) -> bool {
        let mut after = *meter;
        let within = self.charge(&mut after, 1, now_ns);
        if within {
            *meter = after;
        }
        within
    }

    /// Takes `count`, which have come already. Returns whether that is within the rate.
    pub fn charge(&self, meter: &mut Meter, count: u64, now_ns: u64) -> bool {
        meter.0 = meter.0.max(now_ns).saturating_add(self.cost_ns(count));
        self.wait_ns(*meter, now_ns) == 0
    }

    /// How long until what has been taken is within the rate.
    pub fn wait_ns(&self, meter: Meter, now_ns: u64) -> u64 {
        meter.0.saturating_sub(now_ns).saturating_sub(self.burst_ns)
    }

    fn cost_ns(&self, count: u64) -> u64 {
        count.saturating_mul(SECOND_NS) / self.per_second
    }
}

impl Meter {
    /// Its state: a moment in nanoseconds of the server's clock.
    pub fn as_ns(self) -> u64 {
        self.0
    }

    /// A meter whose state that was.
    pub fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Whether it is as good as new.
    pub fn is_idle(self, now_ns: u64) -> bool {
        self.0 <= now_ns
    }
}

/// One meter for all threads.
#[derive(Debug, Default)]
pub struct SharedMeter(AtomicU64);

impl SharedMeter {
    /// See [`Meter::as_ns`].
    pub fn as_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Its state was that in another process.
    pub fn go_on_from(&self, ns: u64) {
        self.0.fetch_max(ns, Ordering::Relaxed);
    }

    /// Takes one, if that is within the rate of `limiter`.
    pub fn take(&self, limiter: &Limiter, now_ns: u64) -> bool {
        let taken = |before| {
            let mut meter = Meter(before);
            limiter.take(&mut meter, now_ns).then_some(meter.0)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn limiter(per_second: usize, burst: usize) -> Limiter {
        Limiter::new(Rate { per_second, burst }).unwrap()
    }

    #[test]
    fn off_is_no_limiter() {
        assert_eq!(Limiter::new(Rate::default()), None);
        assert_eq!(Limiter::new(Rate { per_second: 0, burst: 7 }), None);
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (limiter, mut meter) = (limiter(10, 3), Meter::default());
        let taken = |meter: &mut Meter, at_ms: u64| limiter.take(meter, at_ms * MS);
        assert_eq!([5, 5, 5, 5].map(|ms| taken(&mut meter, ms)), [true, true, true, false]);
        assert_eq!([104, 105, 105, 205].map(|ms| taken(&mut meter, ms)), [false, true, false, true]);
        assert!(!meter.is_idle(504 * MS) && meter.is_idle(505 * MS));
        assert_eq!([9_000; 4].map(|ms| taken(&mut meter, ms)), [true, true, true, false]);
    }

    #[test]
    fn what_has_come_anyway_is_waited_for() {
        let (limiter, mut meter) = (limiter(1000, 2000), Meter::default());
        assert!(limiter.charge(&mut meter, 2000, 0));
        assert!(!limiter.charge(&mut meter, 500, 0));
        assert_eq!(limiter.wait_ns(meter, 0), 500 * MS);
        assert_eq!(limiter.wait_ns(meter, 499 * MS), MS);
        assert_eq!(limiter.wait_ns(meter, 500 * MS), 0);
        assert!(limiter.charge(&mut meter, 1, 501 * MS));
    }

    #[test]
    fn it_does_what_a_bucket_of_tokens_does() {
        let mut random = 7_u64;
        for (per_second, burst) in [(1, 1), (10, 3), (1_000, 1), (50, 1_000)] {
            let (limiter, mut meter) = (limiter(per_second, burst), Meter::default());
            let shared = SharedMeter::default();
            // Tokens in units of 1 / SECOND_NS, so that nothing is rounded.
            let full = burst as u64 * SECOND_NS;
            let (mut tokens, mut now_ns) = (full, 0);
            for _ in 0..10_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pause_ns = (random >> 33) % (2 * SECOND_NS / per_second as u64);
                now_ns += pause_ns;
                tokens = full.min(tokens + pause_ns * per_second as u64);
                let expected = tokens >= SECOND_NS;
                tokens -= if expected { SECOND_NS } else { 0 };
                assert_eq!(limiter.take(&mut meter, now_ns), expected);
                assert_eq!(shared.take(&limiter, now_ns), expected);
            }
        }
    }
}
