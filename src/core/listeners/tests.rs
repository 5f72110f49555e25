use super::*;
use crate::choices::random_bytes;
use crate::core::Captured;
use crate::dispatch::{EncodedFrame, Packer, Profile, Routed, Unpacker};
use crate::hub::Interest;
use crate::session::Remote;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const APP: AppId = AppId(0);
const NOBODY: std::iter::Empty<SessionId> = std::iter::empty();

fn id(worker: u8, slot: u32) -> SessionId {
    SessionId::new(0, worker, 0, slot)
}

fn hub() -> Hub {
    Hub::new(1, Arc::new(Interest::new(0, 2)))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn listen(events: EventSet, share: Option<&str>) -> Listen {
    Listen { events, share: share.map(name), ..Listen::default() }
}

fn all_events(share: Option<&str>) -> Listen {
    listen(EventSet::ALL.without(EventSet::OWNERSHIP), share)
}

fn links(listeners: &mut Listeners, session: SessionId, kind: EventKind) -> Vec<SessionId> {
    listeners.links_for(APP, session, kind).iter().map(|link| link.link).collect()
}

#[test]
fn a_link_gets_the_kinds_it_asked_for_of_its_own_app() {
    let mut listeners = Listeners::default();
    let events = EventSet::of(&[EventKind::Open, EventKind::Close]);
    listeners.add(id(0, 1), APP, listen(events, None), NOBODY);
    listeners.add(id(0, 2), AppId(1), all_events(None), NOBODY);
    assert_eq!(links(&mut listeners, id(1, 7), EventKind::Open), [id(0, 1)]);
    assert_eq!(links(&mut listeners, id(1, 7), EventKind::Message), []);
    assert_eq!(links(&mut listeners, id(1, 7), EventKind::Close), [id(0, 1)]);
}

#[test]
fn to_listen_again_replaces_what_was_asked_before() {
    let mut listeners = Listeners::default();
    listeners.add(id(0, 1), APP, all_events(None), NOBODY);
    listeners.add(id(0, 1), APP, listen(EventSet::of(&[EventKind::Close]), None), NOBODY);
    assert_eq!(links(&mut listeners, id(1, 7), EventKind::Open), []);
    assert_eq!(links(&mut listeners, id(1, 7), EventKind::Close), [id(0, 1)]);
    assert!(listeners.any_wants(EventKind::Close) && !listeners.any_wants(EventKind::Open));
}

#[test]
fn the_first_link_of_a_share_has_all_and_those_that_join_get_new_sessions_only() {
    let mut listeners = Listeners::default();
    let old: Vec<SessionId> = (0..100).map(|slot| id(1, slot)).collect();
    listeners.add(id(0, 1), APP, all_events(Some("s")), old.iter().copied());
    listeners.add(id(0, 2), APP, all_events(Some("s")), old.iter().copied());
    for session in &old {
        assert_eq!(links(&mut listeners, *session, EventKind::Message), [id(0, 1)]);
    }
    let new: Vec<SessionId> = (100..300).map(|slot| id(1, slot)).collect();
    new.iter().for_each(|session| listeners.opens(APP, *session, false, &hub()));
    let mut counts: BTreeMap<SessionId, usize> = BTreeMap::new();
    for session in old.iter().chain(&new) {
        let of = links(&mut listeners, *session, EventKind::Message);
        *counts.entry(of[0]).or_default() += of.len();
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [150, 150]);
}

#[test]
fn a_share_keeps_the_sessions_of_those_that_stay_when_another_link_ends() {
    let mut listeners = Listeners::default();
    let all: Vec<SessionId> = (0..4).map(|number| id(number % 2, number.into())).collect();
    all.iter().for_each(|link| listeners.add(*link, APP, all_events(Some("workers")), NOBODY));
    let sessions: Vec<SessionId> = (0..4000).map(|slot| id(1, slot)).collect();
    sessions.iter().for_each(|session| listeners.opens(APP, *session, false, &hub()));
    let owners = |listeners: &mut Listeners| -> Vec<SessionId> {
        let owner = |session: &SessionId| {
            let got = links(listeners, *session, EventKind::Message);
            assert_eq!(got.len(), 1, "exactly one link of a share");
            got[0]
        };
        sessions.iter().map(owner).collect()
    };
    let share = |owners: &[SessionId], link| owners.iter().filter(|owner| **owner == link).count();
    let before = owners(&mut listeners);
    assert!(all.iter().all(|link| share(&before, *link) == 1000));
    listeners.ends(all[0]);
    assert_eq!(listeners.remove(all[0]), 0);
    let after = owners(&mut listeners);
    for (before, after) in before.iter().zip(&after).filter(|(before, _)| **before != all[0]) {
        assert_eq!(before, after);
    }
    assert!(all[1..].iter().all(|link| (1333..=1334).contains(&share(&after, *link))));
    assert!(!listeners.has_orders(), "no link asked to be told");
}

#[test]
fn what_a_session_was_is_known_until_its_link_has_all_of_it() {
    let mut listeners = Listeners::default();
    listeners.add(id(0, 1), APP, listen(EventSet::ALL, Some("s")), NOBODY);
    let (session, state) = (id(1, 7), state());
    listeners.opens(APP, session, false, &hub());
    listeners.departs(APP, session, Some(&state));
    assert_eq!(listeners.state_of_departed(session), Some(&state));
    listeners.has_departed(APP, session);
    let orders = listeners.take_orders();
    let [Order::State { .. }, Order::Unassigned { .. }, Order::Await { barrier, .. }] =
        <[Order; 3]>::try_from(Vec::from(orders)).unwrap()
    else {
        panic!("other orders")
    };
    assert_eq!(barrier, Barrier::Ends);
    listeners.passed(id(0, 1), session);
    assert_eq!(listeners.state_of_departed(session), None);
}

fn state() -> SessionState {
    SessionState {
        app: APP,
        user: Some(name("ada")),
        captured: Captured {
            groups: vec![name("red")],
            tags: Vec::new(),
            profile: Some(Arc::new(Profile {
                claims: Some("{}".into()),
                params: vec![("version".into(), "1.2".into())],
            })),
        },
        remote: Remote::Unix,
        since_unix_ms: 7,
        away: false,
    }
}

/// What is sent to it then would come too late, and count as lost.
#[test]
fn a_link_that_has_ended_is_told_of_no_session() {
    let mut listeners = Listeners::default();
    let events = EventSet::OWNERSHIP.union(EventSet::of(&[EventKind::Message]));
    let sessions = [id(1, 7), id(1, 8), id(1, 9)];
    let links = [id(0, 1), id(0, 2), id(0, 3)];
    listeners.add(links[0], APP, listen(events, Some("s")), sessions.into_iter());
    links[1..].iter().for_each(|link| listeners.add(*link, APP, listen(events, Some("s")), NOBODY));
    // The second has sessions of the first when it ends itself, and a session of it is over before others have it.
    listeners.ends(links[0]);
    assert_eq!(listeners.remove(links[0]), 0);
    let is_second = |session: &&SessionId| listeners.groups[0].owners.link_of(**session) == Some(links[1]);
    let over = *sessions.iter().find(is_second).unwrap();
    listeners.ends(links[1]);
    assert!(!listeners.untold().contains(&links[1]) && !listeners.tell_next(links[1]));
    listeners.departs(APP, over, Some(&state()));
    listeners.has_departed(APP, over);
    assert!(listeners.take_orders().iter().all(|order| matches!(order, Order::Await { .. })));
    // The third is told of all that are left.
    listeners.passed(links[1], over);
    assert_eq!(listeners.remove(links[1]), 0);
    while listeners.tell_next(links[2]) {}
    let told = listeners.take_orders().into_iter().filter(|order| {
        matches!(order, Order::State { link, session, tell: Tell::Assigned, .. }
            if *link == links[2] && *session != over)
    });
    assert_eq!(told.count(), 2);
}

#[test]
fn a_list_that_none_can_be_is_refused() {
    let mut listeners = Listeners::default();
    listeners.add(id(0, 1), APP, all_events(Some("a")), NOBODY);
    let carried = listeners.carry();
    assert!(Listeners::restore(&[carried[0].clone(), carried[0].clone()]).is_err());
    let mut nameless = carried[0].clone();
    nameless.share = Some(String::new());
    assert!(Listeners::restore(&[nameless]).is_err());
}

#[test]
fn what_no_route_binds_is_divided_evenly_and_moves_no_more_than_it_must() {
    let (mut listeners, hub) = (Listeners::default(), hub());
    let sessions: Vec<SessionId> = (0..100).map(|slot| id(1, slot)).collect();
    listeners.add(id(0, 1), APP, all_events(Some("s")), sessions.iter().copied());
    (2..5).for_each(|link| listeners.add(id(0, link), APP, all_events(Some("s")), NOBODY));
    // Ten are bound to the first link, and stay.
    for (session, order) in sessions[..10].iter().zip(0..) {
        listeners.route(APP, &Routed::Session(*session), Some(id(0, 1)), order);
    }
    assert_eq!(listeners.rebalance(APP, &name("t"), 0, &hub), None);
    // Of 90 two have one more.
    assert!(matches!(listeners.rebalance(APP, &name("s"), 0, &hub), Some(67 | 68)));
    assert_eq!(listeners.rebalance(APP, &name("s"), 0, &hub), Some(0), "it is as even as it can be");
    while let Some((session, link, to)) = listeners.next_move() {
        assert!(link == id(0, 1) && to != link && !sessions[..10].contains(&session));
        listeners.begin_move(session, link);
        listeners.passed(link, session);
    }
    let counts: Vec<usize> = listeners.groups[0].listeners.iter().map(|one| one.sessions).collect();
    assert!(counts[0] >= 32 && counts[1..].iter().all(|count| (22..=23).contains(count)), "{counts:?}");
}

/// What is on its way to a link, or has been taken by it.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Assigned(SessionId),
    Unassigned(SessionId),
    Event(SessionId, Kept2),
    Await(SessionId, Barrier),
}

/// The number of an event of its session, and its frame.
#[derive(Debug, Clone)]
struct Kept2(u64, EncodedFrame);

impl PartialEq for Kept2 {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Links whose sockets take what they are sent now and then, beside what each must have taken.
#[derive(Default)]
struct World {
    listeners: Listeners,
    ways: BTreeMap<SessionId, VecDeque<Item>>,
    ending: Vec<SessionId>,
    /// Whose each session is as links were told.
    told: BTreeMap<SessionId, SessionId>,
    /// How many events of each session have been said, and taken.
    said: BTreeMap<SessionId, (u64, u64)>,
    live: Vec<SessionId>,
    lost: usize,
}

impl World {
    fn follow(&mut self) {
        while self.listeners.has_orders() {
            for order in self.listeners.take_orders() {
                let (link, item) = match order {
                    Order::State { link, session, .. } => (link, Item::Assigned(session)),
                    Order::Synced { .. } | Order::Gap { .. } => continue,
                    Order::Unassigned { link, session, .. } => (link, Item::Unassigned(session)),
                    Order::Await { link, session, barrier } => (link, Item::Await(session, barrier)),
                    Order::HandOn(HandOn { link, kept, .. }) => (link, event(kept)),
                };
                assert!(!self.ending.contains(&link), "{item:?} is sent to a link that has ended");
                self.ways.get_mut(&link).unwrap().push_back(item);
            }
        }
    }

    fn say(&mut self, session: SessionId, kind: EventKind) {
        let recipients = self.listeners.links_for(APP, session, kind);
        self.follow();
        for Recipient { link, form, is_held } in recipients {
            let said = &mut self.said.get_mut(&session).unwrap().0;
            let frame = EncodedFrame::text(&said.to_string());
            *said += 1;
            let kept = Kept { session, frame };
            match is_held {
                true => self.listeners.hold(link, form.form, kept),
                false => self.ways.get_mut(&link).unwrap().push_back(event(kept)),
            }
        }
        self.follow();
    }

    /// The socket of the link takes so many.
    fn take(&mut self, link: SessionId, count: usize) {
        for _ in 0..count {
            let Some(item) = self.ways.get_mut(&link).and_then(VecDeque::pop_front) else { return };
            match item {
                Item::Assigned(session) => {
                    let before = self.told.insert(session, link);
                    let gone = before.is_none_or(|before| !self.ways.contains_key(&before));
                    assert!(gone, "{session} is {before:?}'s still, and {link}'s");
                }
                Item::Unassigned(session) => assert_eq!(self.told.remove(&session), Some(link)),
                Item::Event(session, Kept2(number, _)) => {
                    assert_eq!(self.told.get(&session), Some(&link), "{session} is not {link}'s");
                    let taken = &mut self.said.get_mut(&session).unwrap().1;
                    assert_eq!(number, *taken, "of {session} at {link}");
                    *taken += 1;
                }
                Item::Await(session, _) => {
                    self.listeners.passed(link, session);
                    self.follow();
                }
            }
        }
    }

    /// All that was for the link comes back, and it is no more.
    fn end(&mut self, link: SessionId) {
        self.ending.retain(|ending| *ending != link);
        let left = self.ways.remove(&link).unwrap().into_iter();
        let left = left.filter_map(|item| match item {
            Item::Event(session, Kept2(_, frame)) => Some(Kept { session, frame }),
            _ => None,
        });
        self.listeners.come_back(link, left.collect());
        self.lost += self.listeners.remove(link);
        self.follow();
    }

    fn carry(&mut self) {
        let packer = Packer::default();
        let shares = minicbor::to_vec(self.listeners.carry_shares(&packer)).unwrap();
        let list = minicbor::to_vec(self.listeners.carry()).unwrap();
        let mut unpacker = Unpacker::default();
        packer.take_new().into_iter().for_each(|shared| unpacker.take(shared).unwrap());
        let list: Vec<CarriedListener> = minicbor::decode(&list).unwrap();
        let mut restored = Listeners::restore(&list).unwrap();
        let carried: Vec<CarriedShare> = minicbor::decode(&shares).unwrap();
        let live = &self.live;
        restored.restore_shares(carried, &unpacker, |_| live.clone()).unwrap();
        assert_eq!(minicbor::to_vec(restored.carry_shares(&Packer::default())).unwrap(), shares);
        self.listeners = restored;
    }
}

fn event(kept: Kept) -> Item {
    let number = std::str::from_utf8(kept.frame.payload()).unwrap().parse().unwrap();
    Item::Event(kept.session, Kept2(number, kept.frame))
}

/// Links come, go and are slow, sessions open, move and close: each event is taken once, in order, by the link that was told that it
/// has the session.
#[test]
fn each_event_of_a_session_is_taken_once_in_order_by_the_link_that_has_it() {
    let hub = hub();
    for seed in 1..400 {
        let mut world = World::default();
        let (mut links, mut sessions) = (0, 0);
        for choice in random_bytes(seed, 600) {
            let (what, which) = (choice % 16, usize::from(choice / 16));
            let living: Vec<SessionId> =
                world.ways.keys().copied().filter(|link| !world.ending.contains(link)).collect();
            let live = world.live.get(which % world.live.len().max(1)).copied();
            match what {
                0 if living.len() < 5 => {
                    links += 1;
                    world.ways.insert(id(0, links), VecDeque::new());
                    let (listen, live) = (listen(EventSet::ALL, Some("s")), world.live.clone());
                    world.listeners.add(id(0, links), APP, listen, live.into_iter());
                }
                // One stays, so that nothing is lost.
                1 if living.len() > 1 => {
                    let link = living[which % living.len()];
                    world.listeners.ends(link);
                    world.ending.push(link);
                }
                2 | 3 if !world.ending.is_empty() => world.end(world.ending[which % world.ending.len()]),
                4 | 5 if !living.is_empty() => {
                    sessions += 1;
                    let session = id(1, sessions);
                    world.said.insert(session, (0, 0));
                    world.live.push(session);
                    world.listeners.opens(APP, session, false, &hub);
                    world.say(session, EventKind::Open);
                }
                6 if live.is_some() => {
                    let session = live.unwrap();
                    world.live.retain(|one| *one != session);
                    world.listeners.departs(APP, session, Some(&state()));
                    world.say(session, EventKind::Close);
                    world.listeners.has_departed(APP, session);
                    world.follow();
                }
                7 | 8 if live.is_some() && !living.is_empty() => {
                    let to = living[usize::from(choice) % living.len()];
                    let order = u64::from(choice);
                    world.listeners.route(APP, &Routed::Session(live.unwrap()), Some(to), order);
                    world.listeners.groups[0].is_to_go(live.unwrap(), to);
                }
                9 if world.ending.is_empty() && !world.listeners.is_empty() => world.carry(),
                10 if !living.is_empty() => {
                    let link = living[which % living.len()];
                    (0..which).for_each(|_| _ = world.listeners.tell_next(link));
                    world.follow();
                }
                13 => {
                    // A look at some whose moves no event has begun.
                    for _ in 0..which {
                        let Some((session, link, _)) = world.listeners.next_move() else { break };
                        world.listeners.begin_move(session, link);
                        world.follow();
                    }
                }
                14 if which == 0 => _ = world.listeners.rebalance(APP, &name("s"), 1, &hub),
                11 | 12 if !living.is_empty() => world.take(living[which % living.len()], which),
                _ => live.into_iter().for_each(|session| world.say(session, EventKind::Message)),
            }
        }
        for link in std::mem::take(&mut world.ending) {
            world.end(link);
        }
        let left: Vec<SessionId> = world.ways.keys().copied().collect();
        for link in &left {
            while world.listeners.tell_next(*link) {}
        }
        while let Some((session, link, _)) = world.listeners.next_move() {
            world.listeners.begin_move(session, link);
        }
        world.follow();
        for _ in 0..50 {
            left.iter().for_each(|link| world.take(*link, usize::MAX >> 40));
        }
        for (session, (said, taken)) in &world.said {
            assert_eq!(said, taken, "seed {seed}: of {session}");
        }
        assert_eq!(world.lost, 0);
        // What was told is so.
        let owners = world.listeners.groups.first().map(|group| &group.owners.of);
        for session in world.live.iter().filter(|session| world.told.contains_key(*session)) {
            let owner = owners.and_then(|of| of.get(session)).map(|owned| owned.link);
            assert_eq!(world.told.get(session).copied(), owner);
        }
        assert!(owners.is_none_or(|of| of.values().all(|owned| !owned.is_moving() && !owned.has_departed())));
    }
}
