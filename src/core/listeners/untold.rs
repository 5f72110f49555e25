//! Sessions of which a link is still to be told, before it is told anything else of them. Knows nothing of links.

use crate::session::SessionId;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// As what a link is told what a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// The session is the link's from now on.
    Assigned,
    /// The link has asked for all sessions that are there.
    Session {
        /// It has been told of this one before.
        is_known: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// In the order in which they came; those that are not in `sessions` any more are passed over.
    order: VecDeque<SessionId>,
    sessions: HashMap<SessionId, Tell>,
    /// The link has no room: it is told no more until it has.
    pub(super) waits: bool,
    /// When it has been told of all, that is to be said.
    is_snapshot: bool,
}

impl Tell {
    /// Whether the link has been told of the session before.
    pub(super) fn is_known(self) -> bool {
        self == Self::Session { is_known: true }
    }
}

impl Untold {
    /// The link is to be told of the session.
    pub(super) fn insert(&mut self, session: SessionId, tell: Tell) {
        if self.sessions.insert(session, tell).is_none() {
            self.order.push_back(session);
        }
    }

    /// As what the link was still to be told of the session; it is not any more.
    pub(super) fn take(&mut self, session: SessionId) -> Option<Tell> {
        match self.sessions.is_empty() {
            true => None,
            false => self.sessions.remove(&session),
        }
    }

    /// The next session that it is to be told of.
    pub(super) fn next(&mut self) -> Option<(SessionId, Tell)> {
        while let Some(session) = self.order.pop_front() {
            if let Some(tell) = self.sessions.remove(&session) {
                return Some((session, tell));
            }
        }
        (self.order, self.sessions) = Default::default();
        None
    }

    /// When it has been told of all that are in it now, that is to be said.
    pub(super) fn is_to_be_through(&mut self) {
        self.is_snapshot = true;
    }

    /// It has been told of all: whether that is to be said, once.
    pub(super) fn is_through(&mut self) -> bool {
        self.sessions.is_empty() && std::mem::take(&mut self.is_snapshot)
    }

    /// Whether it will have to be said that it has been told of all.
    pub(super) fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }

    /// Whether there is something to be told, and room as far as is known.
    pub(super) fn has_work(&self) -> bool {
        !self.waits && (self.is_snapshot || !self.order.is_empty())
    }

    /// The sessions that are the link's and that it is to be told so, in their order.
    pub(super) fn assigned(&self) -> impl Iterator<Item = SessionId> {
        let is_it = |session: &SessionId| self.sessions.get(session) == Some(&Tell::Assigned);
        self.order.iter().copied().filter(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_in_order_or_before() {
        let id = SessionId::from_u64;
        let mut untold = Untold::default();
        [1, 2, 3, 2, 4].into_iter().for_each(|number| untold.insert(id(number), Tell::Assigned));
        assert_eq!(untold.take(id(3)), Some(Tell::Assigned));
        assert_eq!((untold.take(id(3)), untold.take(id(9))), (None, None));
        assert_eq!(untold.assigned().collect::<Vec<_>>(), [id(1), id(2), id(4)]);
        assert_eq!(untold.next(), Some((id(1), Tell::Assigned)));
        // It comes again: behind the others.
        let again = Tell::Session { is_known: true };
        untold.insert(id(1), again);
        untold.is_to_be_through();
        let all: Vec<_> = std::iter::from_fn(|| untold.next()).collect();
        assert_eq!(all, [(id(2), Tell::Assigned), (id(4), Tell::Assigned), (id(1), again)]);
        assert!(untold.has_work() && untold.is_through() && !untold.is_through() && !untold.has_work());
    }
}
