//! What a session that joins gets first, while the group is pushed to without a pause.

use super::{latest, log, remembering};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const KEYS: usize = 32;

/// Ends what publishes, also where the test fails: it would be waited for.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many sessions join; the variable makes it more.
fn joins() -> usize {
    std::env::var("IT_JOINS").map_or(120, |joins| joins.parse().unwrap())
}

/// The key and the value in a text.
fn parts(text: &str) -> (usize, u64) {
    let (key, value) = text.split_once(' ').unwrap();
    (key.parse().unwrap(), value.parse().unwrap())
}

/// Pushes new values of every key whose number is `own` of `of`, until it is over.
fn publish(server: Ports, (own, of): (usize, usize), values: &[AtomicU64], over: &AtomicBool) {
    let mut link = server.binary_link();
    while !over.load(Ordering::Relaxed) {
        let mut ids = Vec::new();
        for key in (own..KEYS).step_by(of) {
            let value = values[key].load(Ordering::Relaxed) + 1;
            let (name, text) = (format!("key {key}"), format!("{key} {value}"));
            let to = json!({"group": "match/1"});
            // Of one publisher the receipts wait for the sockets of those who are joining, too.
            let receipt = if own == 0 { "written" } else { "queued" };
            let push = json!({"op": "push", "to": to, "text": text, "key": name, "receipt": receipt});
            ids.push(link.send(push));
            values[key].store(value, Ordering::Relaxed);
        }
        for _ in ids {
            let receipt: Receipt = serde_json::from_value(link.receive().1.unwrap()).unwrap();
            assert!(receipt.adds_up() && receipt.pending == 0 && receipt.dropped == 0, "{receipt:?}");
        }
    }
}

/// One snapshot of all keys, then only newer values.
fn check(player: &mut Player, newest: &mut HashMap<usize, u64>, lively: usize) {
    for _ in 0..KEYS {
        let (key, value) = parts(&player.recv_text());
        assert_eq!(newest.insert(key, value), None, "the snapshot has key {key} twice");
    }
    for _ in 0..lively {
        let (key, value) = parts(&player.recv_text());
        let before = newest.insert(key, value).unwrap();
        assert!(before < value, "{value} of key {key} comes after {before}");
    }
}

#[test]
fn who_joins_gets_one_snapshot_and_then_only_newer_values() {
    let server = remembering(vec![latest("match/")]);
    let values: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    let mut backend = server.backend();
    thread::scope(|scope| {
        let _ends = Ends(&over);
        for own in 0..3 {
            let (values, over, ports) = (&values, &over, *server);
            scope.spawn(move || publish(ports, (own, 3), values, over));
        }
        until("every key has a value", || {
            backend.ok("GET", "/v1/groups/match%2F1/latest")["messages"].as_array().unwrap().len() == KEYS
        });
        let mut last = Vec::new();
        for number in 0..joins() {
            let mut player = match number % 3 {
                0 => server.player("group=match/1"),
                1 => {
                    let player = server.player("");
                    let target = format!("/v1/groups/match%2F1/members?session={}", player.id);
                    assert_eq!(backend.change("POST", &target), 1);
                    player
                }
                _ => {
                    let player = server.player(&format!("group=lobby/{number}"));
                    let target = format!("/v1/groups/lobby%2F{number}/move?to=match%2F1");
                    assert_eq!(backend.change("POST", &target), 1);
                    player
                }
            };
            let mut newest = HashMap::new();
            check(&mut player, &mut newest, 3 * KEYS);
            if number + 6 >= joins() {
                last.push((player, newest));
            }
        }
        over.store(true, Ordering::Relaxed);
        let last: Vec<_> = last.into_iter().collect();
        for (mut player, mut newest) in last {
            // Every key comes to its last value.
            let is_final = |newest: &HashMap<usize, u64>| {
                over.load(Ordering::Relaxed)
                    && (0..KEYS).all(|key| newest[&key] == values[key].load(Ordering::Relaxed))
            };
            until("every key has its last value", || {
                if is_final(&newest) {
                    return true;
                }
                let (key, value) = parts(&player.recv_text());
                assert!(newest.insert(key, value).unwrap() < value);
                false
            });
        }
    });
    let scrape = backend.scrape();
    assert_eq!(scrape.sum("gannet_recalls_total", &[]), joins() as u64);
    assert_eq!(scrape.sum("gannet_dropped_total", &[]), 0);
}

#[test]
fn a_part_of_the_log_and_what_comes_live_have_no_gap_and_nothing_twice() {
    let server = remembering(vec![log("chat/", 500)]);
    let over = AtomicBool::new(false);
    let mut backend = server.backend();
    thread::scope(|scope| {
        let _ends = Ends(&over);
        let (ports, over) = (*server, &over);
        scope.spawn(move || {
            let mut link = ports.link();
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                let ids: Vec<u64> = (0..16)
                    .map(|_| {
                        number += 1;
                        link.send(
                            json!({"op": "push", "to": {"group": "chat/1"}, "text": number.to_string()}),
                        )
                    })
                    .collect();
                for _ in ids {
                    link.receive().1.unwrap();
                }
            }
        });
        until("the log is long", || {
            backend.ok("GET", "/v1/groups/chat%2F1/log")["offset"].as_u64() > Some(500)
        });
        for number in 0..joins() / 2 {
            let mut player = server.player("");
            let head = backend.ok("GET", "/v1/groups/chat%2F1/log?limit=1");
            let (head, epoch) =
                (head["offset"].as_u64().unwrap(), head["epoch"].as_str().unwrap().to_owned());
            let what = match number % 3 {
                0 => "last=20".to_owned(),
                1 => format!("after={}&epoch={epoch}", head - 50),
                _ => "last=0".to_owned(),
            };
            let target = format!("/v1/groups/chat%2F1/members?session={}&{what}", player.id);
            let joined = backend.ok("POST", &target);
            assert_eq!((&joined["sessions"], &joined["complete"]), (&json!(1), &json!(true)), "{joined}");
            let offset = joined["offset"].as_u64().unwrap();
            let first: u64 = player.recv_text().parse().unwrap();
            // What was held while the session waited comes too, where it is older than what was asked for.
            match number % 3 {
                0 => assert!(first <= offset - 19, "{first} of {offset}"),
                1 => assert_eq!(first, head - 49),
                _ => assert!(first <= offset + 1, "{first} of {offset}"),
            }
            for expected in first + 1..first + 100 {
                assert_eq!(player.recv_text(), expected.to_string());
            }
        }
    });
}

#[test]
fn keys_of_two_groups_that_remember_are_two() {
    let server = remembering(vec![latest("match/")]);
    let mut backend = server.backend();
    for group in ["match%2F1", "match%2F2"] {
        backend.push_text(&format!("group={group}&key=score"), group);
    }
    let mut player = server.player("group=match/1&group=match/2");
    let both: HashSet<String> = (0..2).map(|_| player.recv_text()).collect();
    assert_eq!(both, ["match%2F1", "match%2F2"].map(str::to_owned).into());
}

#[test]
fn a_session_gets_the_snapshot_once_and_whoever_leaves_or_closes_meanwhile_harms_nobody() {
    let server = remembering(vec![latest("match/")]);
    let mut backend = server.backend();
    for key in 0..10 {
        backend.push_text(&format!("group=match%2F1&key={key}"), &format!("{key} 1"));
    }
    let mut player = server.player("user=ada");
    let mut link = server.link();
    // Without waiting for replies: joins, leaves, joins.
    for op in ["join", "join", "leave", "join"] {
        link.tell(&json!({"op": op, "group": "match/1", "user": "ada"}));
    }
    // Others come and go while their snapshots are under way.
    for number in 0..40 {
        let gone = server.player("group=match/1");
        if number % 2 == 0 {
            gone.reset();
        }
    }
    let last = link.command(json!({"op": "push", "to": {"user": "ada"}, "text": "last"}));
    assert_eq!(last["queued"], 1);
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "last") {
        texts.push(player.recv_text());
    }
    texts.pop();
    // It joined twice from outside.
    let expected: Vec<String> = (0..10).chain(0..10).map(|key| format!("{key} 1")).collect();
    assert_eq!(texts, expected);
    let page: Value = backend.ok("GET", "/v1/groups/match%2F1");
    assert!(page["count"].as_u64() >= Some(1));
}
