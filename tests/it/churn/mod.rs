//! Sessions that come, change and go while everybody is pushed to. What arrives is held against what each session may and
//! must have got: every change has an interval in which it may have taken effect, and so has every push. Afterwards the
//! server is as empty as it was at the start.

mod churner;
mod ledger;
mod publisher;

use crate::support::{DEADLINE, End, Log, Pool, Ports, ServerProcess, heavy};
use churner::{Churner, kicked_as_user};
use gannet::session::SessionId;
use ledger::{Arrival, Life, NEVER, Pushed};
use publisher::publish;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use tungstenite::Message;

const SEED: u64 = 0x0067_616e_6e65_7402;
const CHURNERS: usize = 2;
const PLAYERS_EACH: usize = 1_000;
const CHANGES_EACH: usize = 2_500;
const PUBLISHERS: usize = 4;
/// Changes for each push of one publisher.
const PACE: usize = 12;

const USERS_EACH: usize = 300;
const GROUPS_EACH: usize = 12;
const TAGS: usize = 5;

/// A moment: every change and every push begins at one and ends at another.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// How many changes have been made: publishers go with it.
#[derive(Default)]
struct Progress {
    changes: Mutex<usize>,
    more: Condvar,
}

impl Progress {
    fn advance(&self) {
        *self.changes.lock().unwrap() += 1;
        self.more.notify_all();
    }

    fn await_changes(&self, count: usize) {
        let changes = self.changes.lock().unwrap();
        let (changes, _) =
            self.more.wait_timeout_while(changes, DEADLINE, |changes| *changes < count).unwrap();
        assert!(*changes >= count, "the churn stands still at {changes} of {count}");
    }
}

/// What the threads share.
struct World {
    ports: Ports,
    clock: Clock,
    progress: Progress,
    /// Every id there has been, dead ones too.
    ids: Mutex<Vec<SessionId>>,
    pool: Pool<(usize, usize)>,
    refused_stale: AtomicUsize,
}

/// What one session got, against what it may and must have got.
fn check(life: &Life, log: &Log<(usize, usize)>, pushed: &[Vec<Pushed>], arrived: &mut [Vec<u32>]) {
    let mut got: HashMap<usize, Vec<usize>> = HashMap::new();
    for (publisher, sequence) in &log.messages {
        got.entry(*publisher).or_default().push(*sequence);
    }
    for (publisher, pushes) in pushed.iter().enumerate() {
        let got = got.remove(&publisher).unwrap_or_default();
        assert!(got.is_sorted_by(|a, b| a < b), "{}: twice, or out of order: {got:?}", life.id);
        let mut got = got.into_iter().peekable();
        for (sequence, push) in pushes.iter().enumerate() {
            let came = got.next_if_eq(&sequence).is_some();
            arrived[publisher][sequence] += u32::from(came);
            match (push.arrival(life), came) {
                (Arrival::No, true) => panic!("{life:?} was never a target of {push:?}"),
                (Arrival::Surely, false) => panic!("{life:?} missed {push:?}"),
                _ => {}
            }
        }
        assert_eq!(got.next(), None, "nobody pushed this");
    }
    assert!(got.is_empty(), "{}: from nobody: {got:?}", life.id);
}

#[test]
fn nothing_arrives_where_it_never_was_meant_for_and_nothing_stays_behind() {
    let _heavy = heavy();
    let config = "[limits]\noutbox_bytes = 67_108_864\noutbox_messages = 100_000";
    let server = ServerProcess::start(&["--reactors", "4"], config);
    let mut backend = server.backend();
    let start = backend.stats();

    let label = |_, message: Message| {
        let text = message.into_text().unwrap();
        let mut words = text.split(' ').map(|word| word.parse().unwrap_or_default());
        (words.next().unwrap(), words.next().unwrap())
    };
    let world = World {
        ports: *server,
        clock: Clock::default(),
        progress: Progress::default(),
        ids: Mutex::default(),
        pool: Pool::new(label),
        refused_stale: AtomicUsize::new(0),
    };
    let mut churners: Vec<Churner> = (0..CHURNERS).map(|number| Churner::new(number, &world)).collect();
    thread::scope(|scope| {
        for churner in &mut churners {
            scope.spawn(|| (0..PLAYERS_EACH).for_each(|_| churner.connect()));
        }
    });
    let (lives, pushed) = thread::scope(|scope| {
        let churning: Vec<_> = churners.into_iter().map(|churner| scope.spawn(|| churner.run())).collect();
        let world = &world;
        let publishing: Vec<_> =
            (0..PUBLISHERS).map(|number| scope.spawn(move || publish(number, world))).collect();
        let lives: Vec<Life> = churning.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let pushed: Vec<Vec<Pushed>> = publishing.into_iter().map(|thread| thread.join().unwrap()).collect();
        (lives, pushed)
    });
    assert!(world.refused_stale.into_inner() > 20);

    // Who is left gets one last push, behind all others; who was to be closed has been.
    let left = lives.iter().filter(|life| life.ended == NEVER).count();
    server.await_stats("those who went have gone", |stats| stats["sessions"] == left);
    const LAST: (usize, usize) = (PUBLISHERS, 0);
    assert_eq!(backend.push_text("all=1", &format!("{} 0", LAST.0)).queued as usize, left);
    world.pool.wait("the last push", |logs| {
        lives.iter().all(|life| match life.ended {
            NEVER => logs[life.index].messages.last() == Some(&LAST),
            _ => logs[life.index].end.is_some(),
        })
    });
    let mut logs = world.pool.finish();
    logs.iter_mut().for_each(|log| log.messages.retain(|message| *message != LAST));

    let mut arrived: Vec<Vec<u32>> = pushed.iter().map(|pushes| vec![0; pushes.len()]).collect();
    for life in &lives {
        check(life, &logs[life.index], &pushed, &mut arrived);
        let end = logs[life.index].end.as_ref();
        match &life.end {
            // The kick of its user and its own Close may have crossed.
            Some(End::Closed(1000, _)) if end == Some(&kicked_as_user()) => {}
            Some(expected) => assert_eq!(end, Some(expected), "{life:?}"),
            None => {}
        }
    }
    // Who dies takes messages along; nothing arrives that no receipt counts.
    for (push, arrived) in pushed.iter().flatten().zip(arrived.iter().flatten()) {
        assert!(*arrived <= push.matched, "{arrived} of {push:?}");
    }
    let total: u32 = arrived.iter().flatten().sum();
    assert!(total > 50_000, "only {total} deliveries");
    let slots: BTreeMap<(u8, u32), usize> = lives.iter().fold(BTreeMap::new(), |mut slots, life| {
        *slots.entry((life.id.worker(), life.id.slot())).or_default() += 1;
        slots
    });
    assert!(slots.values().filter(|uses| **uses > 1).count() > 50, "hardly a slot was used twice");

    assert_back_at(&server, &start);
}

/// Everything that a session, a link or a request has is gone.
fn assert_back_at(server: &ServerProcess, start: &Value) {
    let empty = [
        "sessions",
        "users",
        "groups",
        "tags",
        "distinct_users",
        "distinct_groups",
        "distinct_tags",
        "links",
        "outbox_messages",
        "outbox_bytes",
        "mailbox_messages",
        "mailbox_bytes",
        "mailbox_overflow",
    ];
    for gauge in empty {
        assert_eq!(start[gauge], 0, "{gauge} at the start");
    }
    server.await_stats("an empty server", |stats| {
        // One of the two connections is the one that asks.
        empty.iter().all(|gauge| stats[gauge] == 0)
            && stats["backend_connections"] == 2
            && stats["open_fds"].as_u64() == start["open_fds"].as_u64().map(|files| files + 1)
    });
}

#[test]
fn an_id_never_names_the_next_session_in_its_slot() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut backend = server.backend();
    let start = backend.stats();
    let mut stale: Vec<SessionId> = Vec::new();
    for round in 0..200 {
        let mut player = server.player("user=ada&group=g");
        assert!(!stale.contains(&player.id), "{} was used before", player.id);
        for id in stale.iter().rev().take(3) {
            let receipt = backend.push_text(&format!("session={id}"), "stale");
            assert_eq!((receipt.matched, receipt.offline), (0, 1));
            let reply = backend.request("DELETE", &format!("/v1/sessions/{id}"));
            assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("unknown_session")));
        }
        assert_eq!(backend.push_text(&format!("session={}", player.id), "own").matched, 1);
        assert_eq!(player.recv_text(), "own");
        stale.push(player.id);
        match round % 3 {
            0 => drop(player.close(1000, "")),
            1 => player.reset(),
            _ => {
                backend.change("DELETE", "/v1/users/ada");
                assert!(matches!(player.recv_end(), End::Closed(4001, _)));
                drop(player);
            }
        }
        // The slot is free when the descriptor is.
        server.await_stats("nobody is there", |stats| {
            stats["sessions"] == 0
                && stats["open_fds"].as_u64() == start["open_fds"].as_u64().map(|files| files + 1)
        });
    }
    let mut slots: Vec<(u8, u32)> = stale.iter().map(|id| (id.worker(), id.slot())).collect();
    slots.sort();
    slots.dedup();
    assert!(slots.len() <= 4, "{} sessions one after the other took {} slots", stale.len(), slots.len());
    assert_back_at(&server, &start);
}
