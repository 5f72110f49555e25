//! The list of Redis servers changes while messages flow: names move from server to server, and no player notices.

use super::nodes::{Nodes, join, prefix, status};
use crate::support::{ClosedPort, Link, Player, Redis, Relay, TestServer, heavy, until};
use gannet::config::{Config, RedisUrl};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Players of each node, each a user of its own who is on the other nodes too.
const USERS: usize = 4;
/// Groups of each user.
const GROUPS: usize = 15;
/// Names that are pushed to: the users and their groups.
const NAMES: usize = USERS * (1 + GROUPS);
/// Who pushes: of each node one with receipts, and one mostly without.
const SOURCES: usize = 6;
/// Messages without a receipt that follow on each other.
const BURST: u64 = 20;

/// How many messages of each source went to each name.
type Counts = [[u64; NAMES]; SOURCES];

fn name(number: usize) -> Value {
    match (number / USERS, number % USERS) {
        (0, user) => json!({"user": format!("u{user}")}),
        (group, user) => json!({"group": format!("g{user}-{group}")}),
    }
}

fn player(server: &TestServer, user: usize) -> Player {
    let groups: String = (1..=GROUPS).map(|group| format!("&group=g{user}-{group}")).collect();
    server.player(&format!("user=u{user}{groups}"))
}

fn urls(redis: &[&Redis]) -> Vec<RedisUrl> {
    redis.iter().map(|redis| redis.url().parse().unwrap()).collect()
}

fn patient(config: &mut Config) {
    // A receipt is whole however slow the machine is, and what is left is left soon.
    config.cluster.patience = Duration::from_secs(10);
    config.cluster.linger = Duration::from_millis(200);
}

/// Pushes that go on until they are told to stop.
struct Pushing {
    stops: Arc<AtomicBool>,
    sent: [Arc<AtomicU64>; SOURCES],
    pushers: Vec<JoinHandle<[u64; NAMES]>>,
}

impl Pushing {
    fn start(servers: &[TestServer]) -> Self {
        let mut pushing = Self { stops: Arc::default(), sent: Default::default(), pushers: Vec::new() };
        for source in 0..SOURCES {
            let link = servers[source / 2].link();
            let (stops, sent) = (Arc::clone(&pushing.stops), Arc::clone(&pushing.sent[source]));
            pushing.pushers.push(thread::spawn(move || push(link, source, &sent, &stops)));
        }
        pushing
    }

    /// So many more have been sent by each.
    fn await_more(&self, count: u64) {
        let before = self.sent.each_ref().map(|sent| sent.load(Ordering::Relaxed));
        for (sent, before) in self.sent.iter().zip(before) {
            until("pushes", || {
                assert!(!self.pushers.iter().any(JoinHandle::is_finished), "a pusher failed");
                sent.load(Ordering::Relaxed) >= before + count
            });
        }
    }

    fn stop(self) -> Counts {
        self.stops.store(true, Ordering::Relaxed);
        let mut pushers = self.pushers.into_iter();
        std::array::from_fn(|_| pushers.next().unwrap().join().unwrap())
    }
}

fn push(mut link: Link, source: usize, sent: &AtomicU64, stops: &AtomicBool) -> [u64; NAMES] {
    let mut numbers = [0; NAMES];
    let burst = if source.is_multiple_of(2) { 1 } else { BURST };
    let mut turn = source;
    while !stops.load(Ordering::Relaxed) {
        for place in 0..burst {
            turn += 1;
            // Some of a burst go to one name, so that the order within it shows.
            let to = if place < burst / 2 { source % NAMES } else { turn % NAMES };
            numbers[to] += 1;
            let receipt = if place == 0 { "written" } else { "none" };
            let text = format!("{source} {to} {}", numbers[to]);
            let push = json!({"op": "push", "to": name(to), "text": text, "receipt": receipt});
            if receipt == "none" {
                link.tell(&push);
                continue;
            }
            let receipt = link.command(push);
            assert_eq!(receipt["written"], 3, "{text}: {receipt}");
            assert!(receipt.get("partial").is_none_or(|partial| partial == false), "{text}: {receipt}");
        }
        sent.fetch_add(burst, Ordering::Relaxed);
    }
    numbers
}

/// Reads until the player has got everything that was `sent` to its names, each message once and in the order of its source.
fn read(mut player: Player, user: usize, sent: &OnceLock<Counts>) {
    player.stream_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut got, mut last) = ([[0; NAMES]; SOURCES], Instant::now());
    let is_own = |to: usize| to % USERS == user;
    loop {
        if let Some(text) = player.text_in_time() {
            let mut numbers = text.split(' ').map(|number| number.parse::<u64>().unwrap());
            let [source, to] = [0; 2].map(|_| numbers.next().unwrap() as usize);
            assert!(is_own(to), "u{user} has got {text}");
            assert_eq!(numbers.next().unwrap(), got[source][to] + 1, "of source {source} to {}", name(to));
            got[source][to] += 1;
            last = Instant::now();
        } else if let Some(sent) = sent.get() {
            let wanted = |source: usize| (0..NAMES).filter(|to| is_own(*to)).map(move |to| sent[source][to]);
            let has_all = (0..SOURCES).all(|source| {
                wanted(source).eq((0..NAMES).filter(|to| is_own(*to)).map(|to| got[source][to]))
            });
            if has_all {
                return;
            }
            assert!(last.elapsed() < crate::support::DEADLINE, "u{user} lacks something");
        }
    }
}

fn move_to(server: &TestServer, redis: &[&Redis]) {
    let reloaded = server.reload(|config| config.cluster.redis = urls(redis));
    assert_eq!((reloaded.changed, reloaded.restart), (vec!["cluster.redis".to_owned()], Vec::new()));
}

/// Waits until each node is connected to so many servers, and to none that it leaves.
fn until_settled(servers: &[TestServer], redis: usize) {
    for server in servers {
        until("the change to be over", || {
            let status = status(server);
            status["moving"].is_null()
                && status["redis"].as_array().unwrap().len() == redis
                && status["ready"] == true
                && status["nodes"].as_array().unwrap().iter().all(|node| node["same_redis"] == true)
        });
    }
}

fn lost(servers: &[TestServer]) -> u64 {
    servers.iter().map(|server| server.backend().scrape().sum("gannet_bus_lost_total", &[])).sum()
}

/// The names of sets of sessions that nodes are subscribed to there.
fn names(redis: &Redis) -> Vec<String> {
    let answer = redis.ask("PUBSUB CHANNELS");
    let is_name = |line: &&str| line.starts_with("test-") && line.contains('\u{1}');
    answer.lines().filter(is_name).map(str::to_owned).collect()
}

#[test]
fn two_redis_servers_become_three_and_two_again_and_no_message_is_lost_twice_or_out_of_order() {
    let _alone = heavy();
    let redis = [Redis::start(), Redis::start(), Redis::start()];
    let [one, two, three] = &redis;
    let nodes = Nodes::start_with(3, &[one, two], patient);
    let sent = Arc::new(OnceLock::new());
    let readers = nodes.servers.iter().flat_map(|server| {
        (0..USERS).map(|user| {
            let (player, sent) = (player(server, user), Arc::clone(&sent));
            thread::spawn(move || read(player, user, &sent))
        })
    });
    let readers: Vec<JoinHandle<()>> = readers.collect();
    let pushing = Pushing::start(&nodes.servers);
    pushing.await_more(100);
    let all = names(one).len() + names(two).len();
    assert_eq!((all, names(three).len()), (NAMES + 1, 0), "the names, and the app");

    move_to(&nodes.servers[0], &[one, two, three]);
    until("the other nodes to be awaited", || {
        let moving = status(&nodes.servers[0])["moving"].clone();
        (&moving["awaits"], &moving["publishes"]) == (&json!(["b", "c"]), &json!(false))
    });
    assert_eq!(status(&nodes.servers[1])["moving"], Value::Null);
    pushing.await_more(100);
    // The order behind the first says nothing.
    move_to(&nodes.servers[1], &[one, three, two]);
    pushing.await_more(100);
    move_to(&nodes.servers[2], &[one, two, three]);
    until_settled(&nodes.servers, 3);
    pushing.await_more(100);
    let each = redis.each_ref().map(|redis| names(redis).len());
    assert_eq!(each.iter().sum::<usize>(), all, "each name lives on one: {each:?}");
    assert!((all / 10..all * 2 / 3).contains(&each[2]), "about a third moved: {each:?}");

    // In another order.
    for server in [2, 0, 1] {
        move_to(&nodes.servers[server], &[one, two]);
        pushing.await_more(100);
    }
    until_settled(&nodes.servers, 2);
    let is_left = || !three.ask("CLIENT LIST").contains(" name=gannet ");
    until("the third to be left", is_left);
    pushing.await_more(100);
    sent.set(pushing.stop()).unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(names(one).len() + names(two).len(), all);
    assert_eq!(lost(&nodes.servers), 0);
}

#[test]
fn the_first_redis_stays_and_a_list_is_taken_as_a_whole_or_not_at_all() {
    let (one, two) = (Redis::start(), Redis::start());
    let nodes = Nodes::start(1, &[&one]);
    for list in [vec![&two], vec![&two, &one], Vec::new()] {
        let reloaded = nodes.servers[0].reload(|config| config.cluster.redis = urls(&list));
        assert_eq!((reloaded.changed, reloaded.restart), (Vec::new(), vec!["cluster.redis".to_owned()]));
    }
    assert_eq!(status(&nodes.servers[0])["moving"], Value::Null);
}

/// A push to this name from each node reaches its session on each node.
fn reach_each_other(servers: &[TestServer], to: &Value) -> bool {
    servers.iter().all(|server| {
        let push = json!({"op": "push", "to": to, "text": "x", "receipt": "written"});
        server.link().command(push)["written"] == servers.len()
    })
}

#[test]
fn a_list_with_a_redis_that_is_not_there_waits_for_it_and_can_be_taken_back() {
    let (one, two) = (Redis::start(), Redis::start());
    let nodes = Nodes::start_with(2, &[&one], patient);
    let players: Vec<Vec<Player>> =
        nodes.servers.iter().map(|server| (0..USERS).map(|user| player(server, user)).collect()).collect();
    let closed = ClosedPort::new();
    let nowhere: RedisUrl = format!("redis://{}", closed.address()).parse().unwrap();
    for server in &nodes.servers {
        server.reload(|config| config.cluster.redis.push(nowhere.clone()));
    }
    until("both to be awaited", || status(&nodes.servers[0])["moving"]["awaits"] == json!(["a", "b"]));
    let shown = status(&nodes.servers[0]);
    assert_eq!(
        (&shown["redis"][1]["up"], &shown["ready"]),
        (&json!(false), &json!(true)),
        "nothing is lacking"
    );
    assert!((0..NAMES).all(|number| reach_each_other(&nodes.servers, &name(number))));
    // Back, and to one that is there.
    for list in [vec![&one], vec![&one, &two]] {
        for server in &nodes.servers {
            server.reload(|config| config.cluster.redis = urls(&list));
        }
        until_settled(&nodes.servers, list.len());
        assert!((0..NAMES).all(|number| reach_each_other(&nodes.servers, &name(number))));
    }
    assert!(!names(&two).is_empty());
    assert_eq!(lost(&nodes.servers), 0);
    drop(players);
}

#[test]
fn a_redis_that_is_dead_is_taken_out_and_what_was_for_it_is_counted() {
    let (one, mut two) = (Redis::start(), Redis::start());
    let nodes = Nodes::start_with(2, &[&one, &two], |config| {
        config.cluster.linger = Duration::from_millis(200);
        config.cluster.queue = Duration::from_secs(600);
    });
    let mut players: Vec<Player> = (0..USERS).map(|user| player(&nodes.servers[1], user)).collect();
    until("all to be heard", || names(&one).len() + names(&two).len() == NAMES + 1);
    let there = names(&two).len() as u64;
    two.kill();
    until("it to be missed", || nodes.servers.iter().all(|server| status(server)["redis"][1]["up"] == false));
    let mut link = nodes.servers[0].link();
    for number in 0..NAMES {
        let text = format!("first {number}");
        link.tell(&json!({"op": "push", "to": name(number), "text": text, "receipt": "none"}));
    }
    for server in &nodes.servers {
        move_to(server, &[&one]);
    }
    until_settled(&nodes.servers, 1);
    for number in 0..NAMES {
        let push = json!({"op": "push", "to": name(number), "text": "second", "receipt": "written"});
        assert_eq!(link.command(push)["written"], 1);
    }
    let mut got = 0;
    for player in &mut players {
        let mut seconds = 0;
        while seconds < 1 + GROUPS {
            match player.recv_text().as_str() {
                "second" => seconds += 1,
                _ => got += 1,
            }
        }
    }
    let lost = lost(&nodes.servers);
    assert_eq!((got + lost, lost > 0), (NAMES as u64, there > 0));
}

#[test]
fn a_node_that_comes_in_the_middle_of_a_change_or_with_the_old_list_is_one_with_the_others_in_the_end() {
    let (one, two, prefix) = (Redis::start(), Redis::start(), prefix());
    let start = |name: &str, redis: &[&Redis]| {
        TestServer::start(|config| {
            join(config, redis, &prefix, name);
            patient(config);
        })
    };
    let mut nodes = Nodes { servers: vec![start("a", &[&one])] };
    nodes.until_whole();
    // It knows the new list, and the other one does not.
    nodes.servers.push(start("b", &[&one, &two]));
    until("the node with the old list to be awaited", || {
        status(&nodes.servers[1])["moving"]["awaits"] == json!(["a"])
    });
    assert_eq!(status(&nodes.servers[0])["nodes"].as_array().unwrap().len(), 2);
    let mut players: Vec<Player> =
        nodes.servers.iter().flat_map(|server| (0..USERS).map(|user| player(server, user))).collect();
    until("each to reach the other by the old list", || {
        (0..NAMES).all(|number| reach_each_other(&nodes.servers, &name(number)))
    });
    move_to(&nodes.servers[0], &[&one, &two]);
    until_settled(&nodes.servers, 2);
    assert!((0..NAMES).all(|number| reach_each_other(&nodes.servers, &name(number))));
    // Too late with the old one.
    nodes.servers.push(start("c", &[&one]));
    until("it to see that others have another list", || {
        let shown = status(&nodes.servers[2])["nodes"].clone();
        shown.as_array().unwrap().iter().filter(|node| node["same_redis"] == false).count() == 2
    });
    move_to(&nodes.servers[2], &[&one, &two]);
    until_settled(&nodes.servers, 2);
    players.extend((0..USERS).map(|user| player(&nodes.servers[2], user)));
    assert!((0..NAMES).all(|number| reach_each_other(&nodes.servers, &name(number))));
}

#[test]
fn what_was_published_by_the_old_list_and_not_read_is_not_overtaken_by_what_goes_by_the_new_one() {
    let redis = [Redis::start(), Redis::start(), Redis::start()];
    // What comes over the second is late.
    let relay = Relay::start(redis[1].address());
    let late: RedisUrl = format!("redis://{}", relay.address()).parse().unwrap();
    let [first, _, third] = redis.each_ref().map(|redis| redis.url().parse::<RedisUrl>().unwrap());
    let nodes = Nodes::start_with(2, &[&redis[0]], |config| {
        config.cluster.redis.push(late.clone());
        config.cluster.lease = Duration::from_secs(60);
        config.cluster.silent = Duration::from_secs(60);
    });
    let mut players: Vec<Player> = (0..USERS).map(|user| player(&nodes.servers[1], user)).collect();
    let [a, b] = &nodes.servers[..] else { panic!("two nodes") };
    let new = vec![first, late, third];
    let reload = |server: &TestServer| server.reload(|config| config.cluster.redis.clone_from(&new));
    let mut link = a.link();
    let mut numbers = [0; NAMES];
    let mut push_to_all = || {
        for (number, count) in numbers.iter_mut().enumerate() {
            *count += 1;
            let text = format!("{number} {count}");
            link.tell(&json!({"op": "push", "to": name(number), "text": text, "receipt": "none"}));
        }
        // Whoever is answered has been heard.
        link.command(json!({"op": "count", "user": "u0", "scope": "node"}));
    };
    reload(b);
    until("the other node to hear by the new list", || status(b)["moving"]["awaits"] == json!(["a"]));
    relay.hold();
    push_to_all();
    reload(a);
    let hears = || {
        let moving = status(a)["moving"].clone();
        !moving.is_null() && (moving["publishes"] == true || moving["awaits"] == json!([]))
    };
    until("both to hear by the new list", hears);
    // Now it asks whether the other has read everything, which the other has not.
    let enough = Instant::now() + Duration::from_millis(300);
    while Instant::now() < enough {
        push_to_all();
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(status(a)["moving"]["publishes"], false);
    relay.go_on();
    until("all to publish by the new list", || {
        push_to_all();
        [a, b].iter().all(|server| status(server)["moving"]["publishes"] == true)
    });
    push_to_all();
    let mut got = [0; NAMES];
    for (user, player) in players.iter_mut().enumerate() {
        let own = || (0..NAMES).filter(|number| number % USERS == user);
        while own().any(|number| got[number] < numbers[number]) {
            let text = player.recv_text();
            let (number, count) = text.split_once(' ').unwrap();
            let number: usize = number.parse().unwrap();
            assert_eq!(count.parse::<u64>().unwrap(), got[number] + 1, "to {}", name(number));
            got[number] += 1;
        }
    }
    assert_eq!(lost(&nodes.servers), 0);
}
