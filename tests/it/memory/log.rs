//! The log of a group: pages, epochs, and what is forgotten.

use super::{latest, log, remembering};
use crate::support::*;
use gannet::config::{GroupConfig, LogConfig};
use serde_json::{Value, json};
use tungstenite::Message;

const LOG: &str = "/v1/groups/chat%2F1/log";

fn texts(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn pages_say_whether_anything_behind_the_number_is_gone() {
    let server = remembering(vec![log("chat/", 5)]);
    let mut backend = server.backend();
    let nothing = json!({"epoch": null, "offset": 0, "messages": [], "complete": true});
    assert_eq!(backend.ok("GET", LOG), nothing);
    assert_eq!(backend.ok("GET", &format!("{LOG}?after=3"))["complete"], false);
    for number in 1..=8 {
        assert_eq!(backend.push_text("group=chat%2F1", &number.to_string()).offset, Some(number));
    }
    let page = backend.ok("GET", LOG);
    assert_eq!((texts(&page), &page["offset"]), (vec!["4", "5", "6", "7", "8"], &json!(8)));
    assert_eq!(page["complete"], false, "the first three are gone");
    let epoch = page["epoch"].as_str().unwrap();
    for (query, expected, complete) in [
        ("after=3", vec!["4", "5", "6", "7", "8"], true),
        ("after=2", vec!["4", "5", "6", "7", "8"], false),
        ("after=6", vec!["7", "8"], true),
        ("after=8", vec![], true),
        ("after=9", vec!["4", "5", "6", "7", "8"], false),
        ("after=3&limit=2", vec!["4", "5"], true),
        (&format!("after=7&epoch={epoch}"), vec!["8"], true),
        ("after=7&epoch=0000000000000000", vec!["4", "5", "6", "7", "8"], false),
    ] {
        let page = backend.ok("GET", &format!("{LOG}?{query}"));
        assert_eq!((texts(&page), &page["complete"]), (expected, &json!(complete)), "{query}");
    }
    // Bytes and keys are as they were pushed, on each way.
    backend.push("group=chat%2F1&key=score", &Message::binary(vec![0, 1, 2]));
    let expected = json!([{"offset": 9, "key": "score", "data": "AAEC"}]);
    assert_eq!(backend.ok("GET", &format!("{LOG}?after=8"))["messages"], expected);
    for mut link in [server.link(), server.binary_link()] {
        let page = link.command(json!({"op": "read_log", "group": "chat/1", "after": 8}));
        assert_eq!((&page["messages"], &page["epoch"]), (&expected, &json!(epoch)));
        let page = link
            .command(json!({"op": "read_log", "group": "chat/1", "after": 2, "epoch": epoch, "limit": 1}));
        assert_eq!((&page["complete"], texts(&page)), (&json!(false), vec!["5"]));
    }
}

#[test]
fn what_is_forgotten_is_gone_and_all_of_it_is_another_epoch() {
    let both = GroupConfig { latest: true, ..log("match/", 5) };
    let server = remembering(vec![both]);
    let mut backend = server.backend();
    let push = |backend: &mut Backend, key: &str, text: &str| {
        let receipt = backend.push_text(&format!("group=match%2F1&key={key}"), text);
        (receipt.offset.unwrap(), receipt.epoch.unwrap())
    };
    let (_, epoch) = push(&mut backend, "a", "a1");
    assert_eq!(push(&mut backend, "b", "b1"), (2, epoch.clone()));
    assert_eq!(push(&mut backend, "a", "a2"), (3, epoch.clone()));
    let latest = backend.ok("GET", "/v1/groups/match%2F1/latest");
    assert_eq!((texts(&latest), &latest["offset"]), (vec!["b1", "a2"], &json!(3)));
    for mut link in [server.link(), server.binary_link()] {
        assert_eq!(link.command(json!({"op": "latest", "group": "match/1"})), latest);
    }
    assert_eq!(backend.ok("POST", "/v1/groups/match%2F1/forget?key=b"), json!({"forgotten": 1}));
    assert_eq!(backend.ok("POST", "/v1/groups/match%2F1/forget?key=b"), json!({"forgotten": 0}));
    let mut early = server.player("group=match/1");
    assert_eq!(early.recv_text(), "a2");
    let mut link = server.binary_link();
    assert_eq!(link.command(json!({"op": "forget", "group": "match/1"})), json!({"forgotten": 4}));
    let (offset, second) = push(&mut backend, "c", "c1");
    assert_eq!(offset, 1);
    assert_ne!(second, epoch);
    let page = backend.ok("GET", &format!("/v1/groups/match%2F1/log?after=3&epoch={epoch}"));
    assert_eq!((texts(&page), &page["complete"]), (vec!["c1"], &json!(false)));
    // Who joins with a number of the old epoch is told so.
    let mut late = server.player("user=late");
    let target = format!("/v1/groups/match%2F1/members?user=late&after=3&epoch={epoch}");
    let joined = backend.ok("POST", &target);
    assert_eq!(joined, json!({"sessions": 1, "epoch": second, "offset": 1, "complete": false}));
    assert_eq!(backend.ok("POST", &target), json!({"sessions": 0}), "it is in the group");
    assert_eq!((late.recv_text(), early.recv_text()), ("c1".to_owned(), "c1".to_owned()));
    // A group that is destroyed forgets too.
    assert_eq!(backend.change("DELETE", "/v1/groups/match%2F1"), 2);
    assert_eq!(backend.ok("GET", "/v1/groups/match%2F1/log")["epoch"], Value::Null);
    let lost = backend.scrape().sum("gannet_memory_lost_total", &["reason=\"forgotten\""]);
    assert_eq!(lost, 1 + 4 + 2);
}

#[test]
fn what_a_group_does_not_keep_is_refused() {
    let server = remembering(vec![log("chat/", 5), latest("match/")]);
    let mut backend = server.backend();
    let ada = server.player("user=ada");
    for (method, target, says) in [
        ("GET", "/v1/groups/match%2F1/log", "keeps no log"),
        ("GET", "/v1/groups/chat%2F1/latest", "newest push of each key"),
        ("GET", "/v1/groups/other/log", "keeps no log"),
        ("POST", "/v1/groups/other/forget", "remembers nothing"),
        ("POST", "/v1/groups/match%2F1/members?user=ada&last=5", "keeps no log"),
        ("POST", "/v1/groups/other/members?user=ada&after=5", "keeps no log"),
    ] {
        let refused = backend.request(method, target);
        assert_eq!(refused.status, 400, "{target}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says) && message.contains("[[apps.NAME.groups]]"), "{target}: {message}");
    }
    let session = backend.ok("GET", &format!("/v1/sessions/{}", ada.id));
    assert_eq!(session["groups"], json!([]), "who is refused joins nothing");
}

#[test]
fn all_sessions_of_a_user_get_a_part_of_the_log() {
    let server = remembering(vec![log("chat/", 50)]);
    let mut backend = server.backend();
    for number in 1..=30 {
        backend.push_text("group=chat%2F1", &number.to_string());
    }
    let mut players: Vec<Player> = (0..8).map(|_| server.player("user=ada")).collect();
    let joined = backend.ok("POST", "/v1/groups/chat%2F1/members?user=ada&last=3");
    assert_eq!((&joined["sessions"], &joined["offset"]), (&json!(8), &json!(30)));
    for player in &mut players {
        assert_eq!([player.recv_text(), player.recv_text(), player.recv_text()], ["28", "29", "30"]);
    }
    let plain = backend.ok("POST", "/v1/groups/chat%2F2/members?user=ada");
    assert_eq!(plain, json!({"sessions": 8}));
}

#[test]
fn what_is_too_old_is_not_shown_and_gives_its_memory_back() {
    let short = GroupConfig {
        log: Some(LogConfig { ttl_ms: 300, ..LogConfig::default() }),
        ..GroupConfig::new("chat/")
    };
    let server = remembering(vec![short]);
    let mut backend = server.backend();
    let first = backend.push_text("group=chat%2F1", "old");
    let page = backend.ok("GET", LOG);
    assert_eq!(page["epoch"].as_str(), first.epoch.as_deref());
    // Nobody asks for the group while its memory comes back.
    server.await_stats("the memory is empty", |totals| {
        totals["memory_messages"] == 0 && totals["memory_bytes"] == 0 && totals["memory_groups"] == 0
    });
    assert_eq!(backend.ok("GET", LOG)["epoch"], Value::Null);
    assert_eq!(backend.scrape().sum("gannet_memory_lost_total", &["reason=\"expired\""]), 1);
    // While it has a member its numbers go on.
    let mut member = server.player("group=chat/1");
    let second = backend.push_text("group=chat%2F1", "2");
    server.await_stats("the memory is empty", |totals| totals["memory_messages"] == 0);
    let third = backend.push_text("group=chat%2F1", "3");
    assert_ne!(first.epoch, second.epoch);
    assert_eq!((second.epoch, third.offset), (third.epoch, Some(2)));
    assert_eq!([member.recv_text(), member.recv_text()], ["2", "3"]);
    let page = backend.ok("GET", &format!("{LOG}?after=0"));
    assert_eq!((texts(&page), &page["complete"]), (vec!["3"], &json!(false)));
}
