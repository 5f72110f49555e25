//! Histograms of times in fixed buckets, each twice as wide as the one before.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::carry::Carry;
use super::render::Text;
use super::value::{Counter, Metric};

/// Buckets with a bound: 1 µs, 2 µs, … 2^24 µs, which is 16.8 s.
const BOUNDED: usize = 25;

/// Times in nanoseconds, counted in buckets that double from 1 µs to 16.8 s. Only one thread writes it.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Bucket `b` counts the times up to `bound_ns(b)` and beyond the bound before.
    buckets: [Counter; BOUNDED + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts one time.
    pub fn observe(&self, ns: u64) {
        self.buckets[bucket_of(ns)].add(1);
        self.sum_ns.store(self.sum_ns.load(Relaxed).saturating_add(ns), Relaxed);
    }
}

impl Metric for Histogram {
    const TYPE: &'static str = "histogram";
    type Total = HistogramTotal;

    fn add_to(&self, total: &mut HistogramTotal) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            bucket.add_to(sum);
        }
        total.sum_ns = total.sum_ns.saturating_add(self.sum_ns.load(Relaxed));
    }

    fn render(&self, name: &str, reactor: &str, text: &mut Text<'_>) {
        let mut total = HistogramTotal::default();
        self.add_to(&mut total);
        let series = format!("{name}_bucket");
        let mut cumulative = 0;
        for (bucket, count) in total.buckets.iter().enumerate() {
            cumulative += count;
            let le = match bound_ns(bucket) {
                Some(ns) => seconds(ns).to_string(),
                None => "+Inf".to_owned(),
            };
            text.sample(&series, &[("reactor", reactor), ("le", &le)], cumulative);
        }
        text.sample(&format!("{name}_sum"), &[("reactor", reactor)], seconds(total.sum_ns));
        text.sample(&format!("{name}_count"), &[("reactor", reactor)], cumulative);
    }
}

impl Carry for Histogram {
    fn each(&self, see: &mut dyn FnMut(&str, u64)) {
        let Self { buckets, sum_ns } = self;
        for (number, bucket) in buckets.iter().enumerate() {
            see(&bound_ns(number).unwrap_or(0).to_string(), bucket.get());
        }
        see("sum", sum_ns.load(Relaxed));
    }

    fn add_carried(&self, label: &str, count: u64) {
        if label == "sum" {
            return self.sum_ns.store(self.sum_ns.load(Relaxed).saturating_add(count), Relaxed);
        }
        // By its bound: where that is none of ours it goes to the one that holds it.
        match label.parse() {
            Ok(0) => self.buckets[BOUNDED].add(count),
            Ok(bound_ns) => self.buckets[bucket_of(bound_ns)].add(count),
            Err(_) => {}
        }
    }
}

/// Histograms summed up; serialised as count, mean and percentiles in microseconds.
#[derive(Debug, Clone, Default)]
pub struct HistogramTotal {
    buckets: [u64; BOUNDED + 1],
    sum_ns: u64,
}

impl HistogramTotal {
    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of the times in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The times that have been counted since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|bucket| {
                self.buckets[bucket].saturating_sub(before.buckets[bucket])
            }),
            sum_ns: self.sum_ns.saturating_sub(before.sum_ns),
        }
    }

    /// The same estimate as [`HistogramTotal::quantile_ns`] in microseconds, to a tenth.
    pub fn quantile_us(&self, q: f64) -> f64 {
        microseconds(self.quantile_ns(q))
    }

    /// The mean in nanoseconds; 0 of nothing.
    pub fn mean_ns(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum_ns as f64 / count as f64,
        }
    }

    /// An estimate of the `q`-quantile in nanoseconds, `q` from 0 to 1: times are taken as even within a bucket, and
    /// what is beyond the last bound as that bound. 0 of nothing.
    pub fn quantile_ns(&self, q: f64) -> f64 {
        if self.count() == 0 {
            return 0.0;
        }
        let rank = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            let Some(upper) = bound_ns(bucket).map(|ns| ns as f64) else { break };
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                return lower + (upper - lower) * (rank - below) / count;
            }
            below += count;
            lower = upper;
        }
        lower
    }
}

impl Serialize for HistogramTotal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("HistogramTotal", 6)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("mean_us", &microseconds(self.mean_ns()))?;
        for (name, q) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)] {
            fields.serialize_field(name, &self.quantile_us(q))?;
        }
        fields.end()
    }
}

/// The bound of a bucket, which belongs to it; `None` for the last.
fn bound_ns(bucket: usize) -> Option<u64> {
    (bucket < BOUNDED).then(|| 1_000 << bucket)
}

fn bucket_of(ns: u64) -> usize {
    let us = ns.div_ceil(1_000);
    let bucket = us.max(1).next_power_of_two().trailing_zeros() as usize;
    bucket.min(BOUNDED)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// To a tenth: an estimate has no more.
fn microseconds(ns: f64) -> f64 {
    (ns / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_quantile_is_the_bound_of_the_highest_bucket() {
        let turns = Histogram::default();
        turns.observe(3_500);
        let mut total = HistogramTotal::default();
        turns.add_to(&mut total);
        assert_eq!((total.count(), total.quantile_ns(1.0)), (1, 4_000.0));
    }

    #[test]
    fn buckets_are_those_of_the_naive_search() {
        let naive = |ns: u64| (0..BOUNDED).find(|&bucket| ns <= bound_ns(bucket).unwrap()).unwrap_or(BOUNDED);
        let mut times = vec![0, u64::MAX, u64::MAX - 1];
        for bit in 0..63 {
            let near = [(1 << bit) - 1, 1 << bit, (1 << bit) + 1];
            times.extend(near);
            times.extend(near.map(|time: u64| time.saturating_mul(1_000)));
            times.extend(near.map(|time: u64| time.saturating_mul(1_000).saturating_add(1)));
        }
        for ns in times {
            assert_eq!(bucket_of(ns), naive(ns), "{ns} ns");
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_exact_ones() {
        let mut state = 0x9E37_79B9_u64;
        let histograms = [Histogram::default(), Histogram::default()];
        let mut times = Vec::new();
        for number in 0..5_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let ns = state % (1 << (10 + state % 24));
            histograms[number % 2].observe(ns);
            times.push(ns);
        }
        times.sort_unstable();
        let mut total = HistogramTotal::default();
        histograms.iter().for_each(|histogram| histogram.add_to(&mut total));
        assert_eq!(total.count(), times.len() as u64);
        let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
        assert!((total.mean_ns() - mean).abs() < 1.0);
        for q in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = times[((q * times.len() as f64).ceil() as usize).max(1) - 1];
            let upper = bound_ns(bucket_of(exact)).unwrap() as f64;
            let lower = if upper > 1_000.0 { upper / 2.0 } else { 0.0 };
            let estimate = total.quantile_ns(q);
            assert!((lower..=upper).contains(&estimate), "{q}: {estimate} for {exact}");
        }
    }

    #[test]
    fn nothing_and_the_endless_have_quantiles() {
        let mut total = HistogramTotal::default();
        assert_eq!((total.quantile_ns(0.5), total.mean_ns()), (0.0, 0.0));
        let histogram = Histogram::default();
        histogram.observe(u64::MAX);
        histogram.add_to(&mut total);
        assert_eq!(total.quantile_ns(0.5), 16_777_216_000.0);
    }
}
