//! What is asked of one node means the sessions of all.

use super::Nodes;
use crate::stalled::stalled;
use crate::support::{Link, Player, Redis, ServerProcess, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn listed(link: &mut Link, scope: &str) -> BTreeSet<String> {
    let (mut sessions, mut after) = (BTreeSet::new(), Value::Null);
    loop {
        let mut command = json!({"op": "list", "limit": 2, "scope": scope});
        if !after.is_null() {
            command["after"] = after;
        }
        let page = link.command(command);
        for entry in page["sessions"].as_array().unwrap() {
            assert!(sessions.insert(entry["session"].as_str().unwrap().to_owned()), "{page} has one twice");
        }
        after = page["next"].clone();
        if after.is_null() {
            return sessions;
        }
    }
}

#[test]
fn sessions_of_all_nodes_are_listed_counted_and_changed_from_any() {
    let redis = Redis::start();
    let nodes = Nodes::start(3, &[&redis]);
    let mut players: Vec<Player> = Vec::new();
    for server in &nodes.servers {
        players.push(server.player("user=ada&group=red"));
        players.push(server.player("group=red"));
    }
    let all: BTreeSet<String> = players.iter().map(|player| player.id.to_string()).collect();
    for (index, server) in nodes.servers.iter().enumerate() {
        let mut link = server.link();
        until("every node to hear", || listed(&mut link, "cluster") == all);
        assert_eq!(listed(&mut link, "node").len(), 2);
        assert_eq!(
            link.command(json!({"op": "presence", "group": "red", "members": false})),
            json!({"sessions": 6, "users": 1, "anonymous": 3, "present": null, "next": null})
        );
        assert_eq!(link.command(json!({"op": "count", "user": "ada"}))["sessions"], 3);
        assert_eq!(link.command(json!({"op": "users"}))["users"], json!([{"user": "ada", "sessions": 3}]));
        for player in &players {
            let session = player.id.to_string();
            let described = link.command(json!({"op": "session", "session": session}));
            assert_eq!(described["session"], session);
        }
        // A group that only sessions elsewhere are in, joined and left from here.
        let elsewhere = &players[2 * ((index + 1) % 3)].id.to_string();
        let join = json!({"op": "join", "session": elsewhere, "group": format!("room-{index}")});
        assert_eq!(link.command(join), json!({"sessions": 1}));
        let push = json!({"op": "push", "to": {"group": format!("room-{index}")}, "text": "x", "receipt": "written"});
        assert_eq!(link.command(push)["written"], 1);
        assert_eq!(players[2 * ((index + 1) % 3)].recv_text(), "x");
        let moved = json!({"op": "move", "group": format!("room-{index}"), "to": "hall"});
        assert_eq!(link.command(moved), json!({"sessions": 1}));
        let tagged = json!({"op": "tag", "user": "ada", "tag": format!("t{index}")});
        assert_eq!(link.command(tagged), json!({"sessions": 3}));
        let lists = json!({"op": "leave", "user": ["ada", "nobody"], "group": "hall"});
        assert_eq!(link.command(lists), json!({"sessions": 1, "unknown": 1}));
    }
    // Kicked from a node that has none of them.
    let kicked = nodes.servers[0].link().command(json!({"op": "kick", "session": players[5].id.to_string()}));
    assert_eq!(kicked, json!({"sessions": 1}));
    assert_eq!(players[5].recv_end(), crate::support::End::Closed(4001, String::new()));
    let again =
        nodes.servers[0].link().try_command(json!({"op": "kick", "session": players[5].id.to_string()}));
    assert_eq!(again.unwrap_err()["code"], "unknown_session");
}

#[test]
fn the_sessions_of_a_node_that_was_killed_are_unknown_within_its_lease() {
    let redis = Redis::start();
    let prefix = super::nodes::prefix();
    let config = |name: &str| {
        format!(
            "reactors = 2\n[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\nlease_ms = 1000\nheartbeat_ms = 50\n",
            redis.url()
        )
    };
    let dies = ServerProcess::start(&[], &config("dies"));
    let stays = ServerProcess::start(&[], &config("stays"));
    for server in [&dies, &stays] {
        until("two nodes", || {
            server.backend().ok("GET", "/v1/cluster")["nodes"].as_array().unwrap().len() == 2
        });
    }
    let player = dies.player("user=ada");
    let session = player.id.to_string();
    let mut link = stays.link();
    assert_eq!(link.command(json!({"op": "session", "session": session}))["user"], "ada");
    drop(dies);
    until("it to be forgotten", || {
        match link.try_command(json!({"op": "session", "session": session})) {
            Err(error) if error["code"] == "unknown_session" => true,
            // While its silence is no longer than a lease, it is said that it has not answered.
            Err(error) => {
                assert_eq!(error["code"], "overloaded", "{error}");
                assert!(error["message"].as_str().unwrap().contains("dies"), "{error}");
                false
            }
            Ok(described) => panic!("{described}"),
        }
    });
    assert_eq!(link.command(json!({"op": "count", "user": "ada"}))["sessions"], 0);
}

#[test]
fn a_node_records_its_own_sessions_and_says_where_another_is_to_be_asked() {
    let redis = Redis::start();
    let nodes = Nodes::start(2, &[&redis]);
    let [here, there] = [0, 1].map(|index| &nodes.servers[index]);
    let player = there.player("user=ada");
    let path = format!("/v1/sessions/{}/record", player.id);
    assert_eq!(there.backend().request("POST", &path).status, 200);
    for method in ["POST", "GET", "DELETE"] {
        let refused = here.backend().request(method, &path);
        let error = refused.json()["error"].take();
        assert_eq!((refused.status, error["code"].as_str()), (409, Some("conflict")));
        let node = format!("is on node {}", player.id.node());
        assert!(error["message"].as_str().unwrap().contains(&node), "{error}");
    }
    assert_eq!(there.backend().ok("GET", &path)["live"], true);
}

#[test]
fn those_who_are_behind_on_any_node_are_listed_by_each_with_the_largest_queue_first() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| config.limits.outbox_bytes = 64 << 20);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let _slow = [(a, "ada"), (b, "bob"), (b, "eve")].map(|(node, user)| stalled(&node, user));
    let _quick = [a, b].map(|node| node.player("user=quick&group=g"));
    // From the largest queue to the smallest: bob, ada, eve. Each is pushed to from the node that has not got it.
    for (node, user, count) in [(a, "bob", 40), (b, "ada", 20)] {
        (0..count).for_each(|_| {
            assert_eq!(node.backend().push_text(&format!("user={user}"), &"-".repeat(50_000)).queued, 1);
        });
    }
    assert_eq!(a.backend().change("POST", "/v1/groups/g/members?user=ada&user=bob"), 2);
    for node in [a, b] {
        let mut backend = node.backend();
        let mut listed = |query: &str| {
            let list = backend.ok("GET", &format!("/v1/sessions?behind=1&{query}"));
            let sessions = list["sessions"].as_array().unwrap().iter();
            let users: Vec<String> = sessions.map(|info| info["user"].as_str().unwrap().to_owned()).collect();
            (list["count"].as_u64().unwrap(), users.join(" "))
        };
        assert_eq!(listed(""), (3, "bob ada eve".to_owned()));
        assert_eq!(listed("limit=2"), (3, "bob ada".to_owned()));
        assert_eq!(listed("group=g"), (2, "bob ada".to_owned()));
        assert_eq!(listed("user=eve"), (1, "eve".to_owned()));
        let here = if node.client == a.client { (1, "ada".to_owned()) } else { (2, "bob eve".to_owned()) };
        assert_eq!(listed("scope=node"), here);
        let group = backend.ok("GET", "/v1/groups/g");
        assert_eq!((&group["count"], &group["behind"]), (&json!(4), &json!(2)));
    }
}
