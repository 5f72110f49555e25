//! The kinds of figures: what a reactor writes, what is rendered of it, and what it sums up to.

use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Serialize, Serializer};

use super::carry::Carry;
use super::labels::Label;
use super::render::Text;

/// A figure of one reactor that can be rendered and summed.
pub trait Metric {
    /// The Prometheus type: `counter`, `gauge` or `histogram`.
    const TYPE: &'static str;
    /// What it sums up to.
    type Total: Default;

    /// Adds it to a sum.
    fn add_to(&self, total: &mut Self::Total);

    /// Writes it in the Prometheus text format.
    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>);
}

/// A number that only grows. Only one thread writes it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        // One writer: no locked instruction is needed.
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Counter {
    const TYPE: &'static str = "counter";
    type Total = u64;

    fn add_to(&self, total: &mut u64) {
        *total = total.wrapping_add(self.get());
    }

    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>) {
        text.sample(name, &[("reactor", reactor)], self.get());
    }
}

impl Carry for Counter {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        see("", self.get());
    }

    fn add_carried(&self, label: &str, count: u64) {
        if label.is_empty() {
            self.add(count);
        }
    }
}

/// A number that goes up and down. Only one thread writes it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Raises it.
    pub fn add(&self, n: u64) {
        self.set(self.get().saturating_add(n));
    }

    /// Lowers it; not below 0.
    pub fn sub(&self, n: u64) {
        self.set(self.get().saturating_sub(n));
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Gauge {
    const TYPE: &'static str = "gauge";
    type Total = u64;

    fn add_to(&self, total: &mut u64) {
        *total = total.saturating_add(self.get());
    }

    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>) {
        text.sample(name, &[("reactor", reactor)], self.get());
    }
}

impl Carry for Gauge {
    fn each(&self, _: &mut dyn FnMut(&str, u64)) {}

    fn add_carried(&self, _: &str, _: u64) {}
}

/// A counter for each value of a label; `N` is the number of values.
#[derive(Debug)]
pub struct CounterBy<L, const N: usize> {
    counters: [Counter; N],
    label: PhantomData<fn(L)>,
}

impl<L: Label, const N: usize> CounterBy<L, N> {
    const _N_IS_THE_NUMBER_OF_VALUES: () = assert!(N == L::ALL.len());

    /// The counter of one value.
    pub fn of(&self, value: L) -> &Counter {
        &self.counters[value.index()]
    }
}

impl<L: Label, const N: usize> Default for CounterBy<L, N> {
    fn default() -> Self {
        let () = Self::_N_IS_THE_NUMBER_OF_VALUES;
        Self { counters: std::array::from_fn(|_| Counter::default()), label: PhantomData }
    }
}

impl<L: Label, const N: usize> Metric for CounterBy<L, N> {
    const TYPE: &'static str = "counter";
    type Total = Tally<L, N>;

    fn add_to(&self, total: &mut Self::Total) {
        for (sum, counter) in total.counts.iter_mut().zip(&self.counters) {
            counter.add_to(sum);
        }
    }

    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>) {
        for value in L::ALL {
            text.sample(name, &[("reactor", reactor), (L::NAME, value.text())], self.of(*value).get());
        }
    }
}

impl<L: Label, const N: usize> Carry for CounterBy<L, N> {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        L::ALL.iter().for_each(|value| see(value.text(), self.of(*value).get()));
    }

    fn add_carried(&self, label: &str, count: u64) {
        if let Some(value) = L::ALL.iter().find(|value| value.text() == label) {
            self.of(*value).add(count);
        }
    }
}

/// The sums of a [`CounterBy`]; serialised as a map from the label's text to the count.
#[derive(Debug, Clone)]
pub struct Tally<L, const N: usize> {
    counts: [u64; N],
    label: PhantomData<fn(L)>,
}

impl<L: Label, const N: usize> Tally<L, N> {
    /// The sum of one value.
    pub fn of(&self, value: L) -> u64 {
        self.counts[value.index()]
    }

    /// What has been counted since `before`, by the label's text; nothing of what has not been counted.
    pub fn since(&self, before: &Self) -> impl Iterator<Item = (&'static str, u64)> + use<L, N> {
        let counts: [u64; N] =
            std::array::from_fn(|index| self.counts[index].saturating_sub(before.counts[index]));
        L::ALL.iter().map(|value| value.text()).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// The sum over all values.
    pub fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl<L, const N: usize> Default for Tally<L, N> {
    fn default() -> Self {
        Self { counts: [0; N], label: PhantomData }
    }
}

impl<L: Label, const N: usize> Serialize for Tally<L, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(L::ALL.iter().map(|value| (value.text(), self.of(*value))))
    }
}
