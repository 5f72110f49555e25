//! What is kept is bounded by group, app and server, and follows the configuration.

use super::{latest, log, remembering, with};
use crate::support::*;
use gannet::config::{GroupConfig, LogConfig};
use serde_json::{Value, json};

fn keys(backend: &mut Backend, group: &str) -> Vec<String> {
    let page = backend.ok("GET", &format!("/v1/groups/{group}/latest"));
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message["key"].as_str().unwrap().to_owned()).collect()
}

fn lost(backend: &mut Backend, reason: &str) -> u64 {
    backend.scrape().sum("gannet_memory_lost_total", &[&format!("reason=\"{reason}\"")])
}

#[test]
fn a_group_keeps_no_more_than_its_bounds() {
    let few = GroupConfig { latest_keys: 3, latest_bytes: 4_000, ..latest("match/") };
    let small = GroupConfig {
        log: Some(LogConfig { messages: 100, bytes: 2_000, ttl_ms: 60_000 }),
        ..GroupConfig::new("chat/")
    };
    let server = remembering(vec![few, small]);
    let mut backend = server.backend();
    for key in ["a", "b", "c", "a", "d"] {
        backend.push_text(&format!("group=match%2F1&key={key}"), key);
    }
    // b has not changed for the longest time.
    assert_eq!(keys(&mut backend, "match%2F1"), ["c", "a", "d"]);
    assert_eq!(lost(&mut backend, "keys"), 1);
    assert_eq!(backend.ok("GET", "/v1/groups/match%2F1/latest")["complete"], false);
    backend.push_text("group=match%2F1&key=e", &"x".repeat(2_000));
    assert_eq!(keys(&mut backend, "match%2F1"), ["a", "d", "e"]);
    // What is too large by itself is not kept, and neither is the value that it makes old.
    backend.push_text("group=match%2F1&key=a", &"x".repeat(5_000));
    assert!(!keys(&mut backend, "match%2F1").contains(&"a".to_owned()));
    // While it has a member its numbers go on, whatever is kept.
    let _member = server.player("group=chat/1");
    for number in 1..=20 {
        assert_eq!(backend.push_text("group=chat%2F1", &"x".repeat(100)).offset, Some(number));
    }
    let page = backend.ok("GET", "/v1/groups/chat%2F1/log?after=17");
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["complete"]), (3, &json!(true)));
    assert!(lost(&mut backend, "bytes") > 0);
    let receipt = backend.push_text("group=chat%2F1", &"x".repeat(3_000));
    assert_eq!(receipt.offset, Some(21));
    let page = backend.ok("GET", "/v1/groups/chat%2F1/log?after=20");
    assert_eq!(
        (&page["messages"], &page["complete"], &page["offset"]),
        (&json!([]), &json!(false), &json!(21))
    );
    assert_eq!(backend.push_text("group=chat%2F1", "fits").offset, Some(22));
    assert_eq!(backend.ok("GET", "/v1/groups/chat%2F1/log?after=21")["complete"], true);
}

#[test]
fn all_groups_together_keep_no_more_than_the_app_and_the_server_may() {
    for (of_app, reason) in [(true, "app"), (false, "server")] {
        let server = TestServer::start(|config| {
            with(vec![log("chat/", 100)])(config);
            match of_app {
                true => config.apps.get_mut("default").unwrap().group_memory_bytes = 5_000,
                false => config.limits.group_memory_bytes = 5_000,
            }
        });
        let mut backend = server.backend();
        for group in 0..4 {
            for _ in 0..4 {
                backend.push_text(&format!("group=chat%2F{group}"), &"x".repeat(100));
            }
        }
        let totals = backend.stats();
        let bytes = totals["memory_bytes"].as_u64().unwrap();
        assert!((4_000..=5_000).contains(&bytes), "{totals:#}");
        let kept = totals["memory_messages"].as_u64().unwrap();
        assert_eq!(lost(&mut backend, reason), 16 - kept);
        // The first group has what it has; the last one keeps nothing, and is not there for ever.
        assert_eq!(backend.ok("GET", "/v1/groups/chat%2F0/log")["messages"].as_array().unwrap().len(), 4);
        assert_eq!(backend.ok("GET", "/v1/groups/chat%2F3/log")["epoch"], Value::Null);
        backend.ok("POST", "/v1/groups/chat%2F0/forget");
        backend.push_text("group=chat%2F3", "x");
        assert_eq!(backend.ok("GET", "/v1/groups/chat%2F3/log")["messages"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn keys_of_a_group_that_nobody_needs_are_forgotten() {
    let short = GroupConfig { latest_idle_ms: 200, ..latest("match/") };
    let server = remembering(vec![short]);
    let mut backend = server.backend();
    let member = server.player("group=match/kept");
    for group in ["kept", "idle"] {
        backend.push_text(&format!("group=match%2F{group}&key=a"), "x");
    }
    server.await_stats("the idle one has gone", |totals| totals["memory_groups"] == 1);
    assert_eq!(keys(&mut backend, "match%2Fkept"), ["a"]);
    assert_eq!(lost(&mut backend, "idle"), 1);
    drop(member);
    server.await_stats("the other one too", |totals| totals["memory_groups"] == 0);
}

#[test]
fn a_reload_forgets_what_the_new_rules_do_not_allow() {
    let server = remembering(vec![log("chat/", 50), latest("match/")]);
    let mut backend = server.backend();
    for number in 1..=20 {
        backend.push_text("group=chat%2F1", &number.to_string());
        backend.push_text(&format!("group=match%2F1&key={number}"), "x");
    }
    server.reload(|config| with(vec![log("chat/", 5), log("match/", 5)])(config));
    server.await_stats("it is forgotten", |totals| totals["memory_messages"] == 5);
    let page = backend.ok("GET", "/v1/groups/chat%2F1/log?after=15");
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["complete"]), (5, &json!(true)));
    assert_eq!(lost(&mut backend, "rules"), 15 + 20);
    assert_eq!(backend.push_text("group=chat%2F1", "on").offset, Some(21));
    server.reload(|config| with(Vec::new())(config));
    server.await_stats("everything is", |totals| totals["memory_groups"] == 0);
    assert_eq!(backend.push_text("group=chat%2F1", "plain").offset, None);
    server.reload(|config| with(vec![log("chat/", 5)])(config));
    assert_eq!(backend.push_text("group=chat%2F1", "anew").offset, Some(1));
}
