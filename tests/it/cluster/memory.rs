//! What groups remember where several nodes do it together: one order for everybody, on all nodes, kept in Redis.

use super::nodes::{Nodes, join, prefix};
use super::redis_cluster::RedisCluster;
use crate::memory::{latest, log, with};
use crate::support::{DEADLINE, Player, Pool, Ports, Redis, ServerProcess, TestServer, heavy, until};
use gannet::config::GroupConfig;
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::session::Name;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Pushes of each publisher.
const EACH: usize = 100;
const GROUP: &str = "chat/1";

/// So many nodes, whose groups remember by `groups`.
fn remembering(count: u8, redis: &[&Redis], groups: &[GroupConfig]) -> Nodes {
    Nodes::start_with(count, redis, |config| with(groups.to_vec())(config))
}

/// The texts of the whole log, with their numbers, as a node reads it.
fn whole_log(server: &Ports) -> Vec<(u64, String)> {
    let page = server.backend().ok("GET", "/v1/groups/chat%2F1/log?limit=1000");
    assert_eq!(page["complete"], true, "{page}");
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| (message["offset"].as_u64().unwrap(), message["text"].as_str().unwrap().to_owned()))
        .collect()
}

fn push_by_http(server: &TestServer, number: usize) -> Vec<u64> {
    let mut backend = server.backend();
    let push = |count| backend.push_text("group=chat%2F1&receipt=written", &format!("{number} {count}"));
    let receipts = (0..EACH).map(push).inspect(|receipt| {
        assert_eq!((receipt.matched, receipt.written), (12, Some(12)), "each session of each node once");
    });
    receipts.map(|receipt| receipt.offset.unwrap()).collect()
}

fn push_by_link(server: &TestServer, number: usize) -> Vec<u64> {
    let mut link = if number.is_multiple_of(2) { server.link() } else { server.binary_link() };
    let ids: Vec<u64> = (0..EACH)
        .map(|count| {
            let text = format!("{number} {count}");
            link.send(json!({"op": "push", "to": {"group": GROUP}, "text": text}))
        })
        .collect();
    let mut places: HashMap<u64, u64> = HashMap::new();
    for _ in &ids {
        let (id, reply) = link.receive();
        let reply = reply.unwrap();
        assert_eq!(reply["matched"], 12, "{reply}");
        places.insert(id, reply["offset"].as_u64().unwrap());
    }
    ids.iter().map(|id| places[id]).collect()
}

fn push_by_library(server: &TestServer, number: usize) -> Vec<u64> {
    let target = Target::from(Selector::Group(Name::new(GROUP).unwrap()));
    let push = |count| {
        let (frame, options) = (EncodedFrame::text(&format!("{number} {count}")), PushOptions::default());
        let receipt = server.pusher().push_and_wait("default", target.clone(), frame, options, DEADLINE);
        receipt.unwrap().offset.unwrap()
    };
    (0..EACH).map(push).collect()
}

/// Everybody everywhere sees one order, which is that of the log, as every node reads it; and receipts say where in it a push is.
fn there_is_one_order(redis: &[&Redis], max_channels: usize) {
    let nodes = Nodes::start_with(3, redis, |config| {
        with(vec![log("chat/", 1_000)])(config);
        config.cluster.max_channels = max_channels;
    });
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    for server in &nodes.servers {
        for _ in 0..4 {
            pool.add(server.player("group=chat/1"));
        }
    }
    let [a, b, c] = &nodes.servers[..] else { panic!("three nodes") };
    let places: Vec<Vec<u64>> = thread::scope(|scope| {
        let threads = [
            scope.spawn(|| push_by_http(a, 0)),
            scope.spawn(|| push_by_http(b, 1)),
            scope.spawn(|| push_by_link(b, 2)),
            scope.spawn(|| push_by_link(c, 3)),
            scope.spawn(|| push_by_library(c, 4)),
            scope.spawn(|| push_by_library(a, 5)),
        ];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let all = whole_log(a);
    assert!(all.iter().map(|(offset, _)| *offset).eq(1..=6 * EACH as u64));
    for (number, offsets) in places.iter().enumerate() {
        assert!(offsets.is_sorted(), "those of one publisher stay in their order");
        for (count, offset) in offsets.iter().enumerate() {
            assert_eq!(all[*offset as usize - 1].1, format!("{number} {count}"));
        }
    }
    assert_eq!((whole_log(b), whole_log(c)), (all.clone(), all.clone()));
    pool.wait("every message", |logs| logs.iter().all(|log| log.messages.len() >= all.len()));
    for log in pool.finish() {
        assert!(log.messages.iter().eq(all.iter().map(|(_, text)| text)), "{} sees another order", log.id);
    }
}

#[test]
fn all_members_on_all_nodes_see_one_order_which_is_that_of_the_log() {
    there_is_one_order(&[&Redis::start()], 10_000);
}

#[test]
fn so_they_do_with_several_redis_and_hashed_channels() {
    let redis: Vec<Redis> = (0..2).map(|_| Redis::start()).collect();
    there_is_one_order(&redis.iter().collect::<Vec<_>>(), 2);
}

#[test]
fn so_they_do_on_a_redis_cluster() {
    there_is_one_order(&RedisCluster::start(3).all(), 10_000);
}

/// Publishes numbers to the group until it is over, each publisher its own, perhaps with a key of its own.
fn publish_numbers(server: &TestServer, publisher: usize, has_key: bool, over: &AtomicBool) {
    let mut link = server.link();
    for number in 1_u64.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let text = format!("{publisher} {number}");
        let mut push = json!({"op": "push", "to": {"group": GROUP}, "text": text});
        if has_key {
            push["key"] = json!(format!("k{publisher}"));
        }
        link.command(push);
    }
}

fn parts(text: &str) -> (usize, u64) {
    let (publisher, number) = text.split_once(' ').unwrap();
    (publisher.parse().unwrap(), number.parse().unwrap())
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_joins_on_any_node_gets_one_snapshot_and_then_only_newer_values() {
    let _heavy = heavy();
    let redis = Redis::start();
    let nodes = remembering(3, &[&redis], &[latest("chat/")]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&over);
        for (publisher, server) in nodes.servers.iter().enumerate() {
            let over = &over;
            scope.spawn(move || publish_numbers(server, publisher, true, over));
        }
        for turn in 0..60 {
            let mut player = nodes.servers[turn % 3].player("group=chat/1");
            let mut newest: HashMap<usize, u64> = HashMap::new();
            // Live ones of all publishers have come behind the snapshot.
            while newest.len() < 3 || newest.values().sum::<u64>() < 30 {
                let (publisher, number) = parts(&player.recv_text());
                let before = newest.insert(publisher, number);
                assert!(
                    before.is_none_or(|before| number > before),
                    "{publisher}: {number} behind {before:?}"
                );
            }
            player.close(1000, "");
        }
    });
}

#[test]
fn a_part_of_the_log_and_what_comes_live_have_no_gap_and_nothing_twice() {
    let _heavy = heavy();
    let redis = Redis::start();
    let nodes = remembering(3, &[&redis], &[log("chat/", 300)]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&over);
        let over = &over;
        let [a, b, c] = &nodes.servers[..] else { panic!("three nodes") };
        scope.spawn(move || publish_numbers(a, 0, false, over));
        let mut backend = b.backend();
        let offset_of = |page: &Value| page["offset"].as_u64().unwrap();
        until("the log is long", || offset_of(&backend.ok("GET", "/v1/groups/chat%2F1/log")) > 60);
        for turn in 0..30 {
            let mut player = c.player("");
            let head = backend.ok("GET", "/v1/groups/chat%2F1/log?limit=1");
            let (head, epoch) = (offset_of(&head), head["epoch"].as_str().unwrap().to_owned());
            let what =
                if turn % 2 == 0 { "last=20".into() } else { format!("after={}&epoch={epoch}", head - 50) };
            // Asked of a node that has neither the session nor the publisher.
            let joined =
                backend.ok("POST", &format!("/v1/groups/chat%2F1/members?session={}&{what}", player.id));
            assert_eq!((&joined["sessions"], &joined["complete"]), (&json!(1), &json!(true)), "{joined}");
            let (_, first) = parts(&player.recv_text());
            match turn % 2 {
                0 => assert!(first <= offset_of(&joined) - 19, "{first}: {joined}"),
                _ => assert_eq!(first, head - 49),
            }
            for expected in first + 1..first + 100 {
                assert_eq!(parts(&player.recv_text()).1, expected);
            }
            player.close(1000, "");
        }
    });
}

#[test]
fn a_group_among_other_names_counts_each_session_once() {
    let redis = Redis::start();
    let nodes = remembering(3, &[&redis], &[log("chat/", 10)]);
    let mut players: Vec<Player> = nodes
        .servers
        .iter()
        .enumerate()
        .flat_map(|(index, server)| {
            let both = server.player(&format!("user=both-{index}&group=chat/1&group=plain"));
            let member = server.player("group=chat/1");
            [both, member, server.player(&format!("user=plain-{index}&group=plain"))]
        })
        .collect();
    let users = "user=both-0&user=both-1&user=both-2&user=plain-2&user=nobody";
    for (number, server) in nodes.servers.iter().enumerate() {
        let mut backend = server.backend();
        let receipt =
            backend.push_text(&format!("group=plain&{users}&group=chat%2F1&receipt=written"), "all");
        assert_eq!((receipt.matched, receipt.written, receipt.offline), (9, Some(9), 1), "{receipt:?}");
        assert_eq!((receipt.offset, receipt.adds_up()), (Some(3 * number as u64 + 1), true));
        let receipt = backend.push_text("all=true&group=chat%2F1", "all");
        assert_eq!((receipt.matched, receipt.offset), (9, Some(3 * number as u64 + 2)), "{receipt:?}");
        let except = players[0].id;
        let receipt = backend.push_text(&format!("group=chat%2F1&except={except}"), "some");
        assert_eq!((receipt.matched, receipt.offset), (5, Some(3 * number as u64 + 3)));
        let receipt = backend.push_text("group=chat%2F1&scope=node", "here");
        assert_eq!((receipt.matched, receipt.offset), (2, None), "what is for one node is not kept");
        for (index, player) in players.iter_mut().enumerate() {
            let mut expected = vec!["all", "all"];
            expected.extend((index % 3 < 2 && index > 0).then_some("some"));
            expected.extend((index % 3 < 2 && index / 3 == number).then_some("here"));
            expected.iter().for_each(|text| assert_eq!(player.recv_text(), *text, "player {index}"));
        }
    }
    assert_eq!(whole_log(&nodes.servers[2]).len(), 9);
    nodes.servers[1].backend().push_text("all=true", "last");
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "last", "nothing came twice"));
}

#[test]
fn what_is_forgotten_on_one_node_is_on_all() {
    let redis = Redis::start();
    let nodes = remembering(2, &[&redis], &[GroupConfig { latest: true, ..log("chat/", 10) }]);
    let (mut a, mut b) = (nodes.servers[0].backend(), nodes.servers[1].backend());
    let first = a.push_text("group=chat%2F1&key=k", "one");
    b.push_text("group=chat%2F1&key=l", "two");
    let keys = |page: Value| -> Vec<String> {
        page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kept| kept["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(b.ok("GET", "/v1/groups/chat%2F1/latest")), ["k", "l"]);
    assert_eq!(b.ok("POST", "/v1/groups/chat%2F1/forget?key=k")["forgotten"], 1);
    assert_eq!(keys(a.ok("GET", "/v1/groups/chat%2F1/latest")), ["l"]);
    assert_eq!(a.ok("POST", "/v1/groups/chat%2F1/forget")["forgotten"], 3, "two of the log, and a key");
    let page = b.ok("GET", "/v1/groups/chat%2F1/log");
    assert_eq!((&page["epoch"], &page["complete"]), (&Value::Null, &json!(true)));
    let anew = b.push_text("group=chat%2F1&key=k", "three");
    assert_eq!(anew.offset, Some(1));
    assert_ne!(anew.epoch, first.epoch);
    let mut player = nodes.servers[0].player("group=chat/1");
    assert_eq!(player.recv_text(), "three");
    b.ok("DELETE", "/v1/groups/chat%2F1");
    assert_eq!(keys(a.ok("GET", "/v1/groups/chat%2F1/latest")), Vec::<String>::new());
    // A session that is moved there sees what is kept.
    a.push_text("group=chat%2F1&key=k", "four");
    let mut mover = nodes.servers[1].player("group=lobby");
    assert_eq!(a.ok("POST", "/v1/groups/lobby/move?to=chat%2F1")["sessions"], 1);
    assert_eq!(mover.recv_text(), "four");
}

#[test]
fn what_groups_remember_outlives_a_node_and_all_nodes() {
    let redis = Redis::start();
    let prefix = prefix();
    let config = format!(
        "[cluster]\nredis = ['{}']\nprefix = '{prefix}'\n[[apps.default.groups]]\nprefix = 'chat/'\nlog = {{}}\n",
        redis.url()
    );
    let until_ready = |ports: &Ports| {
        until("its cluster", || ports.backend().ok("GET", "/v1/cluster")["ready"] == true);
    };
    let mut epoch = None;
    for turn in 0..3_u64 {
        let node = ServerProcess::start(&["--reactors", "2"], &config);
        until_ready(&node);
        let mut player = node.player("");
        let joined =
            node.backend().ok("POST", &format!("/v1/groups/chat%2F1/members?session={}&last=10", player.id));
        assert_eq!(joined["offset"], turn);
        (0..turn).for_each(|before| assert_eq!(player.recv_text(), before.to_string()));
        let receipt = node.backend().push_text("group=chat%2F1", &turn.to_string());
        assert_eq!(receipt.offset, Some(turn + 1));
        assert_eq!(*epoch.get_or_insert_with(|| receipt.epoch.clone()), receipt.epoch);
        assert_eq!(player.recv_text(), turn.to_string());
        node.signal(rustix::process::Signal::KILL);
    }
    let server = TestServer::start(|config| {
        join(config, &[&redis], &prefix, "last");
        with(vec![log("chat/", 200)])(config);
    });
    until_ready(&server);
    assert_eq!(whole_log(&server).len(), 3);
}

#[test]
fn without_redis_the_players_of_a_node_get_pushes_and_nothing_is_kept() {
    let mut redis = Redis::start();
    let nodes = remembering(2, &[&redis], &[log("chat/", 10)]);
    let [a, b] = &nodes.servers[..] else { panic!("two nodes") };
    let (mut near, mut far) = (a.player("group=chat/1"), b.player("group=chat/1"));
    assert_eq!(a.backend().push_text("group=chat%2F1", "before").offset, Some(1));
    redis.kill();
    until("the loss to be seen", || super::nodes::status(a)["ready"] == false);
    // Nobody knows whether the other node has got it.
    let mut link = a.link();
    let mut push = |text: &str| link.command(json!({"op": "push", "to": {"group": GROUP}, "text": text}));
    let receipt = push("meanwhile");
    assert_eq!(
        (&receipt["matched"], &receipt["offset"], &receipt["partial"]),
        (&json!(1), &Value::Null, &json!(true))
    );
    assert_eq!([near.recv_text(), near.recv_text()], ["before", "meanwhile"]);
    let refused = a.backend().request("GET", "/v1/groups/chat%2F1/log");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("overloaded")));
    // Who joins gets what comes.
    let mut late = a.player("group=chat/1");
    push("still");
    assert_eq!((late.recv_text(), near.recv_text()), ("still".into(), "still".into()));
    redis.begin();
    nodes.until_whole();
    // What waited is kept now, and reaches the other node alone.
    assert_eq!([far.recv_text(), far.recv_text(), far.recv_text()], ["before", "meanwhile", "still"]);
    let receipt = b.backend().push_text("group=chat%2F1", "after");
    assert_eq!((receipt.matched, receipt.offset), (3, Some(3)), "{receipt:?}");
    for player in [&mut near, &mut far, &mut late] {
        assert_eq!(player.recv_text(), "after");
    }
}

#[test]
fn a_redis_without_memory_carries_pushes_and_keeps_none() {
    let redis = Redis::start();
    let nodes = remembering(2, &[&redis], &[log("chat/", 10)]);
    let [a, b] = &nodes.servers[..] else { panic!("two nodes") };
    let mut far = b.player("group=chat/1");
    assert!(redis.ask("CONFIG SET maxmemory 1").starts_with("+OK"));
    let receipt = a.backend().push_text("group=chat%2F1&receipt=written", "carried");
    assert_eq!((receipt.written, receipt.offset), (Some(1), None), "{receipt:?}");
    assert_eq!(far.recv_text(), "carried");
    let lost = a.backend().scrape().sum("gannet_memory_lost_total", &["reason=\"redis\""]);
    assert_eq!(lost, 1);
    assert!(redis.ask("CONFIG SET maxmemory 0").starts_with("+OK"));
    assert_eq!(a.backend().push_text("group=chat%2F1", "kept").offset, Some(1));
}

#[test]
fn keys_stay_while_a_node_has_members_and_go_when_none_has() {
    let redis = Redis::start();
    let idle = GroupConfig { latest_idle_ms: 1_000, ..latest("chat/") };
    let nodes = remembering(2, &[&redis], &[idle]);
    let [a, b] = &nodes.servers[..] else { panic!("two nodes") };
    let member = b.player("group=chat/1");
    a.backend().push_text("group=chat%2F1&key=k", "kept");
    a.backend().push_text("group=chat%2F2&key=k", "not for long");
    let keys = |group: u8| {
        let page = a.backend().ok("GET", &format!("/v1/groups/chat%2F{group}/latest"));
        page["messages"].as_array().unwrap().len()
    };
    until("the group without members to be forgotten", || keys(2) == 0);
    // It has been renewed by then, and is several times more.
    for _ in 0..3 {
        a.backend().push_text("group=chat%2F2&key=k", "a clock");
        until("another time", || keys(2) == 0);
        assert_eq!(keys(1), 1);
    }
    member.close(1000, "");
    until("the other one to be forgotten", || keys(1) == 0);
}
