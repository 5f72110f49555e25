//! A link that asks for all sessions that are there: it is told of them little by little, of each before its next event, and then
//! that these were all.

use super::untold::Tell;
use super::{Group, Listeners};
use crate::dispatch::LinkForm;
use crate::session::SessionId;

impl Listeners {
    /// The link, which listens, is told of all sessions here that it hears of: `sessions` of its app, or under a share those that are
    /// its own. It has listened before where it `is_known`.
    pub fn begin_snapshot(
        &mut self,
        link: SessionId,
        is_known: bool,
        sessions: impl Iterator<Item = SessionId>,
    ) {
        let Some(group) = self.group_of(link) else { return };
        let own: Vec<SessionId> = match group.share {
            Some(_) => group.own_of(link),
            None => sessions.collect(),
        };
        let Some(listener) = group.listener_mut(link) else { return };
        for session in own {
            let is_new = listener.untold.take(session).is_some_and(|tell| !tell.is_known());
            listener.untold.insert(session, Tell::Session { is_known: is_known && !is_new });
        }
        listener.untold.is_to_be_through();
    }

    /// How the link speaks.
    pub fn form_of(&self, link: SessionId) -> Option<LinkForm> {
        self.find(link).map(|(_, listener)| listener.listen.form)
    }

    /// Whether the link listens.
    pub fn has(&self, link: SessionId) -> bool {
        self.find(link).is_some()
    }
}

impl Group {
    /// The sessions that a link has and that do not move.
    fn own_of(&self, link: SessionId) -> Vec<SessionId> {
        let own = self.owners.of.iter();
        let own = own.filter(|(_, owned)| owned.link == link && !owned.is_moving() && !owned.has_departed());
        own.map(|(session, _)| *session).collect()
    }
}
