//! What one group remembers. Whatever is put in or taken out is counted and has its room, or gives it back.

use super::room::Room;
use super::rule::{LatestRule, LogRule, MemoryRule};
use super::{Asked, Kept};
use crate::dispatch::{Epoch, KeptMessage, KeptPage, Place, Push, Recall, Recalled};
use crate::metrics::{Label, MemoryLoss};
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a message takes beside its frame and its key.
pub const OVERHEAD: usize = 512;
// A place in the log or among the keys, the push, and the counts of its sharers.
const _: () = assert!(size_of::<Entry>() + size_of::<Push>() + 32 <= OVERHEAD);

/// What one group remembers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) scope: u64,
    pub(super) epoch: Epoch,
    /// The number of the newest push; the first is 1.
    pub(super) offset: u64,
    /// Without gaps up to the newest push, or empty: what finds no room takes all that is older with it.
    pub(super) log: VecDeque<Entry>,
    pub(super) log_bytes: usize,
    /// By their order.
    pub(super) latest: BTreeMap<u64, Entry>,
    /// The orders of the newest, by key.
    pub(super) keys: HashMap<Box<str>, u64>,
    pub(super) latest_bytes: usize,
    /// The newest push of a key was lost for a bound.
    pub(super) lacks_keys: bool,
    /// When it was last pushed to, or known to have members.
    pub(super) active_ms: u64,
    /// When it is looked at next, as the list of all has it.
    pub(super) due_ms: u64,
}

/// A message that is kept.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) at_ms: u64,
    pub(super) push: Arc<Push>,
}

/// What all groups of a reactor keep.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) groups: usize,
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Messages that are gone, by [`MemoryLoss`].
pub type Losses = [u64; MemoryLoss::COUNT];

impl Entry {
    fn weight(&self) -> usize {
        let key = self.push.options.key.as_ref().map_or(0, |key| key.len());
        self.push.frame.wire_len() + key + OVERHEAD
    }

    fn is_live(&self, rule: &LogRule, now_ms: u64) -> bool {
        now_ms < self.at_ms.saturating_add(rule.ttl_ms)
    }

    fn message(&self) -> KeptMessage {
        let (key, frame) = (self.push.options.key.clone(), self.push.frame.clone());
        KeptMessage { offset: self.place.offset, key, frame }
    }
}

impl Counts {
    fn add(&mut self, weight: usize) {
        self.messages += 1;
        self.bytes += weight;
    }

    fn sub(&mut self, weight: usize, room: &Room<'_>) {
        self.messages -= 1;
        self.bytes -= weight;
        room.give(weight);
    }
}

/// Pushes and what is kept of them.
impl Group {
    pub(super) fn new(scope: u64, epoch: Epoch, now_ms: u64) -> Self {
        Self {
            scope,
            epoch,
            offset: 0,
            log: VecDeque::new(),
            log_bytes: 0,
            latest: BTreeMap::new(),
            keys: HashMap::new(),
            latest_bytes: 0,
            lacks_keys: false,
            active_ms: now_ms,
            due_ms: 0,
        }
    }

    /// The place of the next push.
    pub(super) fn number(&mut self, order: u64) -> Place {
        self.offset += 1;
        Place { scope: self.scope, order, epoch: self.epoch, offset: self.offset }
    }

    /// Keeps the push that was numbered last.
    pub(super) fn keep(
        &mut self,
        push: Arc<Push>,
        rule: &MemoryRule,
        now_ms: u64,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        let Some(place) = push.place().copied() else { return };
        let entry = Entry { place, at_ms: now_ms, push };
        if let Some(log) = &rule.log {
            self.append(entry.clone(), log, room, counts, losses);
        }
        if let Some(latest) = &rule.latest {
            self.put(entry, latest, room, counts, losses);
        }
    }

    fn append(
        &mut self,
        entry: Entry,
        rule: &LogRule,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        self.trim_log(rule, entry.at_ms, room, counts, losses);
        let weight = entry.weight();
        loop {
            let refused = if self.log.len() >= rule.messages {
                Some(MemoryLoss::Messages)
            } else if self.log_bytes + weight > rule.bytes {
                Some(MemoryLoss::Bytes)
            } else {
                room.take(weight).err()
            };
            let Some(reason) = refused else { break };
            losses[reason.index()] += 1;
            // Where nothing is older, it is the new one that is lost: the log is empty then, and goes on behind it.
            if !self.pop_log(room, counts) {
                return;
            }
        }
        self.log_bytes += weight;
        counts.add(weight);
        self.log.push_back(entry);
    }

    fn put(
        &mut self,
        entry: Entry,
        rule: &LatestRule,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        let Some(key) = entry.push.options.key.clone() else { return };
        // The older one goes in any case: it is not the newest any more.
        if let Some(order) = self.keys.get(&key).copied() {
            self.take_latest(order, room, counts);
        }
        let weight = entry.weight();
        loop {
            let refused = if self.latest.len() >= rule.keys {
                Some(MemoryLoss::Keys)
            } else if self.latest_bytes + weight > rule.bytes {
                Some(MemoryLoss::Bytes)
            } else {
                room.take(weight).err()
            };
            let Some(reason) = refused else { break };
            losses[reason.index()] += 1;
            self.lacks_keys = true;
            if !self.pop_latest(room, counts) {
                return;
            }
        }
        self.latest_bytes += weight;
        counts.add(weight);
        self.keys.insert(key, entry.place.order);
        self.latest.insert(entry.place.order, entry);
    }

    /// Takes the oldest of the log out; whether there was one.
    fn pop_log(&mut self, room: &Room<'_>, counts: &mut Counts) -> bool {
        let Some(oldest) = self.log.pop_front() else { return false };
        let weight = oldest.weight();
        self.log_bytes -= weight;
        counts.sub(weight, room);
        if self.log.len() * 4 < self.log.capacity() {
            self.log.shrink_to(self.log.len() * 2);
        }
        true
    }

    /// Takes the key that has not changed for the longest time out; whether there was one.
    fn pop_latest(&mut self, room: &Room<'_>, counts: &mut Counts) -> bool {
        let oldest = self.latest.first_key_value().map(|(order, _)| *order);
        oldest.is_some_and(|order| self.take_latest(order, room, counts))
    }

    fn take_latest(&mut self, order: u64, room: &Room<'_>, counts: &mut Counts) -> bool {
        let Some(entry) = self.latest.remove(&order) else { return false };
        if let Some(key) = &entry.push.options.key {
            self.keys.remove(key);
        }
        if self.keys.len() * 4 < self.keys.capacity() {
            self.keys.shrink_to(self.keys.len() * 2);
        }
        let weight = entry.weight();
        self.latest_bytes -= weight;
        counts.sub(weight, room);
        true
    }

    /// An entry that has come from another process, behind those that came before it.
    pub(super) fn restore(&mut self, entry: Entry, in_log: bool, room: &Room<'_>, counts: &mut Counts) {
        let weight = entry.weight();
        room.take_over(weight);
        counts.add(weight);
        if in_log {
            self.log_bytes += weight;
            self.log.push_back(entry);
        } else if let Some(key) = entry.push.options.key.clone() {
            self.latest_bytes += weight;
            self.keys.insert(key, entry.place.order);
            self.latest.insert(entry.place.order, entry);
        }
    }

    /// Whether the newest push of the key is kept.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }
}

/// Forgetting.
impl Group {
    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.log.is_empty() && self.latest.is_empty()
    }

    /// It was pushed to, or has members.
    pub(super) fn note_active(&mut self, now_ms: u64) {
        self.active_ms = now_ms;
    }

    /// Whether the keys are to be forgotten if it has no member.
    pub(super) fn is_idle(&self, rule: &MemoryRule, now_ms: u64) -> bool {
        let is_late = |rule: LatestRule| now_ms >= self.active_ms.saturating_add(rule.idle_ms);
        !self.latest.is_empty() && rule.latest.is_some_and(is_late)
    }

    /// When something of it is to be looked at; `None` where nothing is kept.
    pub(super) fn next_due_ms(&self, rule: &MemoryRule) -> Option<u64> {
        let log = self.log.front().zip(rule.log);
        let log = log.map(|(oldest, rule)| oldest.at_ms.saturating_add(rule.ttl_ms));
        let latest = rule.latest.filter(|_| !self.latest.is_empty());
        let latest = latest.map(|rule| self.active_ms.saturating_add(rule.idle_ms));
        log.into_iter().chain(latest).min()
    }

    /// Drops what the rule does not allow, and what has expired.
    pub(super) fn obey(
        &mut self,
        rule: &MemoryRule,
        now_ms: u64,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        self.drop_unruled(rule, room, counts, losses);
        if let Some(log) = &rule.log {
            self.trim_log(log, now_ms, room, counts, losses);
        }
        if let Some(latest) = &rule.latest {
            while self.latest.len() > latest.keys || self.latest_bytes > latest.bytes {
                losses[MemoryLoss::Rules.index()] += 1;
                self.lacks_keys = true;
                self.pop_latest(room, counts);
            }
        }
    }

    /// Drops the kinds that the rule does not have.
    pub(super) fn drop_unruled(
        &mut self,
        rule: &MemoryRule,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        if rule.log.is_none() {
            self.drop_log(MemoryLoss::Rules, room, counts, losses);
        }
        if rule.latest.is_none() {
            self.drop_latest(MemoryLoss::Rules, room, counts, losses);
        }
    }

    fn trim_log(
        &mut self,
        rule: &LogRule,
        now_ms: u64,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        while self.log.front().is_some_and(|oldest| !oldest.is_live(rule, now_ms)) {
            losses[MemoryLoss::Expired.index()] += 1;
            self.pop_log(room, counts);
        }
        while self.log.len() > rule.messages || self.log_bytes > rule.bytes {
            losses[MemoryLoss::Rules.index()] += 1;
            self.pop_log(room, counts);
        }
    }

    fn drop_log(&mut self, reason: MemoryLoss, room: &Room<'_>, counts: &mut Counts, losses: &mut Losses) {
        while self.pop_log(room, counts) {
            losses[reason.index()] += 1;
        }
    }

    /// Forgets the newest push of every key.
    pub(super) fn drop_latest(
        &mut self,
        reason: MemoryLoss,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        while self.pop_latest(room, counts) {
            losses[reason.index()] += 1;
        }
    }

    /// Forgets everything but its numbers.
    pub(super) fn clear(
        &mut self,
        reason: MemoryLoss,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) {
        self.drop_log(reason, room, counts, losses);
        self.drop_latest(reason, room, counts, losses);
    }

    /// Forgets the newest push of `key`; whether it was kept.
    pub(super) fn forget_key(
        &mut self,
        key: &str,
        room: &Room<'_>,
        counts: &mut Counts,
        losses: &mut Losses,
    ) -> bool {
        let Some(order) = self.keys.get(key).copied() else { return false };
        losses[MemoryLoss::Forgotten.index()] += 1;
        self.take_latest(order, room, counts)
    }
}

/// Remembering.
impl Group {
    pub(super) fn recall(&self, asked: Asked, rule: &MemoryRule, now_ms: u64) -> (Kept, Recalled) {
        let (epoch, offset) = (Some(self.epoch), self.offset);
        let recalled = |complete| Recalled { epoch, offset, complete };
        match (asked, &rule.log) {
            (Asked::Log(Recall::After { offset, epoch, last }), Some(log)) => {
                let (from, complete) = self.find(offset, epoch, log, now_ms);
                let cut = last.map_or(from, |last| from.max(self.first_of_last(last)));
                (kept(self.log.range(cut..)), recalled(complete && cut == from))
            }
            (Asked::Log(Recall::Last(last)), Some(log)) => {
                let from = self.first_live(log, now_ms).max(self.first_of_last(last));
                (kept(self.log.range(from..)), recalled(true))
            }
            (Asked::Latest | Asked::Log(_), _) => (kept(self.latest.values()), recalled(!self.lacks_keys)),
        }
    }

    pub(super) fn latest_page(&self) -> KeptPage {
        KeptPage {
            epoch: Some(self.epoch),
            offset: self.offset,
            messages: self.latest.values().map(Entry::message).collect(),
            complete: !self.lacks_keys,
        }
    }

    pub(super) fn log_page(
        &self,
        after: u64,
        epoch: Option<Epoch>,
        limit: usize,
        rule: &LogRule,
        now_ms: u64,
    ) -> KeptPage {
        let (from, complete) = self.find(after, epoch, rule, now_ms);
        let messages = self.log.range(from..).take(limit).map(Entry::message).collect();
        KeptPage { epoch: Some(self.epoch), offset: self.offset, messages, complete }
    }

    /// Where the log goes on behind `after`, and whether nothing in between is gone. Numbers of another epoch say nothing: all
    /// that is kept is behind them, and what was in between nobody knows.
    fn find(&self, after: u64, epoch: Option<Epoch>, rule: &LogRule, now_ms: u64) -> (usize, bool) {
        let first = self.first_live(rule, now_ms);
        if epoch.is_some_and(|epoch| epoch != self.epoch) || after > self.offset {
            return (first, false);
        }
        // Without gaps up to the newest: so many of the last are behind `after`.
        let behind = usize::try_from(self.offset - after).unwrap_or(usize::MAX);
        let live = self.log.len() - first;
        (self.log.len() - behind.min(live), behind <= live)
    }

    /// Where the newest `count` of the log begin.
    fn first_of_last(&self, count: u64) -> usize {
        self.log.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn first_live(&self, rule: &LogRule, now_ms: u64) -> usize {
        self.log.partition_point(|entry| !entry.is_live(rule, now_ms))
    }
}

fn kept<'e>(entries: impl Iterator<Item = &'e Entry>) -> Kept {
    entries.map(|entry| Arc::clone(&entry.push)).collect()
}
