//! Who of the list that a command is about is not there: on this node, and in the end anywhere.

use crate::dispatch::Who;
use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing is known of the entry, or it is here.
const HERE: u8 = 0;
/// It is not here.
const ABSENT: u8 = 1;
/// It is on another node, whatever is said of it here.
const ELSEWHERE: u8 = 2;

/// What is known of each entry of a list; empty where a command is about none.
#[derive(Debug, Default)]
pub(super) struct Listed(Box<[AtomicU8]>);

impl Listed {
    /// Of the list of `who`, if it is one.
    pub(super) fn of(who: Option<&Who>) -> Self {
        let entries = match who {
            Some(Who::Sessions(sessions)) => sessions.len(),
            Some(Who::Users(users)) => users.len(),
            Some(Who::Session(_) | Who::User(_)) | None => 0,
        };
        Self((0..entries).map(|_| AtomicU8::new(HERE)).collect())
    }

    /// The entry is not on this node. One that another node has is not absent.
    pub(super) fn is_not_here(&self, index: usize) {
        if let Some(entry) = self.0.get(index) {
            // Another node may have answered already.
            let _ = entry.compare_exchange(HERE, ABSENT, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Another node says which entries it has not got, as [`Listed::absent`] told there: those that it has are not absent.
    pub(super) fn merge(&self, absent: &[bool]) {
        let theirs = self.0.iter().zip(absent).filter(|(_, is_absent)| !**is_absent);
        theirs.for_each(|(entry, _)| entry.store(ELSEWHERE, Ordering::Relaxed));
    }

    /// Whether each entry is absent.
    pub(super) fn absent(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|entry| entry.load(Ordering::Relaxed) == ABSENT)
    }

    /// How many entries are absent.
    pub(super) fn count_absent(&self) -> u32 {
        self.absent().filter(|is_absent| *is_absent).count() as u32
    }
}
