//! A run as text for people: what it was, its figures, its latencies.

use std::fmt::Write;

use super::result::{Figure, Latency, PERCENTILES, RunResult};

/// The whole run.
pub fn render(result: &RunResult) -> String {
    let mut out = String::new();
    let settings: Vec<String> =
        result.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    line(&mut out, format_args!("{}  {}  ({})", result.shape, result.target, result.label));
    line(&mut out, format_args!("{}", settings.join(", ")));
    if let Some(why) = &result.broken {
        line(&mut out, format_args!("ended early: {why}"));
    }
    line(&mut out, format_args!(""));
    let width = result.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
    for Figure { name, unit, value } in &result.figures {
        line(&mut out, format_args!("{name:width$}  {:>14}  {unit}", number(*value)));
    }
    if !result.latencies.is_empty() {
        line(&mut out, format_args!(""));
        latencies(&mut out, &result.latencies);
    }
    out
}

fn latencies(out: &mut String, latencies: &[Latency]) {
    let width = latencies.iter().map(|latency| latency.name.chars().count()).max().unwrap_or(0).max(2);
    let mut head = format!("{:width$}  {:>10}", "µs", "mean");
    for p in PERCENTILES {
        let _ = write!(head, "  {:>10}", percentile_name(p));
    }
    line(out, format_args!("{head}"));
    for latency in latencies {
        let mut row = format!("{:width$}  {:>10}", latency.name, number(latency.mean_us));
        for p in PERCENTILES {
            let _ = write!(row, "  {:>10}", latency.at(p).map_or("-".to_owned(), number));
        }
        line(out, format_args!("{row}"));
    }
}

/// `p50` to `max`.
pub fn percentile_name(p: f64) -> String {
    if p == 100.0 { "max".to_owned() } else { format!("p{p}") }
}

/// A number with as many digits as it deserves, and its thousands apart.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size == size.trunc() || size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let table = [
            (0.0, "0"),
            (7.0, "7"),
            (0.2304, "0.230"),
            (5.784, "5.78"),
            (123.456, "123.5"),
            (1234.56, "1,235"),
            (1_234_567.0, "1,234,567"),
            (-1500.0, "-1,500"),
            (999.96, "1,000.0"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn a_run_as_a_table() {
        let text = render(&sample("left", 1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "echo  ws://127.0.0.1:9000/echo  (left)");
        assert_eq!(lines[1], "connections 100");
        assert_eq!(lines[3], "server CPU                  5.50  µs/message");
        assert_eq!(
            lines[6],
            "µs                mean         p50         p90         p99       p99.9      p99.99         max"
        );
        assert!(lines[7].starts_with("round trip "));
        assert_eq!(lines[7].chars().count(), lines[6].chars().count());
    }
}
