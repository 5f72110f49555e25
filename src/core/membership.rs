//! Membership of groups: the one place where it changes while the server runs, and where each change is noted for the links that
//! ask for it. What arrives from another process goes into the hub past here: no link is told of it again. Knows nothing of
//! how a link is told.

use super::Core;
use crate::dispatch::EventKind;
use crate::hub::Kind;
use crate::session::{AppId, Name, SessionId};

/// A session is in a group from now on, or no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// [`EventKind::Join`] or [`EventKind::Leave`].
    pub kind: EventKind,
    /// The session.
    pub session: SessionId,
    /// Its app.
    pub app: AppId,
    /// The user it was bound to then.
    pub user: Option<Name>,
    /// The group.
    pub group: Name,
}

impl Core {
    /// The session in `slot` is in the group; whether it was not.
    pub fn join_group(&mut self, slot: u32, group: &Name) -> bool {
        let joined = self.hub.join(slot, group);
        if joined {
            self.note_change(EventKind::Join, slot, group);
            self.note_rerouted(slot);
        }
        joined
    }

    /// The session in `slot` is not in the group; whether it was.
    pub fn leave_group(&mut self, slot: u32, group: &str) -> bool {
        self.note_rerouted(slot);
        if !self.listeners.any_wants(EventKind::Leave) {
            return self.hub.leave(slot, group);
        }
        let name = self.hub.groups_of(slot).find(|name| name.as_str() == group).cloned();
        name.is_some_and(|group| {
            self.note_change(EventKind::Leave, slot, &group);
            self.hub.leave(slot, &group)
        })
    }

    /// Every member here leaves the group; how many did.
    pub fn destroy_group(&mut self, app: AppId, group: &Name) -> u32 {
        self.note_members_rerouted(app, group);
        if self.listeners.any_wants(EventKind::Leave) {
            for slot in self.hub.members(app, Kind::Group, group).collect::<Vec<_>>() {
                self.note_change(EventKind::Leave, slot, group);
            }
        }
        self.hub.destroy(app, group)
    }

    /// Every member here of the group `from` leaves it and is in the group `to`; how many left.
    pub fn move_group(&mut self, app: AppId, from: &Name, to: &Name) -> u32 {
        self.note_members_rerouted(app, from);
        let is_heard = [EventKind::Leave, EventKind::Join].iter().any(|kind| self.listeners.any_wants(*kind));
        if is_heard && from != to {
            for slot in self.hub.members(app, Kind::Group, from).collect::<Vec<_>>() {
                self.note_change(EventKind::Leave, slot, from);
                if !self.hub.groups_of(slot).any(|group| group == to) {
                    self.note_change(EventKind::Join, slot, to);
                }
            }
        }
        self.hub.move_members(app, from, to)
    }

    /// The session in `slot` leaves the hub, and with it every group. Its id and its app, if there was one.
    pub(super) fn leave_hub(&mut self, slot: u32) -> Option<(SessionId, AppId)> {
        let left = (self.hub.id_of(slot)?, self.hub.app_of(slot)?);
        if self.listeners.any_wants(EventKind::Leave) {
            for group in self.hub.groups_of(slot).cloned().collect::<Vec<_>>() {
                self.note_change(EventKind::Leave, slot, &group);
            }
        }
        self.hub.remove(slot);
        Some(left)
    }

    /// Whether links are to be told something before the next event.
    #[inline]
    pub fn has_untold(&self) -> bool {
        !self.changes.is_empty() || self.listeners.has_orders() || self.has_rerouted()
    }

    /// The changes that no link has been told of, in their order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn note_members_rerouted(&mut self, app: AppId, group: &Name) {
        if self.listeners.has_routes() {
            for slot in self.hub.members(app, Kind::Group, group).collect::<Vec<_>>() {
                self.note_rerouted(slot);
            }
        }
    }

    fn note_change(&mut self, kind: EventKind, slot: u32, group: &Name) {
        if !self.listeners.any_wants(kind) {
            return;
        }
        let (Some(session), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return };
        let user = self.hub.user_of(slot).cloned();
        self.changes.push(Change { kind, session, app, user, group: group.clone() });
    }
}
