//! Targets that several selectors have in common, who is excepted, and messages that are JSON.

use super::{Desk, NOBODY};
use crate::support::{Player, TestServer};
use serde_json::{Value, json};

/// Four players on several reactors.
fn players(server: &TestServer) -> [Player; 4] {
    [
        server.player("user=ada&group=red&tag=ios"),
        server.player("user=ada&group=red&tag=web"),
        server.player("user=bob&group=red&group=blue&tag=ios"),
        server.player("user=eve&group=blue&tag=ios"),
    ]
}

/// Pushes to a target, and to everybody after it: who has got the first.
fn reached(desk: &mut Desk, players: &mut [Player], to: &Value, except: &Value) -> Vec<usize> {
    let receipt = desk.run(json!({"op": "push", "to": to, "except": except, "text": "one"}));
    desk.run(json!({"op": "push", "to": {"all": true}, "text": "all"}));
    let reached = |player: &mut Player| match player.recv_text().as_str() {
        "one" => {
            assert_eq!(player.recv_text(), "all");
            true
        }
        _ => false,
    };
    let reached: Vec<usize> = players
        .iter_mut()
        .enumerate()
        .filter_map(|(index, player)| reached(player).then_some(index))
        .collect();
    assert_eq!(receipt["matched"], reached.len(), "{to} {receipt}");
    reached
}

#[test]
fn a_push_goes_to_what_selectors_have_in_common_and_not_to_the_excepted() {
    let server = TestServer::start(|_| ());
    let mut players = players(&server);
    let ids = players.each_ref().map(|player| player.id.to_string());
    for mut desk in Desk::all(&server) {
        let mut to = |to: Value, except: Value, expected: &[usize]| {
            assert_eq!(reached(&mut desk, &mut players, &to, &except), expected, "{to} but {except}");
        };
        to(json!({"all_of": {"group": "red", "tag": "ios"}}), json!(null), &[0, 2]);
        to(json!({"all_of": {"group": ["red", "blue"]}}), json!(null), &[2]);
        to(json!({"all_of": {"user": "ada", "tag": "web"}, "user": "eve"}), json!(null), &[1, 3]);
        to(
            json!({"all_of": [{"user": "ada", "tag": "web"}, {"user": "bob", "tag": "ios"}]}),
            json!(null),
            &[1, 2],
        );
        to(json!({"all_of": {"session": ids[0], "group": "red"}}), json!(null), &[0]);
        to(json!({"all_of": {"session": ids[0], "group": "blue"}}), json!(null), &[]);
        to(json!({"all_of": {"user": ["ada", "bob"]}}), json!(null), &[]);
        to(json!({"all_of": {"group": "red", "tag": "nothing"}}), json!(null), &[]);
        to(json!({"all": true}), json!(ids[1]), &[0, 2, 3]);
        to(json!({"all": true}), json!({"session": [ids[0], ids[1], NOBODY]}), &[2, 3]);
        to(json!({"group": "red"}), json!({"user": "ada"}), &[2]);
        to(json!({"user": "ada"}), json!({"tag": ["web"], "group": "blue"}), &[0]);
        to(json!({"all_of": {"group": "red", "tag": "ios"}}), json!({"user": "bob"}), &[0]);
        to(json!({"group": ["red", "blue"]}), json!({"group": "red", "user": "eve"}), &[]);
        let many: Vec<String> = (0..1_025).map(|number| format!("n{number}")).collect();
        for bad in [
            json!({"to": {"all_of": {}}}),
            json!({"to": {"all_of": {"group": many}}}),
            json!({"to": {"all": true}, "except": {"user": many}}),
            json!({"to": {"all": true}, "except": {"user": ""}}),
        ] {
            let mut command = json!({"op": "push", "text": "bad"});
            command.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
            assert_eq!(desk.run(command), json!({"error": "bad_request"}));
        }
    }
}

#[test]
fn over_http_they_are_repeated_parameters() {
    let server = TestServer::start(|_| ());
    let mut players = players(&server);
    let ids = players.each_ref().map(|player| player.id.to_string());
    let mut backend = server.backend();
    for (query, expected) in [
        ("all_of=group:red&all_of=tag:ios".to_owned(), vec![0, 2]),
        (format!("all_of=session:{}&all_of=tag:ios&user=eve", ids[2]), vec![2, 3]),
        (format!("all=1&except={}&except={}", ids[0], ids[3]), vec![1, 2]),
        (format!("all=1&except=user:ada&except=session:{}", ids[3]), vec![2]),
        (format!("group=red&except=tag:web&except={}", ids[0]), vec![2]),
        ("tag=ios&except=group:red".to_owned(), vec![3]),
    ] {
        assert_eq!(backend.push_text(&query, "one").matched as usize, expected.len(), "{query}");
        backend.push_text("all=1", "all");
        for (index, player) in players.iter_mut().enumerate() {
            let first = player.recv_text();
            assert_eq!(first == "one", expected.contains(&index), "{query}: {index}");
            if first == "one" {
                assert_eq!(player.recv_text(), "all");
            }
        }
    }
    for bad in ["all_of=red", "all_of=all:1", "all=1&except=team:red", "all=1&except=user:"] {
        assert_eq!(backend.request("POST", &format!("/v1/push?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn json_is_sent_as_it_stands() {
    let server = TestServer::start(|_| ());
    let mut player = server.player("");
    let mut link = server.link();
    let raw = r#"{ "b":1.50,"a":["é",null, 1e2] }"#;
    link.send_raw(tungstenite::Message::text(format!(
        r#"{{"id":1,"op":"push","to":{{"all":true}},"json":{raw}}}"#
    )));
    assert_eq!(player.recv_text(), raw);
    assert!(link.receive().1.is_ok());
    for mut desk in Desk::all(&server) {
        for value in [json!(17), json!("text"), json!([1, [2]]), json!(false), json!({"a": {"b": "\u{1e}"}})]
        {
            let receipt = desk.run(json!({"op": "push", "to": {"all": true}, "json": value}));
            assert_eq!(receipt["queued"], 1);
            assert_eq!(player.recv_text(), value.to_string());
        }
    }
    for bad in [
        json!({"op": "push", "to": {"all": true}, "json": {}, "text": ""}),
        json!({"op": "push", "to": {"all": true}, "json": null}),
    ] {
        assert_eq!(link.try_command(bad).unwrap_err()["code"], "bad_request");
    }
}
