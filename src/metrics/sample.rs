//! The figures of a server at one moment, and what has been counted between two of them: what a stream of figures and an hour
//! of history are made of. To take one is to read what the reactors have written: no reactor does anything for it.

use super::families::{ReactorMetrics, Totals};
use super::histogram::HistogramTotal;
use super::value::{Counter, Gauge, Metric};
use super::{ByApp, Metrics};

/// The figures of a server at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// When, in milliseconds of the server's clock.
    pub at_ms: u64,
    /// The sums over all reactors.
    pub totals: Totals,
    /// Of each reactor.
    pub reactors: Vec<ReactorSample>,
    /// Of each app, by its id.
    pub apps: Vec<AppSample>,
}

/// The figures of one reactor at one moment.
#[derive(Debug, Clone, Default)]
pub struct ReactorSample {
    /// Sessions open.
    pub sessions: u64,
    /// Its turns so far.
    pub turns: HistogramTotal,
}

/// The figures of one app at one moment, in the order of [`AppSample::NAMES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppSample(pub [u64; AppSample::COUNT]);

impl AppSample {
    /// How many figures an app has.
    pub const COUNT: usize = 9;
    /// What they are called.
    pub const NAMES: [&'static str; Self::COUNT] =
        ["sessions", "away", "behind", "opened", "closed", "refused", "messages_in", "pushes", "queued"];
    /// The first so many are how things are, and not counts.
    pub const GAUGES: usize = 3;

    fn of(reactors: &[&ReactorMetrics], app: u16) -> Self {
        let gauge = |of: fn(&ReactorMetrics) -> &ByApp<Gauge>| {
            reactors.iter().map(|reactor| of(reactor).seen(app).map_or(0, Gauge::get)).sum()
        };
        let count = |of: fn(&ReactorMetrics) -> &ByApp<Counter>| {
            reactors.iter().map(|reactor| of(reactor).seen(app).map_or(0, Counter::get)).sum()
        };
        Self([
            gauge(|reactor| &reactor.apps.sessions),
            gauge(|reactor| &reactor.apps.away),
            gauge(|reactor| &reactor.apps.behind),
            count(|reactor| &reactor.opened),
            count(|reactor| &reactor.apps.closed),
            count(|reactor| &reactor.apps.refused),
            count(|reactor| &reactor.messages_in),
            count(|reactor| &reactor.pushes),
            count(|reactor| &reactor.apps.queued),
        ])
    }

    /// What is now, and what has been counted since `before`.
    pub fn since(self, before: Self) -> Self {
        Self(std::array::from_fn(|figure| match figure < Self::GAUGES {
            true => self.0[figure],
            false => self.0[figure].saturating_sub(before.0[figure]),
        }))
    }

    /// The same figures of another app added to these.
    pub fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|figure| self.0[figure].saturating_add(other.0[figure])))
    }
}

impl ReactorSample {
    /// Its turns since `before`.
    pub fn turns_since(&self, before: Option<&Self>) -> HistogramTotal {
        before.map_or_else(|| self.turns.clone(), |before| self.turns.since(&before.turns))
    }
}

impl Sample {
    /// Sessions that are behind.
    pub fn behind(&self) -> u64 {
        self.apps.iter().map(|app| app.0[2]).sum()
    }

    /// The figures of an app; all 0 of one that has come since.
    pub fn app(&self, id: usize) -> AppSample {
        self.apps.get(id).copied().unwrap_or_default()
    }

    /// The part of the time since `before` that each reactor has spent in turns, 0 to 1.
    pub fn busy_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = f64> + 'a {
        let passed_ns = self.at_ms.saturating_sub(before.at_ms).saturating_mul(1_000_000).max(1) as f64;
        self.reactors.iter().enumerate().map(move |(index, reactor)| {
            let turns = reactor.turns_since(before.reactors.get(index));
            (turns.sum_ns() as f64 / passed_ns).min(1.0)
        })
    }
}

impl Metrics {
    /// The figures now, which is `at_ms`, and of so many apps.
    pub fn sample(&self, at_ms: u64, apps: usize) -> Sample {
        let reactors: Vec<&ReactorMetrics> = self.reactors.iter().map(|reactor| &**reactor).collect();
        let mut totals = Totals::default();
        reactors.iter().for_each(|reactor| reactor.add_to(&mut totals));
        let of_reactor = |reactor: &&ReactorMetrics| {
            let mut turns = HistogramTotal::default();
            reactor.turn_time.add_to(&mut turns);
            ReactorSample { sessions: reactor.sessions.get(), turns }
        };
        Sample {
            at_ms,
            totals,
            reactors: reactors.iter().map(of_reactor).collect(),
            apps: (0..=u16::MAX).take(apps).map(|app| AppSample::of(&reactors, app)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CloseClass, DeliveryOutcome};

    #[test]
    fn what_was_counted_between_two_moments_is_the_difference_and_gauges_are_as_they_are() {
        let metrics = Metrics::new(2, 0);
        let (one, two) = (metrics.reactor(0), metrics.reactor(1));
        one.sessions.set(3);
        two.sessions.set(4);
        one.apps.sessions.of(1).set(7);
        one.opened.of(1).add(5);
        one.turn_time.observe(500_000_000);
        let before = metrics.sample(1_000, 2);
        one.apps.sessions.of(1).set(6);
        two.apps.behind.of(1).add(2);
        two.opened.of(1).add(4);
        two.closed.of(CloseClass::TooSlow).add(2);
        two.deliveries.of(DeliveryOutcome::Written).add(9);
        one.turn_time.observe(250_000_000);
        one.push_to_write.observe(3_000);
        let now = metrics.sample(2_000, 2);
        assert_eq!(now.totals.sessions, 7);
        assert_eq!(now.app(1).since(before.app(1)).0, [6, 0, 2, 4, 0, 0, 0, 0, 0]);
        assert_eq!((now.behind(), now.app(0)), (2, AppSample::default()));
        let closed: Vec<_> = now.totals.closed.since(&before.totals.closed).collect();
        assert_eq!(closed, [("4003", 2)]);
        let deliveries: Vec<_> = now.totals.deliveries.since(&before.totals.deliveries).collect();
        assert_eq!(deliveries, [("written", 9)]);
        assert_eq!(now.busy_since(&before).collect::<Vec<_>>(), [0.25, 0.0]);
        assert_eq!(now.totals.push_to_write.since(&before.totals.push_to_write).count(), 1);
        assert_eq!(now.app(7), AppSample::default(), "an app that has come since");
    }
}
