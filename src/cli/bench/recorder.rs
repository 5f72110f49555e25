//! Latencies of one run: a histogram of all, and one a slot of time. Latency counts from when a message was meant to be
//! sent, so a server that holds the load up does not hide it (coordinated omission).

use hdrhistogram::Histogram;

use super::clock::{Nanos, SECOND};

/// What is longer counts as this long: an hour.
const LONGEST: Nanos = 3600 * SECOND;
/// Slots of time that a run is cut into, at most.
const MOST_SLOTS: u64 = 200;
/// The shortest slot.
const SHORTEST_SLOT: Nanos = SECOND / 10;

/// The part of a run that counts: from, and up to but without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
}

impl Window {
    /// Nothing is recorded in it.
    pub const NOT_YET: Self = Self { from: u64::MAX, to: u64::MAX };

    /// Whether `at` lies in it.
    pub fn contains(&self, at: Nanos) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// How long one slot of it is.
    pub fn slot(&self) -> Nanos {
        ((self.to - self.from) / MOST_SLOTS).max(SHORTEST_SLOT)
    }
}

/// Latencies as they come in.
#[derive(Debug, Clone)]
pub struct Recorder {
    window: Window,
    all: Histogram<u64>,
    /// By when the message was meant to be sent.
    slots: Vec<Histogram<u64>>,
    completed: u64,
}

impl Recorder {
    /// A recorder of what is meant to be sent in `window`.
    pub fn new(window: Window) -> Self {
        Self { window, all: histogram(3), slots: Vec::new(), completed: 0 }
    }

    /// Takes a message that was meant to be sent at `intended` and came at `now`.
    pub fn record(&mut self, intended: Nanos, now: Nanos) {
        // The server's CPU time is taken over the window: it goes with what came in it.
        self.completed += u64::from(self.window.contains(now));
        if !self.window.contains(intended) {
            return;
        }
        let latency = now.saturating_sub(intended).max(1);
        take(&mut self.all, latency);
        let slot = ((intended - self.window.from) / self.window.slot()) as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || histogram(2));
        }
        take(&mut self.slots[slot], latency);
    }

    /// Adds what another thread recorded in the same window.
    pub fn merge(&mut self, other: &Self) {
        self.completed += other.completed;
        if self.slots.len() < other.slots.len() {
            self.slots.resize_with(other.slots.len(), || histogram(2));
        }
        let pairs = self.slots.iter_mut().zip(&other.slots).chain([(&mut self.all, &other.all)]);
        for (into, from) in pairs {
            into.add(from).expect("histograms of the same bounds can be added");
        }
    }

    /// Messages that came in the window.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// All latencies.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.all
    }

    /// When each slot begins, counted from the window's start, and its latencies.
    pub fn slots(&self) -> impl Iterator<Item = (Nanos, &Histogram<u64>)> {
        let length = self.window.slot();
        self.slots.iter().enumerate().map(move |(number, slot)| (number as u64 * length, slot))
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1, 2 * SECOND, digits).expect("the bounds are constants in order");
    // Most latencies are short: the memory for long ones is taken when one comes.
    histogram.auto(true);
    histogram
}

fn take(histogram: &mut Histogram<u64>, latency: Nanos) {
    histogram.record(latency.min(LONGEST)).expect("a histogram that grows takes an hour");
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from: 1000, to: 1000 + 10 * SECOND };

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut recorder = Recorder::new(WINDOW);
        let mut naive: Vec<u64> = Vec::new();
        let mut state = 88172645463325252_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let latency = 1 + state % (1 << (state >> 59));
            recorder.record(2000, 2000 + latency);
            naive.push(latency);
        }
        naive.sort_unstable();
        for quantile in [0.5_f64, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            let rank = (quantile * naive.len() as f64).ceil() as usize;
            let (exact, found) =
                (naive[rank - 1] as f64, recorder.histogram().value_at_quantile(quantile) as f64);
            assert!((found - exact).abs() <= exact / 1000.0 + 1.0, "{quantile}: {found} for {exact}");
        }
    }

    #[test]
    fn what_is_outside_the_window_does_not_count() {
        let mut recorder = Recorder::new(WINDOW);
        recorder.record(999, 1500);
        assert_eq!((recorder.histogram().len(), recorder.completed()), (0, 1));
        recorder.record(WINDOW.to - 1, WINDOW.to + 5);
        assert_eq!((recorder.histogram().len(), recorder.completed()), (1, 1));
        recorder.record(WINDOW.to, WINDOW.to + 5);
        assert_eq!((recorder.histogram().len(), recorder.completed()), (1, 1));
    }

    #[test]
    fn slots_are_by_the_intended_time_and_threads_add_up() {
        let mut one = Recorder::new(WINDOW);
        let mut other = one.clone();
        one.record(WINDOW.from, WINDOW.from + 7);
        other.record(WINDOW.from + SHORTEST_SLOT, WINDOW.from + 3 * SECOND);
        one.merge(&other);
        let slots: Vec<_> = one.slots().map(|(from, slot)| (from, slot.len(), slot.min())).collect();
        assert_eq!(slots[0], (0, 1, 7));
        assert_eq!((slots[1].0, slots[1].1), (SHORTEST_SLOT, 1));
        assert_eq!(slots.len(), 2);
        assert_eq!((one.histogram().len(), one.completed()), (2, 2));
    }

    #[test]
    fn days_of_waiting_fit() {
        let mut recorder = Recorder::new(WINDOW);
        recorder.record(2000, u64::MAX);
        assert!(recorder.histogram().max() >= LONGEST);
    }
}
