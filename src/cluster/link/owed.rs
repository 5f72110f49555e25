//! What Redis still has to answer, in order.

use std::collections::VecDeque;

/// The answers that are owed. What is alike stands in runs, so it takes no more room when more is in flight.
#[derive(Debug, Default)]
pub struct Owed {
    /// No run is empty, and neighbours are not of one kind.
    runs: VecDeque<(Kind, usize)>,
    /// The sums of the runs of each kind.
    replies: usize,
    confirmations: usize,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As a reply.
    Reply,
    /// As a push that confirms one channel.
    Confirmation,
}

impl Owed {
    /// `count` more answers are owed.
    pub fn add(&mut self, kind: Kind, count: usize) {
        if count == 0 {
            return;
        }
        *self.sum(kind) += count;
        match self.runs.back_mut() {
            Some((last, run)) if *last == kind => *run += count,
            _ => self.runs.push_back((kind, count)),
        }
    }

    /// The kind of the next answer; `None` if none is owed.
    pub fn next(&self) -> Option<Kind> {
        self.runs.front().map(|(kind, _)| *kind)
    }

    /// The next answer has come. `false` if it is not of that kind.
    pub fn take(&mut self, kind: Kind) -> bool {
        match self.runs.front_mut() {
            Some((next, run)) if *next == kind => {
                *run -= 1;
                if *run == 0 {
                    self.runs.pop_front();
                }
                *self.sum(kind) -= 1;
                true
            }
            _ => false,
        }
    }

    /// All that is owed, in order: how it comes, and how many such follow on each other.
    pub fn runs(&self) -> impl Iterator<Item = (Kind, usize)> {
        self.runs.iter().copied()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Commands without a reply.
    pub fn replies(&self) -> usize {
        self.replies
    }

    /// Channels without a confirmation.
    #[cfg(test)]
    pub fn confirmations(&self) -> usize {
        self.confirmations
    }

    fn sum(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Reply => &mut self.replies,
            Kind::Confirmation => &mut self.confirmations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Confirmation, Reply};

    #[test]
    fn answers_are_taken_in_the_order_in_which_they_are_owed() {
        let mut owed = Owed::default();
        for (kind, count) in [(Reply, 2), (Reply, 1), (Confirmation, 0), (Confirmation, 2), (Reply, 1)] {
            owed.add(kind, count);
        }
        assert_eq!((owed.replies(), owed.confirmations(), owed.runs.len()), (4, 2, 3));
        assert!(!owed.take(Confirmation), "a reply is next");
        for kind in [Reply, Reply, Reply, Confirmation, Confirmation, Reply] {
            assert_eq!(owed.next(), Some(kind));
            assert!(owed.take(kind));
        }
        assert!(owed.is_empty() && !owed.take(Reply) && owed.next().is_none());
        assert_eq!((owed.replies(), owed.confirmations()), (0, 0));
    }
}
