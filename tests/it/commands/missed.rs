//! Receipts that name who missed a push.

use super::{Desk, NOBODY};
use crate::support::{Player, TestServer, until};
use gannet::config::{Config, SlowPolicy};
use serde_json::{Value, json};
use socket2::SockRef;
use std::collections::BTreeSet;

/// A session that does not read has its queue full after a few of these.
const LONG: usize = 64 * 1024;

fn small_queues(config: &mut Config) {
    config.apps.entry("default".to_owned()).or_default().slow.normal = SlowPolicy::DropNewest;
    config.limits.max_push_bytes = 2 * LONG;
    config.limits.outbox_messages = 4;
    config.limits.outbox_bytes = 8 * LONG;
    config.limits.socket_unsent_bytes = 4 * 1024;
}

/// Who missed it and why, in any order.
fn missed(receipt: &Value) -> BTreeSet<(Option<String>, Option<String>, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entry =
        |missed: &Value| (text(&missed["session"]), text(&missed["user"]), text(&missed["why"]).unwrap());
    receipt["missed"].as_array().unwrap().iter().map(entry).collect()
}

fn entry(session: Option<&str>, user: Option<&str>, why: &str) -> (Option<String>, Option<String>, String) {
    (session.map(str::to_owned), user.map(str::to_owned), why.to_owned())
}

#[test]
fn who_is_not_there_is_named_up_to_the_bound() {
    let server = TestServer::start(|config| config.limits.receipt_names = 3);
    let _there = server.player("user=ada");
    for mut desk in Desk::all(&server) {
        let push = |to: Value| json!({"op": "push", "to": to, "text": "hi", "names": true});
        let receipt = desk.run(push(json!({"user": ["ada", "bob"], "session": NOBODY})));
        assert_eq!((&receipt["matched"], &receipt["offline"]), (&json!(1), &json!(2)));
        let expected = [entry(Some(NOBODY), None, "offline"), entry(None, Some("bob"), "offline")];
        assert_eq!(missed(&receipt), BTreeSet::from(expected));
        assert!(receipt.get("missed_more").is_none());
        let receipt = desk.run(push(json!({"user": ["a", "b", "c", "d", "e"]})));
        assert_eq!((missed(&receipt).len(), &receipt["missed_more"]), (3, &json!(2)));
        let receipt = desk.run(push(json!({"user": "ada"})));
        assert!(missed(&receipt).is_empty());
        let receipt = desk.run(json!({"op": "push", "to": {"user": "bob"}, "text": "hi"}));
        assert!(receipt.get("missed").is_none(), "it was not asked for: {receipt}");
    }
    let receipt = server.backend().push_text("user=bob&names=1", "hi");
    assert_eq!(receipt.missed.unwrap(), [json!({"session": null, "user": "bob", "why": "offline"})]);
}

#[test]
fn who_was_too_slow_or_gone_is_named_with_why() {
    let server = TestServer::start(small_queues);
    let readers: Vec<Player> =
        (0..4).map(|number| server.player(&format!("user=r{number}&group=g"))).collect();
    let stuck = server.player("user=stuck&group=g");
    let leaver = server.player("user=leaver&group=g");
    let (stuck_id, leaver_id) = (stuck.id.to_string(), leaver.id.to_string());
    let mut backend = server.backend();
    let text = "x".repeat(LONG);
    // Fills what the kernel takes and then the queues of the two that do not read.
    while backend.push_text("user=stuck&user=leaver", &text).dropped < 2 {}
    let mut link = server.link();
    let receipt = link.command(json!({"op": "push", "to": {"group": "g"}, "text": "hi", "names": true}));
    assert_eq!((&receipt["matched"], &receipt["dropped"]), (&json!(6), &json!(2)), "{receipt}");
    let dropped = |id: &str, user: &str| entry(Some(id), Some(user), "dropped");
    let expected = [dropped(&stuck_id, "stuck"), dropped(&leaver_id, "leaver")];
    assert_eq!(missed(&receipt), BTreeSet::from(expected));
    drop((readers, stuck, leaver));
}

#[test]
fn what_becomes_of_a_message_that_waits_is_in_a_written_receipt() {
    let server = TestServer::start(|config| {
        small_queues(config);
        config.limits.outbox_messages = 1_000;
        config.limits.outbox_bytes = 64 * LONG;
    });
    let mut reader = server.player("user=reader");
    let (late, gone) = (server.player("user=late"), server.player("user=gone"));
    // What has been taken once is all that will be.
    for player in [&late, &gone] {
        SockRef::from(player.stream()).set_recv_buffer_size(4 << 10).unwrap();
    }
    let (late_id, gone_id) = (late.id.to_string(), gone.id.to_string());
    let mut backend = server.backend();
    let text = "x".repeat(LONG);
    // Until the sockets take no more: a few wait behind the one that they have a part of.
    let waiting = |backend: &mut crate::support::Backend, id: &str| {
        backend.ok("GET", &format!("/v1/sessions/{id}"))["queued_messages"].as_u64().unwrap()
    };
    for (user, id) in [("late", &late_id), ("gone", &gone_id)] {
        while waiting(&mut backend, id) <= 4 {
            backend.push_text(&format!("user={user}"), &text);
        }
    }
    let mut link = server.binary_link();
    let push = |user: &str, ttl_ms: u64| {
        json!({"op": "push", "to": {"user": ["reader", user]}, "text": "hi", "ttl_ms": ttl_ms,
            "receipt": "written", "names": true})
    };
    let receipt = link.command(push("late", 50));
    assert_eq!((&receipt["written"], &receipt["expired"]), (&json!(1), &json!(1)), "{receipt}");
    assert_eq!(missed(&receipt), BTreeSet::from([entry(Some(&late_id), Some("late"), "expired")]));
    let before = waiting(&mut backend, &gone_id);
    let id = link.send(push("gone", 60_000));
    until("it waits", || waiting(&mut backend, &gone_id) > before);
    assert_eq!((reader.recv_text(), reader.recv_text()), ("hi".to_owned(), "hi".to_owned()));
    gone.reset();
    let (answered, receipt) = link.receive();
    let receipt = receipt.unwrap();
    assert_eq!((answered, &receipt["closed"]), (id, &json!(1)), "{receipt}");
    assert_eq!(missed(&receipt), BTreeSet::from([entry(Some(&gone_id), Some("gone"), "closed")]));
    drop(late);
}
