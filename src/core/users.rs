//! What this reactor tells of its users to the reactors that own them, and what it hears as an owner. If no link asks for it, nothing is
//! told: then each change of a session's user looks at one word.

use super::online::{Online, Turned, UserNews, UserReport};
use super::{Change, Changed, Core, Envelope};
use crate::dispatch::{Apps, EventKind, EventSet, Operation};
use crate::hub::{Kind, scope_of};
use crate::metrics::BusLoss;
use crate::session::{AppId, Name, SessionId};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// A user whose last session has gone, on its way to another process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedLeaving {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Box<str>,
    /// From when on it is offline, in milliseconds of the server's clock.
    #[n(2)]
    until_ms: u64,
}

impl Core {
    fn tells_users(&self) -> bool {
        self.listeners.wanted().meets(EventSet::USERS)
    }

    /// The session in `slot` is the user's from now on, or nobody's; whether that is news. No link is told of it as a change.
    pub fn put_user(&mut self, slot: u32, user: Option<&Name>) -> bool {
        let Some(app) = self.hub.app_of(slot) else { return false };
        let before = self.hub.user_of(slot).cloned();
        let changed = self.hub.bind(slot, user);
        if changed {
            let is_news = |user: &&Name| self.hub.members(app, Kind::User, user).len() == 1;
            if let Some(user) = user.filter(|_| self.is_asked_for_users(app)).filter(is_news) {
                self.user_changes(app, user, true);
            }
            if let Some(user) = before {
                self.user_may_have_gone(app, &user);
            }
        }
        changed
    }

    /// A session of the user has left the hub, or is another's.
    pub(super) fn user_may_have_gone(&mut self, app: AppId, user: &Name) {
        let is_asked = self.is_asked_for_users(app) || self.shared.sticky.has_any();
        if !is_asked || self.hub.members(app, Kind::User, user).len() > 0 {
            return;
        }
        self.sticky_user_went(app, user);
        self.user_changes(app, user, false);
    }

    /// Whether a link here asks who is online, or another node does.
    fn is_asked_for_users(&self, app: AppId) -> bool {
        self.tells_users() || self.bus.as_ref().is_some_and(|bus| bus.is_asked_for_users(app))
    }

    /// This reactor has a session of the user now, its first, or none any more: who asks is told.
    fn user_changes(&mut self, app: AppId, user: &Name, is_here: bool) {
        if let Some(bus) = &mut self.bus {
            bus.user_changes(app, user, is_here);
        }
        if self.tells_users() {
            let owner = self.shared.owner_of(scope_of(app, user));
            let news = if is_here { UserNews::Came } else { UserNews::Went };
            self.report(owner, news(app, user.clone()), None);
        }
    }

    fn report(&mut self, owner: usize, news: UserNews, operation: Option<Arc<Operation>>) {
        let report = UserReport { reactor: self.index, news, operation };
        match owner == self.index {
            true => self.hear_of_users(report),
            // A change that is lost would never be made up for.
            false => self.peers.post_always(owner, Envelope::Users(Box::new(report))),
        }
    }

    /// Links ask for other events than `before`: this reactor begins to tell of its users, or ends. Who asked is answered when all
    /// owners have heard it.
    pub(super) fn follow_listeners(&mut self, before: EventSet, operation: Option<&Arc<Operation>>) {
        let (told, tells) = (before.meets(EventSet::USERS), self.tells_users());
        if told || tells {
            self.ask_other_nodes(operation);
        }
        if !told && tells {
            self.tell_all_users(operation);
        } else if told && !tells {
            (0..self.shared.reactors()).for_each(|owner| self.report(owner, UserNews::NoMore, None));
        }
        if !before.has(EventKind::Expiring) && self.listeners.any_wants(EventKind::Expiring) {
            self.arm_expiring();
        }
    }

    fn ask_other_nodes(&mut self, operation: Option<&Arc<Operation>>) {
        let asking = self.listeners.links().filter(|(_, _, listen)| listen.events.meets(EventSet::USERS));
        let mut apps: Vec<AppId> = asking.map(|(_, app, _)| app).collect();
        apps.sort_unstable();
        apps.dedup();
        self.ask_for_users(&apps, operation);
    }

    /// Tells every owner which of its users have sessions here.
    fn tell_all_users(&mut self, operation: Option<&Arc<Operation>>) {
        let mut by_owner = vec![Vec::new(); self.shared.reactors()];
        for (app, user) in self.hub.users() {
            by_owner[self.shared.owner_of(scope_of(app, user))].push((app, user.clone()));
        }
        for (owner, users) in by_owner.into_iter().enumerate() {
            operation.iter().for_each(|operation| operation.add_part());
            self.report(owner, UserNews::All(users), operation.cloned());
        }
    }

    /// Another reactor, or this one, tells something of users that this one owns.
    pub fn hear_of_users(&mut self, report: UserReport) {
        let UserReport { reactor, news, operation } = report;
        let mut beyond = 0;
        self.turn_users(|online, place, after_ms, turned| {
            beyond = online.hear(reactor, news, place, after_ms, turned);
        });
        if beyond > 0 {
            self.metrics().bus.server(0).lost.of(BusLoss::Users).add(beyond as u64);
        }
        if let Some(operation) = operation {
            self.finish_operation_part(&operation);
        }
    }

    /// Another node is no more, and has no users.
    pub(super) fn users_went_with(&mut self, incarnation: u64) {
        self.turn_users(|online, place, after_ms, turned| {
            online.node_went(incarnation, place, after_ms, turned);
        });
    }

    /// Something happens to the users that this reactor owns; what comes of it is told.
    fn turn_users(
        &mut self,
        happens: impl FnOnce(&mut Online, (usize, u64), &dyn Fn(AppId) -> u64, &mut Vec<Turned>),
    ) {
        let (place, mut turned) = ((self.shared.reactors(), self.now.ms), Vec::new());
        let Self { online, rules, .. } = self;
        let after_ms = |app| rules.event_rules.of(app).map_or(0, |app| app.offline_after_ms);
        happens(online, place, &after_ms, &mut turned);
        self.note_turned(turned);
        if !self.online_waits.is_empty() && !self.online.awaits_others() {
            self.end_waits_for_users();
        }
    }

    /// Who has asked who is online is answered, whether all other nodes have told their users or not.
    pub fn end_waits_for_users(&mut self) {
        for operation in std::mem::take(&mut self.online_waits) {
            self.finish_operation_part(&operation);
        }
    }

    /// Users whose last session has been gone for long enough are offline.
    pub fn expire_users(&mut self) {
        if self.online.next_ms().is_some_and(|due_ms| due_ms <= self.now.ms) {
            self.turn_users(|online, place, after_ms, turned| online.expire(place, after_ms, turned));
        }
    }

    fn note_turned(&mut self, turned: Vec<Turned>) {
        for Turned { app, user, is_online } in turned {
            let about = if is_online { Changed::Online } else { Changed::Offline };
            // Of the links of a share one gets all that is about the user. Apps have other numbers on other nodes, perhaps.
            let session = SessionId::from_u64(scope_of(Apps::DEFAULT, &user));
            self.changes.push(Change { about, session, app, user: Some(user), captured: None });
        }
    }

    pub(super) fn carry_leaving(&self) -> Vec<CarriedLeaving> {
        let carried = |(app, user, until_ms): (AppId, &Name, u64)| {
            let user = user.as_str().into();
            CarriedLeaving { app: app.0, user, until_ms }
        };
        self.online.leaving().map(carried).collect()
    }

    pub(super) fn restore_leaving(&mut self, carried: Vec<CarriedLeaving>) -> Result<(), InvalidState> {
        for CarriedLeaving { app, user, until_ms } in carried {
            let user = Name::new(&user).map_err(|error| InvalidState::new(error.to_string()))?;
            self.online.restore(AppId(app), user, until_ms);
        }
        Ok(())
    }
}
