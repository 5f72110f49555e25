//! What a run found, as it goes into a file, a table, a comparison and a report.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::SECOND;
use super::error::BenchError;
use super::process::Machine;
use super::recorder::Recorder;
use crate::cli::shown::shown;

/// The percentiles that tables show.
pub const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0];
/// Points of a curve from one power of ten in 1/(1-p) to the next.
const POINTS_A_DECADE: usize = 10;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Of this file: 1.
    pub format: u32,
    /// `echo`, `push` and so on.
    pub shape: String,
    /// What to call it beside others.
    pub label: String,
    /// The URL, without what proves who a player is.
    pub target: String,
    /// When it began, in seconds since 1970.
    pub began_unix_s: u64,
    /// What it ran on.
    pub machine: Machine,
    /// Why it ended early, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// What was asked for, in words.
    pub settings: BTreeMap<String, String>,
    /// Figures other than latencies.
    pub figures: Vec<Figure>,
    /// Latencies, the main one first.
    pub latencies: Vec<Latency>,
    /// The main latency over time.
    pub over_time: Vec<Slot>,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its unit; empty for a count.
    pub unit: String,
    /// Itself.
    pub value: f64,
}

/// Latencies of one kind, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From what to what.
    pub name: String,
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// By percentile, 0 to 100, evenly in the logarithm of 1/(1-p), and those of [`PERCENTILES`].
    pub percentiles: Vec<Percentile>,
}

/// One point of a latency's distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// 0 to 100.
    pub p: f64,
    /// So long or less was this part of all.
    pub us: f64,
}

/// A piece of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// Its start, in seconds from the start of what is measured.
    pub at_s: f64,
    /// Messages that were meant to be sent in it.
    pub messages: u64,
    /// Their median latency.
    pub p50_us: f64,
    /// Their 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl RunResult {
    /// The version of the file's form.
    pub const FORMAT: u32 = 1;

    /// A result without figures, of a run that ends now.
    pub fn new(shape: &str, label: Option<&str>, host: &str, url: &str) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            format: Self::FORMAT,
            shape: shape.to_owned(),
            label: label.unwrap_or(host).to_owned(),
            target: shown(url),
            began_unix_s: began.as_secs(),
            machine: Machine::this(),
            broken: None,
            settings: BTreeMap::new(),
            figures: Vec::new(),
            latencies: Vec::new(),
            over_time: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BenchError::File`] and [`BenchError::Result`].
    pub fn load(path: &Path) -> Result<Self, BenchError> {
        let text = fs::read(path).map_err(|error| BenchError::File { path: path.to_owned(), error })?;
        let result = serde_json::from_slice(&text);
        let mut result: Self = result.map_err(|error| BenchError::Result { path: path.to_owned(), error })?;
        // An older version wrote down what proves who a player is.
        result.target = shown(&result.target);
        Ok(result)
    }

    /// The text of a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, strings and lists of them are always JSON")
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, unit: &str, value: f64) {
        self.figures.push(Figure { name: name.to_owned(), unit: unit.to_owned(), value });
    }

    /// Adds the latencies of `recorder`, if there are any; the first that are added are the main ones.
    pub fn latency(&mut self, name: &str, recorder: &Recorder) {
        let histogram = recorder.histogram();
        if histogram.is_empty() {
            return;
        }
        if self.latencies.is_empty() {
            self.over_time = recorder.slots().filter(|(_, slot)| !slot.is_empty()).map(slot).collect();
        }
        self.latencies.push(Latency {
            name: name.to_owned(),
            count: histogram.len(),
            mean_us: micros(histogram.mean()),
            percentiles: distribution(histogram),
        });
    }
}

impl Latency {
    /// The latency at a percentile of [`PERCENTILES`].
    pub fn at(&self, p: f64) -> Option<f64> {
        self.percentiles.iter().find(|point| point.p == p).map(|point| point.us)
    }
}

fn micros(nanos: f64) -> f64 {
    nanos.round() / 1000.0
}

fn slot((at, histogram): (u64, &Histogram<u64>)) -> Slot {
    Slot {
        at_s: at as f64 / SECOND as f64,
        messages: histogram.len(),
        p50_us: micros(histogram.value_at_quantile(0.5) as f64),
        p99_us: micros(histogram.value_at_quantile(0.99) as f64),
        max_us: micros(histogram.max() as f64),
    }
}

/// The distribution as far as there are latencies to tell one point from the next.
fn distribution(histogram: &Histogram<u64>) -> Vec<Percentile> {
    let decades = (histogram.len() as f64).log10();
    let steps =
        (0..).map(|step| step as f64 / POINTS_A_DECADE as f64).take_while(|&decade| decade <= decades);
    // Short decimals are read back as they were written.
    let even = steps.map(|decade| (1e8 * (1.0 - 10_f64.powf(-decade))).round() / 1e6);
    let mut points: Vec<f64> = even.chain(PERCENTILES).collect();
    points.sort_by(f64::total_cmp);
    points.dedup();
    let at = |p: f64| micros(histogram.value_at_quantile(p / 100.0) as f64);
    points.into_iter().map(|p| Percentile { p, us: at(p) }).collect()
}

#[cfg(test)]
pub mod tests {
    use super::super::recorder::Window;
    use super::*;

    /// A run of which every latency is `scale` times 1 to 1,000 µs.
    pub fn sample(label: &str, scale: u64) -> RunResult {
        let window = Window { from: 0, to: SECOND };
        let mut recorder = Recorder::new(window);
        for step in 1..=1000 {
            recorder.record(step * 900_000, step * 900_000 + step * 1000 * scale);
        }
        let mut result = RunResult {
            format: RunResult::FORMAT,
            shape: "echo".to_owned(),
            label: label.to_owned(),
            target: "ws://127.0.0.1:9000/echo".to_owned(),
            began_unix_s: 1_760_000_000,
            machine: Machine { cpu: "a <fast> one".to_owned(), cores: 2, kernel: "Linux 6".to_owned() },
            broken: None,
            settings: [("connections".to_owned(), "100".to_owned())].into(),
            figures: Vec::new(),
            latencies: Vec::new(),
            over_time: Vec::new(),
        };
        result.figure("server CPU", "µs/message", 5.5 * scale as f64);
        result.figure("lost connections", "", 0.0);
        result.latency("round trip", &recorder);
        result
    }

    #[test]
    fn a_run_survives_its_file() {
        let result = sample("a", 1);
        assert_eq!(serde_json::from_str::<RunResult>(&result.to_json()).unwrap(), result);
        let path = std::env::temp_dir().join(format!("gannet-bench-result-{}.json", std::process::id()));
        fs::write(&path, result.to_json()).unwrap();
        assert_eq!(RunResult::load(&path).unwrap(), result);
        fs::write(&path, "{}").unwrap();
        assert!(RunResult::load(&path).unwrap_err().to_string().contains("is no result of gannet bench"));
        fs::remove_file(&path).unwrap();
        assert!(matches!(RunResult::load(&path), Err(BenchError::File { .. })));
    }

    #[test]
    fn a_distribution_has_the_percentiles_and_an_even_curve() {
        let latency = &sample("a", 1).latencies[0];
        assert_eq!(latency.count, 1000);
        for (p, exact) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (99.9, 999.0), (100.0, 1000.0)] {
            let found = latency.at(p).unwrap();
            assert!((found - exact).abs() <= exact / 500.0, "{p}: {found}");
        }
        assert_eq!(latency.at(12.0), None);
        assert!(latency.percentiles.is_sorted_by(|a, b| a.p < b.p && a.us <= b.us));
        assert!(latency.percentiles.len() >= 3 * POINTS_A_DECADE);
        assert!(latency.percentiles.len() <= 3 * POINTS_A_DECADE + 1 + PERCENTILES.len());
    }

    #[test]
    fn time_is_in_slots() {
        let slots = sample("a", 1).over_time;
        assert_eq!(slots.iter().map(|slot| slot.messages).sum::<u64>(), 1000);
        assert!(slots.is_sorted_by(|a, b| a.at_s < b.at_s && a.p50_us <= a.p99_us && a.p99_us <= a.max_us));
        assert_eq!(slots.len(), 10);
    }

    #[test]
    fn what_was_never_measured_is_not_told() {
        let mut result = sample("a", 1);
        result.latency("nothing", &Recorder::new(Window { from: 0, to: 1 }));
        assert_eq!(result.latencies.len(), 1);
    }
}
