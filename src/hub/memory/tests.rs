use super::{Around, LatestRule, LogRule, Memory, MemoryRule, Room, Share, model};
use crate::choices::random_bytes;
use crate::dispatch::{EncodedFrame, Origin, Push, PushOptions, Target};
use crate::metrics::{Label, MemoryLoss};
use crate::session::{AppId, Name};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

const APP: AppId = AppId(3);
const TTL_MS: u64 = 5_000;
const IDLE_MS: u64 = 60_000;

#[derive(Default)]
struct World {
    used: AtomicU64,
    has_members: Cell<bool>,
}

impl Around for World {
    fn rule(&self, _: AppId, _: &str) -> Option<MemoryRule> {
        Some(MemoryRule {
            latest: Some(LatestRule { keys: 4, bytes: 10_000, idle_ms: IDLE_MS }),
            log: Some(LogRule { messages: 4, bytes: 10_000, ttl_ms: TTL_MS }),
        })
    }

    fn room(&self, _: AppId) -> Room<'_> {
        Room { app: Share { used: &self.used, bound: 0 }, server: Share { used: &self.used, bound: 0 } }
    }

    fn has_members(&self, _: AppId, _: &Name) -> bool {
        self.has_members.get()
    }
}

fn push(memory: &mut Memory, world: &World, key: Option<&str>, now_ms: u64) {
    let group = Name::new("match/1").unwrap();
    let options = PushOptions { key: key.map(Into::into), ..PushOptions::default() };
    let push = Push::new(APP, Target::nobody(), EncodedFrame::text("x"), options, 0, 0, Origin::Nobody);
    memory.remember(&group, &world.rule(APP, &group).unwrap(), &push, now_ms, world);
}

#[test]
fn answers_like_the_model() {
    for seed in 1..200 {
        model::obey(&random_bytes(seed, 2_000));
    }
}

#[test]
fn what_time_takes_goes_by_itself_and_members_keep_the_rest() {
    let (mut memory, world) = (Memory::new(1), World::default());
    world.has_members.set(true);
    push(&mut memory, &world, Some("score"), 1_000);
    push(&mut memory, &world, None, 3_000);
    let due_ms = memory.next_ms().unwrap();
    assert!((1_000 + TTL_MS..=1_000 + TTL_MS + 64).contains(&due_ms), "{due_ms}");
    let look = |memory: &mut Memory, now_ms| {
        memory.expire(now_ms, usize::MAX, &world);
        memory.sizes().messages
    };
    assert_eq!(look(&mut memory, due_ms - 1), 3);
    assert_eq!(look(&mut memory, due_ms), 2, "the first of the log has expired");
    assert_eq!(look(&mut memory, 10_000), 1);
    // The key stays as long as there is a member, however often it is looked at.
    for now_ms in (20_000..1_000_000).step_by(10_000) {
        assert_eq!(look(&mut memory, now_ms), 1);
        assert!(memory.next_ms().unwrap() > now_ms);
    }
    world.has_members.set(false);
    assert_eq!(look(&mut memory, 1_000_000 + 2 * IDLE_MS), 0);
    assert_eq!((memory.next_ms(), memory.is_empty(), world.used.load(Ordering::Relaxed)), (None, true, 0));
    let losses = memory.take_losses();
    assert_eq!(losses[MemoryLoss::Expired.index()], 2);
    assert_eq!((losses[MemoryLoss::Idle.index()], losses.iter().sum::<u64>()), (1, 3));
}

#[test]
fn a_group_without_messages_is_there_as_long_as_it_has_members() {
    let (mut memory, world) = (Memory::new(1), World::default());
    world.has_members.set(true);
    push(&mut memory, &world, None, 0);
    memory.expire(2 * TTL_MS, usize::MAX, &world);
    let page = memory.latest(APP, "match/1").unwrap();
    assert_eq!((memory.sizes().messages, page.offset), (0, 1));
    world.has_members.set(false);
    let mut now_ms = 2 * TTL_MS;
    while let Some(due_ms) = memory.next_ms() {
        assert!(due_ms > now_ms && now_ms < 1_000_000, "it comes to its end");
        now_ms = due_ms;
        memory.expire(now_ms, usize::MAX, &world);
    }
    assert!(memory.latest(APP, "match/1").is_none());
}
