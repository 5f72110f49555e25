//! What became of a push on one node, for the node that has published it: taken there, and merged here as if one more reactor had
//! done its part.

use super::super::Epoch;
use super::super::missed::{Missed, MissedList};
use super::Push;
use crate::session::Name;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What became of a push on one node. `matched` is at least the sum of `written`, `replaced`, `dropped`, `expired` and `closed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PushPart {
    /// Sessions that its target means there.
    pub(crate) matched: u32,
    /// Of these, those whose socket or queue took it.
    pub(crate) queued: u32,
    /// Whose socket took all of it so far.
    pub(crate) written: u32,
    /// Messages that gave way to a newer one so far.
    pub(crate) replaced: u32,
    /// Sessions whose queue had no room.
    pub(crate) dropped: u32,
    /// Sessions for which the time to live has run out so far.
    pub(crate) expired: u32,
    /// Sessions that closed before it was written.
    pub(crate) closed: u32,
    /// Reactors there that it did not reach.
    pub(crate) unreached: u32,
    /// Of the matched sessions, those whose client was away.
    pub(crate) away: u32,
    /// Named sessions that are not live and would be there.
    pub(crate) offline_sessions: u32,
    /// For each selector of the copy that went there: whether a user named by it is there, or may be on a reactor that was not
    /// reached. Empty where none names a user.
    pub(crate) found: Vec<bool>,
    /// Who missed it there, where the receipt names them; users who are not there are left out, since they may be elsewhere.
    pub(crate) missed: Option<MissedList>,
    /// The epoch and number that the push has in its group, where the group remembers and that node has numbered it.
    pub(crate) numbered: Option<(Epoch, u64)>,
}

/// What other nodes say of a push beside their counts.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    numbered: OnceLock<(Epoch, u64)>,
    missing: Mutex<Vec<Name>>,
}

impl Elsewhere {
    /// These nodes have not answered.
    pub(super) fn without(missing: Vec<Name>) -> Self {
        Self { missing: Mutex::new(missing), ..Self::default() }
    }

    fn missing(&self) -> MutexGuard<'_, Vec<Name>> {
        // Every change is one call: what a holder that panicked left is whole.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Push {
    /// What has become of it here so far, for the node that has published it.
    pub(crate) fn part(&self) -> PushPart {
        let tally = &self.tally;
        let read = |counter: &AtomicU32| counter.load(Ordering::Acquire);
        let part = PushPart {
            queued: read(&tally.queued),
            written: read(&tally.written),
            replaced: read(&tally.replaced),
            dropped: read(&tally.dropped),
            expired: read(&tally.expired),
            closed: read(&tally.closed),
            unreached: read(&tally.unreached),
            away: read(&tally.away),
            offline_sessions: read(&tally.offline_sessions),
            found: tally.found.iter().map(|found| found.load(Ordering::Relaxed)).collect(),
            missed: self.missed.as_ref().map(|missed| missed.list()),
            numbered: self.numbered(),
            matched: 0,
        };
        // Read behind the fates, so that none of them is of a session that is not in it.
        PushPart { matched: read(&tally.matched), ..part }
    }

    /// Another node has answered for a part that was [added](Push::add_part), one of those that may: adds what has become of the push
    /// there. `places` says which of the push's selectors those of the copy are that went there. [`Push::nodes_answered`] follows, once.
    pub(crate) fn merge(&self, part: PushPart, places: &[u16]) {
        let PushPart { matched, queued, written, replaced, dropped, expired, closed, .. } = part;
        let found = part.found.iter().zip(places).filter(|(found, _)| **found);
        found.for_each(|(_, place)| self.user_found(usize::from(*place)));
        let tally = &self.tally;
        for (counter, count) in
            [(&tally.unreached, part.unreached), (&tally.offline_sessions, part.offline_sessions)]
        {
            add(counter, count, Ordering::Relaxed);
        }
        let MissedList { named, more } = part.missed.unwrap_or_default();
        for Missed { session, user, why } in named {
            self.miss(session, user.as_ref(), why);
        }
        if let Some(missed) = &self.missed {
            missed.add_more(more);
        }
        if let Some(numbered) = part.numbered {
            // Its group has one owner: where two say that they are, the first has the word.
            let _ = self.elsewhere().numbered.set(numbered);
        }
        // As on a reactor: first who is meant, then what became of them. More fates than sessions would be a sum that no receipt
        // may show.
        let settled = [written, replaced, dropped, expired, closed].into_iter().fold(0, u32::saturating_add);
        add(&tally.matched, matched.max(settled), Ordering::Relaxed);
        add(&tally.queued, queued, Ordering::Relaxed);
        add(&tally.away, part.away, Ordering::Relaxed);
        for (counter, sessions) in [
            (&tally.written, written),
            (&tally.replaced, replaced),
            (&tally.dropped, dropped),
            (&tally.expired, expired),
            (&tally.closed, closed),
        ] {
            add(counter, sessions, Ordering::Release);
        }
    }

    /// All have answered for a part that was [added](Push::add_part), but for the nodes `missing`. Users that its copy names, whose
    /// places are `places`, may be there, and are not offline. [`Push::finish_part`] follows.
    pub(crate) fn nodes_answered(&self, missing: &[Name], places: &[u16]) {
        if !missing.is_empty() {
            // Of a selector that names no user it says nothing.
            places.iter().for_each(|place| self.user_found(usize::from(*place)));
            let mut known = self.elsewhere().missing();
            for node in missing {
                if !known.contains(node) {
                    known.push(node.clone());
                }
            }
        }
        self.count_matched(0);
    }

    /// Redis has given it this epoch and number in its group.
    pub(crate) fn is_numbered(&self, numbered: (Epoch, u64)) {
        // A node that it was published to may have said so first.
        let _ = self.elsewhere().numbered.set(numbered);
    }

    fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere.get_or_init(Box::default)
    }

    /// The nodes that have not answered.
    pub(super) fn missing(&self) -> Vec<Name> {
        self.elsewhere.get().map_or_else(Vec::new, |elsewhere| elsewhere.missing().clone())
    }

    /// The epoch and number that it has in its group, whichever node has numbered it.
    pub(super) fn numbered(&self) -> Option<(Epoch, u64)> {
        let here = self.place.get().map(|place| (place.epoch, place.offset));
        here.or_else(|| self.elsewhere.get()?.numbered.get().copied())
    }
}

/// Counts more, as far as the counter goes: what nodes say may be anything, and a sum that began anew would be none.
fn add(counter: &AtomicU32, more: u32, order: Ordering) {
    // It never fails: there is always a next value.
    let _ = counter.fetch_update(order, Ordering::Relaxed, |count| Some(count.saturating_add(more)));
}

#[cfg(test)]
mod tests;
