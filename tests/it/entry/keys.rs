//! Keys of the backend port: what each may do, over HTTP, in a batch and on both links; and what the log says of it.

use super::support::{ALL, CHESS, PUSH, READ, ask, bearer, link_upgrade, request, with_keys};
use crate::raw::{BINARY, Raw, TEXT, masked};
use crate::support::ServerProcess;
use rustix::process::Signal;
use serde_json::{Value, json};

/// The status of a request with `key`, and the code of its error.
fn status(server: &ServerProcess, key: &str, line: &str, body: &str) -> (u16, Option<String>) {
    let answer = ask(server.backend, line, &bearer(key), body);
    (answer.status, (answer.status >= 400).then(|| answer.error()))
}

/// The same where it is let in or refused for its right.
fn may(server: &ServerProcess, key: &str, line: &str, body: &str) -> bool {
    match status(server, key, line, body) {
        (200 | 202, None) => true,
        (403, Some(code)) if code == "forbidden" => false,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_key_may_do_what_its_rights_say() {
    let server = with_keys();
    for (line, body, read, push) in [
        ("GET /v1/sessions", "", true, false),
        ("GET /v1/groups/g", "", true, false),
        ("GET /v1/stats", "", true, false),
        ("HEAD /metrics", "", true, false),
        ("GET /", "", true, true),
        ("POST /v1/push?all=1", "hi", false, true),
        ("POST /v1/groups/g/members?user=ada", "", false, false),
        ("DELETE /v1/groups/g", "", false, false),
        ("DELETE /v1/users/ada", "", false, false),
    ] {
        if !line.starts_with("HEAD") {
            assert_eq!(may(&server, READ, line, body), read, "read: {line}");
            assert_eq!(may(&server, PUSH, line, body), push, "push: {line}");
            assert!(may(&server, ALL, line, body), "all: {line}");
        }
    }
    let mut raw = Raw::connect(server.backend);
    raw.send(request("GET /v1/push?all=1", &bearer(READ), ""));
    assert_eq!(raw.answer().status, 405);
    raw.send(request("POST /v1/push?all=1", &bearer(READ), "hi"));
    let answer = raw.answer();
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!((answer.status, answer.error().as_str()), (403, "forbidden"));
    assert!(message.contains("\"push\""), "{message}");
    raw.send(request("GET /v1/sessions", &bearer(READ), ""));
    assert_eq!(raw.answer().status, 200, "the connection goes on");
}

#[test]
fn each_line_of_a_batch_and_each_command_of_a_link_is_looked_at() {
    let server = with_keys();
    let commands = [
        json!({ "id": 1, "op": "push", "to": { "all": true }, "text": "hi" }),
        json!({ "id": 2, "op": "kick", "user": "ada" }),
        json!({ "id": 3, "op": "session", "session": "00a0000000000001" }),
        json!({ "id": 4, "op": "listen", "events": ["open"] }),
    ];
    for (key, expected) in [(READ, [false, false, true]), (PUSH, [true, false, false]), (ALL, [true; 3])] {
        let lines: String = commands[..3].iter().map(|command| format!("{command}\n")).collect();
        let answer = ask(server.backend, "POST /v1/batch", &bearer(key), &lines);
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).unwrap();
        let replies: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(replies.iter().map(done).collect::<Vec<_>>(), expected, "{key}: {text}");

        let mut link = Raw::connect(server.backend);
        link.send(link_upgrade(&bearer(key)));
        assert_eq!(link.answer().status, 101);
        for (command, expected) in commands.iter().zip(expected.into_iter().chain([key == ALL])) {
            link.send(masked(TEXT, command.to_string().as_bytes()));
            let reply: Value = serde_json::from_str(link.frame().unwrap().text()).unwrap();
            assert_eq!(done(&reply), expected, "{key}: {command}: {reply}");
        }

        let mut link = Raw::connect(server.backend);
        link.send(link_upgrade(&bearer(key)).replace("gannet.link.json", "gannet.link.bin"));
        assert_eq!(link.answer().status, 101);
        for (command, expected) in commands.iter().zip(expected) {
            link.send(masked(BINARY, &crate::support::encode_binary(command)));
            let reply = crate::support::decode_binary(&link.frame().unwrap().payload);
            assert_eq!(done(&reply), expected, "{key}: {command}: {reply}");
        }
    }
}

/// Whether a command was carried out, though it found nobody, and not refused for its right.
fn done(reply: &Value) -> bool {
    match reply["error"]["code"].as_str() {
        None | Some("unknown_session") => true,
        Some("forbidden") => false,
        Some(_) => panic!("{reply}"),
    }
}

#[test]
fn an_app_that_a_key_may_not_touch_is_not_there() {
    let server = with_keys();
    let mut ada = server.player("user=ada");
    let id = ada.id;
    for line in [
        "GET /v1/sessions?app=APP".to_owned(),
        "POST /v1/push?all=1&app=APP".to_owned(),
        "DELETE /v1/users/ada?app=APP".to_owned(),
        format!("GET /v1/sessions/{id}?app=APP"),
        "GET /v1/groups/%00?app=APP".to_owned(),
        "POST /v1/batch?app=APP".to_owned(),
    ] {
        let of = |app: &str| ask(server.backend, &line.replace("APP", app), &bearer(CHESS), "");
        let (other, none) = (of("default"), of("nowhere"));
        assert_eq!(other.status, none.status, "{line}");
        let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text(&other.body).replace("default", "nowhere"), text(&none.body), "{line}");
        assert!(none.status >= 400, "{line}");
    }
    // Nor under the name that nobody says.
    assert_eq!(ask(server.backend, "GET /v1/sessions", &bearer(CHESS), "").status, 404);
    assert_eq!(ask(server.backend, "GET /v1/sessions?app=chess", &bearer(CHESS), "").status, 200);
    let mut link = Raw::connect(server.backend);
    link.send(link_upgrade(&bearer(CHESS)).replace("/v1/link", "/v1/link?app=chess"));
    assert_eq!(link.answer().status, 101);
    for (app, found) in [("chess", true), ("default", false), ("nowhere", false)] {
        let command = json!({ "id": 1, "op": "push", "app": app, "to": { "all": true }, "text": "hi" });
        link.send(masked(TEXT, command.to_string().as_bytes()));
        let reply: Value = serde_json::from_str(link.frame().unwrap().text()).unwrap();
        assert_eq!(reply.get("ok").is_some(), found, "{reply}");
        assert!(found || reply["error"]["code"] == "not_found", "{reply}");
    }
    // The session of the other app is as if there were none.
    let (code, error) = status(&server, CHESS, &format!("DELETE /v1/sessions/{id}?app=chess"), "");
    assert_eq!((code, error.as_deref()), (404, Some("unknown_session")));
    let answer = ask(server.backend, "POST /v1/push?all=1", &bearer(ALL), "still here");
    assert_eq!((answer.status, ada.recv_text().as_str()), (200, "still here"));
}

#[test]
fn the_log_says_who_did_what_and_shows_no_key() {
    let server = with_keys();
    let mut ada = server.player("user=ada%22%20op&group=red");
    let remote_of = |raw: &Raw| raw.sender().local_addr().unwrap();
    let mut raw = Raw::connect(server.backend);
    let remote = remote_of(&raw);
    raw.send(request("DELETE /v1/groups/red", &bearer(ALL), ""));
    raw.send(request("DELETE /v1/users/ada%22%20op", &bearer(ALL), ""));
    assert_eq!((raw.answer().status, raw.answer().status), (200, 200));
    ada.recv_end();
    let mut link = Raw::connect(server.backend);
    let of_link = remote_of(&link);
    link.send(link_upgrade(&bearer(CHESS)).replace("/v1/link", "/v1/link?app=chess"));
    assert_eq!(link.answer().status, 101);
    let kick = json!({ "id": 1, "op": "kick", "user": "bob" });
    link.send(masked(TEXT, kick.to_string().as_bytes()));
    assert!(link.frame().unwrap().text().contains("\"ok\""));
    drop(link);
    let wrong = ask(server.backend, "GET /v1/sessions", &bearer("wrong-0123456789abcdef"), "");
    assert_eq!(wrong.status, 401);
    server.signal(Signal::TERM);
    let (_, said) = server.wait();
    for line in [
        format!("key=\"backend.key\" remote={remote} op=destroy app=\"default\" group=\"red\" sessions=1"),
        format!("key=\"backend.key\" remote={remote} op=kick app=\"default\" user=\"ada\\\" op\" sessions=1"),
        format!("key=\"chess\" remote={of_link} op=link_opened app=\"chess\" link="),
        format!("key=\"chess\" remote={of_link} op=kick app=\"chess\" user=\"bob\" sessions=0"),
        format!("key=\"chess\" remote={of_link} op=link_closed app=\"chess\" link="),
        "op=refused why=wrong".to_owned(),
    ] {
        assert_eq!(said.matches(&line).count(), 1, "{line}:\n{said}");
    }
    assert!(!said.contains("0123456789abcdef"), "{said}");
}
