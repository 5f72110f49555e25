//! Random commands and pushes, each from a random node, against what a naive model says of the players of all nodes: who gets
//! what, once, in which order, and what the receipts say.

use super::Nodes;
use super::redis_cluster::RedisCluster;
use crate::support::{Link, Player, Random, Redis};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A player as the model knows it.
struct Known {
    player: Player,
    user: Option<String>,
    groups: BTreeSet<String>,
    tags: BTreeSet<String>,
    /// What it has been sent and not read.
    expected: Vec<String>,
}

/// One way of naming sessions.
#[derive(Clone)]
enum Named {
    User(String),
    Group(String),
    Tag(String),
    Session(String),
    Nobody(String),
}

impl Named {
    fn random(random: &mut Random, players: &[Known]) -> Self {
        match random.below(9) {
            0 | 1 => Self::User(format!("u{}", random.below(6))),
            2..5 => Self::Group(format!("g{}", random.below(4))),
            5 | 6 => Self::Tag(format!("t{}", random.below(3))),
            7 => Self::Session(players[random.below(players.len())].player.id.to_string()),
            _ => Self::Nobody(format!("nobody-{}", random.below(3))),
        }
    }

    fn means(&self, known: &Known) -> bool {
        match self {
            Self::User(user) => known.user.as_ref() == Some(user),
            Self::Group(group) => known.groups.contains(group),
            Self::Tag(tag) => known.tags.contains(tag),
            Self::Session(session) => known.player.id.to_string() == *session,
            Self::Nobody(_) => false,
        }
    }
}

/// A target of a push in JSON.
fn target(named: &[Named]) -> Value {
    let mut to = json!({});
    for one in named {
        let (kind, name) = match one {
            Named::User(name) | Named::Nobody(name) => ("user", name),
            Named::Group(name) => ("group", name),
            Named::Tag(name) => ("tag", name),
            Named::Session(name) => ("session", name),
        };
        if to[kind].is_null() {
            to[kind] = json!([]);
        }
        let list = to[kind].as_array_mut().unwrap();
        if !list.contains(&json!(name)) {
            list.push(json!(name));
        }
    }
    to
}

fn open(nodes: &Nodes, random: &mut Random) -> Known {
    let user = random.chance(80).then(|| format!("u{}", random.below(6)));
    let groups: BTreeSet<String> = (0..random.below(3)).map(|_| format!("g{}", random.below(4))).collect();
    let names = groups.iter().map(|group| format!("&group={group}"));
    let query: String = user.iter().map(|user| format!("&user={user}")).chain(names).collect();
    let server = &nodes.servers[random.below(nodes.servers.len())];
    let player = server.player(query.trim_start_matches('&'));
    Known { player, user, groups, tags: BTreeSet::new(), expected: Vec::new() }
}

fn push(random: &mut Random, link: &mut Link, players: &mut [Known], number: u32) {
    let named: Vec<Named> = (0..1 + random.below(4)).map(|_| Named::random(random, players)).collect();
    let except = random.chance(20).then(|| players[random.below(players.len())].player.id);
    let text = format!("push {number}");
    let mut command = json!({"op": "push", "to": target(&named), "text": text, "receipt": "written"});
    if let Some(except) = except {
        command["except"] = json!(except.to_string());
    }
    let receipt = link.command(command.clone());
    let mut matched = 0;
    for known in players.iter_mut() {
        if Some(known.player.id) != except && named.iter().any(|one| one.means(known)) {
            known.expected.push(text.clone());
            matched += 1;
        }
    }
    assert_eq!(
        (&receipt["matched"], &receipt["written"]),
        (&json!(matched), &json!(matched)),
        "{command}: {receipt}"
    );
    let users: BTreeSet<&String> = named
        .iter()
        .filter_map(|one| match one {
            Named::User(name) | Named::Nobody(name) => Some(name),
            _ => None,
        })
        .collect();
    let offline = users.iter().filter(|user| !players.iter().any(|known| known.user.as_ref() == Some(user)));
    assert_eq!(receipt["offline"], json!(offline.count()), "{command}: {receipt}");
    assert!(receipt["partial"].is_null(), "{receipt}");
}

fn change(random: &mut Random, link: &mut Link, players: &mut [Known]) {
    let one = random.below(players.len());
    let (group, other) = (format!("g{}", random.below(4)), format!("g{}", random.below(4)));
    let (tag, user) = (format!("t{}", random.below(3)), format!("u{}", random.below(6)));
    let session = players[one].player.id.to_string();
    let changed =
        |answer: Value, expected: usize| assert_eq!(answer["sessions"], json!(expected), "{answer}");
    match random.below(7) {
        0 => {
            let of_user = players.iter_mut().filter(|known| known.user.as_ref() == Some(&user));
            let joined = of_user.filter_map(|known| known.groups.insert(group.clone()).then_some(())).count();
            changed(link.command(json!({"op": "join", "user": user, "group": group})), joined);
        }
        1 => {
            let joined = usize::from(players[one].groups.insert(group.clone()));
            changed(link.command(json!({"op": "join", "session": session, "group": group})), joined);
        }
        2 => {
            let left = usize::from(players[one].groups.remove(&group));
            changed(link.command(json!({"op": "leave", "session": session, "group": group})), left);
        }
        3 => {
            let tagged = usize::from(players[one].tags.insert(tag.clone()));
            changed(link.command(json!({"op": "tag", "session": session, "tag": tag})), tagged);
        }
        4 => {
            let bound = usize::from(players[one].user.as_ref() != Some(&user));
            players[one].user = Some(user.clone());
            changed(link.command(json!({"op": "bind", "session": session, "user": user})), bound);
        }
        5 if group != other => {
            let moved = players.iter_mut().filter_map(|known| {
                let was_in = known.groups.remove(&group);
                was_in.then(|| known.groups.insert(other.clone()))
            });
            let moved = moved.count();
            changed(link.command(json!({"op": "move", "group": group, "to": other})), moved);
        }
        _ => {
            let members = players.iter_mut().filter_map(|known| known.groups.remove(&group).then_some(()));
            let members = members.count();
            changed(link.command(json!({"op": "destroy", "group": group})), members);
        }
    }
}

fn run(seed: u64, redis: &[&Redis], steps: u32, configure: impl Fn(&mut gannet::config::Config)) {
    let nodes = Nodes::start_with(3, redis, configure);
    let mut random = Random::new(seed);
    let mut links: Vec<Link> =
        nodes.servers.iter().flat_map(|server| [server.link(), server.binary_link()]).collect();
    let mut players: Vec<Known> = (0..12).map(|_| open(&nodes, &mut random)).collect();
    for number in 0..steps {
        let link = random.below(links.len());
        match random.below(10) {
            0..6 => push(&mut random, &mut links[link], &mut players, number),
            6..9 => change(&mut random, &mut links[link], &mut players),
            _ => {
                let one = random.below(players.len());
                let mut gone = players.swap_remove(one);
                read(&mut gone);
                // The node that it was on has seen its end when it answers the Close.
                gone.player.close(1000, "");
                players.push(open(&nodes, &mut random));
            }
        }
        players.iter_mut().for_each(read);
    }
}

fn read(known: &mut Known) {
    for text in known.expected.drain(..) {
        assert_eq!(known.player.recv_text(), text, "{}", known.player.id);
    }
}

#[test]
fn every_push_reaches_whom_it_means_on_all_nodes_once_and_its_receipt_adds_up() {
    let redis = Redis::start();
    run(1, &[&redis], 400, |_| ());
}

#[test]
fn so_it_is_where_independent_redis_servers_share_the_channels() {
    let servers = [Redis::start(), Redis::start(), Redis::start()];
    run(2, &servers.each_ref(), 300, |_| ());
}

#[test]
fn so_it_is_where_names_share_hashed_channels() {
    let redis = Redis::start();
    run(3, &[&redis], 300, |config| (config.cluster.max_channels, config.cluster.buckets) = (3, 4));
}

#[test]
fn so_it_is_on_a_redis_cluster() {
    let redis = RedisCluster::start(3);
    run(4, &redis.all(), 300, |_| ());
}
