//! A brake on what is refused: so many refusals a second for each address are answered and told, the rest in short and
//! summed up. Knows nothing of what is refused.

use super::address::{AddressRates, CarriedMeter, client_network};
use super::rate::Limiter;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a summary stands for all that is refused meanwhile.
const QUIET_NS: u64 = 10_000_000_000;

/// See the module.
#[derive(Debug)]
pub struct Brake {
    rates: AddressRates,
    /// Refused since the last summary.
    untold: AtomicU64,
    /// When the next summary may be given; the first at once.
    quiet_until_ns: AtomicU64,
}

/// What is to be done about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Whether so many from there are tolerated.
    pub is_within: bool,
    /// It is time for a summary: so many were refused since the last one.
    pub summary: Option<u64>,
}

impl Brake {
    /// The rates of addresses, for another process. What has not been summed up yet is lost to the log.
    pub fn carry(&self, now_ns: u64) -> Vec<CarriedMeter> {
        let Self { rates, untold: _, quiet_until_ns: _ } = self;
        rates.carry(now_ns)
    }

    /// Goes on from what came from another process.
    pub fn go_on_from(&self, carried: Vec<CarriedMeter>) {
        self.rates.go_on_from(carried);
    }

    /// Nobody has been refused yet.
    pub fn new() -> Self {
        Self { rates: AddressRates::new(), untold: AtomicU64::new(0), quiet_until_ns: AtomicU64::new(0) }
    }

    /// Somebody at `address` is refused, at `now_ns` of the server's clock. No `limiter` is no brake.
    pub fn refuse(&self, limiter: Option<&Limiter>, address: Option<IpAddr>, now_ns: u64) -> Refusal {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let due = |until_ns| (until_ns <= now_ns).then_some(now_ns.saturating_add(QUIET_NS));
        let is_due = self.quiet_until_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok();
        let within = |limiter: &Limiter| {
            address.is_none_or(|address| self.rates.take(limiter, client_network(address), now_ns))
        };
        Refusal {
            is_within: limiter.is_none_or(within),
            summary: is_due.then(|| self.untold.swap(0, Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn refusals_are_within_the_rate_of_their_address_and_summed_up() {
        let (brake, limiter) = (Brake::new(), Limiter::new(Rate { per_second: 1, burst: 2 }));
        let (one, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let refused = |address, at_ns| {
            let Refusal { is_within, summary } = brake.refuse(limiter.as_ref(), address, at_ns);
            (is_within, summary)
        };
        assert_eq!(refused(one, SECOND), (true, Some(1)), "the first is told at once");
        assert_eq!(
            [one, one, other, None].map(|address| refused(address, SECOND).0),
            [true, false, true, true]
        );
        assert_eq!(refused(one, 10 * SECOND), (true, None));
        assert_eq!(refused(one, 11 * SECOND), (true, Some(6)));
        assert_eq!(refused(one, 22 * SECOND), (true, Some(1)));
    }

    #[test]
    fn without_a_rate_there_is_no_brake() {
        let brake = Brake::new();
        assert!((0..1000).all(|_| brake.refuse(None, "::1".parse().ok(), 0).is_within));
    }
}
