//! A cluster that cannot be joined, and messages that are none.

use super::nodes::{Nodes, is_ready, prefix, status};
use crate::support::{ClosedPort, Redis, ServerProcess, until};
use serde_json::Value;

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
