//! What one session is to get, and what it got. Messages of one publishing connection and one stream, that is of one
//! class or with one key, come in the order of their numbers; what may be missing among them is known from how they were
//! pushed.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Numbers that are remembered as come, to tell a doubled message from one that is out of order.
const MOST_RECENT: usize = 256;
/// Numbers that are remembered as skipped, to tell one that comes late.
const MOST_SKIPPED: usize = 256;

/// Publisher and stream of a [`Mark`](super::mark::Mark).
pub type Source = (u8, u8);

/// Whether a message that a session is to get may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It comes.
    Sure,
    /// It comes, or a later one of its stream does.
    Replaceable,
    /// It may be dropped.
    Droppable,
    /// It may be dropped, or a later one of its stream comes.
    Either,
    /// It may expire.
    Expirable,
}

/// What was missing and may be, by the reason that there must be for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// A later message with the key came.
    pub replaced: u64,
    /// Dropped.
    pub dropped: u64,
    /// One of the two.
    pub either: u64,
    /// Expired.
    pub expired: u64,
}

impl Losses {
    fn count(&mut self, promise: Promise) {
        match promise {
            Promise::Sure => {}
            Promise::Replaceable => self.replaced += 1,
            Promise::Droppable => self.dropped += 1,
            Promise::Either => self.either += 1,
            Promise::Expirable => self.expired += 1,
        }
    }
}

/// What a message that came is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next of its stream, or the next but for some that are missing.
    Due,
    /// In order, but none that the session was to get for sure.
    Unannounced,
    /// It had come before.
    Doubled,
    /// It came after a later one of its stream.
    Misordered,
    /// The same; and it had been told as missing.
    Found,
}

/// The messages of one session.
#[derive(Debug, Default)]
pub struct Inbox {
    streams: HashMap<Source, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// The highest number that came.
    last: Option<u64>,
    /// To come, ascending, all above `last`.
    due: VecDeque<(u64, Promise)>,
    /// Overtaken by later ones.
    skipped: BTreeMap<u64, Promise>,
    recent: VecDeque<u64>,
}

impl Inbox {
    /// The session is to get a message. Numbers of one source ascend.
    pub fn expect(&mut self, source: Source, number: u64, promise: Promise) {
        self.streams.entry(source).or_default().due.push_back((number, promise));
    }

    /// A message came. `missing` gets the numbers before it which were sure to come and have not.
    pub fn take(
        &mut self,
        source: Source,
        number: u64,
        losses: &mut Losses,
        missing: &mut Vec<u64>,
    ) -> Arrival {
        let stream = self.streams.entry(source).or_default();
        if stream.last.is_some_and(|last| number <= last) {
            return stream.take_old(number);
        }
        let mut arrival = Arrival::Unannounced;
        while let Some(&(due, promise)) = stream.due.front().filter(|(due, _)| *due <= number) {
            stream.due.pop_front();
            if due == number {
                arrival = Arrival::Due;
                break;
            }
            losses.count(promise);
            missing.extend((promise == Promise::Sure).then_some(due));
            stream.skip(due, promise);
        }
        stream.last = Some(number);
        stream.remember(number);
        arrival
    }

    /// Whether all that must come has.
    pub fn is_complete(&self) -> bool {
        self.streams.values().all(|stream| {
            let must_come =
                |(_, promise): &(u64, Promise)| matches!(promise, Promise::Sure | Promise::Replaceable);
            !stream.due.iter().any(must_come)
        })
    }

    /// How many messages are to come, or may.
    pub fn pending(&self) -> usize {
        self.streams.values().map(|stream| stream.due.len()).sum()
    }

    /// Nothing more comes, and the session has been open all the time. Answers what should have come.
    pub fn settle(&mut self, losses: &mut Losses) -> Vec<(Source, u64)> {
        let mut lost = Vec::new();
        for (source, stream) in &mut self.streams {
            // The last value of a key has none that could have taken its place.
            let latest = stream.due.iter().rfind(|(_, promise)| *promise == Promise::Replaceable).copied();
            for (number, promise) in stream.due.drain(..) {
                match promise == Promise::Sure || Some((number, promise)) == latest {
                    true => lost.push((*source, number)),
                    false => losses.count(promise),
                }
            }
        }
        lost.sort_unstable();
        lost
    }
}

impl Stream {
    /// A message whose number is not above the last one's.
    fn take_old(&mut self, number: u64) -> Arrival {
        if self.recent.contains(&number) {
            return Arrival::Doubled;
        }
        let skipped = self.skipped.remove(&number);
        self.remember(number);
        match skipped {
            Some(Promise::Sure) => Arrival::Found,
            _ => Arrival::Misordered,
        }
    }

    fn skip(&mut self, number: u64, promise: Promise) {
        if self.skipped.len() == MOST_SKIPPED {
            self.skipped.pop_first();
        }
        self.skipped.insert(number, promise);
    }

    fn remember(&mut self, number: u64) {
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = (1, 0);

    struct World {
        inbox: Inbox,
        losses: Losses,
        missing: Vec<u64>,
    }

    impl World {
        fn expecting(promises: &[(u64, Promise)]) -> Self {
            let mut inbox = Inbox::default();
            for &(number, promise) in promises {
                inbox.expect(SOURCE, number, promise);
            }
            Self { inbox, losses: Losses::default(), missing: Vec::new() }
        }

        fn take(&mut self, numbers: &[u64]) -> Vec<Arrival> {
            let mut take =
                |number: &u64| self.inbox.take(SOURCE, *number, &mut self.losses, &mut self.missing);
            numbers.iter().map(&mut take).collect()
        }

        fn settle(&mut self) -> Vec<u64> {
            self.inbox.settle(&mut self.losses).into_iter().map(|(_, number)| number).collect()
        }
    }

    fn sure(numbers: &[u64]) -> World {
        World::expecting(&numbers.iter().map(|&number| (number, Promise::Sure)).collect::<Vec<_>>())
    }

    #[test]
    fn all_in_order_is_no_fault() {
        let mut world = sure(&[0, 3, 4]);
        assert!(!world.inbox.is_complete());
        assert_eq!(world.inbox.pending(), 3);
        assert_eq!(world.take(&[0, 3, 4]), [Arrival::Due; 3]);
        assert!(world.inbox.is_complete());
        assert_eq!(world.inbox.pending(), 0);
        assert_eq!((world.settle(), world.missing), (vec![], vec![]));
    }

    #[test]
    fn a_missing_message_is_told_when_a_later_one_comes_and_at_the_end() {
        let mut world = sure(&[0, 1, 2, 3]);
        assert_eq!(world.take(&[0, 2]), [Arrival::Due; 2]);
        assert_eq!(world.missing, [1]);
        assert_eq!(world.settle(), [3]);
    }

    #[test]
    fn a_doubled_message_is_told() {
        let mut world = sure(&[0, 1]);
        assert_eq!(world.take(&[0, 0, 1, 0, 1]), {
            use Arrival::{Doubled, Due};
            [Due, Doubled, Due, Doubled, Doubled]
        });
    }

    #[test]
    fn swapped_messages_are_one_out_of_order_and_none_missing() {
        let mut world = sure(&[0, 1, 2]);
        assert_eq!(world.take(&[1, 0, 2, 0]), {
            use Arrival::{Doubled, Due, Found};
            [Due, Found, Due, Doubled]
        });
        assert_eq!(world.missing, [0], "it was told as missing before it was found");
        assert!(world.settle().is_empty());
    }

    #[test]
    fn what_was_not_announced_keeps_the_order_too() {
        let mut world = sure(&[]);
        assert_eq!(world.take(&[5, 9, 7, 9]), {
            use Arrival::{Doubled, Misordered, Unannounced};
            [Unannounced, Unannounced, Misordered, Doubled]
        });
    }

    #[test]
    fn streams_do_not_order_one_another() {
        let mut world = sure(&[0, 1]);
        world.inbox.expect((1, 1), 2, Promise::Sure);
        let first = world.inbox.take((1, 1), 2, &mut world.losses, &mut world.missing);
        assert_eq!((first, world.take(&[0, 1])), (Arrival::Due, vec![Arrival::Due; 2]));
    }

    #[test]
    fn what_may_be_missing_is_counted_under_its_reason() {
        use Promise::{Droppable, Either, Expirable, Sure};
        let mut world = World::expecting(&[
            (0, Droppable),
            (1, Expirable),
            (2, Either),
            (3, Sure),
            (4, Droppable),
            (5, Expirable),
        ]);
        assert_eq!(world.take(&[3]), [Arrival::Due]);
        assert!(world.settle().is_empty());
        assert_eq!(world.losses, Losses { replaced: 0, dropped: 2, either: 1, expired: 2 });
        assert!(world.missing.is_empty());
    }

    #[test]
    fn the_last_value_of_a_key_must_come() {
        let keyed = |numbers: &[u64]| {
            World::expecting(
                &numbers.iter().map(|&number| (number, Promise::Replaceable)).collect::<Vec<_>>(),
            )
        };
        let mut world = keyed(&[0, 1, 2]);
        assert_eq!(world.take(&[0, 2]), [Arrival::Due; 2]);
        assert_eq!((world.settle(), world.losses.replaced), (vec![], 1));
        let mut world = keyed(&[0, 1, 2]);
        assert_eq!(world.take(&[0]), [Arrival::Due]);
        assert!(!world.inbox.is_complete());
        assert_eq!((world.settle(), world.losses.replaced), (vec![2], 1));
        let mut world = keyed(&[0, 1]);
        assert_eq!(
            world.take(&[1, 0]),
            [Arrival::Due, Arrival::Misordered],
            "an older value after a newer one"
        );
    }

    /// By looking at everything that came so far.
    #[test]
    fn faults_are_those_of_a_look_at_everything() {
        let mut random = super::super::random::Random::new(3);
        for _ in 0..2000 {
            let sent = random.within(1, 12) as u64;
            let mut came: Vec<u64> = (0..sent).collect();
            for _ in 0..random.below(4) {
                let at = random.below(came.len());
                match random.below(3) {
                    0 if came.len() > 1 => drop(came.remove(at)),
                    1 => came.insert(random.below(came.len()), came[at]),
                    _ => came.swap(at, 0),
                }
            }
            let mut world = sure(&(0..sent).collect::<Vec<_>>());
            let arrivals = world.take(&came);
            let count = |kinds: &[Arrival]| arrivals.iter().filter(|arrival| kinds.contains(arrival)).count();
            let found = count(&[Arrival::Found]);
            let lost = world.missing.len() + world.settle().len() - found;
            let (doubled, misordered) = (count(&[Arrival::Doubled]), found + count(&[Arrival::Misordered]));
            let is_first = |at: usize| !came[..at].contains(&came[at]);
            let is_late = |at: usize| came[..at].iter().any(|other| *other > came[at]);
            let firsts: Vec<usize> = (0..came.len()).filter(|&at| is_first(at)).collect();
            let expected = (
                (0..sent).filter(|number| !came.contains(number)).count(),
                came.len() - firsts.len(),
                firsts.iter().filter(|&&at| is_late(at)).count(),
            );
            assert_eq!((lost, doubled, misordered), expected, "{came:?} of {sent}");
        }
    }
}
