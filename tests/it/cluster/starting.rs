//! A cluster that cannot be joined, and messages that are none.

use super::nodes::{Nodes, is_ready, prefix, status};
use crate::support::{ClosedPort, Redis, ServerProcess, TestServer, until};
use serde_json::Value;
use std::time::Duration;

fn config(redis: &str, further: &str) -> String {
    format!(
        "reactors = 2\n[cluster]\nredis = ['{redis}']\nprefix = '{}'\nlease_ms = 500\nheartbeat_ms = 50\n{further}\n",
        prefix()
    )
}

fn why(server: &ServerProcess) -> String {
    let mut why = Value::Null;
    until("a reason", || {
        why = server.backend().ok("GET", "/v1/cluster")["redis"][0]["why"].clone();
        why.is_string()
    });
    why.as_str().unwrap().to_owned()
}

#[test]
fn what_is_wrong_is_said_and_by_required_the_server_refuses_or_serves_alone() {
    let (locked, nowhere) = (Redis::start_with(&["--requirepass", "sesame"]), ClosedPort::new());
    let wrong = format!("redis://:wrong@{}", locked.address());
    let none = format!("redis://{}", nowhere.address());
    for (url, says) in [(&wrong, "password"), (&none, "refused")] {
        let refused = ServerProcess::refuses_to_start(&config(url, "required = true"));
        assert!(
            refused.contains("cannot join the cluster") && refused.to_lowercase().contains(says),
            "{refused}"
        );
        assert!(!refused.contains("wrong@"), "{refused}");
        let alone = ServerProcess::start(&[], &config(url, ""));
        let mut player = alone.player("user=ada");
        alone.backend().push_text("user=ada", "hi");
        assert_eq!(player.recv_text(), "hi");
        let why = why(&alone);
        assert!(why.to_lowercase().contains(says), "{why}");
        assert_eq!(alone.backend().ok("GET", "/v1/cluster")["ready"], false);
        assert_eq!(alone.backend().request("GET", "/readyz").status, 200, "it may serve alone");
    }
    let right = format!("redis://:sesame@{}", locked.address());
    let joined = ServerProcess::start(&[], &config(&right, "required = true"));
    until("the cluster", || joined.backend().ok("GET", "/v1/cluster")["ready"] == true);
    assert_eq!(joined.backend().request("GET", "/readyz").status, 200);
    drop(locked);
    until("the end of it", || joined.backend().request("GET", "/readyz").status == 503);
}

#[test]
fn what_is_no_message_of_the_bus_is_dropped_and_counted() {
    let redis = Redis::start();
    let nodes = Nodes::start(2, &[&redis]);
    let channels = redis.ask("PUBSUB CHANNELS test-*:nodes");
    let channel = channels.lines().find(|line| line.ends_with(":nodes")).unwrap().to_owned();
    for message in
        ["x", "\"\\x01\\x07\"", "\"\\x02\\x01\\x00\\x00\"", "\"\\x01\\x05\\x00\\x00\\x00\\x00\\x00\\x00\""]
    {
        assert!(redis.ask(&format!("PUBLISH {channel} {message}")).starts_with(":2"), "{message}");
    }
    let lost = |reason: &str| {
        let mut backend = nodes.servers[0].backend();
        backend.scrape().sum("gannet_bus_lost_total", &[&format!("reason=\"{reason}\"")])
    };
    until("them to be counted", || lost("malformed") == 2 && lost("version") == 2);
    assert_eq!(status(&nodes.servers[0])["ready"], true);
}

/// A message of a node that is another version of the program: of this kind, with these flags.
fn message(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![1, kind, flags, 0];
    message.extend(3_000_u16.to_le_bytes());
    // Its Redis server, and an app without a name.
    message.extend([0, 0]);
    // Its incarnation, the number of the message, its clock, the number of a reply.
    [77_u64, 0, 5, 0].iter().for_each(|number| message.extend(number.to_le_bytes()));
    message.extend([0xff; 4]);
    [&message[..], body].concat()
}

/// What that node says of itself: with fields that this version does not know, and without those that came last.
fn heartbeat() -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::new());
    let mut write = || {
        encoder.map(13)?;
        encoder.u8(0)?.u16(3_000)?.u8(1)?.u64(77)?.u8(2)?.str("later")?.u8(4)?.str("9.8.7")?;
        for flag in [5, 7, 8, 9] {
            encoder.u8(flag)?.bool(flag > 7)?;
        }
        for number in [6, 10, 11] {
            encoder.u8(number)?.u64(0)?;
        }
        encoder
            .u16(900)?
            .str("a field of a later version")?
            .u16(901)?
            .array(2)?
            .u8(1)?
            .map(1)?
            .u8(2)?
            .null()?;
        Ok::<(), minicbor::encode::Error<std::convert::Infallible>>(())
    };
    write().unwrap();
    encoder.into_writer()
}

#[test]
fn a_node_of_a_later_version_is_known_and_what_it_says_that_is_not_understood_is_counted() {
    let redis = Redis::start();
    let nodes = Nodes::start_with(2, &[&redis], |config| config.cluster.lease = Duration::from_secs(60));
    let channels = redis.ask("PUBSUB CHANNELS test-*:nodes");
    let channel = channels.lines().find(|line| line.ends_with(":nodes")).unwrap().to_owned();
    let publish = |message: &[u8]| {
        let text: String = message.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        assert!(redis.ask(&format!("PUBLISH {channel} \"{text}\"")).starts_with(":2"), "{text}");
    };
    let version = |server: &TestServer| {
        let nodes = status(server)["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|node| node["name"] == "later").map(|node| node["version"].clone())
    };
    let lost = |server: &TestServer| {
        server.backend().scrape().sum("gannet_bus_lost_total", &["reason=\"malformed\""])
    };
    publish(&message(5, 0, &heartbeat()));
    for server in &nodes.servers {
        until("it to be known", || version(server) == Some("9.8.7".into()));
    }
    // A kind that there is not, one of that with a flag, and a kind that there is with a flag that there is not.
    [(200, 0), (255, 0x80), (5, 0x80)]
        .iter()
        .for_each(|(kind, flags)| publish(&message(*kind, *flags, b"?")));
    for server in &nodes.servers {
        until("them to be counted", || lost(server) == 3);
    }
    // It is heard on, and so are the others.
    let mut player = nodes.servers[1].player("user=ada");
    let receipt = nodes.servers[0].backend().push_text("user=ada&receipt=written", "hi");
    assert_eq!((receipt.written, player.recv_text()), (Some(1), "hi".to_owned()));
    publish(&message(5, 0, &heartbeat()));
    publish(&message(7, 0, b""));
    for server in &nodes.servers {
        until("it to be gone", || version(server).is_none());
        assert_eq!((lost(server), status(server)["ready"].clone()), (3, true.into()));
    }
}

#[test]
fn each_link_that_is_lost_is_counted_once_and_tries_to_make_it_anew_are_not() {
    let mut redis = Redis::start();
    let nodes = Nodes::start(1, &[&redis]);
    let lost = || nodes.servers[0].backend().scrape().sum("gannet_bus_reconnects_total", &[]);
    assert_eq!(lost(), 0);
    redis.kill();
    // Two reactors publish, and one of them hears.
    until("the loss of all links", || lost() == 3);
    until("a try that fails", || {
        status(&nodes.servers[0])["redis"][0]["why"].as_str().is_some_and(|why| why.contains("refused"))
    });
    redis.begin();
    until("a whole node", || is_ready(&nodes.servers[0]));
    assert_eq!(lost(), 3);
}
