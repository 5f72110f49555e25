//! Receipts that are waited for, in the order of their deadlines: every receipt is answered in time, with what is known by
//! then. Whether one is still waited for its door knows.

use crate::dispatch::{Origin, Packer, Push, Unpacker};
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use hashbrown::HashSet;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module. All have the same time, so that the order in which they came is that of their deadlines.
#[derive(Debug)]
pub struct Receipts {
    awaited: VecDeque<Awaited>,
    /// At this length those that have been answered are taken out, so that the list is at most about twice what it needs.
    swept_at: usize,
}

#[derive(Debug)]
struct Awaited {
    deadline_ms: u64,
    sequence: u64,
    push: Arc<Push>,
}

/// So many are kept before the first sweep.
const FEW: usize = 64;

impl Default for Receipts {
    fn default() -> Self {
        Self { awaited: VecDeque::new(), swept_at: FEW }
    }
}

impl Receipts {
    /// The receipt of `push` is waited for.
    pub fn add(
        &mut self,
        deadline_ms: u64,
        sequence: u64,
        push: Arc<Push>,
        is_awaited: impl Fn(u64) -> bool,
    ) {
        if self.awaited.len() >= self.swept_at {
            self.awaited.retain(|one| is_awaited(one.sequence));
            self.swept_at = 2 * self.awaited.len() + FEW;
        }
        self.awaited.push_back(Awaited { deadline_ms, sequence, push });
    }

    /// When the first one that is still waited for is due.
    pub fn next_due_ms(&mut self, is_awaited: impl Fn(u64) -> bool) -> Option<u64> {
        while let Some(first) = self.awaited.front() {
            if is_awaited(first.sequence) {
                return Some(first.deadline_ms);
            }
            self.awaited.pop_front();
        }
        (self.awaited, self.swept_at) = (VecDeque::new(), FEW);
        None
    }

    /// The next one whose time is over by `now_ms`; it may have been answered.
    pub fn take_late(&mut self, now_ms: u64) -> Option<(u64, Arc<Push>)> {
        self.awaited.front().filter(|first| first.deadline_ms <= now_ms)?;
        self.awaited.pop_front().map(|late| (late.sequence, late.push))
    }
}

/// A receipt that is waited for, on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedAwaited {
    /// On the server's clock, which goes on.
    #[n(0)]
    deadline_ms: u64,
    #[n(1)]
    sequence: u64,
    /// The number of the push.
    #[n(2)]
    push: u32,
}

impl Receipts {
    /// As they are carried: those that have been answered are not.
    pub fn carry(&self, packer: &Packer, is_awaited: impl Fn(u64) -> bool) -> Vec<CarriedAwaited> {
        let Self { awaited, swept_at: _ } = self;
        let awaited = awaited.iter().filter(|one| is_awaited(one.sequence));
        awaited
            .map(|Awaited { deadline_ms, sequence, push }| CarriedAwaited {
                deadline_ms: *deadline_ms,
                sequence: *sequence,
                push: packer.push(push),
            })
            .collect()
    }

    /// Those that the connection `id` waits for; `waiting` are its answers that wait for a receipt.
    ///
    /// # Errors
    /// A push that is not for such an answer, or an answer that would wait for ever.
    pub fn restore(
        carried: Vec<CarriedAwaited>,
        id: SessionId,
        unpacker: &Unpacker,
        waiting: impl Iterator<Item = u64>,
    ) -> Result<Self, InvalidState> {
        let (mut awaited, mut sequences) = (VecDeque::with_capacity(carried.len()), HashSet::new());
        for CarriedAwaited { deadline_ms, sequence, push } in carried {
            let push = unpacker.push(push)?;
            let origin = |connection: SessionId, place: u64| (connection, place) == (id, sequence);
            let is_for_it = matches!(push.origin, Origin::Connection { connection, sequence } if origin(connection, sequence));
            if !is_for_it || !sequences.insert(sequence) {
                return Err(InvalidState::new("a receipt is that of another answer"));
            }
            awaited.push_back(Awaited { deadline_ms, sequence, push: Arc::clone(push) });
        }
        if !waiting.into_iter().all(|sequence| sequences.remove(&sequence)) {
            return Err(InvalidState::new("a command of a backend is not done, and waits for no receipt"));
        }
        match sequences.is_empty() {
            true => Ok(Self { swept_at: 2 * awaited.len() + FEW, awaited }),
            false => Err(InvalidState::new("a receipt is for no answer that waits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{EncodedFrame, Origin, PushOptions, Target};
    use crate::session::AppId;

    fn push() -> Arc<Push> {
        let (target, frame) = (Target::nobody(), EncodedFrame::text(""));
        Arc::new(Push::new(AppId(0), target, frame, PushOptions::default(), 0, 0, Origin::Nobody))
    }

    #[test]
    fn those_that_were_answered_are_neither_late_nor_kept() {
        let mut receipts = Receipts::default();
        // Only the first is never answered.
        for sequence in 0..100_000 {
            receipts.add(sequence + 10, sequence, push(), |waits| waits == 0 || waits + 5 > sequence);
            assert!(receipts.awaited.len() <= 2 * FEW + 20, "{}", receipts.awaited.len());
        }
        assert_eq!(receipts.next_due_ms(|waits| waits == 0), Some(10));
        assert!(receipts.take_late(9).is_none());
        assert_eq!(receipts.take_late(10).map(|(sequence, _)| sequence), Some(0));
        assert_eq!(receipts.next_due_ms(|_| false), None);
    }
}
