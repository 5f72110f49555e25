//! What a reactor does as the owner of groups that remember: it numbers the pushes to them, keeps them, and posts them to the
//! reactors that have members. So there is one order for everybody, and it is that of the log: a mailbox hands on what one
//! producer has posted to it in the order of the posts (see [`Producer::post`](crate::mailbox::Producer::post), whose overflow
//! stands behind the queue), and a reactor delivers in the order of its mailbox.

use super::Core;
use super::delivery_rules::Remembering;
use super::envelope::Envelope;
use super::rules::Rules;
use super::shared::{MemoryUse, Shared};
use crate::dispatch::{Action, CommandError, ErrorCode, Operation, Origin, Push, Quoted, Selector, Target};
use crate::hub::{Around, MemoryRule, Room, Share, scope_of};
use crate::metrics::{DropReason, Label, MemoryLoss};
use crate::session::{AppId, Name};
use std::sync::Arc;

/// Groups that are looked at in one turn because their time has come.
const LOOKED_AT: usize = 256;

/// What stands around the memory of a reactor.
pub(super) struct AroundMemory<'a> {
    pub(super) rules: &'a Rules,
    pub(super) shared: &'a Shared,
}

impl Around for AroundMemory<'_> {
    fn rule(&self, app: AppId, group: &str) -> Option<MemoryRule> {
        self.rules.delivery_rules.memory(app, group)
    }

    fn room(&self, app: AppId) -> Room<'_> {
        let MemoryUse { server, apps } = &self.shared.memory;
        let bound = self.rules.settings.config.limits.group_memory_bytes as u64;
        Room {
            app: Share { used: apps.of(app.0), bound: self.rules.delivery_rules.memory_bytes(app) },
            server: Share { used: server, bound },
        }
    }

    fn has_members(&self, app: AppId, group: &Name) -> bool {
        !self.shared.interest.reactors_of(app, &Target::from(Selector::Group(group.clone()))).is_empty()
    }
}

impl Shared {
    /// The reactor that remembers for the group with this [scope](scope_of). It is the same after an upgrade, which leaves the
    /// number of reactors as it is.
    pub fn owner_of(&self, scope: u64) -> usize {
        (scope % self.reactors() as u64) as usize
    }

    /// The reactor that is asked for what the group remembers.
    pub fn owner_of_group(&self, app: AppId, group: &Name) -> usize {
        match &self.cluster {
            Some(cluster) => cluster.owner_of(self.in_force.look().apps.name_of(app), group, self.reactors()),
            None => self.owner_of(scope_of(app, group)),
        }
    }

    /// The owner of a group did not get the push: nobody gets it, and nobody knows which users are offline.
    pub fn count_owner_unreached(&self, push: &Push) {
        for (index, selector) in push.target.selectors().iter().enumerate() {
            if let Selector::User(_) = selector
                && !self.interest.reactors_of(push.app, &Target::from(selector.clone())).is_empty()
            {
                push.user_found(index);
            }
        }
        push.part_unreached();
    }
}

impl Core {
    /// Sends a push to the owner of its group, which sends it to everybody.
    #[inline(never)]
    pub(super) fn send_to_owner(&mut self, push: &Arc<Push>, owner: usize) {
        push.add_part();
        if owner == self.index {
            self.publish_as_owner(push);
        } else if self.peers.post(owner, Envelope::Remember(Arc::clone(push))).is_err() {
            self.shared.count_owner_unreached(push);
            self.settlements.drop_for(DropReason::Mailbox);
        }
    }

    /// Numbers a push, keeps it, and posts it to all reactors that have a part in it.
    pub fn publish_as_owner(&mut self, push: &Arc<Push>) {
        // By the rules that this reactor follows: the publisher's may have been others.
        if let Remembering::One(group, rule) = self.rules.delivery_rules.remembering(push.app, &push.target)
            && self.shared.owner_of(scope_of(push.app, group)) == self.index
        {
            let around = AroundMemory { rules: &self.rules, shared: &self.shared };
            push.put_at(self.memory.remember(group, &rule, push, self.now.ms, &around));
        }
        self.post_to_all(push);
        // The owner itself selects no users; its part was counted as one that does.
        push.count_matched(0);
        self.finish_push_part(push);
    }

    /// Drops what has expired of what groups remember.
    pub fn expire_memory(&mut self) {
        if self.memory.next_ms().is_some_and(|due_ms| due_ms <= self.now.ms) {
            let around = AroundMemory { rules: &self.rules, shared: &self.shared };
            self.memory.expire(self.now.ms, LOOKED_AT, &around);
        }
    }

    /// The owner's part of an operation about what a group remembers.
    pub(super) fn ask_memory(&mut self, operation: &Arc<Operation>) {
        let (app, now_ms) = (operation.app, self.now.ms);
        let is_elsewhere = self.bus.is_some();
        let rule = |group: &Name| self.rules.delivery_rules.memory(app, group);
        match &operation.action {
            Action::Latest { group } => match rule(group).and_then(|rule| rule.latest) {
                Some(_) if is_elsewhere => self.ask_redis_for_command(operation),
                Some(_) => self.memory.latest(app, group).into_iter().for_each(|page| operation.kept(page)),
                None => operation.fail(no_latest(group)),
            },
            Action::Log { group, after, epoch, limit } => match rule(group).and_then(|rule| rule.log) {
                Some(_) if is_elsewhere => self.ask_redis_for_command(operation),
                Some(log) => {
                    operation.kept(self.memory.log(app, group, (*after, *epoch), *limit, &log, now_ms));
                }
                None => operation.fail(no_log(group)),
            },
            Action::Forget { group, key } => match rule(group) {
                Some(_) if is_elsewhere => self.ask_redis_for_command(operation),
                Some(_) => operation.count_sessions(self.forget(app, group, key.as_deref())),
                None => operation.fail(no_memory(group)),
            },
            _ => {}
        }
    }

    /// A group is destroyed: it forgets, where this reactor remembers for it.
    pub(super) fn forget_destroyed(&mut self, operation: &Arc<Operation>, group: &Name) {
        let app = operation.app;
        if self.bus.is_none() {
            self.forget(app, group, None);
        } else if !matches!(operation.origin, Origin::Peer(_))
            && self.rules.delivery_rules.memory(app, group).is_some()
            && self.shared.owner_of_group(app, group) == self.index
        {
            self.ask_redis_for_command(operation);
        }
    }

    /// The group forgets, where this reactor remembers for it. How many messages are gone.
    pub(super) fn forget(&mut self, app: AppId, group: &Name, key: Option<&str>) -> u32 {
        let around = AroundMemory { rules: &self.rules, shared: &self.shared };
        self.memory.forget(app, group, key, &around) as u32
    }

    /// Publishes how much is kept, and what was lost.
    pub(super) fn count_memory(&mut self) {
        let (sizes, losses) = (self.memory.sizes(), self.memory.take_losses());
        let metrics = self.shared.metrics.reactor(self.index);
        metrics.memory_groups.set(sizes.groups as u64);
        metrics.memory_messages.set(sizes.messages as u64);
        metrics.memory_bytes.set(sizes.bytes as u64);
        for (reason, lost) in MemoryLoss::ALL.iter().zip(losses).filter(|(_, lost)| *lost > 0) {
            metrics.memory_lost.of(*reason).add(lost);
        }
    }
}

/// The group keeps no log.
pub(super) fn no_log(group: &Name) -> CommandError {
    refused(group, "keeps no log", "log = {}")
}

fn no_latest(group: &Name) -> CommandError {
    refused(group, "does not keep the newest push of each key", "latest = true")
}

fn no_memory(group: &Name) -> CommandError {
    refused(group, "remembers nothing", "latest = true or log = {}")
}

fn refused(group: &Name, what: &str, key: &str) -> CommandError {
    let message =
        format!("the group {} {what}: set {key} in an entry of [[apps.NAME.groups]] for it", Quoted(group));
    CommandError::new(ErrorCode::BadRequest, message)
}
