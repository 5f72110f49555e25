//! How what groups remember is carried to another process: messages, numbers, epochs, and when each was kept. Times of the
//! server's clock go on.

use super::group::{Entry, Group};
use super::{Around, Memory, scope_of};
use crate::dispatch::{Epoch, Packer, Place, Push, Unpacker};
use crate::session::{AppId, Name};
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// A [`Memory`] on its way.
#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct CarriedMemory {
    #[n(0)]
    order: u64,
    #[n(1)]
    groups: Vec<CarriedGroup>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedGroup {
    #[n(0)]
    app: u16,
    #[n(1)]
    name: Box<str>,
    #[n(2)]
    epoch: u64,
    #[n(3)]
    offset: u64,
    #[n(4)]
    log: Vec<CarriedEntry>,
    #[n(5)]
    latest: Vec<CarriedEntry>,
    #[n(6)]
    lacks_keys: bool,
    #[n(7)]
    active_ms: u64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedEntry {
    #[n(0)]
    order: u64,
    #[n(1)]
    offset: u64,
    #[n(2)]
    at_ms: u64,
    #[n(3)]
    key: Option<Box<str>>,
    /// The number of its frame.
    #[n(4)]
    frame: u32,
}

impl CarriedEntry {
    fn of(entry: &Entry, packer: &Packer) -> Self {
        let Entry { place, at_ms, push } = entry;
        let Place { scope: _, order, epoch: _, offset } = place;
        // Of the push that is kept there is no more than this: who got it is long gone.
        let (key, frame) = (push.options.key.clone(), packer.frame(&push.frame));
        Self { order: *order, offset: *offset, at_ms: *at_ms, key, frame }
    }
}

impl CarriedGroup {
    fn of(app: AppId, name: &Name, group: &Group, packer: &Packer) -> Self {
        let Group {
            // It follows from the name.
            scope: _,
            epoch,
            offset,
            log,
            latest,
            lacks_keys,
            active_ms,
            // Sums, and what finds the entries again.
            log_bytes: _,
            keys: _,
            latest_bytes: _,
            // Every group is looked at by the rules of the new process.
            due_ms: _,
        } = group;
        Self {
            app: app.0,
            name: name.as_str().into(),
            epoch: epoch.as_u64(),
            offset: *offset,
            log: log.iter().map(|entry| CarriedEntry::of(entry, packer)).collect(),
            latest: latest.values().map(|entry| CarriedEntry::of(entry, packer)).collect(),
            lacks_keys: *lacks_keys,
            active_ms: *active_ms,
        }
    }
}

impl Memory {
    /// As it is carried.
    pub fn carry(&self, packer: &Packer) -> CarriedMemory {
        let Self {
            apps,
            order,
            // Made anew with the groups.
            due: _,
            counts: _,
            // Another process makes other epochs.
            seed: _,
            epochs: _,
            // Counted in every turn.
            losses: _,
        } = self;
        let groups =
            apps.iter().flat_map(|(app, groups)| groups.iter().map(move |(name, group)| (app, name, group)));
        let groups = groups.map(|(app, name, group)| CarriedGroup::of(*app, name, group, packer)).collect();
        CarriedMemory { order: *order, groups }
    }

    /// Goes on from the memory of another process. `is_own` says of a scope whether this reactor owns it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on_from(
        &mut self,
        carried: CarriedMemory,
        unpacker: &Unpacker,
        around: &impl Around,
        is_own: impl Fn(u64) -> bool,
    ) -> Result<(), InvalidState> {
        let CarriedMemory { order, groups } = carried;
        self.order = order;
        for carried in groups {
            let name = Name::new(&carried.name).map_err(|error| InvalidState::new(error.to_string()))?;
            let app = AppId(carried.app);
            if !is_own(scope_of(app, &name)) {
                return Err(InvalidState::new("a group that another reactor remembers"));
            }
            if self.group(app, &name).is_some() {
                return Err(InvalidState::new("a group that is remembered twice"));
            }
            let group = self.restore(app, &name, carried, unpacker, around)?;
            self.apps.entry(app).or_default().insert(name.clone(), group);
            self.due.insert((0, app, name));
            self.counts.groups += 1;
        }
        Ok(())
    }

    fn restore(
        &mut self,
        app: AppId,
        name: &Name,
        carried: CarriedGroup,
        unpacker: &Unpacker,
        around: &impl Around,
    ) -> Result<Group, InvalidState> {
        let CarriedGroup { app: _, name: _, epoch, offset, log, latest, lacks_keys, active_ms } = carried;
        let mut group = Group::new(scope_of(app, name), Epoch::from_u64(epoch), active_ms);
        (group.offset, group.lacks_keys) = (offset, lacks_keys);
        check(&log, self.order, offset, true)?;
        check(&latest, self.order, offset, false)?;
        // A message that both have is one.
        let mut shared: HashMap<u64, Arc<Push>> = HashMap::new();
        for (entry, in_log) in
            log.into_iter().map(|entry| (entry, true)).chain(latest.into_iter().map(|entry| (entry, false)))
        {
            let CarriedEntry { order, offset, at_ms, key, frame } = entry;
            let is_new_key = |key: &str| Name::check(key).is_ok() && (in_log || !group.has_key(key));
            if !(key.as_deref().map_or(in_log, is_new_key)) {
                return Err(InvalidState::new("a message of a key that is none, or twice"));
            }
            let place = Place { scope: group.scope, order, epoch: group.epoch, offset };
            let frame = unpacker.frame(frame)?;
            let push = shared
                .entry(offset)
                .or_insert_with(|| Arc::new(Push::kept(app, frame.clone(), key.clone(), place)));
            if push.options.key != key || push.place() != Some(&place) {
                return Err(InvalidState::new("two messages with one number"));
            }
            let entry = Entry { place, at_ms, push: Arc::clone(push) };
            group.restore(entry, in_log, &around.room(app), &mut self.counts);
        }
        Ok(group)
    }
}

/// Whether numbers and orders rise, a log's numbers without a gap up to the newest.
fn check(entries: &[CarriedEntry], order: u64, offset: u64, is_log: bool) -> Result<(), InvalidState> {
    let rises = entries.windows(2).all(|pair| {
        let next = pair[0].offset.checked_add(1);
        let follows = if is_log { next == Some(pair[1].offset) } else { pair[0].offset < pair[1].offset };
        follows && pair[0].order < pair[1].order
    });
    let ends = entries.last().is_none_or(|last| {
        last.order <= order && if is_log { last.offset == offset } else { last.offset <= offset }
    });
    let begins = entries.first().is_none_or(|first| first.offset > 0 && first.order > 0);
    match rises && ends && begins {
        true => Ok(()),
        false => Err(InvalidState::new("the numbers of a group's messages do not rise")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LatestRule, LogRule, MemoryRule, Room, Share};
    use super::*;
    use crate::dispatch::{EncodedFrame, Origin, PushOptions, Target};
    use std::sync::atomic::AtomicU64;

    struct World(AtomicU64);

    const RULE: MemoryRule = MemoryRule {
        latest: Some(LatestRule { keys: 9, bytes: 100_000, idle_ms: 1_000 }),
        log: Some(LogRule { messages: 9, bytes: 100_000, ttl_ms: 1_000 }),
    };

    impl Around for World {
        fn rule(&self, _: AppId, _: &str) -> Option<MemoryRule> {
            Some(RULE)
        }

        fn room(&self, _: AppId) -> Room<'_> {
            Room { app: Share { used: &self.0, bound: 0 }, server: Share { used: &self.0, bound: 0 } }
        }

        fn has_members(&self, _: AppId, _: &Name) -> bool {
            false
        }
    }

    /// What is said of a memory of three pushes when `change` has been made to it.
    fn taken(change: impl FnOnce(&mut CarriedMemory)) -> Result<(), String> {
        let (world, mut memory) = (World(AtomicU64::new(0)), Memory::new(1));
        let group = Name::new("g").unwrap();
        for key in [None, Some("a"), Some("b")] {
            let options = PushOptions { key: key.map(Into::into), ..PushOptions::default() };
            let (target, frame) = (Target::nobody(), EncodedFrame::text("x"));
            let push = Push::new(AppId(0), target, frame, options, 0, 0, Origin::Nobody);
            memory.remember(&group, &RULE, &push, 1, &world);
        }
        let (packer, mut unpacker) = (Packer::default(), Unpacker::default());
        let mut carried = memory.carry(&packer);
        packer.take_new().into_iter().for_each(|shared| unpacker.take(shared).unwrap());
        change(&mut carried);
        let bytes = minicbor::to_vec(&carried).unwrap();
        let carried = minicbor::decode(&bytes).unwrap();
        let taken =
            Memory::new(2).go_on_from(carried, &unpacker, &world, |scope| scope == scope_of(AppId(0), "g"));
        taken.map_err(|error| error.to_string())
    }

    #[test]
    fn a_memory_that_none_can_have_is_refused() {
        assert_eq!(taken(|_| {}), Ok(()));
        type Change = fn(&mut CarriedMemory);
        let table: [(Change, &str); 13] = [
            (|memory| memory.groups[0].app = 1, "another reactor"),
            (|memory| memory.groups[0].name = "h".into(), "another reactor"),
            (|memory| memory.groups[0].name = "".into(), "at least one byte"),
            (|memory| memory.order = 2, "do not rise"),
            (|memory| memory.groups[0].offset = 4, "do not rise"),
            (|memory| memory.groups[0].log[0].offset = 0, "do not rise"),
            (|memory| memory.groups[0].log[1].order = 1, "do not rise"),
            (|memory| drop(memory.groups[0].log.remove(1)), "do not rise"),
            (|memory| memory.groups[0].latest.swap(0, 1), "do not rise"),
            (|memory| memory.groups[0].latest[0].key = None, "a key that is none"),
            (|memory| memory.groups[0].latest[1].key = Some("a".into()), "a key that is none, or twice"),
            (|memory| memory.groups[0].latest[1].key = Some("c".into()), "one number"),
            (|memory| memory.groups[0].log[2].frame = 99, "did not come"),
        ];
        for (number, (change, says)) in table.into_iter().enumerate() {
            let refused = taken(change).expect_err(&format!("{number}"));
            assert!(refused.contains(says), "{number}: {refused}");
        }
        let twice = taken(|memory| {
            let bytes = minicbor::to_vec(&*memory).unwrap();
            let again: CarriedMemory = minicbor::decode(&bytes).unwrap();
            memory.groups.extend(again.groups);
        });
        assert!(twice.unwrap_err().contains("twice"));
    }
}
