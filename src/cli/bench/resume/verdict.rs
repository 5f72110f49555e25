//! What a run came to, as a result like that of every load, and as the lines under it.

use super::args::{How, ResumeArgs};
use super::load::Load;
use super::storm::Storm;
use super::watchers::{RATE, WATCHERS};
use crate::cli::bench::checked::Verdict;
use crate::cli::bench::checked::faults::Fault;
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::recorder::Recorder;
use crate::cli::bench::result::RunResult;
use crate::cli::bench::table::number;
use crate::cli::bench::target::Target;

/// One line of what has been, while the load goes on.
pub fn progress_line(load: &Load<'_>, since: Nanos) -> String {
    let counts = &load.counts;
    let cuts = counts.cuts.iter().sum::<u64>();
    let [pushes, deliveries, cuts, resumed] =
        [counts.pushes, counts.deliveries, cuts, counts.resumed].map(|count| number(count as f64));
    let (minutes, summary) = (since / (60 * SECOND), load.faults.summary());
    format!(
        "{minutes:>4} min: {pushes} pushes, {deliveries} deliveries, {cuts} cuts, {resumed} resumed; {summary}"
    )
}

/// The verdict on a run with a seed; with a storm, where all were cut at once.
pub fn verdict(
    args: &ResumeArgs,
    target: &Target,
    seed: u64,
    load: &Load<'_>,
    storm: Option<&Storm>,
) -> Verdict {
    let mut result = RunResult::new("resume", args.output.label.as_deref(), &target.host, &target.url);
    let mut set = |name: &str, value: String| result.settings.insert(name.to_owned(), value);
    set("connections", args.connections.to_string());
    set("seed", seed.to_string());
    if storm.is_none() {
        set("duration", format!("{:?}", args.duration));
        set("rate", format!("{}/s", args.rate));
        set("cuts", format!("{}/s", args.cuts_per_second));
    }
    result.latency("from a player's attempt to its session", &load.returns);
    if let Some(storm) = storm {
        storm_figures(&mut result, storm);
    }
    for (name, value) in counts(load) {
        result.figure(name, "", value as f64);
    }
    Verdict::new(result, &load.faults)
}

fn storm_figures(result: &mut RunResult, storm: &Storm) {
    let ms = |nanos: Nanos| nanos as f64 / 1e6;
    result.figure("all were away after", "ms", ms(storm.away_after).round());
    result.figure("all were back after", "ms", ms(storm.back_after).round());
    let p99 = |recorder: &Recorder| recorder.histogram().value_at_quantile(0.99) as f64;
    let (alone, meanwhile) = (p99(&storm.alone), p99(&storm.meanwhile));
    if alone > 0.0 {
        let ratio = (100.0 * meanwhile / alone).round() / 100.0;
        result.figure("p99 of pushes to others meanwhile", "times that alone", ratio);
    }
    let others = format!("{WATCHERS} others, {RATE} pushes/s");
    result.settings.insert("watched".to_owned(), others);
    result.latency("pushes to others, alone", &storm.alone);
    result.latency("pushes to others, while all came back", &storm.meanwhile);
}

fn counts(load: &Load<'_>) -> Vec<(&'static str, u64)> {
    let (counts, losses, faults) = (&load.counts, &load.losses, &load.faults);
    let mut figures = vec![
        ("pushes", counts.pushes),
        ("pushes left out", counts.left_out),
        ("answers", counts.answers),
        ("messages checked", counts.deliveries),
        ("of these, due ones", counts.due),
        ("replaced by a later one", losses.replaced),
        ("dropped", losses.dropped),
        ("replaced or dropped", losses.either),
    ];
    figures.extend(How::ALL.map(|how| (how.name(), counts.cuts[how as usize])));
    figures.extend([
        ("of these, before the welcome", counts.cut_early),
        ("given up as silent", counts.silent),
        ("ended by others", counts.ended),
        ("attempts that failed", counts.refused),
        ("taken over by an older attempt", counts.taken_over),
        ("resumed", counts.resumed),
        ("not resumed: expired", counts.expired),
        ("not resumed: gap", counts.gaps),
        ("not resumed: other reasons", counts.other_whys),
        ("sessions", counts.sessions),
        ("missing", faults.count(Fault::Lost)),
        ("doubled", faults.count(Fault::Doubled)),
        ("out of order", faults.count(Fault::Misordered)),
        ("untrue reasons", faults.count(Fault::Reason)),
        ("faults in all", faults.total()),
    ]);
    figures
}
