//! What is pushed and asked on one node reaches the sessions of all, each once.

use super::Nodes;
use crate::raw::{PONG, Raw, masked, request_with, upgrade};
use crate::support::{Player, Redis, Relay, until};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_push_of_any_node_reaches_each_matching_session_of_every_node_once() {
    let redis = Redis::start();
    let nodes = Nodes::start(3, &[&redis]);
    let mut players: Vec<Player> = Vec::new();
    for (index, server) in nodes.servers.iter().enumerate() {
        players.push(server.player(&format!("user=u{index}&group=red&group=blue")));
    }
    for server in &nodes.servers {
        let mut link = server.link();
        let first = players[0].id;
        for (target, reached) in [
            (json!({"group": "red"}), vec![0, 1, 2]),
            (json!({"group": ["red", "blue"], "user": "u1"}), vec![0, 1, 2]),
            (json!({"user": "u2"}), vec![2]),
            (json!({"user": ["u0", "u1", "nobody"]}), vec![0, 1]),
            (json!({"session": first.to_string()}), vec![0]),
            (json!({"all": true}), vec![0, 1, 2]),
        ] {
            let receipt =
                link.command(json!({"op": "push", "to": target, "text": "hi", "receipt": "written"}));
            assert_eq!(receipt["written"], reached.len(), "{target}: {receipt}");
            for index in reached {
                assert_eq!(players[index].recv_text(), "hi", "{target}");
            }
        }
    }
    // Nothing came twice: what comes next is the last.
    nodes.servers[1].backend().push_text("all=true", "last");
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "last"));
}

/// Redis takes what this node subscribes to, and its answers do not come.
#[test]
fn nobody_is_answered_before_other_nodes_reach_its_session() {
    let redis = Redis::start();
    let relay = Relay::start(redis.address());
    let nodes = Nodes::start_each(2, &[&redis], |number, config| {
        config.apps.get_mut("default").unwrap().resume.linger_ms = 60_000;
        if number == 0 {
            config.reactors = Some(1);
            config.cluster.redis = vec![format!("redis://{}", relay.address()).parse().unwrap()];
            (config.cluster.silent, config.cluster.lease) =
                (Duration::from_secs(30), Duration::from_secs(30));
        }
    });
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let eve = a.player("user=eve");
    relay.hold();
    let mut here = a.backend();
    let mut await_sessions = |count: usize| {
        until("the sessions", || here.stats()["sessions"] == count);
    };
    let asks = |request: String| {
        let mut client = Raw::connect(a.client);
        client.send(request);
        client
    };
    // The first brings names that the node had not, the others find them on their way.
    let mut first = asks(upgrade("/ws?user=ada&group=red", ""));
    await_sessions(2);
    let mut others = [
        asks(upgrade("/ws?group=red", "")),
        asks("GET /poll?group=red HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        asks("GET /sse?group=red HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
    ];
    await_sessions(5);
    let mut fresh = asks("GET /poll?user=bob HTTP/1.1\r\nHost: a\r\n\r\n".to_owned());
    await_sessions(6);
    let mut join = Raw::connect(a.backend);
    join.send(request_with(&format!("POST /v1/groups/red/members?scope=node&session={}", eve.id), ""));
    // What a client says meanwhile does not bring its answer.
    first.send(masked(PONG, b""));
    let page = "/v1/groups/red?scope=node";
    until("the join", || a.backend().ok("GET", page)["count"] == 5);
    for (number, client) in [&mut first, &mut join, &mut fresh].into_iter().chain(&mut others).enumerate() {
        assert!(!client.is_readable(), "{number}");
    }
    relay.go_on();
    let answers = [&mut first, &mut join, &mut fresh].into_iter().chain(&mut others);
    let answers: Vec<u16> = answers.map(|client| client.answer().status).collect();
    assert_eq!(answers, [101, 200, 200, 101, 200, 200]);
    assert_eq!(b.backend().push_text("user=bob", "hi").matched, 1);
    assert_eq!(b.backend().push_text("group=red", "hi").matched, 5);
}
