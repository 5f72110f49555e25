//! Who is online, over the cluster: the links of each node are told of the first session of a user on any node, and of the end of the last.

use super::nodes::{Nodes, is_ready, prefix};
use crate::events::Mirror;
use crate::support::{DEADLINE, Link, Player, Ports, Random, Redis, ServerProcess, TestServer, until};
use crate::upgrade::running::Running;
use gannet::config::Config;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;

const KINDS: [&str; 2] = ["user_online", "user_offline"];

fn at_once(config: &mut Config) {
    config.apps.get_mut("default").unwrap().offline_after_ms = 1;
}

fn config(redis: &Redis, prefix: &str, name: &str, lease_ms: u32) -> String {
    format!(
        "[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\nheartbeat_ms = 50\nlease_ms = {lease_ms}\n\
         [apps.default]\noffline_after_ms = 1\n",
        redis.url()
    )
}

/// A node in a process of its own, which is killed when it is dropped.
fn process(redis: &Redis, prefix: &str, name: &str) -> ServerProcess {
    ServerProcess::start(&["--reactors", "2"], &config(redis, prefix, name, 1_000))
}

fn until_two(nodes: [&Ports; 2]) {
    for ports in nodes {
        until("two nodes", || {
            let status = ports.backend().ok("GET", "/v1/cluster");
            status["ready"] == true && status["nodes"].as_array().unwrap().len() == 2
        });
    }
}

/// A link that asks who is online, and what it has been told.
struct Asking {
    link: Link,
    mirror: Mirror,
}

impl Asking {
    fn new(mut link: Link) -> Self {
        link.listen(&KINDS, None);
        Self { link, mirror: Mirror::default() }
    }

    /// These were online when it began to ask.
    fn knows(mut self, users: &[&str]) -> Self {
        self.mirror.0.extend(users.iter().map(|user| ((*user).to_owned(), true)));
        self
    }

    /// Hears until these are online, and nobody else.
    fn until(&mut self, users: &[&str]) {
        while self.mirror.online() != users {
            self.mirror.hear(&self.link.event());
        }
    }

    /// Nothing is told of anybody else while a user comes to this server and goes again.
    fn has_heard_all(&mut self, server: &TestServer, users: &[&str]) {
        server.player("user=last").close(1000, "");
        let mut with = [users, &["last"]].concat();
        with.sort_unstable();
        self.until(&with);
        self.until(users);
    }
}

#[test]
fn links_of_all_nodes_are_told_once_of_the_first_session_of_a_user_on_any_and_of_the_last() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], at_once);
    let mut random = Random::new(17);
    let users: Vec<String> = (0..6).map(|user| format!("u{user}")).collect();
    let mut players: Vec<Player> = Vec::new();
    for (number, user) in users.iter().enumerate() {
        players.push(nodes.servers[number % 3].player(&format!("user={user}")));
    }
    // Who is there before a link asks is no news, on whichever node. On the third node no link asks.
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut asking = [0, 1].map(|node| Asking::new(nodes.servers[node].link()).knows(&users));
    for _ in 0..300 {
        let server = &nodes.servers[random.below(3)];
        match random.below(5) {
            0..3 => players.push(server.player(&format!("user=u{}", random.below(6)))),
            _ if !players.is_empty() => drop(players.swap_remove(random.below(players.len()))),
            _ => {}
        }
    }
    players.clear();
    asking.iter_mut().for_each(|asking| asking.until(&[]));
    for asking in &mut asking {
        asking.has_heard_all(&nodes.servers[2], &[]);
    }
}

#[test]
fn a_user_who_is_on_two_nodes_is_offline_when_both_have_lost_it() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], at_once);
    let mut asking = Asking::new(nodes.servers[0].link());
    let [first, second] = [0, 1].map(|node| nodes.servers[node].player("user=ada"));
    asking.until(&["ada"]);
    first.close(1000, "");
    asking.has_heard_all(&nodes.servers[0], &["ada"]);
    // A session that is bound to another user, on the other node.
    let bind = json!({"op": "bind", "session": second.id.to_string(), "user": "bob"});
    nodes.servers[0].link().command(bind);
    asking.until(&["bob"]);
    // Who is there when the first link of a node asks is no news to it.
    let mut later = Asking::new(nodes.servers[1].link()).knows(&["bob"]);
    drop(asking);
    second.close(1000, "");
    later.until(&[]);
}

#[test]
fn users_of_a_node_that_was_killed_are_offline_unless_another_one_has_them() {
    let redis = Redis::start();
    let prefix = prefix();
    let (dies, stays) = (process(&redis, &prefix, "dies"), process(&redis, &prefix, "stays"));
    until_two([&dies, &stays]);
    let mut asking = Asking::new(stays.link());
    let _lost: Vec<Player> = ["ada", "bob", "cat"].map(|user| dies.player(&format!("user={user}"))).into();
    let _stays = stays.player("user=bob");
    asking.until(&["ada", "bob", "cat"]);
    // This kills it with -9.
    drop(dies);
    asking.until(&["bob"]);
    // One that is started in its place is another node.
    let next = process(&redis, &prefix, "dies");
    let ada = next.player("user=ada");
    asking.until(&["ada", "bob"]);
    ada.close(1000, "");
    asking.until(&["bob"]);
}

#[test]
fn without_redis_a_node_tells_of_itself_and_of_the_others_when_redis_is_back() {
    let mut redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], at_once);
    let [here, there] = [&nodes.servers[0], &nodes.servers[1]];
    let mut asking = Asking::new(here.link());
    let (ada, _bob) = (there.player("user=ada"), there.player("user=bob"));
    asking.until(&["ada", "bob"]);
    redis.kill();
    nodes.servers.iter().for_each(|server| until("Redis to be missed", || !is_ready(server)));
    ada.close(1000, "");
    let _cat = there.player("user=cat");
    // Those of the other node are as they were.
    asking.has_heard_all(here, &["ada", "bob"]);
    redis.begin();
    asking.until(&["bob", "cat"]);
    nodes.until_whole();
    asking.has_heard_all(there, &["bob", "cat"]);
}

#[test]
fn an_upgrade_of_either_node_says_nothing_of_who_is_online() {
    let (redis, prefix) = (Redis::start(), prefix());
    let node = |name: &str| Running::start(&["--reactors", "2"], &config(&redis, &prefix, name, 60_000));
    let (mut here, mut there) = (node("here"), node("there"));
    until_two([&here, &there]);
    let mut asking = Asking::new(here.link());
    let (ada, bob) = (here.player("user=ada"), there.player("user=bob"));
    asking.until(&["ada", "bob"]);
    for _ in 0..2 {
        here.upgrade();
        there.upgrade();
        let cat = there.player("user=cat");
        asking.until(&["ada", "bob", "cat"]);
        cat.close(1000, "");
        asking.until(&["ada", "bob"]);
    }
    bob.close(1000, "");
    asking.until(&["ada"]);
    ada.close(1000, "");
    asking.until(&[]);
}

#[test]
fn beyond_its_bound_a_node_counts_users_of_other_nodes_and_does_not_keep_them() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        at_once(config);
        config.reactors = Some(1);
        config.cluster.online_users = 1;
    });
    let mut asking = Asking::new(nodes.servers[0].link());
    let ada = nodes.servers[1].player("user=ada");
    asking.until(&["ada"]);
    let _bob = nodes.servers[1].player("user=bob");
    let lost = || nodes.servers[0].backend().scrape().sum("gannet_bus_lost_total", &["reason=\"users\""]);
    until("bob to be too many", || lost() == 1);
    ada.close(1000, "");
    asking.until(&[]);
}

#[test]
fn users_are_told_a_few_a_turn_while_their_sessions_come_and_go() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        at_once(config);
        config.cluster.patience = DEADLINE;
        config.limits.turn_users = 1;
    });
    let [here, there] = [&nodes.servers[0], &nodes.servers[1]];
    let users: Vec<String> = (0..60).map(|user| format!("u{user:02}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let come = |user: &&str| there.player(&format!("user={user}&group={user}"));
    let mut players: Vec<Player> = users.iter().map(come).collect();
    let (told, tells) = mpsc::channel::<()>();
    let mut asking = thread::scope(|scope| {
        let link = here.link();
        let asks = scope.spawn(move || {
            let asking = Asking::new(link);
            drop(told);
            asking
        });
        // Each user has a session all the time, and never for long the same.
        let mut random = Random::new(5);
        while tells.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            let user = random.below(users.len());
            players[user] = come(&users[user]);
        }
        asks.join().unwrap()
    })
    .knows(&users);
    asking.has_heard_all(there, &users);
    players.clear();
    asking.until(&[]);
}

#[test]
fn a_node_that_is_upgraded_while_it_tells_its_users_tells_them_all() {
    let (redis, prefix) = (Redis::start(), prefix());
    let node = |name: &str| {
        let config =
            config(&redis, &prefix, name, 60_000).replace("[cluster]", "[cluster]\npatience_ms = 60000");
        Running::start(&["--reactors", "2"], &format!("{config}[limits]\nturn_users = 1\n"))
    };
    let (here, mut there) = (node("here"), node("there"));
    until_two([&here, &there]);
    let users: Vec<String> = (0..60).map(|user| format!("u{user:02}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let players: Vec<Player> = users.iter().map(|user| there.player(&format!("user={user}"))).collect();
    let mut asking = thread::scope(|scope| {
        let link = here.link();
        let asks = scope.spawn(move || Asking::new(link));
        while !asks.is_finished() {
            there.upgrade();
        }
        asks.join().unwrap()
    })
    .knows(&users);
    let last = there.player("user=x");
    asking.until(&[&users[..], &["x"]].concat());
    drop((players, last));
    asking.until(&[]);
}

/// Links of one share. What each is told comes with its place.
fn shared(links: impl IntoIterator<Item = Link>) -> mpsc::Receiver<(usize, Value)> {
    let (told, tells) = mpsc::channel();
    for (place, mut link) in links.into_iter().enumerate() {
        link.listen(&KINDS, Some("s"));
        let told = told.clone();
        // It ends with its link.
        thread::spawn(move || {
            while let Ok(event) = link.next_event() {
                let _ = told.send((place, event));
            }
        });
    }
    tells
}

#[test]
fn of_a_share_that_has_links_on_several_nodes_one_link_is_told_of_a_user() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], at_once);
    // Two links on the first node, one on each other one.
    let tells = shared([0, 0, 1, 2].map(|node| nodes.servers[node].link()));
    let (mut mirror, mut told) = (Mirror::default(), [0; 4]);
    let mut until = |users: &[&str]| {
        while mirror.online() != users {
            let (place, event) = tells.recv_timeout(DEADLINE).unwrap();
            mirror.hear(&event);
            told[place] += 1;
        }
    };
    let users: Vec<String> = (0..40).map(|user| format!("u{user:02}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let open = |(number, user): (usize, &&str)| nodes.servers[number % 3].player(&format!("user={user}"));
        let players: Vec<Player> = users.iter().enumerate().map(open).collect();
        until(&users);
        players.into_iter().for_each(|player| drop(player.close(1000, "")));
        until(&[]);
    }
    assert!(told.iter().all(|told| *told > 0) && told.iter().sum::<usize>() == 4 * users.len(), "{told:?}");
}

#[test]
fn a_share_is_told_by_the_nodes_that_are_left_when_one_was_killed() {
    let (redis, prefix) = (Redis::start(), prefix());
    let (dies, stays) = (process(&redis, &prefix, "dies"), process(&redis, &prefix, "stays"));
    until_two([&dies, &stays]);
    let tells = shared([dies.link(), stays.link()]);
    let players = |server: &ServerProcess, first: usize| -> Vec<Player> {
        (first..first + 20).map(|user| server.player(&format!("user=u{user:02}"))).collect()
    };
    let (lost, stay) = (players(&dies, 0), players(&stays, 20));
    let mut places = BTreeMap::new();
    while places.len() < 40 {
        let (place, event) = tells.recv_timeout(DEADLINE).unwrap();
        assert_eq!(
            (&event["event"], places.insert(event["user"].to_string(), place)),
            (&json!("user_online"), None)
        );
    }
    assert_eq!(places.values().collect::<BTreeSet<_>>(), BTreeSet::from([&0, &1]));
    // This kills it with -9. Its own users have gone, whichever node told that they had come.
    drop(dies);
    drop(lost);
    let mut hears_the_end_of = |count: usize| {
        for _ in 0..count {
            let (place, event) = tells.recv_timeout(DEADLINE).unwrap();
            assert_eq!((&event["event"], place), (&json!("user_offline"), 1));
            assert!(places.remove(&event["user"].to_string()).is_some(), "told twice: {event}");
        }
    };
    hears_the_end_of(20);
    stay.into_iter().for_each(|player| drop(player.close(1000, "")));
    hears_the_end_of(20);
}

#[test]
fn a_user_whose_session_goes_to_another_node_stays_online() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        let app = config.apps.get_mut("default").unwrap();
        (app.offline_after_ms, app.resume.linger_ms) = (1, 600_000);
    });
    let [here, there] = [&nodes.servers[0], &nodes.servers[1]];
    let mut asking = [here, there].map(|server| Asking::new(server.link()));
    let player = here.player("user=ada");
    asking.iter_mut().for_each(|asking| asking.until(&["ada"]));
    let ticket = player.welcome["resume"].as_str().unwrap().to_owned();
    // The session on the one node is over when that on the other one is there.
    let moved = there.player(&format!("resume={ticket}&received=0"));
    assert_eq!(moved.welcome["resumed"], true);
    here.await_stats("it is over there", |stats| stats["sessions"] == 0);
    asking.iter_mut().for_each(|asking| asking.has_heard_all(there, &["ada"]));
    let kick = json!({"op": "kick", "user": "ada"});
    here.link().command(kick);
    asking.iter_mut().for_each(|asking| asking.until(&[]));
}
