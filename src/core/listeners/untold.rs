//! Sessions of which a link is still to be told, before it is told anything else of them. Knows nothing of links.

use crate::session::SessionId;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// In the order in which they came; those that are not in `sessions` any more are passed over.
    order: VecDeque<SessionId>,
    sessions: HashSet<SessionId>,
    /// The link has no room: it is told no more until it has.
    pub(super) waits: bool,
}

impl Untold {
    /// The link is to be told of the session.
    pub(super) fn insert(&mut self, session: SessionId) {
        if self.sessions.insert(session) {
            self.order.push_back(session);
        }
    }

    /// Whether the link was still to be told of the session; it is not any more.
    pub(super) fn take(&mut self, session: SessionId) -> bool {
        !self.sessions.is_empty() && self.sessions.remove(&session)
    }

    /// The next session that it is to be told of.
    pub(super) fn next(&mut self) -> Option<SessionId> {
        while let Some(session) = self.order.pop_front() {
            if self.sessions.remove(&session) {
                return Some(session);
            }
        }
        *self = Self::default();
        None
    }

    /// Whether there is one, and room as far as is known.
    pub(super) fn has_work(&self) -> bool {
        !self.waits && !self.order.is_empty()
    }

    /// The sessions, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = SessionId> {
        self.order.iter().copied().filter(|session| self.sessions.contains(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_in_order_or_before() {
        let id = SessionId::from_u64;
        let mut untold = Untold::default();
        [1, 2, 3, 2, 4].into_iter().for_each(|number| untold.insert(id(number)));
        assert!(untold.take(id(3)) && !untold.take(id(3)) && !untold.take(id(9)));
        assert_eq!(untold.iter().collect::<Vec<_>>(), [id(1), id(2), id(4)]);
        assert_eq!(untold.next(), Some(id(1)));
        // It comes again: behind the others.
        untold.insert(id(1));
        let all: Vec<_> = std::iter::from_fn(|| untold.next()).collect();
        assert_eq!(all, [id(2), id(4), id(1)]);
        assert!(!untold.has_work());
    }
}
