//! A client comes back on another node than before: it gets the rest from the node that has it, exactly, or is told that it cannot.

use super::Nodes;
use super::nodes::{is_ready, join, prefix, status};
use crate::support::{EventStream, Link, Player, Ports, Redis, TestServer, until};
use crate::upgrade::running::Running;
use gannet::config::Config;
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Duration;

/// So long sessions linger where their end is not what is tested.
const LONG_MS: u64 = 600_000;

fn resumes(config: &mut Config) {
    config.apps.get_mut("default").unwrap().resume.linger_ms = LONG_MS;
}

fn nodes(count: u8, redis: &[&Redis]) -> Nodes {
    Nodes::start_with(count, redis, resumes)
}

/// A player that goes from node to node, and how many messages it has read.
struct Wanderer {
    player: Option<Player>,
    ticket: String,
    received: u64,
    session: String,
}

impl Wanderer {
    fn new(ports: Ports, query: &str) -> Self {
        let player = ports.player(query);
        let (ticket, session) = (ticket_of(&player.welcome), player.id.to_string());
        Self { player: Some(player), ticket, received: 0, session }
    }

    fn text(&mut self) -> String {
        let text = self.player.as_mut().expect("it is there").recv_text();
        self.received += 1;
        text
    }

    fn texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.text()).collect()
    }

    /// Its connection is reset, whatever of it has not been read.
    fn vanish(&mut self) {
        self.player.take().expect("it is there").reset();
    }

    fn query(&self) -> String {
        format!("resume={}&received={}", self.ticket, self.received)
    }

    /// What another node says to it.
    fn goes_to(&mut self, ports: Ports) -> Value {
        let player = ports.player(&self.query());
        let welcome = player.welcome.clone();
        self.player = Some(player);
        welcome
    }

    /// It goes to another node, and its session with it.
    fn resumes_on(&mut self, ports: Ports) {
        let welcome = self.goes_to(ports);
        assert_eq!((&welcome["resumed"], &welcome["was"]), (&true.into(), &self.session.as_str().into()), "{welcome}");
        let session = welcome["session"].as_str().unwrap();
        assert_ne!(session, self.session, "a session of that node");
        (self.ticket, self.session) = (ticket_of(&welcome), session.to_owned());
    }

    /// It goes to another node, and gets a session that has nothing of its own.
    fn resumes_in_vain_on(&mut self, ports: Ports, why: &str) {
        let welcome = self.goes_to(ports);
        let said = (&welcome["resumed"], &welcome["why"], &welcome["was"]);
        assert_eq!(said, (&false.into(), &why.into(), &self.session.as_str().into()), "{welcome}");
        assert_ne!(welcome["session"], self.session.as_str());
    }
}

fn ticket_of(welcome: &Value) -> String {
    welcome["resume"].as_str().expect("a ticket").to_owned()
}

/// Pushes these numbers as texts to the target, with receipts.
fn push_all(ports: Ports, target: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut backend = ports.backend();
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    texts.iter().for_each(|text| assert_eq!(backend.push_text(target, text).matched, 1, "{text}"));
    texts
}

#[test]
fn a_session_goes_to_another_node_with_its_rest_and_its_names() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let [a, b, c] = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada&group=red&tag=blue");
    let mut sent = push_all(a, "user=ada", 0..3);
    sent.extend(push_all(b, "group=red", 3..5));
    sent.extend(push_all(c, "tag=blue", 5..7));
    assert_eq!(ada.texts(4), sent[..4]);
    ada.vanish();
    a.await_stats("the session is away", |stats| stats["away"] == 1);
    sent.extend(push_all(b, "user=ada", 7..9));
    ada.resumes_on(b);
    sent.extend(push_all(c, "tag=blue", 9..10));
    sent.extend(push_all(a, "group=red", 10..11));
    sent.extend(push_all(b, "user=ada", 11..12));
    assert_eq!(ada.texts(8), sent[4..]);
    a.await_stats("it is over there", |stats| stats["sessions"] == 0);
    let listed = c.backend().ok("GET", "/v1/sessions?user=ada");
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    // And on, from there, half read.
    sent.extend(push_all(a, "user=ada", 12..15));
    assert_eq!(ada.texts(1), sent[12..13]);
    ada.resumes_on(c);
    assert_eq!(ada.texts(2), sent[13..]);
    let scrape = b.backend().scrape();
    assert_eq!(scrape.sum("gannet_resumed_from_nodes_total", &[]), 1);
    assert_eq!(a.backend().scrape().sum("gannet_linger_ended_total", &["why=\"moved\""]), 1);
}

/// Nodes, and the messages that go out from each of them to sets of players, numbered in each stream.
const NODES: usize = 3;
const PLAYERS: usize = 6;
/// How often each player goes to another node.
const MOVES: usize = 12;

/// What a player is pushed: to it, to its group and to its tag, from each node.
type Streams = [[u64; 3]; NODES];

fn target_of(set: usize, player: usize) -> Selector {
    let name = |text: &str| Name::new(text).unwrap();
    match set {
        0 => Selector::User(name(&format!("p{player}"))),
        1 => Selector::Group(name("red")),
        _ => Selector::Tag(name("blue")),
    }
}

/// Pushes from one node, to all players, until it is told to stop. How many there were in each stream.
fn push_from(server: &TestServer, node: usize, stops: &AtomicBool) -> [u64; 3] {
    let pusher = server.pusher();
    let mut sent = [0; 3];
    while !stops.load(Ordering::Relaxed) {
        for (set, sent) in sent.iter_mut().enumerate() {
            *sent += 1;
            let players = if set == 0 { PLAYERS } else { 1 };
            for player in 0..players {
                let options = PushOptions { receipt: ReceiptMode::None, ..PushOptions::default() };
                let frame = EncodedFrame::text(&format!("{node} {set} {sent}"));
                pusher.push("default", Target::from(target_of(set, player)), frame, options).unwrap();
            }
        }
        thread::sleep(Duration::from_millis(4));
    }
    sent
}

/// Reads one message.
fn read_next(wanderer: &mut Wanderer, got: &mut Streams) {
    let text = wanderer.text();
    note(wanderer, &text, got);
}

/// A message has to be the next of its stream.
fn note(wanderer: &Wanderer, text: &str, got: &mut Streams) {
    let [node, set, number] = *text.split(' ').map(|part| part.parse().unwrap()).collect::<Vec<u64>>() else {
        panic!("{text}");
    };
    let last = &mut got[node as usize][set as usize];
    assert_eq!(number, *last + 1, "{text}: {}", wanderer.session);
    *last = number;
}

/// What players and those who push to them wait for.
struct Crowd {
    all_are_there: Barrier,
    /// How many messages there were in each stream.
    stopped: OnceLock<Streams>,
    moved: AtomicU64,
}

/// A player that goes from node to node while it is pushed to. Half of the times its old connection stays, and is not read.
fn wander(servers: &[Ports], number: usize, crowd: &Crowd) {
    let Crowd { all_are_there, stopped, moved } = crowd;
    let mut wanderer =
        Wanderer::new(servers[number % NODES], &format!("user=p{number}&group=red&tag=blue"));
    all_are_there.wait();
    let (mut got, mut node) = (Streams::default(), number % NODES);
    let mut left_open = None;
    for round in 0..MOVES {
        for _ in 0..(round * 7 + number * 5) % 40 {
            read_next(&mut wanderer, &mut got);
        }
        match (round + number) % 3 {
            0 => wanderer.vanish(),
            // The newer one is what is reset at the end of the next round.
            1 => left_open = wanderer.player.take(),
            _ => drop(wanderer.player.take()),
        }
        node = (node + 1 + (round + number) % 2) % NODES;
        wanderer.resumes_on(servers[node]);
        moved.fetch_add(1, Ordering::Relaxed);
    }
    drop(left_open);
    let mut player = wanderer.player.take().expect("it is there");
    player.stream_mut().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    until("everything that was sent", || {
        while let Some(text) = player.text_in_time() {
            note(&wanderer, &text, &mut got);
        }
        stopped.get() == Some(&got)
    });
}

fn everybody_wanders(redis: &[&Redis]) {
    let nodes = Nodes::start_with(NODES as u8, redis, |config| {
        resumes(config);
        config.cluster.patience = Duration::from_secs(10);
        // Whatever comes while a player is on its way waits for it.
        (config.limits.outbox_messages, config.limits.outbox_bytes) = (1_000_000, 1 << 30);
        let resume = &mut config.apps.get_mut("default").unwrap().resume;
        (resume.messages, resume.bytes) = (1_000_000, 1 << 30);
    });
    let servers: Vec<Ports> = nodes.servers.iter().map(|server| **server).collect();
    let stops = AtomicBool::new(false);
    let all_are_there = Barrier::new(PLAYERS + 1);
    let crowd = Crowd { all_are_there, stopped: OnceLock::new(), moved: AtomicU64::new(0) };
    thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS)
            .map(|number| {
                let (servers, crowd) = (&servers, &crowd);
                scope.spawn(move || wander(servers, number, crowd))
            })
            .collect();
        crowd.all_are_there.wait();
        let mut pushers = Vec::new();
        for (node, server) in nodes.servers.iter().enumerate() {
            let stops = &stops;
            pushers.push(scope.spawn(move || push_from(server, node, stops)));
        }
        let all = (PLAYERS * MOVES) as u64;
        while crowd.moved.load(Ordering::Relaxed) < all && players.iter().all(|player| !player.is_finished()) {
            thread::yield_now();
        }
        stops.store(true, Ordering::Relaxed);
        let sent: Vec<[u64; 3]> = pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect();
        crowd.stopped.set(sent.try_into().unwrap()).unwrap();
        players.into_iter().for_each(|player| player.join().unwrap());
    });
    let moves: u64 = nodes
        .servers
        .iter()
        .map(|server| server.backend().scrape().sum("gannet_resumed_from_nodes_total", &[]))
        .sum();
    assert_eq!(moves, (PLAYERS * MOVES) as u64);
}

#[test]
fn players_that_go_from_node_to_node_read_everything_once_and_in_order() {
    everybody_wanders(&[&Redis::start()]);
}

#[test]
fn so_it_is_with_several_redis_servers() {
    everybody_wanders(&[&Redis::start(), &Redis::start(), &Redis::start()]);
}
