//! What nodes know together: how many sessions a user has, who is banned, which nonces have been used.

use super::nodes::{Nodes, is_ready, join, prefix, status};
use crate::support::{End, Player, Redis, ServerProcess, TestServer, until};
use crate::tokens::{CHESS, ROTATED, app, ask, now, signed_query};
use gannet::config::{AppConfig, Config, PerUser, PerUserPolicy};
use serde_json::json;

fn bounded(max: usize, policy: PerUserPolicy) -> impl Fn(&mut Config) {
    move |config| {
        let per_user = PerUser { max, policy };
        config.apps.insert("chess".into(), AppConfig { per_user, ..AppConfig::default() });
    }
}

fn replaced() -> End {
    End::Closed(4002, "replaced by a newer session".into())
}

fn ada(server: &TestServer) -> Player {
    server.try_player("/ws/chess?user=ada").unwrap()
}

/// Sessions of ada on all nodes.
fn sessions(server: &TestServer) -> u64 {
    let count =
        server.link().command(json!({"op": "count", "app": "chess", "user": "ada", "scope": "cluster"}));
    count["sessions"].as_u64().unwrap()
}

/// Whether the player is still there, and hears what is pushed to it alone.
fn is_there(server: &TestServer, player: &mut Player) {
    server.link().command(
        json!({"op": "push", "app": "chess", "to": {"session": player.id.to_string()}, "text": "hi"}),
    );
    assert_eq!(player.recv_text(), "hi");
}

#[test]
fn the_newest_session_of_a_user_replaces_the_oldest_on_any_node() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], bounded(1, PerUserPolicy::ReplaceOldest));
    let mut last = ada(&nodes.servers[0]);
    for turn in 1..7 {
        let next = ada(&nodes.servers[turn % 3]);
        assert_eq!(last.recv_end(), replaced());
        last = next;
    }
    is_there(&nodes.servers[1], &mut last);
    // A session that is bound to her is the newest.
    let mut bound = nodes.servers[2].try_player("/ws/chess?user=bob").unwrap();
    let bind = json!({"op": "bind", "app": "chess", "session": bound.id.to_string(), "user": "ada"});
    nodes.servers[1].link().command(bind);
    assert_eq!(last.recv_end(), replaced());
    is_there(&nodes.servers[0], &mut bound);
    until("one to be left", || sessions(&nodes.servers[1]) == 1);
}

#[test]
fn so_many_sessions_of_a_user_stay_and_they_are_the_newest() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], bounded(3, PerUserPolicy::ReplaceOldest));
    let mut players: Vec<(usize, Player)> = Vec::new();
    for node in [0, 1, 2, 2, 1, 0, 1, 1] {
        players.push((node, ada(&nodes.servers[node])));
        if players.len() > 3 {
            let (_, mut oldest) = players.remove(0);
            assert_eq!(oldest.recv_end(), replaced());
        }
    }
    for (node, player) in &mut players {
        is_there(&nodes.servers[(*node + 1) % 3], player);
    }
    until("three to be left", || sessions(&nodes.servers[0]) == 3);
}

#[test]
fn of_sessions_that_open_at_the_same_time_on_all_nodes_one_stays() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], bounded(1, PerUserPolicy::ReplaceOldest));
    for _ in 0..10 {
        let players: Vec<Player> = std::thread::scope(|scope| {
            let opening: Vec<_> = nodes.servers.iter().map(|server| scope.spawn(|| ada(server))).collect();
            opening.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        until("one to be left", || sessions(&nodes.servers[0]) == 1);
        // It is one that stays.
        let left = nodes.servers[0].link().command(json!({"op": "list", "app": "chess", "user": "ada"}));
        let left = left["sessions"][0]["session"].as_str().unwrap().to_owned();
        for (server, mut player) in nodes.servers.iter().zip(players) {
            match player.id.to_string() == left {
                true => is_there(server, &mut player),
                false => assert_eq!(player.recv_end(), replaced()),
            }
        }
    }
}

#[test]
fn a_session_that_a_user_may_not_have_on_another_node_is_closed() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(3, &[&redis], bounded(2, PerUserPolicy::Refuse));
    let mut first = [ada(&nodes.servers[0]), ada(&nodes.servers[1])];
    for server in &nodes.servers {
        let refused = End::Closed(4002, "the user has as many sessions as per_user allows".into());
        assert_eq!(ada(server).recv_end(), refused);
    }
    first.iter_mut().for_each(|player| is_there(&nodes.servers[2], player));
    let [left, mut stays] = first;
    left.close(1000, "");
    until("a place", || sessions(&nodes.servers[2]) == 1);
    let mut next = ada(&nodes.servers[2]);
    is_there(&nodes.servers[0], &mut next);
    is_there(&nodes.servers[0], &mut stays);
}

#[test]
fn the_places_of_users_of_a_node_that_was_killed_are_free() {
    let redis = Redis::start();
    let prefix = prefix();
    let config = |name: &str| {
        format!(
            "reactors = 2\n[cluster]\nredis = ['{}']\nprefix = '{prefix}'\nname = '{name}'\nlease_ms = 1000\nheartbeat_ms = 50\n\
             [apps.chess]\nper_user = {{ max = 1, policy = 'refuse' }}\n",
            redis.url()
        )
    };
    let dies = ServerProcess::start(&[], &config("dies"));
    let stays = ServerProcess::start(&[], &config("stays"));
    for server in [&dies, &stays] {
        until("two nodes", || {
            server.backend().ok("GET", "/v1/cluster")["nodes"].as_array().unwrap().len() == 2
        });
        until("all to be heard", || server.backend().ok("GET", "/v1/cluster")["ready"] == true);
    }
    let open = |server: &ServerProcess| server.try_player("/ws/chess?user=ada").unwrap();
    let _first = open(&dies);
    let refused = End::Closed(4002, "the user has as many sessions as per_user allows".into());
    assert_eq!(open(&stays).recv_end(), refused);
    // This kills it with -9.
    drop(dies);
    let mut next = open(&stays);
    let to = json!({"session": next.id.to_string()});
    let push = json!({"op": "push", "app": "chess", "to": to, "text": "hi", "receipt": "written"});
    until("its silence to be over", || {
        stays.link().command(json!({"op": "count", "app": "chess"}))["partial"] != true
    });
    assert_eq!(stays.link().command(push)["written"], 1);
    assert_eq!(next.recv_text(), "hi");
}

/// Whether somebody who comes with this query is banned there.
fn is_banned(server: &TestServer, query: &str) -> bool {
    server.try_player(&format!("/ws?{query}")).is_err_and(|refusal| refusal.status() == 403)
}

#[test]
fn a_node_that_comes_later_knows_who_is_banned_and_who_is_in_sticky_groups() {
    let (redis, prefix) = (Redis::start(), prefix());
    let start = |name: &str| {
        TestServer::start(|config| {
            join(config, &[&redis], &prefix, name);
            let lasting = AppConfig { sticky_ms: 3_600_000, ..AppConfig::default() };
            config.apps.insert("default".into(), lasting);
        })
    };
    let mut nodes = Nodes { servers: vec![start("a"), start("b")] };
    nodes.until_whole();
    let mut link = nodes.servers[0].link();
    for user in ["ada", "bob"] {
        link.command(json!({"op": "ban", "user": user, "reason": "cheating"}));
    }
    link.command(json!({"op": "ban", "address": "127.9.0.0/16", "for_ms": 3_600_000}));
    link.command(json!({"op": "unban", "user": "bob"}));
    link.command(json!({"op": "join", "group": ["red", "blue"], "user": "eve", "sticky": true}));
    nodes.servers.push(start("c"));
    nodes.until_whole();
    let late = &nodes.servers[2];
    until("the bans to be known", || {
        late.link().command(json!({"op": "bans", "scope": "node"}))["count"] == 2
    });
    assert!(is_banned(late, "user=ada") && !is_banned(late, "user=bob"));
    let mut eve = late.player("user=eve");
    until("the groups to be known", || {
        let described = late.link().command(json!({"op": "session", "session": eve.id.to_string()}));
        if described["groups"] != json!(["blue", "red"]) {
            eve = late.player("user=eve");
        }
        described["groups"] == json!(["blue", "red"])
    });
}

#[test]
fn what_was_banned_and_taken_back_while_redis_was_away_is_known_to_all_when_it_is_back() {
    let mut redis = Redis::start();
    let nodes = Nodes::start(3, &[&redis]);
    let mut bob = nodes.servers[1].player("user=bob");
    nodes.servers[0].link().command(json!({"op": "ban", "user": "ada"}));
    nodes.servers.iter().for_each(|server| until("the ban", || is_banned(server, "user=ada")));
    redis.kill();
    for server in &nodes.servers {
        until("Redis to be missed", || !is_ready(server));
    }
    // What other nodes would have said is missing.
    let _ = nodes.servers[0].link().try_command(json!({"op": "ban", "user": "bob", "reason": "cheating"}));
    let _ = nodes.servers[2].link().try_command(json!({"op": "unban", "user": "ada"}));
    assert!(!is_banned(&nodes.servers[1], "user=bob") && is_banned(&nodes.servers[1], "user=ada"));
    redis.begin();
    nodes.until_whole();
    assert_eq!(bob.recv_end(), End::Closed(4001, "cheating".into()));
    for server in &nodes.servers {
        until("what was said meanwhile", || is_banned(server, "user=bob") && !is_banned(server, "user=ada"));
    }
    assert_eq!(status(&nodes.servers[0])["nodes"].as_array().unwrap().len(), 3);
}

#[test]
fn a_signed_query_that_was_taken_on_one_node_is_taken_on_no_other() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| {
        config.apps.insert("default".into(), app(&[ROTATED]));
        config.apps.insert("chess".into(), app(&[CHESS]));
    });
    let received = |server: &TestServer| server.backend().scrape().sum("gannet_bus_received_total", &[]);
    for turn in 0..6 {
        let (here, there) = (&nodes.servers[turn % 2], &nodes.servers[(turn + 1) % 2]);
        let target = format!("/ws?{}", signed_query("chess", "ada", now(), &format!("n{turn}"), CHESS));
        let before = received(there);
        assert_eq!(ask(here.client, &target, "").status, 101);
        until("the other node to hear of it", || received(there) > before);
        assert_eq!(ask(there.client, &target, "").status, 401);
    }
    assert_eq!(nodes.servers[0].backend().stats()["auth_failures"]["replayed"], 3);
}
