//! What the server says of itself in `/metrics`, before and after.

use std::collections::BTreeMap;

use super::faults::{Fault, Faults};
use super::inbox::Losses;
use crate::cli::backend::BackendArgs;
use crate::cli::bench::error::BenchError;
use crate::cli::error::CliError;

/// Gauges that are back at the start when everybody has gone; those that a server does not have are passed over.
const GAUGES: [&str; 15] = [
    "gannet_sessions",
    "gannet_users",
    "gannet_groups",
    "gannet_tags",
    "gannet_links",
    "gannet_outbox_messages",
    "gannet_outbox_bytes",
    "gannet_outbox_memory_bytes",
    "gannet_mailbox_messages",
    "gannet_mailbox_overflow_messages",
    "gannet_incoming_bytes",
    "gannet_paused",
    "gannet_sessions_away",
    "gannet_kept_messages",
    "gannet_kept_bytes",
];

/// Every series, summed over the reactors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    series: BTreeMap<String, u64>,
}

impl Figures {
    /// The server's now.
    ///
    /// # Errors
    /// It does not answer, or is no gannet.
    pub fn of(backend: &BackendArgs) -> Result<Self, CliError> {
        let figures = Self::parse(&backend.call("GET", "/metrics", None)?);
        match figures.are_gannets() {
            true => Ok(figures),
            false => Err(BenchError::NotGannet { address: backend.address().to_owned() }.into()),
        }
    }

    /// Reads the Prometheus text.
    pub fn parse(text: &str) -> Self {
        let mut series = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            // Times have fractions; none of them is looked at.
            let value = value.parse::<f64>().unwrap_or(0.0) as u64;
            *series.entry(without_reactor(name)).or_default() += value;
        }
        Self { series }
    }

    /// Whether they are gannet's.
    pub fn are_gannets(&self) -> bool {
        self.series.contains_key("gannet_sessions")
    }

    /// Sessions whose client is away.
    pub fn away(&self) -> usize {
        self.get("gannet_sessions_away") as usize
    }

    fn get(&self, name: &str) -> u64 {
        self.series.get(name).copied().unwrap_or(0)
    }

    /// The gauges that are not as at the start: name, then and now.
    pub fn leftovers(&self, start: &Self) -> Vec<(&'static str, u64, u64)> {
        let known = GAUGES.iter().filter(|name| start.series.contains_key(**name));
        known
            .map(|name| (*name, start.get(name), self.get(name)))
            .filter(|(_, then, now)| then != now)
            .collect()
    }

    /// How much a counter has grown.
    pub fn growth(&self, start: &Self, name: &str) -> u64 {
        self.get(name).saturating_sub(start.get(name))
    }

    /// Deliveries with an outcome, since the start.
    fn deliveries(&self, start: &Self, outcome: &str) -> u64 {
        self.growth(start, &format!("gannet_deliveries_total{{outcome=\"{outcome}\"}}"))
    }

    /// Holds the counters against one another, and what was missing against them.
    pub fn check(&self, start: &Self, losses: &Losses, pushes: u64, too_slow: u64, faults: &mut Faults) {
        let [queued, written, replaced, expired, closed, dropped] =
            ["queued", "written", "replaced", "expired", "closed", "dropped"]
                .map(|outcome| self.deliveries(start, outcome));
        // Those that were dropped before they were queued are among the dropped ones too.
        let settled = written + replaced + expired + closed;
        if settled > queued || queued > settled + dropped {
            let detail = format!(
                "{queued} deliveries queued; {written} written, {replaced} replaced, {expired} expired, {closed} closed, {dropped} dropped"
            );
            faults.add(Fault::Counter, detail);
        }
        let kicked = self.growth(start, "gannet_closed_total{code=\"4003\"}");
        let bounds = [
            ("replaced", losses.replaced, replaced),
            ("dropped", losses.dropped, dropped),
            ("expired", losses.expired, expired),
            ("replaced or dropped", losses.replaced + losses.dropped + losses.either, replaced + dropped),
            ("closed as too slow", too_slow, kicked),
        ];
        for (what, missing, counted) in bounds {
            if missing > counted {
                faults.add(
                    Fault::Counter,
                    format_args!("{missing} {what} at the players, {counted} in the counters"),
                );
            }
        }
        let overloads = ["gannet_dropped_total{reason=\"mailbox\"}", "gannet_link_events_lost_total"];
        for name in overloads {
            let lost = self.growth(start, name);
            if lost > 0 {
                faults.add(
                    Fault::Counter,
                    format_args!("{name} grew by {lost}: the server did not keep up with --rate"),
                );
            }
        }
        let taken = self.growth(start, "gannet_pushes_total");
        if taken != pushes {
            faults.add(Fault::Counter, format_args!("{pushes} pushes were sent, {taken} were taken"));
        }
    }
}

/// The name of a series without the label `reactor`.
fn without_reactor(name: &str) -> String {
    let Some((base, labels)) = name.split_once('{') else { return name.to_owned() };
    let labels = labels.trim_end_matches('}').split(',');
    let others: Vec<&str> = labels.filter(|label| !label.starts_with("reactor=")).collect();
    if others.is_empty() { base.to_owned() } else { format!("{base}{{{}}}", others.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "# HELP gannet_sessions x\ngannet_sessions{reactor=\"0\"} 1\ngannet_sessions{reactor=\"1\"} 2\n\
        gannet_links{reactor=\"0\"} 0\ngannet_pushes_total{reactor=\"0\"} 5\ngannet_uptime_seconds 1.5\n";

    fn after(queued: u64, fates: [u64; 4], dropped: u64) -> Figures {
        let outcomes = ["written", "replaced", "expired", "closed"].into_iter().zip(fates);
        let all = outcomes.chain([("queued", queued), ("dropped", dropped)]);
        let lines = all.map(|(outcome, count)| {
            format!("gannet_deliveries_total{{reactor=\"1\",outcome=\"{outcome}\"}} {count}\n")
        });
        Figures::parse(
            &lines.chain(["gannet_pushes_total{reactor=\"0\"} 15\n".to_owned()]).collect::<String>(),
        )
    }

    #[test]
    fn gauges_that_are_not_back_are_told() {
        let start = Figures::parse(START);
        assert!(start.are_gannets());
        assert_eq!(start.leftovers(&start), []);
        let now = Figures::parse("gannet_sessions{reactor=\"0\"} 3\ngannet_links{reactor=\"0\"} 2\n");
        assert_eq!(now.leftovers(&start), [("gannet_links", 0, 2)], "the sum over the reactors counts");
    }

    #[test]
    fn losses_must_be_in_the_counters() {
        let start = Figures::parse(START);
        let wrong = |figures: &Figures, losses: &Losses, pushes| {
            let mut faults = Faults::default();
            figures.check(&start, losses, pushes, 0, &mut faults);
            faults.count(Fault::Counter)
        };
        let figures = after(10, [6, 2, 1, 0], 3);
        let losses = Losses { replaced: 2, dropped: 2, either: 1, expired: 1 };
        assert_eq!(wrong(&figures, &losses, 10), 0);
        assert_eq!(wrong(&figures, &losses, 9), 1);
        let mut overloaded = figures.clone();
        overloaded.series.insert("gannet_dropped_total{reason=\"mailbox\"}".to_owned(), 1);
        assert_eq!(wrong(&overloaded, &losses, 10), 1);
        assert_eq!(wrong(&figures, &Losses { replaced: 3, either: 0, ..losses }, 10), 1);
        assert_eq!(wrong(&figures, &Losses { either: 2, ..losses }, 10), 1);
        assert_eq!(wrong(&figures, &Losses { expired: 2, ..losses }, 10), 1);
        assert_eq!(wrong(&after(10, [6, 2, 1, 2], 3), &losses, 10), 1, "more fates than were queued");
        assert_eq!(wrong(&after(20, [6, 2, 1, 2], 3), &losses, 10), 1, "fewer");
    }
}
