//! `gannet bench compare`: two runs side by side, and by what factor they differ.

use std::path::PathBuf;

use clap::Args;

use super::error::BenchError;
use super::result::{PERCENTILES, RunResult};
use super::table::{number, percentile_name};

/// Two results side by side, with the ratio of the second to the first
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Result of --json
    a: PathBuf,
    /// Result of --json
    b: PathBuf,
}

/// Runs `gannet bench compare`; answers the table.
pub fn run(args: &CompareArgs) -> Result<String, BenchError> {
    Ok(render(&RunResult::load(&args.a)?, &RunResult::load(&args.b)?))
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    a: f64,
    b: f64,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        (self.a != 0.0).then(|| self.b / self.a)
    }
}

/// What both runs tell, in the first one's order.
fn rows(a: &RunResult, b: &RunResult) -> Vec<Row> {
    let mut rows = Vec::new();
    for figure in &a.figures {
        let same = b.figures.iter().find(|other| other.name == figure.name && other.unit == figure.unit);
        let name = [figure.name.as_str(), &figure.unit].join(" ").trim_end().to_owned();
        rows.extend(same.map(|other| Row { name, a: figure.value, b: other.value }));
    }
    for latency in &a.latencies {
        let Some(other) = b.latencies.iter().find(|other| other.name == latency.name) else { continue };
        for p in PERCENTILES {
            let name = format!("{} {} µs", latency.name, percentile_name(p));
            rows.extend(latency.at(p).zip(other.at(p)).map(|(a, b)| Row { name, a, b }));
        }
    }
    rows
}

fn render(a: &RunResult, b: &RunResult) -> String {
    let rows = rows(a, b);
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let column = a.label.chars().count().max(b.label.chars().count()).max(12);
    let mut out = String::new();
    if a.shape != b.shape || a.settings != b.settings {
        out.push_str("These are runs of different loads: their ratios may mean little.\n\n");
    }
    out.push_str(&format!("{:width$}  {:>column$}  {:>column$}  {:>8}\n", "", a.label, b.label, "ratio"));
    for row in &rows {
        let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        let (a, b) = (number(row.a), number(row.b));
        out.push_str(&format!("{:width$}  {a:>column$}  {b:>column$}  {ratio:>8}\n", row.name));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn ratios_are_of_the_second_to_the_first() {
        let rows = rows(&sample("a", 1), &sample("b", 2));
        assert_eq!(rows[0], Row { name: "server CPU µs/message".to_owned(), a: 5.5, b: 11.0 });
        assert_eq!(rows[0].ratio(), Some(2.0));
        assert_eq!((rows[1].name.as_str(), rows[1].ratio()), ("lost connections", None));
        assert_eq!(rows[2].name, "round trip p50 µs");
        assert_eq!(rows.len(), 2 + PERCENTILES.len());
        for row in &rows[2..] {
            let ratio = row.ratio().unwrap();
            assert!((1.99..2.01).contains(&ratio), "{row:?}");
        }
    }

    #[test]
    fn what_only_one_has_is_left_out_and_unlike_loads_are_told() {
        let (a, mut b) = (sample("a", 1), sample("b", 1));
        assert!(!render(&a, &b).contains("different"));
        b.figures.remove(0);
        b.latencies[0].name = "delivery".to_owned();
        b.settings.insert("connections".to_owned(), "7".to_owned());
        assert_eq!(rows(&a, &b).len(), 1);
        assert!(render(&a, &b).starts_with("These are runs of different loads"));
    }
}
