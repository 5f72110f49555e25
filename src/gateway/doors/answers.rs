//! Answers in the order of their questions, though they become ready in any order: what makes pipelining possible on a
//! backend connection. Knows nothing of what the answers say.

use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;

/// A queue of answers `A`; `W` is what is remembered about a question until its answer is there.
#[derive(Debug)]
pub struct Answers<W, A = Vec<u8>> {
    /// The sequence number of the first entry.
    first: u64,
    entries: VecDeque<Entry<W, A>>,
}

#[derive(Debug)]
enum Entry<W, A> {
    Waiting(W),
    Ready(A),
}

impl<W, A> Default for Answers<W, A> {
    fn default() -> Self {
        Self { first: 0, entries: VecDeque::new() }
    }
}

impl<W, A> Answers<W, A> {
    /// A place for the answer to a question, after all others.
    pub fn open(&mut self, waiting: W) -> u64 {
        self.entries.push_back(Entry::Waiting(waiting));
        self.first + self.entries.len() as u64 - 1
    }

    /// The answer to question `sequence`, written by `render` from what was remembered. Nothing happens where the place
    /// has been filled already.
    pub fn fill(&mut self, sequence: u64, render: impl FnOnce(&W) -> A) {
        let index = sequence.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index))
            && let Entry::Waiting(waiting) = entry
        {
            *entry = Entry::Ready(render(waiting));
        }
    }

    /// Whether the answer to question `sequence` is not there yet.
    pub fn is_waiting(&self, sequence: u64) -> bool {
        let index = sequence.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        matches!(index.and_then(|index| self.entries.get(index)), Some(Entry::Waiting(_)))
    }

    /// The first answer, if it is ready.
    pub fn take_ready(&mut self) -> Option<A> {
        if !matches!(self.entries.front(), Some(Entry::Ready(_))) {
            return None;
        }
        match self.entries.pop_front() {
            Some(Entry::Ready(answer)) => {
                self.first += 1;
                Some(answer)
            }
            _ => None,
        }
    }

    /// Questions whose answers have not been taken.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every question has been answered and every answer taken.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A queue of answers on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedAnswers<W, A> {
    #[n(0)]
    first: u64,
    #[n(1)]
    entries: Vec<CarriedEntry<W, A>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
enum CarriedEntry<W, A> {
    #[n(0)]
    Waiting(#[n(0)] W),
    #[n(1)]
    Ready(#[n(0)] A),
}

impl<W, A> Answers<W, A> {
    /// As it is carried.
    pub fn carry<V, B>(&self, waiting: impl Fn(&W) -> V, ready: impl Fn(&A) -> B) -> CarriedAnswers<V, B> {
        let Self { first, entries } = self;
        let entries = entries.iter().map(|entry| match entry {
            Entry::Waiting(question) => CarriedEntry::Waiting(waiting(question)),
            Entry::Ready(answer) => CarriedEntry::Ready(ready(answer)),
        });
        CarriedAnswers { first: *first, entries: entries.collect() }
    }

    /// The queue that was carried: every answer has the number that it had.
    ///
    /// # Errors
    /// More questions than can have been asked, and those of `waiting` and `ready`.
    pub fn restore<V, B>(
        carried: CarriedAnswers<V, B>,
        waiting: impl Fn(V) -> Result<W, InvalidState>,
        ready: impl Fn(B) -> Result<A, InvalidState>,
    ) -> Result<Self, InvalidState> {
        let CarriedAnswers { first, entries } = carried;
        if first > u64::MAX / 2 {
            return Err(InvalidState::new("more answers than can have been"));
        }
        let entries = entries.into_iter().map(|entry| {
            Ok(match entry {
                CarriedEntry::Waiting(question) => Entry::Waiting(waiting(question)?),
                CarriedEntry::Ready(answer) => Entry::Ready(ready(answer)?),
            })
        });
        Ok(Self { first, entries: entries.collect::<Result<_, _>>()? })
    }

    /// The questions whose answers are not there yet.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        let numbered = (self.first..).zip(&self.entries);
        numbered.filter(|(_, entry)| matches!(entry, Entry::Waiting(_))).map(|(sequence, _)| sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_in_the_order_of_the_questions() {
        let mut answers = Answers::default();
        let places: Vec<u64> = (0..5).map(|n| answers.open(n)).collect();
        for &place in [3, 1, 0, 4].map(|index| &places[index]) {
            answers.fill(place, |n| vec![*n]);
        }
        assert_eq!(std::iter::from_fn(|| answers.take_ready()).collect::<Vec<_>>(), [vec![0], vec![1]]);
        answers.fill(places[2], |n| vec![*n]);
        assert_eq!(
            std::iter::from_fn(|| answers.take_ready()).collect::<Vec<_>>(),
            [vec![2], vec![3], vec![4]]
        );
        assert!(answers.is_empty());
    }

    #[test]
    fn a_place_is_filled_once_and_only_while_it_waits() {
        let mut answers = Answers::default();
        let place = answers.open(());
        answers.fill(place, |()| vec![1]);
        answers.fill(place, |()| vec![2]);
        assert_eq!(answers.take_ready(), Some(vec![1]));
        answers.fill(place, |()| vec![3]);
        answers.fill(place + 7, |()| vec![4]);
        assert_eq!(answers.take_ready(), None);
    }
}
