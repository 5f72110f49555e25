//! Presence: who is in a group, gathered here a part a turn. Knows nothing of what other reactors have.

use super::Core;
use crate::dispatch::{Action, Gathered, Operation, PresencePage, PresentSession};
use crate::hub::Kind;
use crate::session::SessionId;
use std::sync::Arc;

/// A session is looked at for presence in a fraction of the time in which one is described in a listing.
const MEMBERS_AN_ENTRY: usize = 16;

/// Entries of a page, whoever asks for how many.
const MOST_ENTRIES: usize = 1 << 20;

/// A part of a presence that is being gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    operation: Arc<Operation>,
    /// The members that were there when it began. Those that have gone since are left out.
    ids: std::vec::IntoIter<SessionId>,
    gathered: Gathered,
}

impl Core {
    /// Finds the members of a group here, and looks at as many as the turn's budget allows.
    pub(super) fn begin_presence(&mut self, operation: &Arc<Operation>) {
        let Action::Presence { group, limit, after, members } = &operation.action else { return };
        let most = self.rules.settings.config.limits.presence_members;
        let slots = self.hub.members(operation.app, Kind::Group, group);
        let members = *members && slots.len() <= most;
        let ids: Vec<SessionId> = slots.filter_map(|slot| self.hub.id_of(slot)).collect();
        // A program that embeds the server may ask for anything.
        let limit = (*limit).clamp(1, MOST_ENTRIES);
        let page = PresencePage { limit, after: after.clone(), most, members };
        let gathered = Gathered::new(page);
        self.go_on_gathering(Gathering { operation: Arc::clone(operation), ids: ids.into_iter(), gathered });
    }

    pub(super) fn go_on_gathering(&mut self, mut gathering: Gathering) {
        let Gathering { operation, ids, gathered } = &mut gathering;
        let Action::Presence { group, .. } = &operation.action else { return };
        let most = self.budget.listed.saturating_mul(MEMBERS_AN_ENTRY).min(ids.len());
        self.budget.listed -= most.div_ceil(MEMBERS_AN_ENTRY);
        for id in ids.by_ref().take(most) {
            let slot = id.slot();
            if self.hub.id_of(slot) != Some(id) || !self.hub.is_member(slot, group) {
                continue;
            }
            let figures = self.connections.slot(slot).map(|connection| &connection.figures);
            let since_unix_ms = figures.map_or(0, |figures| figures.since_unix_ms());
            gathered.add(self.hub.hashed_user_of(slot), PresentSession { id, since_unix_ms });
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
