//! A node is emptied and another one upgraded while messages flow: who stays notices nothing, and who is sent away comes to the node that
//! it is told, and got all that the receipts say.

use super::nodes::prefix;
use crate::support::{End, Link, Player, Ports, Redis, encoded, heavy, until};
use crate::upgrade::running::Running;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Players of each node.
const PLAYERS: usize = 5;
/// What is pushed when all else has been.
const END: &str = "end";

fn node(redis: &Redis, prefix: &str, name: &str) -> Running {
    let config = format!(
        "[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\nheartbeat_ms = 50\nlease_ms = 60000\npatience_ms = 10000\n",
        redis.url()
    );
    Running::start(&["--reactors", "2"], &config)
}

fn user(node: char, number: usize) -> String {
    format!("{node}{number}")
}

/// What a node knows of the others: of each whether it is drained, and how many sessions it has.
fn known(ports: &Ports) -> Vec<(String, bool, u64)> {
    let status = ports.backend().ok("GET", "/v1/cluster");
    let nodes = status["nodes"].as_array().unwrap().iter();
    let mut known: Vec<_> = nodes
        .map(|node| {
            let name = node["name"].as_str().unwrap().to_owned();
            (name, node["draining"] == true, node["sessions"].as_u64().unwrap())
        })
        .collect();
    known.sort();
    known
}

/// What became of the messages to one name, which are numbered from 1.
#[derive(Default)]
struct Told {
    sent: u64,
    /// Those that one session has got, for a user.
    written: BTreeSet<u64>,
    /// How many sessions have got any of them.
    deliveries: u64,
}

/// Pushes to `to`, each with a receipt that adds up, until it is told to stop.
fn push(mut link: Link, to: &Value, is_user: bool, sent: &AtomicU64, stops: &AtomicBool) -> Told {
    let mut told = Told::default();
    while !stops.load(Ordering::Relaxed) {
        told.sent += 1;
        let text = format!("{} {}", u8::from(is_user), told.sent);
        let receipt = link.command(json!({"op": "push", "to": to, "text": text, "receipt": "written"}));
        let [matched, written, closed, offline] =
            ["matched", "written", "closed", "offline"].map(|name| receipt[name].as_u64().unwrap());
        assert!(receipt.get("partial").is_none_or(|partial| partial == false), "{to} {text}: {receipt}");
        assert_eq!(matched, written + closed, "{to} {text}: {receipt}");
        if is_user {
            assert_eq!(matched + offline, 1, "{to} {text}: {receipt}");
        }
        told.deliveries += written;
        if written > 0 {
            told.written.insert(told.sent);
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    told
}

/// What a player has got: numbers of the group's messages, and of its own.
#[derive(Default)]
struct Got {
    group: Vec<u64>,
    own: Vec<u64>,
    /// How its first session ended, where it did not stay.
    sent_away: Option<String>,
}

/// Reads until the end of all; follows where it is sent.
fn follow(mut player: Player, user: &str) -> Got {
    let mut got = Got::default();
    loop {
        let text = match player.next() {
            Ok(message) => message.into_text().unwrap().as_str().to_owned(),
            Err(End::Closed(1012, reason)) => {
                assert_eq!(got.sent_away, None, "{user} is sent away twice");
                let (after, to) = reason.split_once(' ').unwrap();
                let after_ms = after.strip_prefix("after_ms=").unwrap().parse().unwrap();
                let address = to.strip_prefix("to=ws://").unwrap().strip_suffix("/ws").unwrap();
                // As a client does that goes by the rules.
                thread::sleep(Duration::from_millis(after_ms));
                player = Player::connect(address.parse().unwrap(), &format!("user={user}&group=red"));
                got.sent_away = Some(to.to_owned());
                continue;
            }
            Err(end) => panic!("{user}: {end:?}"),
        };
        if text == END {
            return got;
        }
        let (is_own, number) = text.split_once(' ').unwrap();
        let numbers = if is_own == "1" { &mut got.own } else { &mut got.group };
        let number = number.parse().unwrap();
        assert!(numbers.last().is_none_or(|last| *last < number), "{user} has got {text} behind {numbers:?}");
        numbers.push(number);
    }
}

#[test]
fn players_of_a_node_that_is_drained_come_to_the_one_they_are_told_while_another_is_upgraded() {
    let _alone = heavy();
    let (redis, prefix) = (Redis::start(), prefix());
    let [mut a, b, c] = ["a", "b", "c"].map(|name| node(&redis, &prefix, name));
    for node in [&a, &b, &c] {
        until("a whole cluster", || {
            node.backend().ok("GET", "/v1/cluster")["ready"] == true && known(node).len() == 3
        });
    }
    let mut readers: Vec<(char, JoinHandle<Got>)> = Vec::new();
    for (name, ports) in [('a', *a), ('b', *b), ('c', *c)] {
        for number in 0..PLAYERS {
            let user = user(name, number);
            let player = ports.player(&format!("user={user}&group=red"));
            readers.push((name, thread::spawn(move || follow(player, &user))));
        }
    }
    let (stops, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let start = |link: Link, to: Value, is_user: bool| {
        let (stops, sent) = (Arc::clone(&stops), Arc::clone(&sent));
        thread::spawn(move || push(link, &to, is_user, &sent, &stops))
    };
    // From a node that is upgraded, from the one that is drained, and from one to which nothing happens.
    let to_group = start(a.link(), json!({"group": "red"}), false);
    let nodes = [*a, *b, *c];
    let to_users =
        (0..PLAYERS).map(|number| start(nodes[number % 3].link(), json!({"user": user('b', number)}), true));
    let to_users: Vec<JoinHandle<Told>> = to_users.collect();
    let await_more = |count: u64| {
        let before = sent.load(Ordering::Relaxed);
        until("pushes", || sent.load(Ordering::Relaxed) >= before + count);
    };
    await_more(200);
    let to = format!("ws://{}/ws", c.client);
    let began = b.backend().ok("POST", &format!("/v1/admin/drain?over_ms=2000&to={}", encoded(&to)));
    assert_eq!(began["to"], to);
    for node in [&a, &b, &c] {
        until("all to know that it is drained", || known(node)[1].1);
    }
    a.upgrade();
    let all = |away: u64, there: u64| {
        let of = |name: &str, draining, sessions| (name.to_owned(), draining, sessions);
        vec![of("a", false, PLAYERS as u64), of("b", true, away), of("c", false, there)]
    };
    for node in [&a, &b, &c] {
        until("all to be at the other node", || known(node) == all(0, 2 * PLAYERS as u64));
    }
    await_more(200);
    stops.store(true, Ordering::Relaxed);
    let group = to_group.join().unwrap();
    let users: Vec<Told> = to_users.into_iter().map(|pusher| pusher.join().unwrap()).collect();
    let ended = c.backend().push_text("group=red", END);
    assert_eq!((ended.matched as usize, ended.offline), (3 * PLAYERS, 0));
    let got: Vec<(char, Got)> =
        readers.into_iter().map(|(node, reader)| (node, reader.join().unwrap())).collect();
    for (node, got) in got.iter().filter(|(node, _)| *node != 'b') {
        assert!(
            got.group.iter().copied().eq(1..=group.sent),
            "{node} has got {} of {}",
            got.group.len(),
            group.sent
        );
        assert_eq!(got.sent_away, None);
    }
    for ((_, got), told) in got.iter().filter(|(node, _)| *node == 'b').zip(&users) {
        assert_eq!(got.sent_away, Some(format!("to={to}")));
        assert!(got.own.iter().eq(&told.written), "what the receipts say, once");
        assert!(told.written.len() > 20, "before it and behind it");
    }
    let deliveries: usize = got.iter().map(|(_, got)| got.group.len()).sum();
    assert_eq!(deliveries as u64, group.deliveries);
    for node in [&a, &b, &c] {
        assert_eq!(node.backend().scrape().sum("gannet_bus_lost_total", &[]), 0);
        assert!(!node.said().contains("is gone"), "{}", node.said());
    }
}
