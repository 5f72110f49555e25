//! A Redis Cluster: the channels and keys are divided among its servers, and go with their slots.

use super::faults::nothing_is_lost_on;
use super::nodes::{Nodes, prefix, status};
use super::redis_cluster::RedisCluster;
use super::upgrade::{lost, nobody_notices_on, node_on, until_known};
use crate::memory::{log, with};
use crate::support::{Link, Player, heavy, until};
use gannet::config::Secret;
use serde_json::json;
use std::time::Duration;

/// The command that makes the user of docs/cluster.md, as the page has it for a Redis Cluster, for the prefixes of tests.
fn user() -> String {
    let page = include_str!("../../../docs/cluster.md");
    let mut lines =
        page.lines().filter(|line| line.starts_with("ACL SETUSER gannet ") && line.contains("{*}"));
    lines.next().expect("the page has the line").replace("gannet:*", "test-*")
}

#[test]
fn messages_go_over_all_servers_of_a_redis_cluster() {
    let redis = RedisCluster::start(3);
    let user = user();
    redis.servers.iter().for_each(|server| assert_eq!(server.ask(&user), "+OK\r\n"));
    // One that is named knows the others.
    let nodes = Nodes::start_with(2, &redis.all()[1..2], |config| {
        with(vec![log("chat/", 100)])(config);
        config.cluster.user = Some("gannet".to_owned());
        config.cluster.password = Some(Secret::new("PASSWORD"));
    });
    let shown = status(&nodes.servers[0]);
    let places: Vec<&str> =
        shown["redis"].as_array().unwrap().iter().map(|of| of["url"].as_str().unwrap()).collect();
    assert_eq!(places.len(), 4, "{shown}");
    let slots: Vec<Vec<u64>> = (0..3).map(|server| redis.slots_in_use(server)).collect();
    assert!(slots.iter().all(|slots| !slots.is_empty()), "{slots:?}");
    assert_eq!(slots.concat().len(), 4);
    let mut players: Vec<_> =
        (0..40).map(|number| nodes.servers[1].player(&format!("user=u{number}"))).collect();
    let mut backend = nodes.servers[0].backend();
    for (number, player) in players.iter_mut().enumerate() {
        let receipt = backend.push_text(&format!("user=u{number}&receipt=written"), &number.to_string());
        assert_eq!((receipt.matched, receipt.written), (1, Some(1)));
        assert_eq!(player.recv_text(), number.to_string());
    }
    for number in 0..8 {
        let mut member = nodes.servers[1].player(&format!("group=chat/{number}"));
        let receipt = backend.push_text(&format!("group=chat/{number}&receipt=written"), "kept");
        assert_eq!((receipt.written, receipt.offset), (Some(1), Some(1)));
        assert_eq!(member.recv_text(), "kept");
    }
}

#[test]
fn a_slot_goes_to_another_server_and_back_under_load() {
    let redis = RedisCluster::start(3);
    let nodes = Nodes::start(3, &redis.all());
    let here = nothing_is_lost_on(&nodes, |stream| {
        for (from, to) in [(0, 1), (1, 2)] {
            for slot in redis.slots_in_use(from) {
                redis.move_slot(slot, from, to);
                stream.send_for(Duration::from_millis(400));
            }
            nodes.until_whole();
        }
        assert_eq!(redis.slots_in_use(2).len(), 4, "all of them are there now");
    });
    assert!(here.iter().copied().eq(1..=here.len() as u64), "local sessions lack nothing");
}

#[test]
fn a_replica_takes_the_place_of_a_primary_that_is_killed() {
    let mut redis = RedisCluster::with_replicas(3);
    let nodes = Nodes::start(3, &redis.all()[..3]);
    let here = nothing_is_lost_on(&nodes, |stream| {
        // It has the numbers of the nodes too.
        redis.servers[0].kill();
        while !redis.servers[3].ask("ROLE").contains("master") {
            stream.send_for(Duration::from_millis(100));
        }
        nodes.until_whole();
        stream.send_for(Duration::from_millis(300));
        redis.servers[0].begin();
        stream.send_for(Duration::from_millis(300));
    });
    assert!(here.iter().copied().eq(1..=here.len() as u64), "local sessions lack nothing");
}

#[test]
fn other_nodes_do_not_notice_that_one_on_a_redis_cluster_is_upgraded() {
    let _alone = heavy();
    let redis = RedisCluster::start(3);
    nobody_notices_on(&redis.all(), "patience_ms = 10000\n", |node| {
        node.upgrade();
        // The keys of its number are in the same slot as before.
        assert!(!node.said().contains("[ERROR]"), "{}", node.said());
    });
}

fn tell(link: &mut Link, sent: &mut u64) {
    *sent += 1;
    let text = sent.to_string();
    link.tell(&json!({"op": "push", "to": {"group": "red"}, "text": text, "receipt": "none"}));
}

/// Pushes texts to the group until all of these players have got the newest; what each has got meanwhile comes to `got`.
fn push_until_heard(link: &mut Link, sent: &mut u64, players: &mut [Player], got: &mut [Vec<u64>]) {
    until("a push to be heard by all", || {
        tell(link, sent);
        for (player, got) in players.iter_mut().zip(&mut *got) {
            player.stream_mut().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            while let Some(text) = player.text_in_time() {
                got.push(text.parse().unwrap());
            }
        }
        got.iter().all(|got| got.last() == Some(&*sent))
    });
}

#[test]
fn slots_that_go_to_another_server_while_a_node_is_upgraded_are_followed() {
    let _alone = heavy();
    let (redis, prefix) = (RedisCluster::start(3), prefix());
    let named = &redis.all()[..1];
    let (mut a, b) = (node_on(named, &prefix, "a", ""), node_on(named, &prefix, "b", ""));
    until_known(&[&a, &b]);
    let mut players = [&a, &b].map(|node| node.player("group=red"));
    let (mut sent, mut got) = (0, [Vec::new(), Vec::new()]);
    let mut links = [&a, &b].map(|node| node.link());
    push_until_heard(&mut links[1], &mut sent, &mut players, &mut got);
    for (from, to) in [(0, 1), (1, 2)] {
        let slots = redis.slots_in_use(from);
        assert!(!slots.is_empty());
        // What the servers say of it, the new process reads on sockets that the old one has connected.
        a.upgrade_around("new:taken", |_| {
            slots.iter().for_each(|slot| redis.move_slot(*slot, from, to));
            (0..20).for_each(|_| tell(&mut links[1], &mut sent));
        });
        until_known(&[&a, &b]);
        push_until_heard(&mut links[1], &mut sent, &mut players, &mut got);
        push_until_heard(&mut links[0], &mut sent, &mut players, &mut got);
    }
    assert_eq!(redis.slots_in_use(2).len(), 4, "all of them are there now");
    let [there, here] = got.map(|got| {
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "twice, or out of order: {got:?}");
        sent - got.len() as u64
    });
    until("all that was missed to be counted", || lost(&a) + lost(&b) >= there + here);
    assert_eq!(lost(&a) + lost(&b), there + here);
    assert!(!a.said().contains("[ERROR]"), "{}", a.said());
}
