//! Players go from node to node while every node pushes to them.

use super::*;
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;

/// Nodes, and the messages that go out from each of them to sets of players, numbered in each stream.
const NODES: usize = 3;
const PLAYERS: usize = 6;
/// How often each player goes to another node.
const MOVES: usize = 12;
/// How many messages of each stream there are before the first move, and for each move, at the most.
const AHEAD: u64 = 300;
const AHEAD_A_MOVE: u64 = 40;

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

/// Pushes from one node, to all players, until it is told to stop. How many there were in each stream. On a slow machine it waits for
/// those who move: what they have not read goes along each time.
fn push_from(server: &TestServer, node: usize, stops: &AtomicBool, moved: &AtomicU64) -> [u64; 3] {
    let pusher = server.pusher();
    let mut sent = [0; 3];
    while !stops.load(Ordering::Relaxed) {
        if sent[0] > AHEAD + AHEAD_A_MOVE * moved.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
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
    let mut wanderer = Wanderer::new(servers[number % NODES], &format!("user=p{number}&group=red&tag=blue"));
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

/// Meanwhile `disturb` is called again and again.
fn everybody_wanders(redis: &[&Redis], mut disturb: impl FnMut()) {
    let nodes = Nodes::start_with(NODES as u8, redis, |config| {
        resumes(config);
        config.cluster.patience = Duration::from_secs(10);
        // Heartbeats that broken connections swallow are no sign that a node is gone.
        config.cluster.lease = Duration::from_secs(60);
        // Whatever comes while a player is on its way waits for it, however long that takes.
        config.cluster.resume_bytes = 1 << 30;
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
            let (stops, moved) = (&stops, &crowd.moved);
            pushers.push(scope.spawn(move || push_from(server, node, stops, moved)));
        }
        let all = (PLAYERS * MOVES) as u64;
        while crowd.moved.load(Ordering::Relaxed) < all && players.iter().all(|player| !player.is_finished())
        {
            disturb();
            thread::sleep(Duration::from_millis(20));
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
    everybody_wanders(&[&Redis::start()], || ());
}

#[test]
fn so_it_is_with_several_redis_servers() {
    everybody_wanders(&[&Redis::start(), &Redis::start(), &Redis::start()], || ());
}

#[test]
fn so_it_is_while_the_connections_break_over_which_nodes_publish() {
    let redis = Redis::start();
    let (mut calls, mut killed) = (0, 0);
    everybody_wanders(&[&redis], || {
        calls += 1;
        if calls % 5 == 0 {
            // Those that subscribe stay: what a node does not hear its sessions miss.
            let count = redis.ask("CLIENT KILL TYPE normal SKIPME yes");
            killed += count.trim().trim_start_matches(':').parse::<u32>().unwrap();
        }
    });
    assert!(killed > 0);
}
