//! What is pushed and asked on one node reaches the sessions of all, each once.

use super::Nodes;
use crate::support::{Player, Redis};
use serde_json::json;

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
