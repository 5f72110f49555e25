//! Makes the servers' part of docs/benchmarks.md out of the results that `benches/run` left in a folder: medians over the
//! rounds, and how often the first server's, round by round: a machine's speed may change from one round to the next.
//!
//! `benchmarks-page RESULTS PAGE IMAGES COMMAND`; a result is `SHAPE.SERVER.ROUND.json`, as `gannet bench --json` writes it.

#[path = "../../plot.rs"]
mod plot;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use plot::Row;
use serde_json::Value;

const BEGIN: &str = "<!-- written by benches/run: begin -->";
const END: &str = "<!-- written by benches/run: end -->";

/// Lines with the same columns.
struct Table {
    /// What stands above it, behind a line's machine and settings.
    about: &'static str,
    /// The servers, or ways to use one, in the order of their columns; ratios are to the first that a shape has.
    columns: &'static [(&'static str, &'static str)],
    measures: &'static [Measure],
}

/// The servers beside each other.
const SERVERS: Table = Table {
    about: "",
    columns: &[
        ("floor", "floor"),
        ("gannet", "gannet"),
        ("gannet-named", "gannet, user and group"),
        ("fastwebsockets", "fastwebsockets"),
        ("tungstenite", "tokio-tungstenite"),
        ("ws", "ws (Node.js)"),
    ],
    measures: &MEASURES,
};

/// gannet beside itself.
const OTHERS: [Table; 3] = [
    Table {
        about: "A backend's pushes on one connection, 128 of them under way, to 16 sessions:",
        columns: &[("gannet-http", "HTTP"), ("gannet-link", "JSON link"), ("gannet-link-bin", "binary link")],
        measures: &[
            named("link", "pushes a second", "messages a second"),
            named("link", "server CPU µs a push", "server CPU"),
            latency("link", "publish to read: p50 µs", 50.0),
            latency("link", "… p99 µs", 99.0),
        ],
    },
    Table {
        about: "1,000 quiet connections, 2,000 round trips a second over all, alone; and beside a connection that sends as \
                fast\nas it can and another that is sent a message of 1 MiB, less 16 bytes, 20 times a second:",
        columns: &[("gannet-quiet", "alone"), ("gannet-noisy", "beside the noise")],
        measures: &[
            latency("fairness", "round trip: p50 µs", 50.0),
            latency("fairness", "… p99 µs", 99.0),
            latency("fairness", "… p99.9 µs", 99.9),
        ],
    },
    Table {
        about: "One connection, one message in flight, the load spinning on its own core; a reactor that sleeps, and one that\nspins \
                for up to 1 ms:",
        columns: &[("gannet-sleeping", "sleeping"), ("gannet-spinning", "spinning")],
        measures: &[
            latency("spin", "round trip: p50 µs", 50.0),
            latency("spin", "… p99 µs", 99.0),
            named("spin", "server CPU, % of a core", "server CPU load"),
        ],
    },
];

/// A line of the table.
struct Measure {
    shape: &'static str,
    about: &'static str,
    figure: Figure,
}

/// Where a figure stands in a result.
enum Figure {
    /// By its name.
    Named(&'static str),
    /// Of the main latency, by its percentile.
    Latency(f64),
}

const fn named(shape: &'static str, about: &'static str, name: &'static str) -> Measure {
    Measure { shape, about, figure: Figure::Named(name) }
}

const fn latency(shape: &'static str, about: &'static str, p: f64) -> Measure {
    Measure { shape, about, figure: Figure::Latency(p) }
}

const MEASURES: [Measure; 15] = [
    named("echo-100", "echo, 100 connections, 1 in flight: CPU µs a message", "server CPU"),
    latency("echo-100", "… p99 µs", 99.0),
    named("echo-100x32", "echo, 100 × 32 in flight: CPU µs a message", "server CPU"),
    latency("echo-100x32", "… p99 µs", 99.0),
    named("echo-16k", "echo, 20 × 16 KiB: CPU µs a message", "server CPU"),
    latency("echo-16k", "… p99 µs", 99.0),
    latency("echo-1", "echo, 1 connection: p50 µs", 50.0),
    named("fanout-small", "fan-out to 1,000: CPU µs a delivery", "server CPU"),
    latency("fanout-small", "… p99 µs of a delivery", 99.0),
    named("fanout-large", "fan-out to 10,000: CPU µs a delivery", "server CPU"),
    named("idle", "memory of an idle session: bytes", "memory of a session"),
    latency("push", "directed push across threads: p50 µs", 50.0),
    latency("push", "… p99 µs", 99.0),
    named("connect", "handshakes a second", "handshakes a second"),
    named("connect", "… CPU µs a handshake", "server CPU"),
];

/// Results by shape, then by server.
type Results = BTreeMap<String, BTreeMap<String, Rounds>>;
/// One result a round, by its number.
type Rounds = BTreeMap<u32, Value>;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [results, page, images, command] = args.as_slice() else {
        eprintln!("usage: benchmarks-page RESULTS PAGE IMAGES COMMAND");
        std::process::exit(2);
    };
    let results = load(Path::new(results))?;
    let section = section(&results, command);
    let old = fs::read_to_string(page).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    fs::write(page, replaced(&old, &section))?;
    fs::write(Path::new(images).join("bench-cpu.svg"), bars(&results))
}

fn load(folder: &Path) -> io::Result<Results> {
    let mut results = Results::new();
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let [shape, server, round, "json"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let Ok(round) = round.parse() else { continue };
        let result = serde_json::from_slice(&fs::read(file.path())?)?;
        results
            .entry(shape.to_owned())
            .or_default()
            .entry(server.to_owned())
            .or_default()
            .insert(round, result);
    }
    Ok(results)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn value(result: &Value, figure: &Figure) -> Option<f64> {
    match figure {
        Figure::Named(name) => {
            let figures = result["figures"].as_array()?;
            figures.iter().find(|figure| figure["name"] == *name)?["value"].as_f64()
        }
        Figure::Latency(p) => {
            let points = result["latencies"][0]["percentiles"].as_array()?;
            points.iter().find(|point| point["p"].as_f64() == Some(*p))?["us"].as_f64()
        }
    }
}

/// What the rounds of one server come to.
#[derive(Clone, Copy)]
struct Summary {
    median: f64,
    /// The median of how often it is the first server's figure of the same round.
    ratio: Option<f64>,
}

fn summaries(results: &Results, columns: &[(&str, &str)], measure: &Measure) -> Vec<Option<Summary>> {
    let rounds_of = |server: &str| -> BTreeMap<u32, f64> {
        let rounds = results.get(measure.shape).and_then(|servers| servers.get(server));
        let figure = |(round, result): (&u32, &Value)| Some((*round, value(result, &measure.figure)?));
        rounds.into_iter().flatten().filter_map(figure).collect()
    };
    let all: Vec<BTreeMap<u32, f64>> = columns.iter().map(|(server, _)| rounds_of(server)).collect();
    let first = all.iter().find(|rounds| !rounds.is_empty());
    let ratio = |rounds: &BTreeMap<u32, f64>| {
        let to_first =
            |(round, figure): (&u32, &f64)| Some(figure / first?.get(round).filter(|first| **first != 0.0)?);
        median(rounds.iter().filter_map(to_first).collect())
    };
    let summary = |rounds: &BTreeMap<u32, f64>| {
        Some(Summary { median: median(rounds.values().copied().collect())?, ratio: ratio(rounds) })
    };
    all.iter().map(summary).collect()
}

fn section(results: &Results, command: &str) -> String {
    let all = || results.values().flat_map(BTreeMap::values);
    let rounds = all().map(BTreeMap::len).max().unwrap_or(0);
    let mut text = format!("{BEGIN}\n## Servers side by side\n\n`{command}`\n\n");
    // A string takes everything, here and below.
    if let Some((_, result)) = all().flatten().next() {
        let machine = &result["machine"];
        let word = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
        let (cores, began) = (&machine["cores"], result["began_unix_s"].as_u64().unwrap_or(0));
        let duration = result["settings"]["duration"].as_str().unwrap_or("?");
        let _ = writeln!(
            text,
            "{}, {cores} cores, {}, {}. Medians of {rounds} alternating rounds of {duration} each, the server on\none core and \
             the load on another, but for directed pushes, which have both cores; 64-byte messages; in brackets, the\nratio to \
             the first column, as the median of the rounds: the machine's speed drifts from one round to the next.",
            word("cpu"),
            word("kernel"),
            date(began)
        );
    }
    write_table(results, &SERVERS, &mut text);
    text.push_str(
        "\n![Server CPU a message](images/bench-cpu.svg)\n\nThe floor is a program of our own that checks nothing and does \
         nothing but the one thing measured.\n",
    );
    for (name, about) in [
        ("echo-100", "Echo, 100 connections, one message in flight on each: latency by percentile."),
        ("fanout-small", "Fan-out to 1,000: latency of a delivery by percentile."),
        ("push", "Directed push across threads: latency by percentile."),
    ] {
        if results.contains_key(name) {
            let _ = write!(text, "\n{about}\n\n![{about}](images/bench-{name}.svg)\n");
        }
    }
    for table in &OTHERS {
        write_table(results, table, &mut text);
    }
    text + END + "\n"
}

/// The table, if there is anything in it.
fn write_table(results: &Results, table: &Table, text: &mut String) {
    if !table.measures.iter().any(|measure| results.contains_key(measure.shape)) {
        return;
    }
    let gap = if table.about.is_empty() { "" } else { "\n" };
    text.push_str(&format!("\n{}{gap}\n| |", table.about));
    table.columns.iter().for_each(|(_, name)| text.push_str(&format!(" {name} |")));
    text.push_str("\n| --- |");
    table.columns.iter().for_each(|_| text.push_str(" --- |"));
    text.push('\n');
    for measure in table.measures {
        let summaries = summaries(results, table.columns, measure);
        if summaries.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {} |", measure.about);
        for (at, summary) in summaries.iter().enumerate() {
            let _ = match summary {
                Some(Summary { median, ratio: Some(ratio) }) if at > 0 => {
                    write!(text, " {} ({ratio:.2} ×) |", digits(*median))
                }
                Some(Summary { median, .. }) => write!(text, " {} |", digits(*median)),
                None => write!(text, " – |"),
            };
        }
        text.push('\n');
    }
}

/// The page with the old section, if there was one, replaced.
fn replaced(old: &str, section: &str) -> String {
    let Some((before, rest)) = old.split_once(BEGIN) else {
        return format!("{}\n\n{section}", old.trim_end());
    };
    let after = rest.split_once(END).map_or("", |(_, after)| after).trim_start_matches('\n');
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{before}{section}{gap}{after}")
}

/// The servers of which there is any figure, beside each other.
fn bars(results: &Results) -> String {
    let measures = || MEASURES.iter().filter(|measure| matches!(measure.figure, Figure::Named("server CPU")));
    let is_there = |column: &&(&str, &str)| {
        let mut figures = measures().filter_map(|measure| summaries(results, &[**column], measure)[0]);
        figures.next().is_some()
    };
    let columns: Vec<(&str, &str)> = SERVERS.columns.iter().filter(is_there).copied().collect();
    let names: Vec<&str> = columns.iter().map(|(_, name)| *name).collect();
    let row = |measure: &Measure| {
        let summaries = summaries(results, &columns, measure);
        let figures =
            summaries.iter().map(|summary| summary.map_or(f64::NAN, |summary| summary.median)).collect();
        let about = measure.about.split(": CPU").next().unwrap_or_default().trim_start_matches("… ");
        Row { about: about.replace("CPU µs a handshake", "handshake"), figures }
    };
    let rows: Vec<Row> =
        measures().map(row).filter(|row| row.figures.first().is_some_and(|f| !f.is_nan())).collect();
    plot::svg("Server CPU: µs a message, delivery or handshake", "µs", &names, &rows)
}

fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The day of a time in seconds since 1970, of which the civil calendar's 400 years have 146,097.
fn date(unix_s: u64) -> String {
    let mut days = unix_s / 86_400 + 719_468;
    let era = days / 146_097;
    days %= 146_097;
    let year = (days - days / 1460 + days / 36_524 - days / 146_096) / 365;
    let day_of_year = days - (365 * year + year / 4 - year / 100);
    // Years begin in March here.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(cpu: f64, p99: f64) -> Value {
        json!({
            "machine": {"cpu": "x", "cores": 2, "kernel": "Linux 6"},
            "began_unix_s": 1_760_000_000,
            "settings": {"duration": "10s"},
            "figures": [{"name": "server CPU", "unit": "µs/message", "value": cpu}],
            "latencies": [{"name": "round trip", "percentiles": [{"p": 99.0, "us": p99}]}],
        })
    }

    #[test]
    fn medians_and_ratios_are_in_the_table() {
        let mut results = Results::new();
        let echo = results.entry("echo-100".to_owned()).or_default();
        let floor = [(1, result(4.0, 100.0)), (2, result(5.0, 90.0)), (3, result(99.0, 80.0))];
        echo.insert("floor".to_owned(), floor.into());
        // Its second round failed.
        echo.insert("gannet".to_owned(), [(1, result(10.0, 50.0)), (3, result(99.0, 40.0))].into());
        let section = section(&results, "benches/run");
        assert!(section.contains("CPU µs a message | 5.00 | 99.0 (2.50 ×) | – |"), "{section}");
        assert!(section.contains("… p99 µs | 90.0 | 50.0 (0.50 ×) | – |"), "{section}");
        assert!(
            section.contains("x, 2 cores, Linux 6, 2025-10-09. Medians of 3 alternating rounds of 10s each")
        );
        let bars = bars(&results);
        assert!(bars.contains("19.8 ×") && !bars.contains("ws (Node.js)"), "{bars}");
    }

    #[test]
    fn only_the_section_is_written_anew() {
        let section = format!("{BEGIN}\nnew\n{END}\n");
        let page = format!("# Benchmarks\n\n{BEGIN}\nold\n{END}\n\n## Others\n");
        assert_eq!(replaced(&page, &section), format!("# Benchmarks\n\n{section}\n## Others\n"));
        assert_eq!(replaced(&replaced(&page, &section), &section), replaced(&page, &section));
        assert_eq!(replaced("# Benchmarks\n", &section), format!("# Benchmarks\n\n{section}"));
    }

    #[test]
    fn days_have_dates() {
        let table = [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_767_225_599, "2025-12-31"),
        ];
        for (unix_s, text) in table {
            assert_eq!(date(unix_s), text);
        }
    }
}
