//! Who missed a push, by name and up to a bound. Knows nothing of how sessions miss one.

use super::Fate;
use crate::session::{Name, SessionId};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a session missed a message.
///
/// ```
/// use gannet::dispatch::Why;
/// assert_eq!(Why::Expired.as_str(), "expired");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its queue had no room.
    Dropped,
    /// The message's time to live ran out in the queue.
    Expired,
    /// It was not there, or the user had no session.
    Offline,
    /// It closed before the message was written.
    Closed,
}

impl Why {
    /// All there are, in the order of their numbers on the wire, from 1.
    pub(crate) const ALL: [Self; 4] = [Self::Dropped, Self::Expired, Self::Offline, Self::Closed];

    /// As receipts write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Expired => "expired",
            Self::Offline => "offline",
            Self::Closed => "closed",
        }
    }

    /// Its number on the wire.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Dropped => 1,
            Self::Expired => 2,
            Self::Offline => 3,
            Self::Closed => 4,
        }
    }

    /// Why a session with this fate has missed its message; `None` where it has the message or a newer one.
    pub(crate) fn of(fate: Fate) -> Option<Self> {
        match fate {
            Fate::Written | Fate::Replaced => None,
            Fate::Dropped => Some(Self::Dropped),
            Fate::Expired => Some(Self::Expired),
            Fate::Closed => Some(Self::Closed),
        }
    }
}

/// A session that missed a message, or a user who had none.
///
/// ```
/// use gannet::dispatch::{Missed, Why};
///
/// fn has_gone(missed: &Missed) -> bool {
///     matches!(missed.why, Why::Offline | Why::Closed)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The session; `None` for a user without one.
    pub session: Option<SessionId>,
    /// Its user, where it had one when the message was offered to it.
    pub user: Option<Name>,
    /// Why.
    pub why: Why,
}

/// Who missed a push.
///
/// ```
/// use gannet::dispatch::MissedList;
///
/// fn count(missed: &MissedList) -> usize {
///     missed.named.len() + missed.more as usize
/// }
/// assert_eq!(count(&MissedList::default()), 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissedList {
    /// As many as were to be named at the most.
    pub named: Vec<Missed>,
    /// How many more there are.
    pub more: u32,
}

impl MissedList {
    pub(super) fn add(&mut self, session: Option<SessionId>, user: Option<&Name>, why: Why, most: usize) {
        match self.named.len() < most {
            true => self.named.push(Missed { session, user: user.cloned(), why }),
            false => self.more = self.more.saturating_add(1),
        }
    }
}

/// The list while reactors add to it.
#[derive(Debug)]
pub(super) struct Gathering {
    most: usize,
    list: Mutex<MissedList>,
}

impl Gathering {
    /// One that names at most so many; `None` for none at all.
    pub(super) fn of_at_most(most: usize) -> Option<Box<Self>> {
        (most > 0).then(|| Box::new(Self { most, list: Mutex::default() }))
    }

    /// One that goes on with a list.
    pub(super) fn going_on(most: usize, list: MissedList) -> Box<Self> {
        Box::new(Self { most, list: Mutex::new(list) })
    }

    pub(super) fn add(&self, session: Option<SessionId>, user: Option<&Name>, why: Why) {
        self.lock().add(session, user, why, self.most);
    }

    /// So many more missed it, who have no names.
    pub(super) fn add_more(&self, more: u32) {
        if more > 0 {
            let mut list = self.lock();
            list.more = list.more.saturating_add(more);
        }
    }

    pub(super) fn list(&self) -> MissedList {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, MissedList> {
        // Every change is one call: what a holder that panicked left is whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
