//! Groups, tags and users of sessions: the one place where they change while the server runs, and where each change is noted for the
//! links that ask for it. What arrives from another process goes into the hub past here: no link is told of it again. Knows
//! nothing of how a link is told.

use super::{Captured, Core};
use crate::dispatch::EventKind;
use crate::hub::Kind;
use crate::session::{AppId, Name, SessionId};

/// Something of which links are told before the next event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What has changed.
    pub about: Changed,
    /// The session; of what is about a user, a number that is the same for all that is about it.
    pub session: SessionId,
    /// Its app.
    pub app: AppId,
    /// The user it was bound to then; where it is bound to another one, that one.
    pub user: Option<Name>,
    /// What the session is in and has, where links ask for it.
    pub captured: Option<Box<Captured>>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The session is in this group from now on.
    Joined(Name),
    /// It is in this group no more.
    Left(Name),
    /// It has this tag from now on.
    Tagged(Name),
    /// It has this tag no more.
    Untagged(Name),
    /// It has another user, or none. It had this one.
    Bound(Option<Name>),
    /// Its token ends then, in milliseconds since the Unix epoch.
    Expiring(u64),
    /// The user is online.
    Online,
    /// The user is offline.
    Offline,
}

impl Changed {
    /// The kind of the event.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Joined(_) => EventKind::Join,
            Self::Left(_) => EventKind::Leave,
            Self::Tagged(_) => EventKind::Tag,
            Self::Untagged(_) => EventKind::Untag,
            Self::Bound(_) => EventKind::Bind,
            Self::Expiring(_) => EventKind::Expiring,
            Self::Online => EventKind::UserOnline,
            Self::Offline => EventKind::UserOffline,
        }
    }
}

impl Core {
    /// The session in `slot` is in the group; whether it was not.
    pub fn join_group(&mut self, slot: u32, group: &Name) -> bool {
        let joined = self.hub.join(slot, group);
        if joined {
            self.note_change(slot, Changed::Joined(group.clone()));
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
            self.note_change(slot, Changed::Left(group.clone()));
            self.hub.leave(slot, &group)
        })
    }

    /// The session in `slot` has the tag; whether it had not.
    pub fn tag_session(&mut self, slot: u32, tag: &Name) -> bool {
        let tagged = self.hub.tag(slot, tag);
        if tagged {
            self.note_change(slot, Changed::Tagged(tag.clone()));
        }
        tagged
    }

    /// The session in `slot` has not the tag; whether it had.
    pub fn untag_session(&mut self, slot: u32, tag: &str) -> bool {
        let untagged = self.hub.untag(slot, tag);
        if untagged && let Ok(tag) = Name::new(tag) {
            self.note_change(slot, Changed::Untagged(tag));
        }
        untagged
    }

    /// The session in `slot` is this user's from now on, or nobody's; whether that is news.
    pub fn bind_session(&mut self, slot: u32, user: Option<&Name>) -> bool {
        let before = self.hub.user_of(slot).cloned();
        // While it is still that user's: so the events say.
        self.leave_sticky(slot, user);
        let bound = self.put_user(slot, user);
        if bound {
            self.note_change(slot, Changed::Bound(before));
            self.note_rerouted(slot);
            for group in self.join_sticky(slot) {
                self.recall_for(slot, &group, None);
            }
        }
        bound
    }

    /// Every member here leaves the group; how many did.
    pub fn destroy_group(&mut self, app: AppId, group: &Name) -> u32 {
        self.note_members_rerouted(app, group);
        if self.listeners.any_wants(EventKind::Leave) {
            for slot in self.hub.members(app, Kind::Group, group).collect::<Vec<_>>() {
                self.note_change(slot, Changed::Left(group.clone()));
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
                self.note_change(slot, Changed::Left(from.clone()));
                if !self.hub.groups_of(slot).any(|group| group == to) {
                    self.note_change(slot, Changed::Joined(to.clone()));
                }
            }
        }
        self.hub.move_members(app, from, to)
    }

    /// The session in `slot` leaves the group `from` and is in the group `to`; `None` where it was not in the one, else whether it
    /// was not in the other.
    pub fn move_session(&mut self, slot: u32, from: &Name, to: &Name) -> Option<bool> {
        if from == to || !self.hub.is_member(slot, from) {
            return None;
        }
        self.hub.begin_move();
        self.leave_group(slot, from);
        let joined = self.join_group(slot, to);
        self.hub.end_move();
        Some(joined)
    }

    /// The session in `slot` leaves the hub, and with it every group. Its id and its app, if there was one.
    pub(super) fn leave_hub(&mut self, slot: u32) -> Option<(SessionId, AppId)> {
        let left = (self.hub.id_of(slot)?, self.hub.app_of(slot)?);
        if self.listeners.any_wants(EventKind::Leave) {
            for group in self.hub.groups_of(slot).cloned().collect::<Vec<_>>() {
                self.note_change(slot, Changed::Left(group));
            }
        }
        let user = self.hub.user_of(slot).cloned();
        self.hub.remove(slot);
        self.drop_profile(slot);
        user.iter().for_each(|user| self.user_may_have_gone(left.1, user));
        Some(left)
    }

    /// Whether links are to be told something before the next event.
    #[inline]
    pub fn has_untold(&self) -> bool {
        let is_to_be_sent = self.listeners.has_orders() || self.unheard.has_released();
        !self.changes.is_empty() || is_to_be_sent || self.has_rerouted()
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

    pub(super) fn note_change(&mut self, slot: u32, about: Changed) {
        if !self.listeners.any_wants(about.kind()) {
            return;
        }
        let (Some(session), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) else { return };
        let user = self.hub.user_of(slot).cloned();
        let captured = self.capture_for_links(slot);
        self.changes.push(Change { about, session, app, user, captured });
    }
}
