//! Redis fails, and the nodes are cut off from it: players stay, nothing comes twice, and what is lost is counted.

use super::nodes::{Nodes, is_ready};
use crate::memory::{log, with};
use crate::support::{Player, Redis, Relay, TestServer, until};
use gannet::dispatch::{EncodedFrame, PushOptions, ReceiptMode, Selector, Target};
use gannet::session::Name;
use std::thread;
use std::time::{Duration, Instant};

/// In this time everything is counted: nodes are asked again with each heartbeat.
const SOON: Duration = Duration::from_secs(10);

/// Messages that are pushed to the group from the first node, one after the other, with their numbers as text.
pub struct Stream<'a> {
    from: &'a TestServer,
    sent: u64,
}

impl Stream<'_> {
    fn send(&mut self, count: u64) {
        let target = Target::from(Selector::Group(Name::new("red").unwrap()));
        for _ in 0..count {
            self.sent += 1;
            let options = PushOptions { receipt: ReceiptMode::None, ..PushOptions::default() };
            let frame = EncodedFrame::text(&self.sent.to_string());
            self.from.pusher().push("default", target.clone(), frame, options).unwrap();
        }
    }

    /// For so long, about one each millisecond.
    pub fn send_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.send(1);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Pushes on until the player gets the message that was sent last. What it has got meanwhile, in its order.
    fn until_heard(&mut self, player: &mut Player, got: &mut Vec<u64>) {
        let started = Instant::now();
        loop {
            self.send(1);
            let last = self.sent;
            player.stream_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            while let Some(text) = player.text_in_time() {
                got.push(text.parse().unwrap());
            }
            if got.last() == Some(&last) {
                return;
            }
            assert!(started.elapsed() < crate::support::DEADLINE, "{:?} of {last}", got.last());
        }
    }
}

fn lost(server: &TestServer, reason: &str) -> u64 {
    server.backend().scrape().sum("gannet_bus_lost_total", &[&format!("reason=\"{reason}\"")])
}

fn increases(got: &[u64]) -> bool {
    got.windows(2).all(|pair| pair[0] < pair[1])
}

/// `fail` does something to Redis and undoes it, while messages are sent. What was lost is counted, to the message.
fn nothing_is_lost_uncounted(redis: &mut Redis, fail: impl Fn(&mut Redis, &mut Stream<'_>)) {
    let nodes = Nodes::start(3, &[redis]);
    let here = nothing_is_lost_on(&nodes, |stream| fail(redis, stream));
    assert!(here.iter().copied().eq(1..=here.len() as u64), "local sessions lack nothing");
}

/// The same where the group remembers: its pushes come back over Redis, and of what was on its way the node's own sessions may miss
/// something too, which is counted.
fn nothing_is_lost_of_a_memory(redis: &mut Redis, fail: impl Fn(&mut Redis, &mut Stream<'_>)) {
    let nodes = Nodes::start_with(3, &[redis], |config| with(vec![log("red", 100)])(config));
    let here = nothing_is_lost_on(&nodes, |stream| fail(redis, stream));
    assert!(increases(&here), "twice, or out of order");
    let missing = here.last().unwrap() - here.len() as u64;
    let started = Instant::now();
    while lost(&nodes.servers[0], "missed") < missing {
        assert!(started.elapsed() < SOON, "{missing} are missing");
    }
    assert_eq!(lost(&nodes.servers[0], "missed"), missing);
}

/// What was lost of messages to a group of all nodes while `fail` does something is counted. What its member on the node that pushes
/// has got.
pub fn nothing_is_lost_on(nodes: &Nodes, fail: impl FnOnce(&mut Stream<'_>)) -> Vec<u64> {
    let mut near = nodes.servers[0].player("group=red");
    let mut far: Vec<Player> = nodes.servers[1..].iter().map(|server| server.player("group=red")).collect();
    let mut stream = Stream { from: &nodes.servers[0], sent: 0 };
    let mut got = vec![Vec::new(); far.len()];
    for (player, got) in far.iter_mut().zip(&mut got) {
        stream.until_heard(player, got);
    }
    stream.send_for(Duration::from_millis(50));
    fail(&mut stream);
    nodes.servers.iter().for_each(|server| until("a whole cluster", || is_ready(server)));
    for ((player, got), server) in far.iter_mut().zip(&mut got).zip(&nodes.servers[1..]) {
        stream.until_heard(player, got);
        assert!(increases(got), "twice, or out of order");
        let sent = stream.sent;
        let missing: Vec<u64> = (1..=sent).filter(|number| got.binary_search(number).is_err()).collect();
        let counted = || {
            let gave_way = lost(&nodes.servers[0], "queue") + lost(&nodes.servers[0], "expired");
            lost(server, "missed") + gave_way
        };
        let started = Instant::now();
        while counted() < missing.len() as u64 {
            assert!(started.elapsed() < SOON, "{} of {sent} are counted, not {missing:?}", counted());
        }
        assert_eq!(counted(), missing.len() as u64, "of {sent}: {missing:?}");
        assert_eq!(lost(server, "unknown"), 0);
    }
    let mut here = Vec::new();
    stream.until_heard(&mut near, &mut here);
    here
}

fn kill(redis: &mut Redis, stream: &mut Stream<'_>) {
    for _ in 0..3 {
        redis.kill();
        stream.send_for(Duration::from_millis(300));
        redis.begin();
        stream.send_for(Duration::from_millis(1_500));
    }
}

fn stand_still(redis: &mut Redis, stream: &mut Stream<'_>) {
    redis.stop();
    stream.send_for(Duration::from_secs(5));
    redis.go_on();
    stream.send_for(Duration::from_millis(500));
}

fn cut_connections(redis: &mut Redis, stream: &mut Stream<'_>) {
    for kind in ["pubsub", "normal", "pubsub", "normal"] {
        redis.ask(&format!("CLIENT KILL TYPE {kind}"));
        stream.send_for(Duration::from_millis(400));
    }
}

#[test]
fn a_redis_that_is_killed_and_comes_back_empty() {
    nothing_is_lost_uncounted(&mut Redis::start(), kill);
}

#[test]
fn a_redis_with_memories_that_is_killed_and_comes_back_empty() {
    nothing_is_lost_of_a_memory(&mut Redis::start(), kill);
}

#[test]
fn a_redis_that_stands_still() {
    nothing_is_lost_uncounted(&mut Redis::start(), stand_still);
}

#[test]
fn a_redis_with_memories_that_stands_still() {
    nothing_is_lost_of_a_memory(&mut Redis::start(), stand_still);
}

#[test]
fn a_redis_that_is_full_carries_messages() {
    nothing_is_lost_uncounted(&mut Redis::start(), |redis, stream| {
        assert!(redis.ask("CONFIG SET maxmemory 1").starts_with("+OK"));
        assert!(redis.ask("SET x y").starts_with("-OOM"));
        // Longer than the lease of the nodes' numbers.
        stream.send_for(Duration::from_millis(1_500));
        assert!(redis.ask("CONFIG SET maxmemory 0").starts_with("+OK"));
    });
}

#[test]
fn connections_that_are_cut() {
    nothing_is_lost_uncounted(&mut Redis::start(), cut_connections);
}

#[test]
fn connections_that_are_cut_with_memories() {
    nothing_is_lost_of_a_memory(&mut Redis::start(), cut_connections);
}

/// The last of three nodes is cut off from Redis by `fail`, for longer than its lease.
fn a_node_is_cut_off(fail: impl Fn(&Relay)) {
    let redis = Redis::start();
    let relay = Relay::start(redis.address());
    let nodes = Nodes::start_each(3, &[&redis], |number, config| {
        if number == 2 {
            config.cluster.redis = vec![format!("redis://{}", relay.address()).parse().unwrap()];
        }
    });
    let here = nothing_is_lost_on(&nodes, |stream| {
        for _ in 0..2 {
            fail(&relay);
            stream.send_for(Duration::from_millis(2_500));
            relay.go_on();
            nodes.until_whole();
        }
    });
    assert!(here.iter().copied().eq(1..=here.len() as u64), "local sessions lack nothing");
}

#[test]
fn a_node_whose_connections_end() {
    a_node_is_cut_off(Relay::cut);
}

#[test]
fn a_node_whose_bytes_are_swallowed() {
    a_node_is_cut_off(Relay::swallow);
}
