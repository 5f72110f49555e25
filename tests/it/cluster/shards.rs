//! A Redis Cluster: the channels and keys are divided among its servers, and go with their slots.

use super::faults::nothing_is_lost_on;
use super::nodes::{Nodes, status};
use super::redis_cluster::RedisCluster;
use crate::memory::{log, with};
use gannet::config::Secret;
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
