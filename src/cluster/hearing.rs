//! What a node has heard over one Redis of each publisher. Redis and TCP keep the order, so a number that is not higher
//! than the last one is a message that was written twice. Mostly it is no news; it may be that newer ones were heard of what was written
//! first, and it was not: then it comes too late, since the order is kept, and is lost. What was published while this node had no
//! connection is lost too: the publishers are asked, and what was for this node is counted. Pure.

mod carry;

pub use carry::CarriedHearing;

use hashbrown::{HashMap, HashSet};

/// Who publishes: the incarnation of a process, and which of its reactors.
pub type PublisherKey = (u64, u8);

/// See the module.
#[derive(Debug)]
pub struct Hearing {
    publishers: HashMap<PublisherKey, Publisher>,
    /// So many messages are written twice at the most.
    window: usize,
}

#[derive(Debug)]
struct Publisher {
    last: u64,
    /// Which of the last numbers were heard, a bit each, by their remainder.
    heard: Box<[u64]>,
    /// Nothing was heard behind this number until there was a connection again.
    gap: Option<Gap>,
}

#[derive(Debug)]
struct Gap {
    from: u64,
    /// What has come since, and is accounted for.
    heard: HashSet<u64>,
}

/// What a message is to whoever hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// News.
    New,
    /// It has been heard before.
    Again,
    /// It has not been heard, and newer ones have: it is lost.
    TooLate,
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
    /// Nobody has been heard. A publisher writes `window` messages twice at the most.
    pub fn new(window: usize) -> Self {
        Self { publishers: HashMap::new(), window: window.next_multiple_of(BITS).max(BITS) }
    }

    /// A message with this number has come.
    pub fn hear(&mut self, publisher: PublisherKey, sequence: u64) -> Heard {
        let window = self.window;
        let known = self.publishers.entry(publisher).or_insert_with(|| Publisher::new(0, window));
        let heard = known.hear(sequence, window as u64);
        if heard != Heard::Again
            && let Some(gap) = &mut known.gap
        {
            // What comes too late is counted where it comes.
            gap.heard.insert(sequence);
        }
        heard
    }

    /// A publisher is known that has published up to this number: what came before was not for anybody here.
    pub fn begin(&mut self, publisher: PublisherKey, last: u64) {
        let window = self.window;
        self.publishers.entry(publisher).or_insert_with(|| Publisher::new(last, window));
    }

    /// Of whom what was heard: the last numbers.
    pub fn heard(&self) -> impl Iterator<Item = (PublisherKey, u64)> {
        self.publishers.iter().map(|(key, publisher)| (*key, publisher.last))
    }

    /// Another node has heard the publisher up to this number, and all of that is older than what comes from now on: should it be
    /// written again, it is no news.
    pub fn has_been_heard(&mut self, publisher: PublisherKey, last: u64) {
        let window = self.window;
        let known = self.publishers.entry(publisher).or_insert_with(|| Publisher::new(0, window));
        if last > known.last {
            known.account(known.last, last, window as u64);
        }
    }

    /// The connection is gone.
    pub fn went_down(&mut self) {
        for publisher in self.publishers.values_mut() {
            publisher.gap.get_or_insert(Gap { from: publisher.last, heard: HashSet::new() });
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
        let window = self.window as u64;
        let Some(known) = self.publishers.get_mut(&publisher) else { return Missed::default() };
        let Some(gap) = known.gap.take() else { return Missed::default() };
        known.account(gap.from, to, window);
        let first = to.saturating_sub(channels.len() as u64) + 1;
        let numbered = (first..).zip(channels);
        let lost = numbered.filter(|(number, channel)| {
            *number > gap.from && **channel != 0 && is_here(**channel) && !gap.heard.contains(number)
        });
        let messages = lost.count() as u64;
        Missed { messages, unknown: first.saturating_sub(gap.from + 1) }
    }

    /// The process with this incarnation is no more.
    pub fn forget(&mut self, incarnation: u64) {
        self.publishers.retain(|(of, _), _| *of != incarnation);
    }
}

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Where the bit of a number is in a window of so many: in which word, and which.
fn place(sequence: u64, window: u64) -> (usize, u64) {
    ((sequence % window) as usize / BITS, 1 << (sequence % BITS as u64))
}

impl Publisher {
    /// Everything up to `to` behind `from` is accounted for: should it be written again, it is no news, and a later gap begins behind it.
    fn account(&mut self, from: u64, to: u64, window: u64) {
        for sequence in (from + 1).max(to.saturating_sub(window - 1))..=to {
            let (word, bit) = place(sequence, window);
            self.heard[word] |= bit;
        }
        self.last = self.last.max(to);
    }

    fn new(last: u64, window: usize) -> Self {
        Self { last, heard: vec![0; window / BITS].into(), gap: None }
    }

    fn hear(&mut self, sequence: u64, window: u64) -> Heard {
        if sequence > self.last {
            // Those in between were for others, or come too late.
            let skipped = (sequence - self.last - 1).min(window);
            for between in sequence - skipped..sequence {
                let (word, bit) = place(between, window);
                self.heard[word] &= !bit;
            }
        } else if self.last - sequence >= window {
            return Heard::Again;
        }
        let (word, bit) = place(sequence, window);
        let was_heard = sequence <= self.last && self.heard[word] & bit != 0;
        self.heard[word] |= bit;
        let is_late = sequence < self.last;
        self.last = self.last.max(sequence);
        match (was_heard, is_late) {
            (true, _) => Heard::Again,
            (false, true) => Heard::TooLate,
            (false, false) => Heard::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublisherKey = (7, 0);

    fn hearing() -> Hearing {
        Hearing::new(64)
    }

    #[test]
    fn what_is_written_twice_is_heard_once() {
        let mut hearing = hearing();
        assert_eq!([3, 5].map(|number| hearing.hear(KEY, number)), [Heard::New; 2]);
        assert_eq!([3, 5].map(|number| hearing.hear(KEY, number)), [Heard::Again; 2]);
        assert_eq!(hearing.hear((7, 1), 3), Heard::New, "each reactor has its own numbers");
    }

    #[test]
    fn what_another_node_has_heard_is_no_news_when_it_is_written_again() {
        let mut hearing = hearing();
        assert_eq!(hearing.hear(KEY, 3), Heard::New);
        [(KEY, 6), (KEY, 5), ((8, 0), 9)].iter().for_each(|(of, last)| hearing.has_been_heard(*of, *last));
        let mut known: Vec<_> = hearing.heard().collect();
        known.sort_unstable();
        assert_eq!(known, [(KEY, 6), ((8, 0), 9)]);
        assert_eq!(
            [4, 6, 7].map(|number| hearing.hear(KEY, number)),
            [Heard::Again, Heard::Again, Heard::New]
        );
        assert_eq!([9, 10].map(|number| hearing.hear((8, 0), number)), [Heard::Again, Heard::New]);
    }

    #[test]
    fn what_was_not_heard_before_newer_ones_is_too_late_once() {
        let mut hearing = hearing();
        for number in [70, 72, 75] {
            assert_eq!(hearing.hear(KEY, number), Heard::New);
        }
        // 71 and 74 were executed before this node was there, and are written again.
        assert_eq!(
            [71, 72, 74, 75].map(|number| hearing.hear(KEY, number)),
            [Heard::TooLate, Heard::Again, Heard::TooLate, Heard::Again]
        );
        assert_eq!([71, 74].map(|number| hearing.hear(KEY, number)), [Heard::Again; 2]);
        assert_eq!(hearing.hear(KEY, 75 - 64), Heard::Again, "nobody writes that again");
        hearing.hear(KEY, 1_000);
        assert_eq!(hearing.hear(KEY, 999), Heard::TooLate, "bits of before say nothing of it");
    }

    #[test]
    fn what_a_digest_has_counted_is_counted_by_nothing_else() {
        let mut hearing = hearing();
        hearing.hear(KEY, 10);
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 13, &[2, 2, 2], |_| true).messages, 3);
        // Nothing was heard before the next gap, and the publisher writes again what Redis has not answered.
        hearing.went_down();
        assert_eq!(
            [12, 13, 14].map(|number| hearing.hear(KEY, number)),
            [Heard::Again, Heard::Again, Heard::New]
        );
        assert_eq!(hearing.fill_gap(KEY, 15, &[2; 5], |_| true).messages, 1, "15 alone");
    }

    #[test]
    fn what_comes_too_late_is_not_counted_again_by_a_digest() {
        let mut hearing = hearing();
        hearing.hear(KEY, 10);
        hearing.went_down();
        hearing.hear(KEY, 13);
        assert_eq!(hearing.hear(KEY, 12), Heard::TooLate);
        let missed = hearing.fill_gap(KEY, 13, &[2, 2, 2], |_| true);
        assert_eq!(missed, Missed { messages: 1, unknown: 0 }, "11 alone");
    }

    #[test]
    fn what_was_lost_is_counted_and_what_came_or_was_for_others_is_not() {
        let mut hearing = hearing();
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
        let mut hearing = hearing();
        hearing.begin(KEY, 10);
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 20, &[2; 4], |_| true), Missed { messages: 4, unknown: 6 });
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 10, &[], |_| true), Missed::default());
    }

    #[test]
    fn of_a_publisher_that_is_known_from_its_beginning_everything_counts() {
        let mut hearing = hearing();
        hearing.begin(KEY, 0);
        hearing.begin(KEY, 5);
        hearing.went_down();
        assert_eq!(hearing.fill_gap(KEY, 3, &[2, 2, 2], |_| true).messages, 3);
        hearing.forget(7);
        assert_eq!(hearing.gaps().count(), 0);
    }
}
