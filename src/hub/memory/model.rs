//! The obvious memory: of each group every push that it may still keep, in one list, and operations read from bytes that it and
//! the real one must answer alike. A fuzzer may choose the bytes.

use super::group::OVERHEAD;
use super::{Around, Asked, LatestRule, LogRule, Memory, MemoryRule, Room, Share, scope_of};
use crate::choices::Choices;
use crate::dispatch::{
    EncodedFrame, Epoch, KeptMessage, Origin, Packer, Push, PushOptions, Recall, Selector, Target, Unpacker,
};
use crate::session::{AppId, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// The world around both.
struct World {
    rules: BTreeMap<Box<str>, MemoryRule>,
    members: BTreeSet<Box<str>>,
    used: [AtomicU64; 2],
    bounds: [u64; 2],
}

impl Around for World {
    fn rule(&self, _: AppId, group: &str) -> Option<MemoryRule> {
        self.rules.get(group).copied()
    }

    fn room(&self, _: AppId) -> Room<'_> {
        let share = |index: usize| Share { used: &self.used[index], bound: self.bounds[index] };
        Room { app: share(0), server: share(1) }
    }

    fn has_members(&self, _: AppId, group: &Name) -> bool {
        self.members.contains(group.as_str())
    }
}

/// A push of a group.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    order: u64,
    offset: u64,
    at_ms: u64,
    key: Option<Box<str>>,
    text: String,
}

impl Said {
    fn weight(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.len());
        EncodedFrame::text(&self.text).wire_len() + key + OVERHEAD
    }

    fn message(&self) -> KeptMessage {
        KeptMessage { offset: self.offset, key: self.key.clone(), frame: EncodedFrame::text(&self.text) }
    }
}

/// A group of the model.
#[derive(Debug)]
struct Group {
    epoch: Epoch,
    offset: u64,
    log: Vec<Said>,
    latest: Vec<Said>,
    lacks_keys: bool,
}

fn weight(all: &[Said]) -> usize {
    all.iter().map(Said::weight).sum()
}

/// The last `count` of them.
fn newest(mut said: Vec<&Said>, count: usize) -> Vec<&Said> {
    said.split_off(said.len().saturating_sub(count))
}

/// The memory and the model side by side.
struct Pair {
    memory: Memory,
    world: World,
    model: BTreeMap<Box<str>, Group>,
    now_ms: u64,
    epochs: BTreeSet<u64>,
    order: u64,
}

const APP: AppId = AppId(0);

fn name(number: u32) -> Name {
    Name::new(&format!("group {number}")).expect("it is short and plain")
}

impl Choices<'_> {
    fn rule(&mut self) -> MemoryRule {
        let kinds = self.below(3);
        let mut bytes = || (self.below(12) as usize + 1) * 300;
        let (latest_bytes, log_bytes) = (bytes(), bytes());
        let latest =
            LatestRule { keys: self.below(4) as usize + 1, bytes: latest_bytes, idle_ms: 1_000_000_000_000 };
        let log = LogRule {
            messages: self.below(6) as usize + 1,
            bytes: log_bytes,
            ttl_ms: u64::from(self.below(200)) + 1,
        };
        MemoryRule { latest: (kinds != 1).then_some(latest), log: (kinds != 2).then_some(log) }
    }
}

/// Does what `bytes` say to a memory, and panics where the model answers differently.
pub(crate) fn obey(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let bound = |choices: &mut Choices<'_>| match choices.below(3) {
        0 => 0,
        _ => u64::from(choices.byte()) * 40,
    };
    let bounds = [bound(&mut choices), bound(&mut choices)];
    let rules = (0..3).map(|number| (name(number).as_str().into(), choices.rule())).collect();
    let world = World { rules, members: BTreeSet::new(), used: Default::default(), bounds };
    let mut pair = Pair {
        memory: Memory::new(7),
        world,
        model: BTreeMap::new(),
        now_ms: 1_000,
        epochs: BTreeSet::new(),
        order: 0,
    };
    while !choices.is_empty() {
        pair.step(&mut choices);
    }
    // Whatever is kept gives its room back.
    for number in 0..3 {
        pair.memory.forget(APP, &name(number), None, &pair.world);
    }
    assert_eq!(pair.memory.sizes(), Default::default());
    assert_eq!(pair.memory.next_ms(), None);
    assert!(pair.world.used.iter().all(|used| used.load(Ordering::Relaxed) == 0));
}

impl Pair {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let group = name(choices.below(3));
        match choices.below(10) {
            0..=3 => self.push(choices, &group),
            4 => {
                self.now_ms += u64::from(choices.byte());
                self.expire();
            }
            5 => self.forget(choices, &group),
            6 => {
                let changed = choices.rule();
                self.world.rules.insert(group.as_str().into(), changed);
                self.memory.look_at_all();
                self.obey_rules();
                self.expire();
            }
            7 => {
                let members = &mut self.world.members;
                if !members.remove(group.as_str()) {
                    members.insert(group.as_str().into());
                }
            }
            8 => self.carry(),
            _ => self.compare(choices, &group),
        }
        let (log, latest) = (|group: &Group| group.log.len(), |group: &Group| group.latest.len());
        let sizes = self.memory.sizes();
        let live = |group: &Group| log(group) + latest(group);
        assert_eq!(sizes.messages, self.model.values().map(live).sum::<usize>());
        let bytes = |group: &Group| weight(&group.log) + weight(&group.latest);
        assert_eq!(sizes.bytes, self.model.values().map(bytes).sum::<usize>());
        for used in &self.world.used {
            assert_eq!(used.load(Ordering::Relaxed), sizes.bytes as u64);
        }
    }

    /// Whether a message finds room beside all that is kept.
    fn has_room(&self, more: usize, without: usize) -> bool {
        let used = self.world.used[0].load(Ordering::Relaxed) as usize - without;
        self.world.bounds.iter().all(|bound| *bound == 0 || used + more <= *bound as usize)
    }

    fn push(&mut self, choices: &mut Choices<'_>, group: &Name) {
        let key = choices.below(5).checked_sub(1).map(|key| format!("key {key}").into_boxed_str());
        let text = "x".repeat(usize::from(choices.byte()) * 4);
        let options = PushOptions { key: key.clone(), ..PushOptions::default() };
        let (target, frame) = (Target::from(Selector::Group(group.clone())), EncodedFrame::text(&text));
        let push = Push::new(APP, target, frame, options, 0, 0, Origin::Nobody);
        let rule = self.world.rules[group.as_str()];
        let is_new = !self.model.contains_key(group.as_str());
        // What the model keeps of the push it works out before the memory takes the room.
        self.order += 1;
        let order = self.order;
        let before = self.model.remove(group.as_str());
        let (mut offset, mut log, mut latest, mut lacks_keys) = (0, Vec::new(), Vec::new(), false);
        let mut epoch = None;
        if let Some(before) = before {
            (offset, log, latest, lacks_keys) = (before.offset, before.log, before.latest, before.lacks_keys);
            epoch = Some(before.epoch);
        }
        let had = weight(&log) + weight(&latest);
        offset += 1;
        let said = Said { order, offset, at_ms: self.now_ms, key, text };
        let now_ms = self.now_ms;
        if let Some(rule) = rule.log {
            log.retain(|said| now_ms < said.at_ms + rule.ttl_ms);
            log.push(said.clone());
            let fits = |pair: &Self, log: &[Said]| {
                let alone = log.is_empty();
                let bounds = log.len() <= rule.messages && weight(log) <= rule.bytes;
                alone || bounds && pair.has_room(weight(log) + weight(&latest), had)
            };
            while !fits(self, &log) {
                log.remove(0);
            }
        }
        if let (Some(rule), Some(_)) = (rule.latest, &said.key) {
            latest.retain(|older| older.key != said.key);
            latest.push(said);
            let fits = |pair: &Self, latest: &[Said]| {
                let alone = latest.is_empty();
                let bounds = latest.len() <= rule.keys && weight(latest) <= rule.bytes;
                alone || bounds && pair.has_room(weight(&log) + weight(latest), had)
            };
            while !fits(self, &latest) {
                latest.remove(0);
                lacks_keys = true;
            }
        }
        let place = self.memory.remember(group, &rule, &push, self.now_ms, &self.world);
        assert_eq!((place.scope, place.order, place.offset), (scope_of(APP, group), order, offset));
        assert!(epoch.is_none_or(|epoch| epoch == place.epoch));
        assert_eq!(self.epochs.insert(place.epoch.as_u64()), is_new, "an epoch is a new one, or the group's");
        let kept = Group { epoch: place.epoch, offset, log, latest, lacks_keys };
        self.keep(group, kept);
    }

    /// A group that keeps nothing and has no member is gone.
    fn keep(&mut self, group: &str, kept: Group) {
        if !(kept.log.is_empty() && kept.latest.is_empty()) || self.world.members.contains(group) {
            self.model.insert(group.into(), kept);
        }
    }

    fn obey_rules(&mut self) {
        for (name, group) in &mut self.model {
            let rule = self.world.rules[name];
            let log = rule.log.map_or((0, 0), |log| (log.messages, log.bytes));
            while group.log.len() > log.0 || weight(&group.log) > log.1 {
                group.log.remove(0);
            }
            let latest = rule.latest.map_or((0, 0), |latest| (latest.keys, latest.bytes));
            while group.latest.len() > latest.0 || weight(&group.latest) > latest.1 {
                group.latest.remove(0);
                group.lacks_keys |= rule.latest.is_some();
            }
        }
    }

    /// Time has passed: what is due in the memory is looked at.
    fn expire(&mut self) {
        self.memory.expire(self.now_ms, usize::MAX, &self.world);
        // When exactly an expired message is dropped is the memory's affair: that it is shown to nobody is compared.
        let now_ms = self.now_ms;
        let due: Vec<Box<str>> = self.model.keys().cloned().collect();
        for name in due {
            let is_there = self.memory.group(APP, &name).is_some();
            let Some(mut group) = self.model.remove(&name) else { continue };
            let expired = |said: &Said, rule: LogRule| now_ms >= said.at_ms + rule.ttl_ms;
            if let Some(rule) = self.world.rules[&name].log {
                let held = self.memory.group(APP, &name).map_or(0, |group| group.log.len());
                let live = group.log.iter().filter(|said| !expired(said, rule)).count();
                assert!(held >= live && held <= group.log.len());
                group.log.drain(..group.log.len() - held);
            }
            if is_there {
                self.model.insert(name, group);
            } else {
                assert!(
                    group.log.is_empty() && group.latest.is_empty() && !self.world.members.contains(&name)
                );
            }
        }
    }

    fn forget(&mut self, choices: &mut Choices<'_>, group: &Name) {
        let key = choices.below(5).checked_sub(1).map(|key| format!("key {key}"));
        let forgotten = self.memory.forget(APP, group, key.as_deref(), &self.world);
        let expected = match (self.model.get_mut(group.as_str()), key) {
            (None, _) => 0,
            (Some(kept), Some(key)) => {
                let before = kept.latest.len();
                kept.latest.retain(|said| said.key.as_deref() != Some(&*key));
                before - kept.latest.len()
            }
            (Some(_), None) => {
                let kept = self.model.remove(group.as_str());
                kept.map_or(0, |kept| kept.log.len() + kept.latest.len())
            }
        };
        assert_eq!(forgotten, expected);
    }

    /// Another process goes on with it.
    fn carry(&mut self) {
        let (packer, mut unpacker) = (Packer::default(), Unpacker::default());
        let bytes = minicbor::to_vec(self.memory.carry(&packer)).expect("memory takes it");
        packer.take_new().into_iter().for_each(|shared| unpacker.take(shared).expect("it was a frame"));
        self.world.used = Default::default();
        self.memory = Memory::new(self.order + 1_000_000);
        let carried = minicbor::decode(&bytes).expect("it was just written");
        self.memory.go_on_from(carried, &unpacker, &self.world, |_| true).expect("it was just carried");
        self.expire();
    }

    fn compare(&mut self, choices: &mut Choices<'_>, group: &Name) {
        let (rule, now_ms) = (self.world.rules[group.as_str()], self.now_ms);
        let kept = self.model.get(group.as_str());
        let latest = self.memory.latest(APP, group);
        assert_eq!(latest.is_some(), kept.is_some());
        if let (Some(page), Some(kept)) = (latest, kept) {
            assert_eq!((page.epoch, page.offset), (Some(kept.epoch), kept.offset));
            let expected: Vec<_> = kept.latest.iter().map(Said::message).collect();
            assert_eq!((page.messages, page.complete), (expected, !kept.lacks_keys));
        }
        let Some(log) = rule.log else { return };
        let (after, limit) = (u64::from(choices.below(12)), choices.below(4) as usize);
        let epoch = match choices.below(3) {
            0 => None,
            1 => kept.map(|kept| kept.epoch),
            _ => Some(Epoch::from_u64(1)),
        };
        let page = self.memory.log(APP, group, (after, epoch), limit, &log, now_ms);
        let Some(kept) = kept else {
            assert_eq!((page.messages, page.complete), (Vec::new(), after == 0 && epoch.is_none()));
            return;
        };
        let is_known = epoch.is_none_or(|epoch| epoch == kept.epoch) && after <= kept.offset;
        let live = kept.log.iter().filter(|said| now_ms < said.at_ms + log.ttl_ms);
        let behind: Vec<_> = live.clone().filter(|said| !is_known || said.offset > after).collect();
        let complete = is_known && behind.len() as u64 == kept.offset - after;
        let expected: Vec<_> = behind.iter().take(limit).map(|said| said.message()).collect();
        assert_eq!((page.messages, page.complete, page.offset), (expected, complete, kept.offset));
        let count = behind.len();
        for (recall, expected) in [
            (Recall::After { offset: after, epoch, last: None }, behind.clone()),
            (Recall::After { offset: after, epoch, last: Some(limit as u64) }, newest(behind, limit)),
            (Recall::Last(limit as u64), newest(live.collect(), limit)),
        ] {
            let (sent, recalled) = self.memory.recall(APP, group, Asked::Log(recall), now_ms, &self.world);
            let orders = sent.iter().map(|push| push.place().expect("it is kept").order);
            assert_eq!(
                orders.collect::<Vec<_>>(),
                expected.iter().map(|said| said.order).collect::<Vec<_>>()
            );
            assert_eq!((recalled.epoch, recalled.offset), (Some(kept.epoch), kept.offset));
            let expected = match recall {
                Recall::Last(_) => true,
                Recall::After { last: None, .. } => complete,
                Recall::After { .. } => complete && count <= limit,
            };
            assert_eq!(recalled.complete, expected);
        }
        if rule.latest.is_some() {
            let (sent, _) = self.memory.recall(APP, group, Asked::Latest, now_ms, &self.world);
            let orders: Vec<_> = sent.iter().map(|push| push.place().expect("it is kept").order).collect();
            assert_eq!(orders, kept.latest.iter().map(|said| said.order).collect::<Vec<_>>());
        }
    }
}
