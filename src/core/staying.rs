//! The sticky groups of users, as operations change them and as sessions come and go.

use super::changing::join;
use super::memory::no_log;
use super::sticky::StickyRule;
use super::{Core, Shared};
use crate::dispatch::{Action, CommandError, ErrorCode, Operation, Recall, Selector, Who};
use crate::session::{AppId, Name};
use std::slice;

impl Shared {
    /// What an operation changes of sticky groups. Call it before the reactors are found that have a part in the operation: a session
    /// that comes meanwhile finds what has changed, and an older one is on a reactor that is found. Whether all reactors have a part:
    /// a session that has found the group of before may be on its way into it.
    ///
    /// # Errors
    /// The app has as many sticky pairs as it may have, or a sticky join is none that can be.
    pub(super) fn change_sticky(&self, operation: &Operation) -> Result<bool, CommandError> {
        let (app, now_ms) = (operation.app, self.clock.now().ms);
        match &operation.action {
            Action::JoinSticky { who, groups, recall } => self.add_sticky(app, who, groups, *recall)?,
            Action::Leave { who, group } => {
                self.sticky.leave(app, who.users(), slice::from_ref(group), now_ms);
            }
            Action::LeaveAll { who, groups } => self.sticky.leave(app, who.users(), groups, now_ms),
            Action::SetGroups { who, groups, prefix } => {
                let prefix = prefix.as_deref().unwrap_or_default();
                self.sticky.keep_only(app, who.users(), groups, prefix, now_ms);
            }
            Action::MoveSome { who, from, to } => self.sticky.move_some(app, who.users(), from, to, now_ms),
            Action::Move { from, to } => return Ok(self.sticky.move_all(app, from, to, now_ms)),
            Action::Destroy { group } => return Ok(self.sticky.destroy(app, group, now_ms)),
            _ => {}
        }
        Ok(false)
    }

    fn add_sticky(
        &self,
        app: AppId,
        who: &Who,
        groups: &[Name],
        recall: Option<Recall>,
    ) -> Result<(), CommandError> {
        let bad_request = |message: &str| Err(CommandError::new(ErrorCode::BadRequest, message));
        if who.users().is_empty() {
            return bad_request("a sticky join is about users: name a user, not a session");
        }
        let rules = self.in_force.look();
        if recall.is_some() {
            let [group] = groups else { return bad_request("last and after are of the log of one group") };
            let memory = rules.delivery_rules.memory(app, group);
            memory.filter(|rule| rule.log.is_some()).ok_or_else(|| no_log(group))?;
        }
        let has_session = |user: &Name| self.has_session(app, user);
        let now_ms = self.clock.now().ms;
        self.sticky.add(app, (who.users(), groups), rules.sticky_rule(app), now_ms, has_session)
    }

    /// Whether the user has a session on any reactor.
    pub fn has_session(&self, app: AppId, user: &Name) -> bool {
        !self.interest.reactors_of_selector(app, &Selector::User(user.clone())).is_empty()
    }
}

impl Core {
    /// The session in `slot` has a user that it had not: it joins the sticky groups of that user. Those that it was not in; what is
    /// beyond the groups that a session may be in is counted.
    pub fn join_sticky(&mut self, slot: u32) -> Vec<Name> {
        let (Some(app), Some(user)) = (self.hub.app_of(slot), self.hub.user_of(slot)) else {
            return Vec::new();
        };
        let mut groups = self.shared.sticky.came(app, user, self.shared.clock.now().ms);
        groups.retain(|group| match join(self, slot, group) {
            Ok(joined) => joined,
            Err(_) => {
                self.metrics().sticky_refused.add(1);
                false
            }
        });
        groups
    }

    /// The session in `slot` is to have the user `next`: it leaves the sticky groups of the one that it has, but for those of `next`.
    pub(super) fn leave_sticky(&mut self, slot: u32, next: Option<&Name>) {
        let (Some(app), Some(user)) = (self.hub.app_of(slot), self.hub.user_of(slot)) else { return };
        if next == Some(user) {
            return;
        }
        let now_ms = self.shared.clock.now().ms;
        let groups_of = |user: &Name| self.shared.sticky.groups_of(app, user, now_ms);
        let (left, kept) = (groups_of(user), next.map_or_else(Vec::new, groups_of));
        for group in left.iter().filter(|group| !kept.contains(group)) {
            self.leave_group(slot, group);
        }
    }

    /// This reactor has no session of the user any more.
    pub(super) fn sticky_user_went(&self, app: AppId, user: &Name) {
        let (shared, StickyRule { ms, .. }) = (&self.shared, self.rules.sticky_rule(app));
        shared.sticky.went(app, user, ms, shared.clock.now().ms, || shared.has_session(app, user));
    }
}
