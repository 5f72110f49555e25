//! What the groups remember that this reactor owns: the newest push of each key, and the last pushes in one order, numbered.
//! Start from [`Memory`], one for each reactor. Knows nothing of sessions, sockets and other reactors: whoever owns it says
//! what time it is, by which rules, how much room there is, and whether a group has members anywhere.

mod carry;
mod group;
mod room;
mod rule;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

pub use carry::CarriedMemory;
pub use group::OVERHEAD;
pub use room::{Room, Share};
pub use rule::{LatestRule, LogRule, MemoryRule};

use crate::dispatch::{Epoch, KeptPage, Place, Push, Recall, Recalled};
use crate::metrics::MemoryLoss;
use crate::session::{AppId, Name};
use group::{Counts, Group, Losses};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Messages that a group keeps, in the order of the owner.
pub type Kept = Arc<[Arc<Push>]>;

/// Deadlines are looked at together: one of a group is late by so much at most. What has expired is shown to nobody meanwhile.
const COARSE_MS: u64 = 64;

/// After so long it is asked again whether a group that keeps nothing has members: its numbers go on while it has.
const LOOK_MS: u64 = 60_000;

/// What stands around a memory.
pub trait Around {
    /// What the group is to remember; `None` is nothing.
    fn rule(&self, app: AppId, group: &str) -> Option<MemoryRule>;

    /// The room that there is for what groups of the app keep.
    fn room(&self, app: AppId) -> Room<'_>;

    /// Whether any reactor has a member of the group.
    fn has_members(&self, app: AppId, group: &Name) -> bool;
}

/// What a session that joins gets of a group's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The newest push of each key.
    Latest,
    /// A part of the log.
    Log(Recall),
}

/// What the groups remember that one reactor owns.
#[derive(Debug)]
pub struct Memory {
    apps: HashMap<AppId, HashMap<Name, Group>>,
    /// When each group is looked at next: one entry for each.
    due: BTreeSet<(u64, AppId, Name)>,
    /// How many pushes have been numbered, of all groups.
    order: u64,
    /// What epochs are made of; the seed is random.
    seed: u64,
    epochs: u64,
    counts: Counts,
    /// Messages that are gone, by [`MemoryLoss`], since the last look.
    losses: Losses,
}

/// What the groups of a reactor keep together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemorySizes {
    /// Groups.
    pub groups: usize,
    /// Messages; one that is in the log and the newest of its key counts twice, here and below.
    pub messages: usize,
    /// The memory that they take.
    pub bytes: usize,
}

/// Stands for a group that remembers: which reactor owns it, and whose its keys are. It is the same in every process and every
/// version: what a process hands over is with the right reactor of the next one.
pub fn scope_of(app: AppId, group: &str) -> u64 {
    // FNV-1a, and a finish that spreads it over all bits.
    let bytes = app.0.to_le_bytes().into_iter().chain(group.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // 0 stands for no group.
    scramble(hash).max(1)
}

/// The finish of splitmix64: a permutation.
fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Memory {
    /// A memory without groups; `seed` is random.
    pub fn new(seed: u64) -> Self {
        Self {
            apps: HashMap::new(),
            due: BTreeSet::new(),
            order: 0,
            seed,
            epochs: 0,
            counts: Counts::default(),
            losses: Losses::default(),
        }
    }

    /// Numbers a push to a group and keeps what the rule says of it. The place of the push among those of its group.
    pub fn remember(
        &mut self,
        group: &Name,
        rule: &MemoryRule,
        push: &Push,
        now_ms: u64,
        around: &impl Around,
    ) -> Place {
        let app = push.app;
        self.order += 1;
        let order = self.order;
        if self.group(app, group).is_none() {
            let epoch = self.next_epoch();
            let scope = scope_of(app, group);
            self.apps.entry(app).or_default().insert(group.clone(), Group::new(scope, epoch, now_ms));
            self.due.insert((0, app, group.clone()));
            self.counts.groups += 1;
        }
        let Self { apps, counts, losses, .. } = self;
        let found = apps.get_mut(&app).and_then(|groups| groups.get_mut(group));
        let found = found.expect("a group that was not there has just been put there");
        let (place, room) = (found.number(order), around.room(app));
        // What the rules do not have kept any more has a gap from here on.
        found.drop_unruled(rule, &room, counts, losses);
        if rule.keeps(push.options.key.is_some()) {
            let kept = Push::kept(app, push.frame.clone(), push.options.key.clone(), place);
            found.keep(Arc::new(kept), rule, now_ms, &room, counts, losses);
        }
        found.note_active(now_ms);
        self.arm(app, group, rule, now_ms, around);
        place
    }

    /// What a session that joins gets, and how far that goes.
    pub fn recall(
        &self,
        app: AppId,
        group: &str,
        asked: Asked,
        now_ms: u64,
        around: &impl Around,
    ) -> (Kept, Recalled) {
        match self.group(app, group).zip(around.rule(app, group)) {
            Some((found, rule)) => found.recall(asked, &rule, now_ms),
            None => {
                let complete = !matches!(asked, Asked::Log(Recall::After { offset, epoch, .. })
                    if offset > 0 || epoch.is_some());
                (Kept::from([]), Recalled { epoch: None, offset: 0, complete })
            }
        }
    }

    /// The newest push of each key of the group.
    pub fn latest(&self, app: AppId, group: &str) -> Option<KeptPage> {
        self.group(app, group).map(Group::latest_page)
    }

    /// Up to `limit` pushes of the group's log behind `after`.
    pub fn log(
        &self,
        app: AppId,
        group: &str,
        (after, epoch): (u64, Option<Epoch>),
        limit: usize,
        rule: &LogRule,
        now_ms: u64,
    ) -> KeptPage {
        match self.group(app, group) {
            Some(found) => found.log_page(after, epoch, limit, rule, now_ms),
            None => {
                let complete = after == 0 && epoch.is_none();
                KeptPage { epoch: None, offset: 0, messages: Vec::new(), complete }
            }
        }
    }

    /// The group forgets the newest push of `key`, or everything: then its numbers begin anew, in another epoch. How many
    /// messages are gone.
    pub fn forget(&mut self, app: AppId, group: &str, key: Option<&str>, around: &impl Around) -> usize {
        let Self { apps, counts, losses, .. } = self;
        let Some(found) = apps.get_mut(&app).and_then(|groups| groups.get_mut(group)) else { return 0 };
        let room = around.room(app);
        match key {
            Some(key) => usize::from(found.forget_key(key, &room, counts, losses)),
            None => {
                let before = counts.messages;
                found.clear(MemoryLoss::Forgotten, &room, counts, losses);
                let forgotten = before - counts.messages;
                self.remove(app, group);
                forgotten
            }
        }
    }

    /// Looks at the groups whose time has come by `now_ms`, `most` of them at once: what has expired is dropped, what the rules
    /// do not allow any more too, and groups that keep nothing and have no member are.
    pub fn expire(&mut self, now_ms: u64, most: usize, around: &impl Around) {
        for _ in 0..most {
            let Some((due_ms, ..)) = self.due.first() else { return };
            if *due_ms > now_ms {
                return;
            }
            let Some((_, app, group)) = self.due.pop_first() else { return };
            let Self { apps, counts, losses, .. } = self;
            let Some(found) = apps.get_mut(&app).and_then(|groups| groups.get_mut(&group)) else { continue };
            found.due_ms = 0;
            let room = around.room(app);
            let Some(rule) = around.rule(app, &group) else {
                found.clear(MemoryLoss::Rules, &room, counts, losses);
                self.remove(app, &group);
                continue;
            };
            found.obey(&rule, now_ms, &room, counts, losses);
            if found.is_idle(&rule, now_ms) {
                match around.has_members(app, &group) {
                    true => found.note_active(now_ms),
                    false => found.drop_latest(MemoryLoss::Idle, &room, counts, losses),
                }
            }
            self.due.insert((0, app, group.clone()));
            self.arm(app, &group, &rule, now_ms, around);
        }
    }

    /// The rules are others: every group is looked at.
    pub fn look_at_all(&mut self) {
        for (app, groups) in &mut self.apps {
            for (name, group) in groups {
                self.due.remove(&(group.due_ms, *app, name.clone()));
                group.due_ms = 0;
                self.due.insert((0, *app, name.clone()));
            }
        }
    }

    /// When a group is to be looked at next.
    pub fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, ..)| *due_ms)
    }

    /// Whether nothing is kept, and no group is numbered.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// How much is kept.
    pub fn sizes(&self) -> MemorySizes {
        let Counts { groups, messages, bytes } = self.counts;
        debug_assert_eq!(groups, self.due.len(), "each group is looked at");
        MemorySizes { groups, messages, bytes }
    }

    /// Messages that are gone since this was last asked, by reason.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    fn group(&self, app: AppId, group: &str) -> Option<&Group> {
        self.apps.get(&app)?.get(group)
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::from_u64(scramble(self.seed.wrapping_add(self.epochs)))
    }

    /// Says when the group is looked at next, or forgets it where it keeps nothing and has no member.
    fn arm(&mut self, app: AppId, group: &Name, rule: &MemoryRule, now_ms: u64, around: &impl Around) {
        let Some(found) = self.apps.get_mut(&app).and_then(|groups| groups.get_mut(group)) else { return };
        if found.is_empty() && !around.has_members(app, group) {
            return self.remove(app, group);
        }
        let due_ms = found.next_due_ms(rule).unwrap_or(now_ms + LOOK_MS).next_multiple_of(COARSE_MS);
        // It may come too early: then it is armed again.
        if found.due_ms == 0 || due_ms < found.due_ms {
            self.due.remove(&(found.due_ms, app, group.clone()));
            found.due_ms = due_ms;
            self.due.insert((due_ms, app, group.clone()));
        }
    }

    /// Forgets a group that keeps nothing.
    fn remove(&mut self, app: AppId, group: &str) {
        let Some(groups) = self.apps.get_mut(&app) else { return };
        let Some((name, removed)) = groups.remove_entry(group) else { return };
        debug_assert!(removed.is_empty(), "what it kept is still counted");
        self.due.remove(&(removed.due_ms, app, name));
        self.counts.groups -= 1;
        if groups.is_empty() {
            self.apps.remove(&app);
        } else if groups.len() * 4 < groups.capacity() {
            groups.shrink_to(groups.len() * 2);
        }
    }
}
