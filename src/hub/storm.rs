//! Hubs on several threads that share one interest table.

use super::interest::Counts;
use super::model::name;
use super::sets::SMALL;
use super::{Hub, Interest, Kind, Sizes};
use crate::choices::Xorshift;
use crate::dispatch::{Selector, Target};
use crate::session::{AppId, Name, SessionId};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

const APP: AppId = AppId(0);
const REACTORS: usize = 4;

impl Hub {
    /// Of the largest table.
    fn capacity(&self) -> usize {
        self.sets.capacity().max(self.sessions.capacity())
    }
}

fn names(kind: &str, count: u32) -> Vec<Name> {
    (0..count).map(|number| name(&format!("{kind} {number}"))).collect()
}

/// Joins, leaves and disconnects on one reactor, until `operations` of them have changed something.
fn storm(hub: &mut Hub, reactor: usize, operations: u32) {
    let (users, groups, tags) = (names("user", 3_000), names("group", 500), names("tag", 5));
    let mut random = Xorshift(0x9e37_79b9 + reactor as u64);
    let mut generation = 0;
    let mut done = 0;
    while done < operations {
        let slot = random.below(4_000);
        let group = &groups[random.below(500) as usize];
        let changed = match random.below(16) {
            0 => hub.remove(slot).is_some(),
            1..4 if hub.id_of(slot).is_none() => {
                generation += 1;
                hub.insert(SessionId::new(1, reactor as u8, generation, slot), AppId(slot as u16 % 3));
                hub.bind(slot, Some(&users[random.below(3_000) as usize]));
                hub.tag(slot, &tags[random.below(5) as usize]);
                false
            }
            4..10 => hub.join(slot, group),
            _ => {
                let group = hub.groups_of(slot).next().cloned();
                group.is_some_and(|group| hub.leave(slot, &group))
            }
        };
        done += u32::from(changed);
        if done.is_multiple_of(10_000) && changed {
            hub.move_members(AppId(done as u16 % 3), &groups[0], group);
            hub.destroy(APP, &groups[1]);
        }
    }
}

/// Closes every session in random order.
fn disconnect_all(hub: &mut Hub) {
    let mut random = Xorshift(77);
    let mut slots: Vec<u32> = (0..4_000).collect();
    while !slots.is_empty() {
        let next = random.below(slots.len() as u32) as usize;
        hub.remove(slots.swap_remove(next));
        if slots.len().is_multiple_of(400) {
            hub.check_links();
        }
    }
}

#[test]
fn a_million_joins_leaves_and_disconnects_in_random_order_leave_every_table_empty() {
    let interest = Arc::new(Interest::new(1, REACTORS));
    thread::scope(|scope| {
        for reactor in 0..REACTORS {
            let interest = Arc::clone(&interest);
            scope.spawn(move || {
                let mut hub = Hub::new(reactor, interest);
                storm(&mut hub, reactor, 1_000_000 / REACTORS as u32);
                hub.check_links();
                assert!(hub.sizes().sessions > 1_000 && hub.sizes().groups > 100);
                disconnect_all(&mut hub);
                assert!(hub.is_empty());
                assert_eq!(hub.sizes(), Sizes::default());
                assert!(hub.capacity() <= SMALL, "a storm's memory is given back");
            });
        }
    });
    assert!(interest.is_empty());
    assert_eq!(interest.counts(), Counts::default());
}

#[test]
fn reactors_that_come_and_go_at_once_do_not_lose_each_other() {
    let interest = Arc::new(Interest::new(1, REACTORS));
    let groups = names("group", 3);
    let start = Barrier::new(REACTORS);
    thread::scope(|scope| {
        for reactor in 0..REACTORS {
            let (interest, groups, start) = (Arc::clone(&interest), &groups, &start);
            scope.spawn(move || {
                let mut hub = Hub::new(reactor, Arc::clone(&interest));
                hub.insert(SessionId::new(1, reactor as u8, 0, 0), APP);
                start.wait();
                let here = |group: &Name| interest.reactors(APP, Kind::Group, group).contains(reactor);
                let mut random = Xorshift(reactor as u64 + 1);
                for _ in 0..20_000 {
                    let group = &groups[random.below(3) as usize];
                    if hub.join(0, group) {
                        assert!(here(group));
                    } else {
                        hub.leave(0, group);
                        assert!(!here(group));
                    }
                }
                for group in groups {
                    hub.join(0, group);
                }
            });
        }
    });
    for group in &groups {
        assert_eq!(interest.reactors(APP, Kind::Group, group).iter().count(), REACTORS);
    }
    assert_eq!(interest.counts(), Counts { users: 0, groups: 3, tags: 0 });
}

#[test]
fn a_push_to_both_groups_never_misses_members_on_the_move() {
    const MOVERS: usize = 2;
    let interest = Arc::new(Interest::new(1, REACTORS));
    let (g, h) = (name("g"), name("h"));
    let both = [
        Target::from(Selector::Group(g.clone())).or(Selector::Group(h.clone())),
        Target::from(Selector::Group(h.clone())).or(Selector::Group(g.clone())),
    ];
    let moving = AtomicUsize::new(MOVERS);
    let start = Barrier::new(MOVERS + 1);
    thread::scope(|scope| {
        for reactor in 0..MOVERS {
            let (interest, g, h, moving, start) = (Arc::clone(&interest), &g, &h, &moving, &start);
            scope.spawn(move || {
                let mut hub = Hub::new(reactor, interest);
                for slot in 0..3 {
                    hub.insert(SessionId::new(1, reactor as u8, 0, slot), APP);
                    hub.join(slot, g);
                }
                start.wait();
                for round in 0..20_000 {
                    if round % 3 == 0 {
                        hub.join(2, h);
                    }
                    hub.move_members(APP, g, h);
                    hub.move_members(APP, h, g);
                }
                moving.fetch_sub(1, Ordering::Relaxed);
                start.wait();
            });
        }
        start.wait();
        let mut named = Vec::new();
        while moving.load(Ordering::Relaxed) > 0 {
            named.extend(both.iter().map(|both| interest.reactors_of(APP, both)));
            let all_there = named.drain(..).all(|reactors| reactors.contains(0) && reactors.contains(1));
            if !all_there {
                moving.store(0, Ordering::Relaxed);
                start.wait();
                panic!("a reactor that had members all the time was not named");
            }
        }
        start.wait();
    });
    assert_eq!(interest.reactors_of(APP, &both[0]).iter().count(), MOVERS);
}
