//! A node is upgraded while it and another one push to each other's players: nobody notices, and nothing is lost, doubled or out of
//! order.

use super::nodes::prefix;
use crate::support::{Link, Player, Ports, Redis, heavy, until};
use crate::upgrade::running::Running;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Who pushes: a node with receipts, and without, from the one and from the other.
const SOURCES: usize = 4;
/// Players of each node.
const PLAYERS: usize = 3;
/// Messages without a receipt that follow on each other.
const BURST: u64 = 20;

/// Parts of a Redis Cluster.
const SHARDS: usize = 4;

/// A node of the cluster `prefix`, in a process of its own. `more` are lines of its table.
fn node(redis: &Redis, prefix: &str, name: &str, more: &str) -> Running {
    node_on(&[redis], prefix, name, more)
}

/// The same on several servers, or some of a Redis Cluster.
pub fn node_on(redis: &[&Redis], prefix: &str, name: &str, more: &str) -> Running {
    let urls: Vec<String> = redis.iter().map(|redis| format!("'{}'", redis.url())).collect();
    let shards = if redis[0].is_of_cluster() { SHARDS } else { 0 };
    let config = format!(
        "[cluster]\nredis = [{}]\nshards = {shards}\nprefix = '{prefix}'\nname = '{name}'\nheartbeat_ms = 50\nlease_ms = 60000\n{more}",
        urls.join(", ")
    );
    Running::start(&["--reactors", "2"], &config)
}

fn nodes_of(ports: &Ports) -> Vec<Value> {
    let status = ports.backend().ok("GET", "/v1/cluster");
    status["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| json!([node["name"], node["incarnation"]]))
        .collect()
}

pub fn until_known(nodes: &[&Ports]) {
    for ports in nodes {
        until("a whole cluster", || {
            ports.backend().ok("GET", "/v1/cluster")["ready"] == true && nodes_of(ports).len() == nodes.len()
        });
    }
}

/// The numbers of the connections of all nodes to Redis.
fn connections(redis: &Redis) -> BTreeSet<String> {
    let list = redis.ask("CLIENT LIST");
    let own = list.lines().filter(|line| line.contains(" name=gannet "));
    own.map(|line| line.split_once(" addr=").unwrap().0.to_owned()).collect()
}

/// The same of several servers.
fn connections_to(redis: &[&Redis]) -> BTreeSet<String> {
    let each = redis.iter().enumerate().map(|(place, redis)| (place, connections(redis)));
    each.flat_map(|(place, of)| of.into_iter().map(move |one| format!("{place} {one}"))).collect()
}

/// Pushes that go on until they are told to stop.
struct Pushing {
    stops: Arc<AtomicBool>,
    sent: [Arc<AtomicU64>; SOURCES],
    pushers: Vec<JoinHandle<()>>,
}

impl Pushing {
    fn start(nodes: [&Ports; 2]) -> Self {
        let mut pushing = Self { stops: Arc::default(), sent: Default::default(), pushers: Vec::new() };
        for source in 0..SOURCES {
            let link = nodes[source / 2].link();
            let (stops, sent) = (Arc::clone(&pushing.stops), Arc::clone(&pushing.sent[source]));
            let pusher = thread::spawn(move || push(link, source, &sent, &stops));
            pushing.pushers.push(pusher);
        }
        pushing
    }

    /// So many more have been sent by each.
    fn await_more(&self, count: u64) {
        let before = self.sent.each_ref().map(|sent| sent.load(Ordering::Relaxed));
        for (sent, before) in self.sent.iter().zip(before) {
            until("pushes", || sent.load(Ordering::Relaxed) >= before + count);
        }
    }

    fn stop(self) -> [u64; SOURCES] {
        self.stops.store(true, Ordering::Relaxed);
        self.pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        self.sent.map(|sent| sent.load(Ordering::Relaxed))
    }
}

fn push(mut link: Link, source: usize, sent: &AtomicU64, stops: &AtomicBool) {
    let has_receipts = source.is_multiple_of(2);
    while !stops.load(Ordering::Relaxed) {
        let count = if has_receipts { 1 } else { BURST };
        let first = sent.load(Ordering::Relaxed) + 1;
        for number in first..first + count {
            let receipt = if number == first { "written" } else { "none" };
            let text = format!("{source} {number}");
            let push = json!({"op": "push", "to": {"group": "red"}, "text": text, "receipt": receipt});
            match receipt {
                "none" => link.tell(&push),
                _ => {
                    let receipt = link.command(push);
                    // The players of the other node are counted too.
                    assert_eq!(receipt["written"], 2 * PLAYERS, "{text}: {receipt}");
                    assert!(
                        receipt.get("partial").is_none_or(|partial| partial == false),
                        "{text}: {receipt}"
                    );
                }
            }
        }
        sent.fetch_add(count, Ordering::Relaxed);
    }
}

/// Reads until the player has got as much as was `sent` in the end, each message once and in the order of its source.
fn read(mut player: Player, sent: &Mutex<Option<[u64; SOURCES]>>) {
    let mut got = [0; SOURCES];
    loop {
        let text = player.recv_text();
        let (source, number) = text.split_once(' ').unwrap();
        let (source, number): (usize, u64) = (source.parse().unwrap(), number.parse().unwrap());
        if source == SOURCES {
            // It is pushed again and again when all was sent.
            if *sent.lock().unwrap() == Some(got) {
                return;
            }
            continue;
        }
        assert_eq!(number, got[source] + 1, "of source {source}");
        got[source] = number;
    }
}

pub fn lost(ports: &Ports) -> u64 {
    ports.backend().scrape().sum("gannet_bus_lost_total", &[])
}

/// Upgrades of the first node, by `upgrade`, that other nodes must not notice. `more` are lines of their configurations.
fn nobody_notices(more: &str, upgrade: impl Fn(&mut Running)) {
    let _alone = heavy();
    nobody_notices_on(&[&Redis::start()], more, upgrade);
}

/// The same on these servers, of which the first is named to the nodes where they are of a Redis Cluster.
pub fn nobody_notices_on(redis: &[&Redis], more: &str, upgrade: impl Fn(&mut Running)) {
    let (prefix, named) = (prefix(), &redis[..1]);
    let (mut a, b) = (node_on(named, &prefix, "a", more), node_on(named, &prefix, "b", more));
    until_known(&[&a, &b]);
    let sent = Arc::new(Mutex::new(None));
    let players = (0..2 * PLAYERS).map(|number| [*a, *b][number % 2].player("group=red"));
    let readers: Vec<JoinHandle<()>> = players
        .map(|player| {
            let sent = Arc::clone(&sent);
            thread::spawn(move || read(player, &sent))
        })
        .collect();
    let (known, links) = (nodes_of(&b), connections_to(redis));
    let parts = if redis[0].is_of_cluster() { SHARDS } else { 1 };
    assert_eq!(links.len(), 6 * parts, "of each node two that publish and one that hears: {links:?}");
    let pushing = Pushing::start([&a, &b]);
    for _ in 0..5 {
        pushing.await_more(50);
        upgrade(&mut a);
    }
    pushing.await_more(50);
    *sent.lock().unwrap() = Some(pushing.stop());
    let mut backend = b.backend();
    until("every message at every player", || {
        backend.push_text("group=red", &format!("{SOURCES} 0"));
        readers.iter().all(JoinHandle::is_finished)
    });
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!((lost(&a), lost(&b)), (0, 0));
    assert_eq!((nodes_of(&a), nodes_of(&b)), (known.clone(), known));
    assert_eq!(connections_to(redis), links, "the connections went along");
    assert!(!b.said().contains("is gone") && !a.said().contains("number 0"), "{}", b.said());
}

#[test]
fn other_nodes_do_not_notice_that_one_is_upgraded() {
    nobody_notices("", |node| drop(node.upgrade()));
}

#[test]
fn nor_do_members_of_a_group_that_remembers() {
    let more = "[[apps.default.groups]]\nprefix = 'red'\nlatest = true\nlog = {}\n";
    nobody_notices(more, |node| drop(node.upgrade()));
}

#[test]
fn other_nodes_do_not_notice_an_upgrade_that_fails() {
    nobody_notices("", |node| {
        for step in ["new:receiving", "new:received", "new:taken"] {
            let binary = node.binary_that(step);
            node.refused_by(&format!("?binary={binary}"));
        }
    });
}

#[test]
fn a_node_is_upgraded_in_the_middle_of_a_change_of_the_list_of_redis_servers() {
    let _alone = heavy();
    let (redis, second, prefix) = (Redis::start(), Redis::start(), prefix());
    let (mut a, mut b) = (
        node(&redis, &prefix, "a", "patience_ms = 10000"),
        node(&redis, &prefix, "b", "patience_ms = 10000"),
    );
    until_known(&[&a, &b]);
    let sent = Arc::new(Mutex::new(None));
    let players = (0..2 * PLAYERS).map(|number| [*a, *b][number % 2].player("group=red"));
    let readers: Vec<JoinHandle<()>> = players
        .map(|player| {
            let sent = Arc::clone(&sent);
            thread::spawn(move || read(player, &sent))
        })
        .collect();
    let known = nodes_of(&b);
    let pushing = Pushing::start([&a, &b]);
    pushing.await_more(50);
    let both = format!("redis = ['{}', '{}']", redis.url(), second.url());
    let change = |node: &Running| {
        let config = std::fs::read_to_string(node.config()).unwrap();
        std::fs::write(node.config(), config.replace(&format!("redis = ['{}']", redis.url()), &both))
            .unwrap();
    };
    let moving = |node: &Running| node.backend().ok("GET", "/v1/cluster")["moving"].clone();
    change(&a);
    assert_eq!(a.backend().ok("POST", "/v1/admin/reload")["changed"], json!(["cluster.redis"]));
    until("the other node to be awaited", || moving(&a)["awaits"] == json!(["b"]));
    a.upgrade();
    pushing.await_more(50);
    until("the other node to be awaited still", || moving(&a)["awaits"] == json!(["b"]));
    // The new process reads the list itself.
    change(&b);
    b.upgrade();
    pushing.await_more(50);
    for node in [&a, &b] {
        until("both to publish by the new list", || {
            let moving = moving(node);
            (&moving["publishes"], &moving["awaits"]) == (&json!(true), &json!([]))
        });
    }
    a.upgrade();
    pushing.await_more(50);
    assert_eq!(moving(&a)["publishes"], true, "a lease is longer than this takes");
    *sent.lock().unwrap() = Some(pushing.stop());
    let mut backend = b.backend();
    until("every message at every player", || {
        backend.push_text("group=red", &format!("{SOURCES} 0"));
        readers.iter().all(JoinHandle::is_finished)
    });
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!((lost(&a), lost(&b)), (0, 0));
    assert_eq!(
        (nodes_of(&a), nodes_of(&b)),
        (known.clone(), known),
        "they are the same processes to each other"
    );
    assert!(!connections(&second).is_empty());
}

#[test]
fn a_node_that_stops_is_forgotten_at_once_and_its_number_is_free() {
    let (redis, prefix) = (Redis::start(), prefix());
    // This Redis has had keys for long: it gives a number at once.
    redis.ask(&format!("SET {prefix}:born 1"));
    let (mut a, b) = (node(&redis, &prefix, "a", ""), node(&redis, &prefix, "b", ""));
    until_known(&[&a, &b]);
    // What the upgraded one has of the lease is enough to give it back.
    a.upgrade();
    let number = a.backend().ok("GET", "/v1/cluster")["node"].as_u64().unwrap();
    let exists = format!("EXISTS {prefix}:lease:{number}");
    assert_eq!(redis.ask(&exists).trim(), ":1");
    a.signal(Signal::TERM);
    assert_eq!(a.ended(), (Some(0), None));
    // A lease is longer than this waits.
    until("the node to be forgotten", || nodes_of(&b).len() == 1);
    until("the number to be free", || redis.ask(&exists).trim() == ":0");
}

#[test]
fn a_node_whose_configuration_has_another_prefix_leaves_its_cluster_with_an_upgrade() {
    let (redis, prefix) = (Redis::start(), prefix());
    let mut a = node(&redis, &prefix, "a", "");
    until_known(&[&a]);
    let mut player = a.player("group=red");
    let before = nodes_of(&a);
    let config = std::fs::read_to_string(a.config()).unwrap();
    std::fs::write(a.config(), config.replace(&prefix, &format!("{prefix}-other"))).unwrap();
    a.upgrade();
    let b = node(&redis, &format!("{prefix}-other"), "b", "");
    until_known(&[&a, &b]);
    assert!(!nodes_of(&a).contains(&before[0]), "it is another incarnation");
    let mut link = b.link();
    let push = json!({"op": "push", "to": {"group": "red"}, "text": "x", "receipt": "written"});
    assert_eq!(link.command(push)["written"], 1);
    assert_eq!(player.recv_text(), "x");
}
