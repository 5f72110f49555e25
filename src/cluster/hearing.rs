//! What a node has heard over one Redis of each publisher. Redis and TCP keep the order, so a number that is not higher
//! than the last one is a message that was written twice, and is no news. What was published while this node had no connection is lost:
//! the publishers are asked, and what was for this node is counted. Pure.

mod carry;

pub use carry::CarriedHearing;

use hashbrown::HashMap;

/// Who publishes: the incarnation of a process, and which of its reactors.
pub type PublisherKey = (u64, u8);

/// See the module.
#[derive(Debug, Default)]
pub struct Hearing {
    publishers: HashMap<PublisherKey, Publisher>,
}

#[derive(Debug, Default)]
struct Publisher {
    last: u64,
    /// Nothing was heard behind this number until there was a connection again.
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Gap {
    from: u64,
    /// What has come since.
    heard: Vec<u64>,
}

/// What was lost of one publisher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Messages that were for this node.
    pub messages: u64,
    /// Messages of which nobody remembers whom they were for.
    pub unknown: u64,
}

impl Hearing {
    /// A message with this number has come; whether it is news.
    pub fn hear(&mut self, publisher: PublisherKey, sequence: u64) -> bool {
        let known = self.publishers.entry(publisher).or_default();
        let is_new = sequence > known.last;
        if is_new {
            known.last = sequence;
            if let Some(gap) = &mut known.gap {
                gap.heard.push(sequence);
            }
        }
        is_new
    }

    /// A publisher is known that has published up to this number: what came before was not for anybody here.
    pub fn begin(&mut self, publisher: PublisherKey, last: u64) {
        self.publishers.entry(publisher).or_insert(Publisher { last, gap: None });
    }

    /// The connection is gone.
    pub fn went_down(&mut self) {
        for publisher in self.publishers.values_mut() {
            publisher.gap.get_or_insert(Gap { from: publisher.last, heard: Vec::new() });
        }
    }

    /// What the publishers are to be asked: what each has published behind a number.
    pub fn gaps(&self) -> impl Iterator<Item = (PublisherKey, u64)> {
        let gap = |(key, publisher): (&PublisherKey, &Publisher)| Some((*key, publisher.gap.as_ref()?.from));
        self.publishers.iter().filter_map(gap)
    }

    /// A publisher says to which channels it has published the last messages up to the number `to`; `is_here` says whether a channel is
    /// wanted here. What was lost.
    pub fn fill_gap(
        &mut self,
        publisher: PublisherKey,
        to: u64,
        channels: &[u64],
        is_here: impl Fn(u64) -> bool,
    ) -> Missed {
        let Some(gap) = self.publishers.get_mut(&publisher).and_then(|known| known.gap.take()) else {
            return Missed::default();
        };
        let first = to.saturating_sub(channels.len() as u64) + 1;
        let numbered = (first..).zip(channels);
        let lost = numbered.filter(|(number, channel)| {
            *number > gap.from && **channel != 0 && is_here(**channel) && gap.heard.binary_search(number).is_err()
        });
        let messages = lost.count() as u64;
        Missed { messages, unknown: first.saturating_sub(gap.from + 1) }
    }

    /// The process with this incarnation is no more.
    pub fn forget(&mut self, incarnation: u64) {
        self.publishers.retain(|(of, _), _| *of != incarnation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublisherKey = (7, 0);

    #[test]
    fn what_is_written_twice_is_heard_once() {
        let mut hearing = Hearing::default();
        assert!(hearing.hear(KEY, 3) && hearing.hear(KEY, 5));
        assert!(!hearing.hear(KEY, 3) && !hearing.hear(KEY, 5));
        assert!(hearing.hear((7, 1), 3), "each reactor has its own numbers");
    }

    #[test]
    fn what_was_lost_is_counted_and_what_came_or_was_for_others_is_not() {
        let mut hearing = Hearing::default();
        hearing.hear(KEY, 10);
        hearing.went_down();
        assert_eq!(hearing.gaps().collect::<Vec<_>>(), [(KEY, 10)]);
        hearing.hear(KEY, 14);
        hearing.went_down();
        // 11 was for others, 12 gave way, 13 and 15 were for this node, 14 has come.
        let missed = hearing.fill_gap(KEY, 15, &[1, 0, 2, 2, 2], |channel| channel == 2);
        assert_eq!(missed, Missed { messages: 2, unknown: 0 });
        assert_eq!(hearing.gaps().count(), 0);
        assert_eq!(hearing.fill_gap(KEY, 15, &[2], |_| true), Missed::default(), "it is counted once");
    }

    #[test]
    fn what_a_publisher_does_not_remember_is_unknown() {
        let mut hearing = Hearing::default();
        hearing.begin(KEY, 10);
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 20, &[2; 4], |_| true), Missed { messages: 4, unknown: 6 });
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 10, &[], |_| true), Missed::default());
    }

    #[test]
    fn of_a_publisher_that_is_known_from_its_beginning_everything_counts() {
        let mut hearing = Hearing::default();
        hearing.begin(KEY, 0);
        hearing.begin(KEY, 5);
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 3, &[2, 2, 2], |_| true).messages, 3);
        hearing.forget(7);
        assert_eq!(hearing.gaps().count(), 0);
    }
}
