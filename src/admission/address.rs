//! What comes from one address: connections that are there, and upgrades a second.

use super::rate::{Limiter, Meter};
use super::sharded::Sharded;
use crate::config::Network;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Addresses of which a rate is remembered, in one shard of the map. Beyond them the rate of all together has to do.
const MAX_METERS: usize = 4096;

/// Fewer meters than this in a shard are not worth a look for idle ones as it grows.
const FEW_METERS: usize = 64;

/// A shard is rid of idle meters no oftener than this: all in a second, a few thousand meters at a time.
const SWEEP_EVERY_NS: u64 = 16_000_000;

/// Whom an address stands for: an IPv4 address for itself, an IPv6 address for its network of 64 bits, which is the least
/// that one customer gets.
pub fn client_network(address: IpAddr) -> Network {
    let address = address.to_canonical();
    Network::of(address, if address.is_ipv4() { 32 } else { 64 })
}

/// How many of something each address has.
#[derive(Debug)]
pub struct AddressCounts {
    /// No entry is 0.
    counts: Sharded<Network, usize>,
}

impl AddressCounts {
    /// Nobody has any yet.
    pub fn new() -> Self {
        Self { counts: Sharded::new() }
    }

    /// One more from there, unless it has `most`.
    pub fn enter(&self, network: Network, most: usize) -> bool {
        self.counts.with(&network, |counts| {
            let count = counts.entry(network).or_default();
            let enters = *count < most;
            *count += usize::from(enters);
            enters
        })
    }

    /// One less from there.
    pub fn leave(&self, network: Network) {
        self.counts.with(&network, |counts| match counts.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&network)),
        });
    }
}

/// How fast an address has been, on its way to another process: the address, and the state of its meter.
#[derive(Debug, Encode, Decode)]
pub struct CarriedMeter(#[n(0)] IpAddr, #[n(1)] u64);

/// How often each address does something.
#[derive(Debug)]
pub struct AddressRates {
    meters: Sharded<Network, Meter>,
    /// When a shard is swept again.
    sweep_ns: AtomicU64,
}

impl AddressRates {
    /// Nobody has done anything yet.
    pub fn new() -> Self {
        Self { meters: Sharded::new(), sweep_ns: AtomicU64::new(0) }
    }

    /// The meters that are not idle, for another process.
    pub fn carry(&self, now_ns: u64) -> Vec<CarriedMeter> {
        let Self { meters, sweep_ns: _ } = self;
        let mut carried = Vec::new();
        meters.each(|network, meter| {
            if !meter.is_idle(now_ns) {
                carried.push(CarriedMeter(network.base(), meter.as_ns()));
            }
        });
        carried
    }

    /// Goes on from what came from another process.
    pub fn go_on_from(&self, carried: Vec<CarriedMeter>) {
        for CarriedMeter(address, ns) in carried {
            let network = client_network(address);
            self.meters.with(&network, |meters| {
                if meters.len() < MAX_METERS {
                    meters.insert(network, Meter::from_ns(ns));
                }
            });
        }
    }

    /// Once more from there, if that is within the rate of `limiter`.
    pub fn take(&self, limiter: &Limiter, network: Network, now_ns: u64) -> bool {
        self.sweep_one(now_ns);
        self.meters.with(&network, |meters| {
            let grows = !meters.contains_key(&network);
            let full = meters.len() >= MAX_METERS || meters.len() == meters.capacity();
            if grows && full && meters.len() >= FEW_METERS {
                drop_idle(meters, now_ns);
            }
            if grows && meters.len() >= MAX_METERS {
                return true;
            }
            limiter.take(meters.entry(network).or_default(), now_ns)
        })
    }

    /// Rids the next shard of idle meters, if its time has come: so a storm's memory comes back with whatever comes after it,
    /// from anywhere.
    fn sweep_one(&self, now_ns: u64) {
        let due = |sweep_ns| (sweep_ns <= now_ns).then_some(now_ns.saturating_add(SWEEP_EVERY_NS));
        if self.sweep_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok() {
            self.meters.with_next(|meters| drop_idle(meters, now_ns));
        }
    }
}

/// An idle meter says no more than none.
fn drop_idle(meters: &mut HashMap<Network, Meter>, now_ns: u64) {
    meters.retain(|_, meter| !meter.is_idle(now_ns));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    const SECOND: u64 = 1_000_000_000;

    fn network(text: &str) -> Network {
        client_network(text.parse().unwrap())
    }

    #[test]
    fn an_address_stands_for_a_customer() {
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn counts_are_bounded_and_forgotten() {
        let counts = AddressCounts::new();
        let enter = |network| counts.enter(network, 2);
        let (one, other) = (network("192.0.2.1"), network("::1"));
        assert_eq!([one, one, one, other].map(enter), [true, true, false, true]);
        counts.leave(one);
        assert!(enter(one) && !enter(one));
        [one, one, other].into_iter().for_each(|network| counts.leave(network));
        assert_eq!(counts.counts.len(), 0);
        counts.leave(one);
        assert!(enter(one) && enter(one) && !enter(one));
    }

    #[test]
    fn rates_are_each_addresss_own_and_take_bounded_memory() {
        let (rates, limiter) = (AddressRates::new(), Limiter::new(Rate { per_second: 1, burst: 2 }).unwrap());
        let quiet = network("192.0.2.1");
        assert_eq!([quiet; 3].map(|network| rates.take(&limiter, network, 0)), [true, true, false]);
        for number in 0..400_000 {
            assert!(rates.take(&limiter, crowd(number), SECOND / 2));
        }
        assert!(rates.meters.len() <= 64 * MAX_METERS);
        assert!(!rates.take(&limiter, quiet, SECOND / 2), "it is remembered all the same");
        for number in 0..400_000 {
            assert!(rates.take(
                &limiter,
                crowd(1_000_000 + number / 100),
                100 * SECOND + u64::from(number) * SECOND
            ));
        }
        assert!(rates.meters.len() < 64 * 2 * FEW_METERS, "{} idle meters", rates.meters.len());
    }

    fn crowd(number: u32) -> Network {
        client_network(IpAddr::V4((0x0a00_0000 + number).into()))
    }

    #[test]
    fn counts_give_the_memory_of_a_storm_back() {
        let counts = AddressCounts::new();
        (0..100_000).for_each(|number| assert!(counts.enter(crowd(number), 2)));
        assert!(counts.counts.capacity() >= 100_000);
        (0..100_000).for_each(|number| counts.leave(crowd(number)));
        assert!(counts.counts.capacity() <= 64 * 64, "room for {}", counts.counts.capacity());
    }

    #[test]
    fn rates_give_the_memory_of_a_storm_back_with_the_next_who_come() {
        let (rates, limiter) = (AddressRates::new(), Limiter::new(Rate { per_second: 1, burst: 2 }).unwrap());
        (0..100_000).for_each(|number| assert!(rates.take(&limiter, crowd(number), SECOND)));
        assert!(rates.meters.capacity() >= 100_000);
        let (quiet, busy) = (network("192.0.2.1"), network("192.0.2.2"));
        let later = |turn: u64| 10 * SECOND + turn * SWEEP_EVERY_NS;
        assert!(rates.take(&limiter, busy, later(0)) && rates.take(&limiter, busy, later(0)));
        (1..=64).for_each(|turn| _ = rates.take(&limiter, quiet, later(turn)));
        assert!(rates.meters.len() <= 2 && rates.meters.capacity() <= 64 * 64);
        assert!(!rates.take(&limiter, quiet, later(64)), "who is not idle is remembered");
    }
}
