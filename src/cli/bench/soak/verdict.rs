//! What a soak came to, as a result like that of every load, and as the lines under it.

use super::load::Load;
use crate::cli::bench::args::CommonArgs;
use crate::cli::bench::checked::Verdict;
use crate::cli::bench::checked::faults::{Fault, Faults};
use crate::cli::bench::clock::{Nanos, SECOND};
use crate::cli::bench::result::RunResult;
use crate::cli::bench::table::number;
use crate::cli::bench::target::Target;

/// Memory may grow by half, and by so many bytes.
const SLACK: u64 = 16 << 20;

/// The server's resident memory, where its process is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Before anybody came.
    pub start: Option<u64>,
    /// After half of the time.
    pub half: Option<u64>,
    /// At the end of the load.
    pub loaded: Option<u64>,
    /// When everybody has gone.
    pub end: Option<u64>,
}

impl Memory {
    /// Tells memory that has grown: in the second half of the load, and over the run.
    pub fn check(&self, faults: &mut Faults) {
        let pairs = [
            ("half", self.half, "end", self.loaded),
            ("start", self.start, "end, with nobody there,", self.end),
        ];
        for (early, before, late, after) in pairs {
            let (Some(before), Some(after)) = (before, after) else { continue };
            if after > before + before / 2 + SLACK {
                let (before, after) = (mib(before), mib(after));
                let detail = format!("{before} MiB of memory at the {early}, {after} at the {late}");
                faults.add(Fault::Leftover, detail);
            }
        }
    }
}

fn mib(bytes: u64) -> String {
    number(bytes as f64 / f64::from(1 << 20))
}

/// One line of what has been, while the load goes on.
pub fn progress_line(load: &Load<'_>, since: Nanos, resident: Option<u64>) -> String {
    let counts = &load.counts;
    let [pushes, deliveries, said, sessions] =
        [counts.pushes, counts.deliveries, counts.said, counts.sessions].map(|count| number(count as f64));
    let memory = resident.map_or(String::new(), |bytes| format!(", {} MiB", mib(bytes)));
    let minutes = since / (60 * SECOND);
    let summary = load.faults.summary();
    format!(
        "{minutes:>4} min: {pushes} pushes, {deliveries} deliveries, {said} messages of players, {sessions} sessions{memory}; {summary}"
    )
}

/// The verdict on a load with a rate and a seed.
pub fn verdict(
    common: &CommonArgs,
    target: &Target,
    (rate, seed): (usize, u64),
    load: &Load<'_>,
    memory: &Memory,
) -> Verdict {
    let mut result = RunResult::new("soak", common.output.label.as_deref(), &target.host, &target.url);
    let settings = [
        ("connections", common.connections.to_string()),
        ("duration", format!("{:?}", common.duration)),
        ("rate", format!("{rate}/s")),
        ("seed", seed.to_string()),
    ];
    result.settings.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    let (counts, losses, faults) = (&load.counts, &load.losses, &load.faults);
    let events: u64 = load.listeners.iter().map(|listener| listener.events).sum();
    let figures = [
        ("pushes", counts.pushes),
        ("pushes left out", counts.left_out),
        ("changes", counts.changes),
        ("answers", counts.answers),
        ("deliveries", counts.deliveries),
        ("of these, due ones", counts.due),
        ("replaced by a later one", losses.replaced),
        ("dropped", losses.dropped),
        ("replaced or dropped", losses.either),
        ("expired", losses.expired),
        ("messages of players", counts.said),
        ("events to links", events),
        ("sessions", counts.sessions),
        ("slow readers closed", counts.too_slow),
        ("lost", faults.count(Fault::Lost)),
        ("doubled", faults.count(Fault::Doubled)),
        ("misordered", faults.count(Fault::Misordered)),
        ("faults in all", faults.total()),
    ];
    for (name, value) in figures {
        result.figure(name, "", value as f64);
    }
    let memory = [
        ("server memory at the start", memory.start),
        ("server memory at half time", memory.half),
        ("server memory at the end of the load", memory.loaded),
        ("server memory when all have gone", memory.end),
    ];
    for (name, bytes) in memory {
        let Some(bytes) = bytes else { continue };
        result.figure(name, "MiB", bytes as f64 / f64::from(1 << 20));
    }
    Verdict::new(result, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_may_grow_by_half_and_some() {
        let leftovers = |start: u64, half: u64, loaded: u64, end: u64| {
            let mut faults = Faults::default();
            let [start, half, loaded, end] = [start, half, loaded, end].map(|mib| Some(mib << 20));
            Memory { start, half, loaded, end }.check(&mut faults);
            faults.count(Fault::Leftover)
        };
        assert_eq!(leftovers(10, 100, 166, 31), 0);
        assert_eq!(leftovers(10, 100, 167, 31), 1);
        assert_eq!(leftovers(10, 100, 166, 32), 1);
        let mut faults = Faults::default();
        Memory::default().check(&mut faults);
        assert_eq!(faults.total(), 0, "nothing is known");
    }
}
