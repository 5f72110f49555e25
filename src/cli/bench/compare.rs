//! `gannet bench compare`: two runs side by side, and by what factor they differ.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

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
    /// Print an object a line: first what the two are, then each figure
    #[arg(long)]
    json: bool,
}

/// Runs `gannet bench compare`; answers the table, or its lines of JSON.
pub fn run(args: &CompareArgs) -> Result<String, BenchError> {
    let (a, b) = (RunResult::load(&args.a)?, RunResult::load(&args.b)?);
    Ok(if args.json { lines(&a, &b) } else { render(&a, &b) })
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    /// Empty for a count.
    unit: String,
    a: f64,
    b: f64,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        (self.a != 0.0).then(|| self.b / self.a)
    }

    fn head(&self) -> String {
        [self.name.as_str(), &self.unit].join(" ").trim_end().to_owned()
    }

    fn line(&self) -> String {
        let ratio = self.ratio();
        as_line(&FigureLine { name: &self.name, unit: &self.unit, a: self.a, b: self.b, ratio })
    }
}

/// The first line of `--json`: what is compared.
#[derive(Serialize)]
struct RunsLine<'a> {
    a: Run<'a>,
    b: Run<'a>,
    same_load: bool,
}

#[derive(Serialize)]
struct Run<'a> {
    label: &'a str,
    shape: &'a str,
    target: &'a str,
}

/// Each further one.
#[derive(Serialize)]
struct FigureLine<'a> {
    name: &'a str,
    unit: &'a str,
    a: f64,
    b: f64,
    ratio: Option<f64>,
}

fn as_line(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("numbers, strings and structs of them are always JSON") + "\n"
}

/// What both runs tell, in the first one's order.
fn rows(a: &RunResult, b: &RunResult) -> Vec<Row> {
    let mut rows = Vec::new();
    for figure in &a.figures {
        let same = b.figures.iter().find(|other| other.name == figure.name && other.unit == figure.unit);
        let (name, unit) = (figure.name.clone(), figure.unit.clone());
        rows.extend(same.map(|other| Row { name, unit, a: figure.value, b: other.value }));
    }
    for latency in &a.latencies {
        let Some(other) = b.latencies.iter().find(|other| other.name == latency.name) else { continue };
        for p in PERCENTILES {
            let name = format!("{} {}", latency.name, percentile_name(p));
            let both = latency.at(p).zip(other.at(p));
            rows.extend(both.map(|(a, b)| Row { name, unit: "µs".to_owned(), a, b }));
        }
    }
    rows
}

fn is_same_load(a: &RunResult, b: &RunResult) -> bool {
    a.shape == b.shape && a.settings == b.settings
}

/// The same for programs, an object a line. Only figures have a `name`.
fn lines(a: &RunResult, b: &RunResult) -> String {
    fn run(run: &RunResult) -> Run<'_> {
        Run { label: &run.label, shape: &run.shape, target: &run.target }
    }
    let runs = RunsLine { a: run(a), b: run(b), same_load: is_same_load(a, b) };
    as_line(&runs) + &rows(a, b).iter().map(Row::line).collect::<String>()
}

fn render(a: &RunResult, b: &RunResult) -> String {
    let rows = rows(a, b);
    let width = rows.iter().map(|row| row.head().chars().count()).max().unwrap_or(0);
    let column = a.label.chars().count().max(b.label.chars().count()).max(12);
    let mut out = String::new();
    if !is_same_load(a, b) {
        out.push_str("These are runs of different loads: their ratios may mean little.\n\n");
    }
    out.push_str(&format!("{:width$}  {:>column$}  {:>column$}  {:>8}\n", "", a.label, b.label, "ratio"));
    for row in &rows {
        let ratio = row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        let (a, b) = (number(row.a), number(row.b));
        out.push_str(&format!("{:width$}  {a:>column$}  {b:>column$}  {ratio:>8}\n", row.head()));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn ratios_are_of_the_second_to_the_first() {
        let rows = rows(&sample("a", 1), &sample("b", 2));
        assert_eq!((rows[0].head().as_str(), rows[0].a, rows[0].b), ("server CPU µs/message", 5.5, 11.0));
        assert_eq!(rows[0].ratio(), Some(2.0));
        assert_eq!((rows[1].head().as_str(), rows[1].ratio()), ("lost connections", None));
        assert_eq!(rows[2].head(), "round trip p50 µs");
        assert_eq!(rows.len(), 2 + PERCENTILES.len());
        for row in &rows[2..] {
            let ratio = row.ratio().unwrap();
            assert!((1.99..2.01).contains(&ratio), "{row:?}");
        }
    }

    #[test]
    fn programs_read_a_line_a_figure() {
        let (a, b) = (sample("a", 1), sample("b", 2));
        let text = lines(&a, &b);
        let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), 1 + rows(&a, &b).len());
        assert_eq!((&read[0]["a"]["label"], &read[0]["b"]["shape"]), (&json!("a"), &json!("echo")));
        assert_eq!((&read[0]["same_load"], read[0].get("name")), (&json!(true), None));
        let cpu = json!({ "name": "server CPU", "unit": "µs/message", "a": 5.5, "b": 11.0, "ratio": 2.0 });
        assert_eq!(read[1], cpu);
        // Nothing is by how many times more than nothing.
        assert_eq!((&read[2]["name"], &read[2]["ratio"]), (&json!("lost connections"), &Value::Null));
        assert_eq!((&read[5]["name"], &read[5]["unit"]), (&json!("round trip p99"), &json!("µs")));
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
        assert!(lines(&a, &b).lines().next().is_some_and(|runs| runs.contains("\"same_load\":false")));
    }
}
