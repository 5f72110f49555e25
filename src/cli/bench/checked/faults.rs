//! What a soak, or a run of resumes, finds wrong: counted by kind, the first of them in words.

use std::collections::BTreeMap;
use std::fmt;

/// Of each kind, so many are told in words.
const MOST_TOLD: usize = 5;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message that never came.
    Lost,
    /// A message that came again.
    Doubled,
    /// A message that came after a later one.
    Misordered,
    /// A message to a session that it was not for.
    Stray,
    /// A message with other bytes than were sent.
    Damaged,
    /// A receipt whose counts do not add up, or are not those of the target.
    Receipt,
    /// A command or a connection that was refused.
    Refused,
    /// An answer that is none to what was asked.
    Answer,
    /// A session that the server ended.
    Ended,
    /// An event of a link without its open, after its close, on another link, or with another code.
    Event,
    /// More was lost than the counters of the server have, or these do not add up.
    Counter,
    /// A gauge, a descriptor or memory that is not back at the start.
    Leftover,
    /// A reason that cannot be true.
    Reason,
    /// The run did not come to its end.
    Broken,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Misordered => "misordered",
            Self::Stray => "stray messages",
            Self::Damaged => "damaged messages",
            Self::Receipt => "wrong receipts",
            Self::Refused => "refusals",
            Self::Answer => "wrong answers",
            Self::Ended => "sessions ended by the server",
            Self::Event => "wrong events",
            Self::Counter => "wrong counters",
            Self::Leftover => "leftovers",
            Self::Reason => "untrue reasons",
            Self::Broken => "broken off",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Faults {
    counts: BTreeMap<Fault, u64>,
    told: BTreeMap<Fault, Vec<String>>,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, fault: Fault, detail: impl fmt::Display) {
        *self.counts.entry(fault).or_default() += 1;
        let told = self.told.entry(fault).or_default();
        if told.len() < MOST_TOLD {
            told.push(detail.to_string());
        }
    }

    /// What was lost has come after all, in the wrong place.
    pub fn found(&mut self, detail: impl fmt::Display) {
        if let Some(lost) = self.counts.get_mut(&Fault::Lost) {
            *lost = lost.saturating_sub(1);
        }
        self.add(Fault::Misordered, detail);
    }

    /// How many of a kind.
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts.get(&fault).copied().unwrap_or(0)
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Those beside lost, doubled and misordered ones, each kind with its count.
    fn others(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let in_order = [Fault::Lost, Fault::Doubled, Fault::Misordered];
        let others =
            self.counts.iter().filter(move |(fault, count)| !in_order.contains(fault) && **count > 0);
        others.map(|(fault, count)| (fault.name(), *count))
    }

    /// `0 lost, 0 doubled, 0 misordered`, and what else there is.
    pub fn summary(&self) -> String {
        let count = |fault| self.count(fault);
        let mut text = format!(
            "{} lost, {} doubled, {} misordered",
            count(Fault::Lost),
            count(Fault::Doubled),
            count(Fault::Misordered)
        );
        for (name, count) in self.others() {
            text.push_str(&format!(", {count} {name}"));
        }
        text
    }

    /// The summary, under the first faults in words.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for (fault, details) in &self.told {
            for detail in details {
                text.push_str(&format!("  {}: {detail}\n", fault.name()));
            }
            let told = details.len() as u64;
            if self.count(*fault) > told {
                text.push_str(&format!("  {}: and {} more\n", fault.name(), self.count(*fault) - told));
            }
        }
        text.push_str(&self.summary());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_three_kinds_always_and_others_where_there_are_some() {
        let mut faults = Faults::default();
        assert_eq!(faults.report(), "0 lost, 0 doubled, 0 misordered");
        faults.add(Fault::Lost, "a");
        faults.add(Fault::Lost, "b");
        faults.found("b");
        faults.add(Fault::Receipt, "c");
        assert_eq!(faults.total(), 3);
        assert_eq!(faults.summary(), "1 lost, 0 doubled, 1 misordered, 1 wrong receipts");
    }

    #[test]
    fn only_the_first_of_a_kind_are_told() {
        let mut faults = Faults::default();
        (0..MOST_TOLD + 5).for_each(|number| faults.add(Fault::Stray, number));
        faults.add(Fault::Lost, "one");
        let report = faults.report();
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), 1 + MOST_TOLD + 1 + 1);
        assert_eq!((lines[0], lines[1]), ("  lost: one", "  stray messages: 0"));
        assert_eq!(lines[1 + MOST_TOLD], "  stray messages: and 5 more");
    }
}
