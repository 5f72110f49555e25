//! Presence: who is in a group, gathered here a part a turn. Knows nothing of what other reactors have.

use super::Core;
use crate::dispatch::{Action, Gathered, Operation, PresencePage, PresentSession, Selector, user_hash};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// A session is looked at for presence in a fraction of the time in which one is described in a listing; so it is for whether it is behind.
pub(super) const MEMBERS_AN_ENTRY: usize = 16;

/// A part of a presence that is being gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    operation: Arc<Operation>,
    /// Whose sessions they are.
    by: Selector,
    /// The members that were there when it began. Those that have gone since are left out.
    ids: std::vec::IntoIter<SessionId>,
    gathered: Gathered,
}

impl Core {
    /// Finds the members of a group here, and looks at as many as the turn's budget allows.
    pub(super) fn begin_presence(&mut self, operation: &Arc<Operation>) {
        let Action::Presence { group, limit, after, members } = &operation.action else { return };
        let most = self.rules.settings.config.limits.presence_members;
        let by = Selector::Group(group.clone());
        let ids = self.ids_meant(operation.app, &by);
        let members = *members && ids.len() <= most;
        let gathered = Gathered::new(PresencePage::new(*limit, after.clone(), most, members));
        let (operation, ids) = (Arc::clone(operation), ids.into_iter());
        self.go_on_gathering(Gathering { operation, by, ids, gathered });
    }

    /// Finds the sessions that are to be counted here, and looks at as many as the turn's budget allows.
    pub(super) fn begin_count(&mut self, operation: &Arc<Operation>, by: &Selector) {
        let ids = self.ids_meant(operation.app, by).into_iter();
        let gathered = Gathered::new(PresencePage::of_none());
        let operation = Arc::clone(operation);
        self.go_on_gathering(Gathering { operation, by: by.clone(), ids, gathered });
    }

    fn ids_meant(&self, app: AppId, by: &Selector) -> Vec<SessionId> {
        let mut slots = Vec::new();
        self.hub.slots_in_common(app, by, &mut slots);
        slots.into_iter().filter_map(|slot| self.hub.id_of(slot)).collect()
    }

    pub(super) fn go_on_gathering(&mut self, mut gathering: Gathering) {
        let Gathering { operation, by, ids, gathered } = &mut gathering;
        let most = self.budget.listed.saturating_mul(MEMBERS_AN_ENTRY).min(ids.len());
        self.budget.listed -= most.div_ceil(MEMBERS_AN_ENTRY);
        for id in ids.by_ref().take(most) {
            let slot = id.slot();
            if self.hub.id_of(slot) != Some(id) || !self.hub.is_meant(operation.app, by, slot) {
                continue;
            }
            let figures = self.connections.slot(slot).map(|connection| &connection.figures);
            let since_unix_ms = figures.map_or(0, |figures| figures.since_unix_ms());
            let user = self.hub.hashed_user_of(slot).map(|(user, hash)| {
                // A user may be on another node too, whose hub hashes in another way.
                let hash = self
                    .shared
                    .cluster
                    .as_ref()
                    .map_or(hash, |cluster| user_hash(cluster.user_secret(), user));
                (user, hash)
            });
            gathered.add(user, PresentSession { id, since_unix_ms });
        }
        match gathering.ids.len() {
            0 => {
                let Gathering { operation, gathered, .. } = gathering;
                operation.add_presence(gathered);
                self.finish_operation_part(&operation);
            }
            _ => self.put_back(gathering),
        }
    }
}
