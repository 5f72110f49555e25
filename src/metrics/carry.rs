//! How counts are carried to another process: by the names that scrapes know them by, so that a version that has other figures
//! takes those that it knows. Gauges are not: each is set anew by what it shows.

use minicbor::{Decode, Encode};

/// The counts of one reactor, or of the server, on their way.
#[derive(Debug, Default, Encode, Decode)]
pub struct CarriedMetrics(#[n(0)] Vec<CarriedFamily>);

/// The counts of one family that are not 0.
#[derive(Debug, Encode, Decode)]
struct CarriedFamily(#[n(0)] Box<str>, #[n(1)] Vec<(Box<str>, u64)>);

/// A family that can be carried: each of its counts has a label of its own.
pub(super) trait Carry {
    /// Shows every count under its label.
    fn each(&self, see: &mut dyn FnMut(&str, u64));

    /// Adds what was counted under this label in another process. An unknown one is left out.
    fn add_carried(&self, label: &str, count: u64);
}

/// Shows every family under its name.
pub(super) type EachFamily<'a> = dyn Fn(&mut dyn FnMut(&str, &dyn Carry)) + 'a;

impl CarriedMetrics {
    /// The counts of all families.
    pub(super) fn of(each: &EachFamily<'_>) -> Self {
        let mut carried = Self::default();
        each(&mut |name, family| carried.take(name, family));
        carried
    }

    /// Adds these counts to all families.
    pub(super) fn add_to(&self, each: &EachFamily<'_>) {
        each(&mut |name, family| self.give(name, family));
    }

    fn take(&mut self, name: &str, family: &dyn Carry) {
        let mut counts = Vec::new();
        family.each(&mut |label, count| {
            if count > 0 {
                counts.push((label.into(), count));
            }
        });
        if !counts.is_empty() {
            self.0.push(CarriedFamily(name.into(), counts));
        }
    }

    fn give(&self, name: &str, family: &dyn Carry) {
        for CarriedFamily(_, counts) in self.0.iter().filter(|CarriedFamily(carried, _)| **carried == *name) {
            counts.iter().for_each(|(label, count)| family.add_carried(label, *count));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{CloseClass, Label, Metrics};

    #[test]
    fn what_was_counted_is_counted_on() {
        let [first, second] = [Metrics::new(2, 0), Metrics::new(2, 0)];
        let reactor = first.reactor(1);
        reactor.turns.add(7);
        reactor.opened.of(300).add(2);
        reactor.closed.of(CloseClass::ALL[1]).add(3);
        reactor.turn_time.observe(5_000);
        reactor.apps.queued.of(4).add(5);
        reactor.sessions.set(9);
        first.key_fetches.count(true);
        first.key_fetches.count(false);
        let bytes = minicbor::to_vec(reactor.carry()).unwrap();
        second.reactor(1).turns.add(1);
        second.reactor(1).go_on_from(&minicbor::decode(&bytes).unwrap());
        second.go_on_from(&first.carry());
        let snapshot = second.snapshot().totals;
        assert_eq!((snapshot.turns, snapshot.opened, snapshot.sessions), (8, 2, 0));
        assert_eq!((snapshot.closed.of(CloseClass::ALL[1]), snapshot.turn_time.count()), (3, 1));
        assert_eq!(second.reactor(1).apps.queued.of(4).get(), 5);
        let text = |metrics: &Metrics| {
            let mut out = String::new();
            metrics.render_prometheus(&crate::metrics::Setup::default(), &mut out);
            let lines = out.lines().filter(|line| line.contains("jwks_fetches_total{")).map(str::to_owned);
            lines.collect::<Vec<_>>()
        };
        assert_eq!(text(&second), text(&first));
    }
}
