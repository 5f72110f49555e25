//! The HTTP API of the backend port over real sockets: every row of its table, every refusal, and every way that the
//! bytes of a request can come.

use crate::raw::{Answer, Raw, TEXT, request, request_with};
use crate::support::*;
use gannet::config::{Config, Secret};
use serde_json::{Value, json};

/// What the body of an answer must be.
enum Body {
    /// This JSON.
    Json(Value),
    /// An error with this code.
    Error(&'static str),
    /// Anything of this type.
    Type(&'static str),
}

use Body::{Error, Json, Type};

fn ask(address: std::net::SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n", body.len()));
    raw.send(body);
    raw.answer_to(line.split(' ').next().unwrap())
}

fn sessions(count: u32) -> Body {
    Json(json!({ "sessions": count }))
}

fn receipt(matched: u32, queued: u32, offline: u32) -> Value {
    json!({"matched": matched, "queued": queued, "replaced": 0, "dropped": 0, "expired": 0, "offline": offline})
}

fn check(address: std::net::SocketAddr, rows: &[(String, u16, Body)]) {
    for (line, status, body) in rows {
        let answer = ask(address, line, "", b"");
        assert_eq!(answer.status, *status, "{line}: {answer:?}");
        match body {
            Json(expected) => assert_eq!(&answer.json(), expected, "{line}"),
            Error(code) => assert_eq!(answer.error(), *code, "{line}"),
            Type(media_type) => assert_eq!(answer.header("content-type"), Some(*media_type), "{line}"),
        }
    }
}

fn row(line: impl Into<String>, status: u16, body: Body) -> (String, u16, Body) {
    (line.into(), status, body)
}

#[test]
fn every_request_of_the_table() {
    let server = TestServer::start(|_| ());
    let (ada, bob, eve) =
        (server.player("user=ada&tag=ios&tag=eu"), server.player("user=bob"), server.player("user=eve"));
    let (a, b, e) = (ada.id, bob.id, eve.id);
    check(
        server.backend,
        &[
            row("POST /v1/push?user=ada", 200, Json(receipt(1, 1, 0))),
            row(
                format!("POST /v1/push?session={a}&user=ada&user=nobody&tag=ios"),
                200,
                Json(receipt(1, 1, 1)),
            ),
            row("POST /v1/push?all=1", 200, Json(receipt(3, 3, 0))),
            row("POST /v1/push?all=true&all=1", 400, Error("bad_request")),
            row(format!("POST /v1/push?all=true&except={a}"), 200, Json(receipt(2, 2, 0))),
            row("POST /v1/push?group=empty", 200, Json(receipt(0, 0, 0))),
            row("POST /v1/push?user=ada&receipt=none", 202, Json(json!({}))),
            row(format!("POST /v1/groups/red%2Fblue/members?session={a}"), 200, sessions(1)),
            row(format!("POST /v1/groups/red%2Fblue/members?session={a}"), 200, sessions(0)),
            row("POST /v1/groups/red%2Fblue/members?user=bob", 200, sessions(1)),
            row("POST /v1/groups/red%2Fblue/members?user=nobody", 200, sessions(0)),
            row("POST /v1/push?group=red/blue", 200, Json(receipt(2, 2, 0))),
            row(
                "GET /v1/groups/red%2Fblue?limit=1",
                200,
                Json(json!({"group": "red/blue", "count": 2,
                "members": [{"session": a.min(b).to_string(), "user": if a < b { "ada" } else { "bob" }}],
                "next": a.min(b).to_string()})),
            ),
            row(
                format!("GET /v1/groups/red%2Fblue?after={}", a.min(b)),
                200,
                Json(json!({"group": "red/blue", "count": 2,
                "members": [{"session": a.max(b).to_string(), "user": if a < b { "bob" } else { "ada" }}],
                "next": null})),
            ),
            row("DELETE /v1/groups/red%2Fblue/members?user=bob", 200, sessions(1)),
            row(format!("DELETE /v1/groups/red%2Fblue/members?session={b}"), 200, sessions(0)),
            row("POST /v1/groups/red%2Fblue/move?to=green", 200, sessions(1)),
            row(
                "GET /v1/groups/red%2Fblue",
                200,
                Json(json!({"group": "red/blue", "count": 0, "members": [], "next": null})),
            ),
            row("DELETE /v1/groups/green", 200, sessions(1)),
            row("DELETE /v1/groups/green", 200, sessions(0)),
            row(format!("PUT /v1/sessions/{e}/user?user=mallory"), 200, sessions(1)),
            row("POST /v1/push?user=eve", 200, Json(receipt(0, 0, 1))),
            row(format!("PUT /v1/sessions/{e}/user?user="), 200, sessions(1)),
            row(format!("PUT /v1/sessions/{e}/user?user="), 200, sessions(0)),
            row(format!("POST /v1/sessions/{e}/tags?tag=v2.1"), 200, sessions(1)),
            row("POST /v1/push?tag=v2.1", 200, Json(receipt(1, 1, 0))),
            row(format!("DELETE /v1/sessions/{e}/tags?tag=v2.1"), 200, sessions(1)),
            row("POST /v1/push?tag=v2.1", 200, Json(receipt(0, 0, 0))),
            row(format!("GET /v1/sessions/{a}"), 200, Type("application/json")),
            row("GET /v1/sessions?tag=eu&limit=10", 200, Type("application/json")),
            row("GET /v1/sessions?user=ada&tag=eu", 400, Error("bad_request")),
            row("POST /v1/batch", 200, Type("application/x-ndjson")),
            row("GET /v1/stats", 200, Type("application/json")),
            row("GET /metrics", 200, Type("text/plain; version=0.0.4; charset=utf-8")),
            row("GET /healthz", 200, Json(json!({"alive": true}))),
            row("GET /readyz", 200, Json(json!({"ready": true}))),
            row("GET /", 200, Type("text/plain; charset=utf-8")),
            row("DELETE /v1/users/bob?code=4999&reason=%C3%B6", 200, sessions(1)),
            row("DELETE /v1/users/bob", 200, sessions(0)),
            row(format!("DELETE /v1/sessions/{a}"), 200, sessions(1)),
            // A stale id reaches nobody else, and is told apart from one that was never an id.
            row(format!("GET /v1/sessions/{a}"), 404, Error("unknown_session")),
            row(format!("DELETE /v1/sessions/{a}"), 404, Error("unknown_session")),
            row(format!("POST /v1/groups/g/members?session={a}"), 404, Error("unknown_session")),
            row(format!("PUT /v1/sessions/{a}/user?user=x"), 404, Error("unknown_session")),
            row(format!("POST /v1/sessions/{a}/tags?tag=x"), 404, Error("unknown_session")),
            row(format!("POST /v1/push?session={a}"), 200, Json(receipt(0, 0, 1))),
            row("GET /v1/sessions/fff0000000000001", 404, Error("unknown_session")),
        ],
    );
    for (mut player, code, reason) in [(bob, 4999, "ö"), (ada, 4001, "")] {
        let end = std::iter::repeat_with(|| player.next()).find_map(Result::err);
        assert_eq!(end, Some(End::Closed(code, reason.to_owned())));
    }
}

#[test]
fn a_session_is_described() {
    let server = TestServer::start(|_| ());
    let ada = server.player("user=ada&group=g&group=h&tag=ios");
    let mut backend = server.backend();
    backend.push_text("user=ada&receipt=written", "12345");
    let session = backend.ok("GET", &format!("/v1/sessions/{}", ada.id));
    let listed = backend.ok("GET", "/v1/sessions?group=g");
    assert_eq!((&listed["count"], &listed["next"]), (&json!(1), &Value::Null));
    assert_eq!(listed["sessions"][0]["session"], session["session"]);
    let since = session["since_unix_ms"].as_u64().unwrap();
    assert!(since > 1_600_000_000_000, "{since}");
    let expected = json!({
        "session": ada.id.to_string(), "app": "default", "user": "ada", "tags": ["ios"],
        "remote": ada.stream().local_addr().unwrap().to_string(),
        "queued_messages": 0, "queued_bytes": 0, "bytes_in": 0, "round_trip_us": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&session[key], value, "{key}");
    }
    let mut groups: Vec<_> = session["groups"].as_array().unwrap().iter().collect();
    groups.sort_by_key(|group| group.as_str());
    assert_eq!(groups, ["g", "h"]);
    assert!(session["bytes_out"].as_u64().unwrap() >= 7, "{session}");
    assert_eq!(session.as_object().unwrap().len(), expected.as_object().unwrap().len() + 3);
}

#[test]
fn every_refusal() {
    let server = TestServer::start(|config| config.limits.max_push_bytes = 1000);
    let long = "x".repeat(129);
    let session = "00a0000000000001";
    let bad = |line: String| row(line, 400, Error("bad_request"));
    let missing = |line: &str| row(line, 404, Error("not_found"));
    let mut rows = vec![
        missing("GET /v2"),
        missing("GET /v1"),
        missing("GET /ws"),
        missing("GET /v1/push/"),
        missing("GET //"),
        missing("POST /v1/push?app=nope&user=a"),
        missing("GET /v1/sessions?app=nope"),
    ];
    for line in [
        "POST /v1/push".to_owned(),
        "POST /v1/push?all=0".to_owned(),
        "POST /v1/push?user=".to_owned(),
        format!("POST /v1/push?user={long}"),
        "POST /v1/push?user=a%00".to_owned(),
        "POST /v1/push?user=%ff".to_owned(),
        "POST /v1/push?user=%2".to_owned(),
        format!("POST /v1/push?group={long}"),
        format!("POST /v1/push?tag={long}"),
        format!("POST /v1/push?user=a&key={long}"),
        "POST /v1/push?user=a&usr=b".to_owned(),
        "POST /v1/push?user=a&ttl_ms=1&ttl_ms=1".to_owned(),
        "POST /v1/push?user=a&ttl_ms=-1".to_owned(),
        "POST /v1/push?user=a&ttl_ms=86400001".to_owned(),
        "POST /v1/push?user=a&class=fast".to_owned(),
        "POST /v1/push?user=a&receipt=maybe".to_owned(),
        "POST /v1/push?user=a&except=me".to_owned(),
        "POST /v1/push?session=00A0000000000001".to_owned(),
        "POST /v1/push?session=1".to_owned(),
        "GET /v1/sessions/xyz".to_owned(),
        format!("GET /v1/sessions/{session}0"),
        "GET /v1/sessions?limit=0".to_owned(),
        "GET /v1/sessions?limit=1001".to_owned(),
        "GET /v1/sessions?after=zz".to_owned(),
        "POST /v1/groups/g/members".to_owned(),
        format!("POST /v1/groups/g/members?user=a&session={session}"),
        format!("POST /v1/groups/{long}/members?user=a"),
        "POST /v1/groups//members?user=a".to_owned(),
        "POST /v1/groups/g/move".to_owned(),
        "POST /v1/groups/g/move?to=".to_owned(),
        format!("DELETE /v1/sessions/{session}?code=1005"),
        format!("DELETE /v1/sessions/{session}?code=70000"),
        format!("DELETE /v1/users/a?reason={}", "x".repeat(124)),
        format!("PUT /v1/sessions/{session}/user"),
        format!("POST /v1/sessions/{session}/tags"),
        "GET /metrics?x=1".to_owned(),
        "GET /healthz?app=default".to_owned(),
        "GET /v1/stats?reactor=0".to_owned(),
        "GET /v1/link".to_owned(),
    ] {
        rows.push(bad(line));
    }
    check(server.backend, &rows);
    let binary = "Content-Type: application/octet-stream\r\n";
    let table: [(&str, &[u8], u16, &str); 6] = [
        ("", b"\xff", 400, "bad_request"),
        ("Content-Type: text/plain; charset=latin1\r\n", b"caf\xe9", 400, "bad_request"),
        ("Content-Type: application/octet-streams\r\n", b"\xff", 400, "bad_request"),
        ("", &[b'x'; 1001], 413, "payload_too_large"),
        (binary, &[0xff; 1001], 413, "payload_too_large"),
        ("Content-Encoding: gzip\r\n", b"\x1f\x8b\xff", 400, "bad_request"),
    ];
    for (headers, body, status, code) in table {
        let answer = ask(server.backend, "POST /v1/push?user=a", headers, body);
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{headers:?} {body:?}");
    }
    for (headers, body) in [
        (binary, &[0xff; 1000][..]),
        ("Content-Type: APPLICATION/octet-stream;x=y\r\n", b"\xff"),
        ("", &[b'x'; 1000]),
    ] {
        assert_eq!(ask(server.backend, "POST /v1/push?user=a", headers, body).status, 200, "{headers:?}");
    }
}

#[test]
fn methods_that_a_path_does_not_have() {
    let server = TestServer::start(|_| ());
    let session = "/v1/sessions/00a0000000000001";
    let table = [
        ("/v1/push", "POST"),
        ("/v1/batch", "POST"),
        ("/v1/groups/g/members", "POST, DELETE"),
        ("/v1/groups/g/move", "POST"),
        ("/v1/groups/g", "GET, HEAD, DELETE"),
        (session, "GET, HEAD, DELETE"),
        (&format!("{session}/user"), "PUT"),
        (&format!("{session}/tags"), "POST, DELETE"),
        ("/v1/users/u", "DELETE"),
        ("/v1/sessions", "GET, HEAD"),
        ("/v1/stats", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/v1/link", "GET"),
        ("/", "GET, HEAD"),
    ];
    for (path, allow) in table {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let answer = ask(server.backend, &format!("{method} {path}"), "", b"");
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.error(), "method_not_allowed", "{method} {path}");
            }
        }
    }
}

#[test]
fn the_head_is_bounded() {
    let server = TestServer::start(|_| ());
    let many: String = (0..70).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "x".repeat(20_000));
    let target = format!("GET /healthz?{}", "x".repeat(9000));
    for (line, headers, status) in
        [("GET /healthz", many.as_str(), 431), ("GET /healthz", &long, 431), (&target, "", 414)]
    {
        let answer = ask(server.backend, line, headers, b"");
        assert_eq!((answer.status, answer.error().as_str()), (status, "payload_too_large"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn the_key_opens_every_path() {
    let key = "a-long-random-text";
    let server = TestServer::start(|config: &mut Config| config.backend.key = Some(Secret::new(key)));
    let header = format!("Authorization: Bearer {key}\r\n");
    for path in ["/v1/stats", "/metrics", "/healthz", "/readyz", "/", "/v1/sessions", "/nowhere"] {
        let line = format!("GET {path}");
        let status = if path == "/nowhere" { 404 } else { 200 };
        assert_eq!(ask(server.backend, &line, &header, b"").status, status, "{path}");
        for wrong in
            ["", "Authorization: Bearer a-long-random-tex\r\n", "Authorization: Basic a-long-random-text\r\n"]
        {
            let answer = ask(server.backend, &line, wrong, b"");
            assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{path} {wrong}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.header("connection"), Some("keep-alive"));
        }
    }
    // Nothing of a body is waited for.
    let mut raw = Raw::connect(server.backend);
    raw.send(
        "POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\nExpect: 100-continue\r\n\r\n",
    );
    let answer = raw.answer();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    assert_eq!(raw.rest(), b"");
    let mut raw = Raw::connect(server.backend);
    raw.send(crate::raw::upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(raw.answer().status, 401);
}

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    let server = TestServer::start(|_| ());
    // Enough users that each reactor has some: their receipts come back in any order.
    let players: Vec<_> = (0..20).map(|number| server.player(&format!("user=u{number}"))).collect();
    for count in [100, 300, 3000] {
        let mut raw = Raw::connect(server.backend);
        let ask = |number: usize| match number % 5 {
            0 => request_with(&format!("POST /v1/push?user=u{}&tag=n{number}", number % 20), "x"),
            1 => request(&format!("GET /v1/groups/n{number}")),
            2 => request(&format!("GET /nowhere/{number}")),
            3 => request(&format!("POST /v1/groups/n{number}/members?user=u{}", number % 20)),
            _ => request(&format!("DELETE /v1/groups/n{}", number - 1)),
        };
        raw.send((0..count).map(ask).collect::<String>());
        for number in 0..count {
            let answer = raw.answer();
            match number % 5 {
                0 => assert_eq!(answer.json()["queued"], 1, "{number} of {count}"),
                1 => assert_eq!(answer.json()["group"], format!("n{number}")),
                2 => assert!(
                    answer.json()["error"]["message"]
                        .as_str()
                        .unwrap()
                        .contains(&format!("/nowhere/{number}"))
                ),
                _ => assert_eq!(answer.json()["sessions"], 1, "{number} of {count}"),
            }
        }
    }
    drop(players);
}

#[test]
fn what_a_request_changes_the_next_one_sees() {
    let server = TestServer::start(|_| ());
    let mut players: Vec<_> = (0..8).map(|number| server.player(&format!("user=u{number}"))).collect();
    let mut link = server.link();
    for (number, player) in players.iter_mut().enumerate() {
        let group = format!("g{number}");
        let mut raw = Raw::connect(server.backend);
        let join = request(&format!("POST /v1/groups/{group}/members?user=u{number}"));
        let push = request_with(&format!("POST /v1/push?group={group}"), "by http");
        let leave = request(&format!("DELETE /v1/groups/{group}/members?user=u{number}"));
        raw.send([&*join, &*push, &*leave, &*push].concat());
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json(), receipt(1, 1, 0));
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json(), receipt(0, 0, 0));
        assert_eq!(player.recv_text(), "by http");

        let lines = [
            json!({"id": 1, "op": "join", "group": group, "user": format!("u{number}")}),
            json!({"id": 2, "op": "push", "to": {"group": group}, "text": "by batch"}),
            json!({"op": "leave", "group": group, "user": format!("u{number}")}),
            json!({"id": "4", "op": "push", "to": {"group": group}, "text": "to nobody"}),
        ];
        raw.send(request_with("POST /v1/batch", &lines.map(|line| format!("{line}\r\n\n")).concat()));
        let answer = raw.answer();
        let replies: Vec<Value> = answer
            .body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let expected = [
            json!({"id": 1, "ok": {"sessions": 1}}),
            json!({"id": 2, "ok": receipt(1, 1, 0)}),
            json!({"ok": {"sessions": 1}}),
            json!({"id": "4", "ok": receipt(0, 0, 0)}),
        ];
        assert_eq!(replies, expected);
        assert_eq!(player.recv_text(), "by batch");

        let ids = [
            link.send(json!({"op": "join", "group": group, "session": player.id.to_string()})),
            link.send(json!({"op": "push", "to": {"group": group}, "text": "by link"})),
            link.send(json!({"op": "destroy", "group": group})),
            link.send(json!({"op": "push", "to": {"group": group}, "text": "to nobody"})),
        ];
        let replies = ids.map(|id| {
            let (replied, ok) = link.receive();
            assert_eq!(replied, id);
            ok.unwrap()
        });
        assert_eq!(
            replies,
            [json!({"sessions": 1}), receipt(1, 1, 0), json!({"sessions": 1}), receipt(0, 0, 0)]
        );
        assert_eq!(player.recv_text(), "by link");
    }
}

#[test]
fn a_batch_runs_what_it_can() {
    let server = TestServer::start(|config| config.limits.max_batch_lines = 600);
    let mut ada = server.player("user=ada");
    let batch = |body: &[u8]| {
        let answer = ask(server.backend, "POST /v1/batch", "", body);
        let text = String::from_utf8(answer.body.clone()).unwrap();
        (answer.status, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
    };
    let push = r#"{"id":1,"op":"push","to":{"user":"ada"},"text":"one"}"#;
    let lines: [&[u8]; 8] = [
        push.as_bytes(),
        br#"{"id":2,"op":"#,
        b"",
        br#"{"id":3,"op":"fly"}"#,
        b"\"\xc3(\"",
        push.as_bytes(),
        br#"{"id":6,"op":"listen","events":["open"]}"#,
        &push.as_bytes()[..20],
    ];
    let (status, replies) = batch(&lines.join(&b'\n'));
    assert_eq!((status, replies.len()), (200, 7));
    assert_eq!(replies[0], json!({"id": 1, "ok": receipt(1, 1, 0)}));
    for (index, line, id) in
        [(1, 2, Value::Null), (2, 4, json!(3)), (3, 5, Value::Null), (5, 7, json!(6)), (6, 8, Value::Null)]
    {
        let reply: &Value = &replies[index];
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&id, &json!("bad_request")), "{reply}");
        assert!(
            reply["error"]["message"].as_str().unwrap().starts_with(&format!("line {line}: ")),
            "{reply}"
        );
    }
    assert_eq!(replies[4], replies[0]);
    assert_eq!([ada.recv_text(), ada.recv_text()], ["one", "one"]);
    // More than may wait at once, and more than may be at all.
    let (status, replies) = batch(format!("{push}\n").repeat(600).as_bytes());
    assert_eq!((status, replies.len()), (200, 600));
    (0..600).for_each(|_| assert_eq!(ada.recv_text(), "one"));
    let (status, replies) = batch(format!("{push}\n").repeat(601).as_bytes());
    assert_eq!((status, &replies[0]["error"]["code"]), (413, &json!("payload_too_large")));
    assert_eq!(server.backend().stats()["pushes"], 602, "nothing of it was run");
}

#[test]
fn overlapping_targets_reach_each_session_once() {
    let server = TestServer::start(|config| config.limits.max_selectors = 4);
    let mut all: Vec<_> =
        (0..6).map(|number| server.player(&format!("user=u{}&group=g&tag=t", number / 2))).collect();
    let id = all[0].id;
    let mut backend = server.backend();
    let receipt = backend.push_text(&format!("session={id}&user=u0&group=g&tag=t"), "once");
    assert_eq!((receipt.matched, receipt.queued, receipt.offline), (6, 6, 0));
    let receipt = backend.push_text(&format!("user=u0&user=u0&session={id}&session={id}"), "twice");
    assert_eq!((receipt.matched, receipt.offline), (2, 0));
    let receipt = backend.push_text(&format!("all=1&user=nobody&except={id}"), "last");
    assert_eq!((receipt.matched, receipt.offline), (5, 1));
    for (index, player) in all.iter_mut().enumerate() {
        let expected: &[&str] = match index {
            0 => &["once", "twice"],
            1 => &["once", "twice", "last"],
            _ => &["once", "last"],
        };
        expected.iter().for_each(|text| assert_eq!(player.recv_text(), *text));
    }
    assert_eq!(backend.request("POST", "/v1/push?user=a&user=b&user=c&user=d&user=e").status, 400);
    // Nothing else came to anybody.
    backend.push_text("all=1", "end");
    all.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "end"));
}

#[test]
fn a_request_split_at_every_byte() {
    let server = TestServer::start(|_| ());
    let mut ada = server.player("user=ada");
    let chunked = "POST /v1/push?user=ada HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nsco\r\n2\r\nre\r\n0\r\nTrailer: z\r\n\r\n";
    let requests =
        [request_with("POST /v1/push?user=ada", "score"), chunked.to_owned(), request("GET /healthz")]
            .concat();
    let mut raw = Raw::connect(server.backend);
    for split in 0..=requests.len() {
        raw.send(&requests[..split]);
        raw.send(&requests[split..]);
        assert_eq!(raw.answer().json(), receipt(1, 1, 0), "split at {split}");
        assert_eq!(raw.answer().json(), receipt(1, 1, 0), "split at {split}");
        assert_eq!(raw.answer().json()["alive"], true, "split at {split}");
        assert_eq!([ada.recv_text(), ada.recv_text()], ["score", "score"]);
    }
    for byte in requests.bytes() {
        raw.send([byte]);
    }
    (0..3).for_each(|_| assert_eq!(raw.answer().status, 200));
}

#[test]
fn continue_comes_when_it_is_its_turn() {
    let server = TestServer::start(|_| ());
    let _bob = server.player("user=bob");
    let expecting =
        "POST /v1/push?user=bob HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    for _ in 0..8 {
        let mut raw = Raw::connect(server.backend);
        // One answer is there at once, the other may come from another reactor.
        raw.send(
            [&request("GET /nowhere"), &request_with("POST /v1/push?user=bob", "x"), expecting].concat(),
        );
        assert_eq!(raw.answer().status, 404);
        assert_eq!(raw.answer().status, 200);
        let interim = raw.answer();
        assert_eq!((interim.status, interim.headers.len()), (100, 0));
        raw.send("body");
        assert_eq!(raw.answer().json()["queued"], 1);
        // Who does not wait is not told.
        raw.send([expecting, "body"].concat());
        assert_eq!(raw.answer().json()["queued"], 1);
    }
    let mut raw = Raw::connect(server.backend);
    raw.send(expecting.replace("Length: 4", "Length: 100000000"));
    assert_eq!(raw.answer().status, 413);
    assert_eq!(raw.rest(), b"");
}

#[test]
fn when_the_connection_ends() {
    let server = TestServer::start(|_| ());
    let table = [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", "close"),
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "close"),
        ("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "keep-alive"),
        ("GET http://elsewhere/healthz HTTP/1.1\r\nHost: a\r\n\r\n", "keep-alive"),
    ];
    for (bytes, connection) in table {
        let mut raw = Raw::connect(server.backend);
        // What comes behind a last request is for nobody.
        raw.send(format!("{bytes}{}", request("GET /readyz")));
        assert_eq!(raw.answer().header("connection"), Some(connection), "{bytes}");
        match connection {
            "close" => assert_eq!(raw.rest(), b"", "{bytes}"),
            _ => assert_eq!(raw.answer().json()["ready"], true, "{bytes}"),
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::start(|_| ());
    let mut raw = Raw::connect(server.backend);
    for path in ["/healthz", "/v1/sessions", "/nowhere", "/"] {
        raw.send([request(&format!("HEAD {path}")), request(&format!("GET {path}"))].concat());
        let head = raw.answer_to("HEAD");
        let get = raw.answer();
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty());
    }
}

#[test]
fn who_ends_its_side_gets_its_answers() {
    let server = TestServer::start(|_| ());
    let players: Vec<_> = (0..8).map(|number| server.player(&format!("user=u{number}"))).collect();
    for number in 0..8 {
        let user = format!("u{number}");
        let requests = [
            request(&format!("POST /v1/groups/g/members?user={user}")),
            request_with(&format!("POST /v1/push?user={user}"), "one"),
            request_with(
                "POST /v1/batch",
                &format!(r#"{{"op":"push","to":{{"user":"{user}"}},"text":"two"}}"#),
            ),
            request("GET /healthz"),
        ];
        let mut raw = Raw::connect(server.backend);
        raw.send(requests.concat());
        raw.end_writing();
        assert_eq!(raw.answer().json()["sessions"], 1);
        assert_eq!(raw.answer().json()["queued"], 1);
        assert_eq!(raw.answer().json()["ok"]["queued"], 1);
        assert_eq!(raw.answer().json()["alive"], true);
        assert_eq!(raw.rest(), b"");
    }
    drop(players);
}

/// A player behind a full socket: its outbox holds at least two messages, the second of them not begun.
fn stalled(server: &TestServer, user: &str) -> (Raw, usize) {
    let mut raw = Raw::narrow_player(server.client, &format!("/ws?user={user}"));
    let mut backend = server.backend();
    let mut sent = 0;
    loop {
        let session = backend.ok("GET", &format!("/v1/sessions?user={user}"))["sessions"][0].take();
        if session["queued_messages"].as_u64().unwrap() >= 2 {
            return (raw, sent);
        }
        assert!(!raw.is_readable() || sent < 1000, "the socket takes everything");
        assert_eq!(backend.push_text(&format!("user={user}"), &"-".repeat(50_000)).queued, 1);
        sent += 1;
    }
}

fn skip(raw: &mut Raw, fill: usize) {
    for _ in 0..fill {
        assert_eq!(raw.frame().unwrap().payload.len(), 50_000);
    }
}

#[test]
fn receipts_say_what_became_of_a_message() {
    let server = TestServer::start(|_| ());
    let (mut slow, fill) = stalled(&server, "slow");
    let _quick = server.player("user=quick");
    let mut backend = server.backend();
    assert_eq!(backend.request("POST", "/v1/push?user=slow&receipt=none").status, 202);
    let queued = backend.push_text("user=slow&user=quick", "queued");
    assert_eq!((queued.queued, queued.written, queued.closed), (2, None, None));
    let quick = backend.push_text("user=quick&user=nobody&receipt=written", "quick");
    assert_eq!((quick.matched, quick.written, quick.closed, quick.offline), (1, Some(1), Some(0), 1));
    // What waits for a socket is answered when the socket has taken it, and no earlier.
    let mut waiting = server.backend();
    waiting.send_push("user=slow&user=quick&receipt=written", &tungstenite::Message::text("written"));
    let mut expiring = server.backend();
    expiring.send_push("user=slow&receipt=written&ttl_ms=50", &tungstenite::Message::text("expired"));
    let expired = expiring.receive_receipt();
    assert_eq!((expired.matched, expired.written, expired.expired), (1, Some(0), 1));
    skip(&mut slow, fill);
    assert_eq!(slow.frame().unwrap().text(), "");
    assert_eq!(slow.frame().unwrap().text(), "queued");
    assert_eq!(slow.frame().unwrap().text(), "written");
    let written = waiting.receive_receipt();
    assert!(written.adds_up(), "{written:?}");
    assert_eq!((written.matched, written.written), (2, Some(2)));
    // Closed before it was written.
    let (slower, _) = stalled(&server, "slower");
    waiting.send_push("user=slower&receipt=written", &tungstenite::Message::text("closed"));
    server.await_stats("it waits", |totals| totals["outbox_messages"].as_u64() >= Some(3));
    slower.reset();
    let closed = waiting.receive_receipt();
    assert_eq!((closed.written, closed.closed), (Some(0), Some(1)));
}

#[test]
fn no_time_to_live_is_now_or_never() {
    let server = TestServer::start(|config| config.reactors = Some(1));
    let mut ready = server.player("user=ready");
    let (_slow, _) = stalled(&server, "slow");
    let mut backend = server.backend();
    for _ in 0..50 {
        let receipt = backend.push_text("user=ready&ttl_ms=0&receipt=written", "now");
        assert_eq!((receipt.written, receipt.expired), (Some(1), 0));
        assert_eq!(ready.recv_text(), "now");
    }
    let receipt = backend.push_text("user=slow&ttl_ms=0&receipt=written", "never");
    assert_eq!((receipt.written, receipt.expired), (Some(0), 1));
}

#[test]
fn keys_and_classes_before_a_stalled_socket() {
    let server = TestServer::start(|config| config.limits.outbox_messages = 40);
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    let mut push = |options: &str, text: &str| backend.push_text(&format!("user=slow&{options}"), text);
    assert_eq!(push("key=score", "score 1").replaced, 0);
    assert_eq!(push("class=droppable", "droppable").queued, 1);
    assert_eq!(push("", "normal").queued, 1);
    assert_eq!(push("key=score", "score 2").queued, 1);
    assert_eq!(push("key=other&class=urgent", "urgent 1").queued, 1);
    assert_eq!(push("class=urgent", "urgent 2").queued, 1);
    assert_eq!(push("key=other&class=urgent", "urgent 3").queued, 1);
    let totals = server.backend().stats();
    assert_eq!((&totals["deliveries"]["replaced"], &totals["deliveries"]["dropped"]), (&json!(2), &json!(0)));
    // Fill it up: the droppable one goes first, and one that is droppable itself finds no room.
    let waiting = server.backend().ok("GET", "/v1/sessions?user=slow")["sessions"][0]["queued_messages"]
        .as_u64()
        .unwrap();
    for number in waiting..41 {
        assert_eq!(push("", &format!("more {number}")).queued, 1);
    }
    let dropped = push("class=droppable", "no room");
    assert_eq!((dropped.queued, dropped.dropped), (0, 1));
    assert_eq!(server.backend().stats()["deliveries"]["dropped"], 2);
    let mut texts = Vec::new();
    let mut fills = 0;
    while texts.len() < 5 + (41 - waiting) as usize - 1 {
        let frame = slow.frame().unwrap();
        assert_eq!(frame.first, TEXT);
        match frame.payload.len() {
            50_000 => fills += 1,
            _ => texts.push(frame.text().to_owned()),
        }
    }
    // The urgent ones overtook the fill that was not on the wire, and all else.
    let rest: Vec<String> = (waiting..41).map(|number| format!("more {number}")).collect();
    let expected = ["urgent 3", "urgent 2", "score 2", "normal"].map(str::to_owned).into_iter().chain(rest);
    assert_eq!(texts, expected.collect::<Vec<_>>());
    assert!(fills <= fill);
}

#[test]
fn a_connection_that_is_not_used_is_closed() {
    let server = TestServer::start(|config| {
        config.timeouts.backend_idle = std::time::Duration::from_millis(200);
        config.timeouts.close = std::time::Duration::from_millis(200);
    });
    let (mut never, mut once) = (Raw::connect(server.backend), Raw::connect(server.backend));
    once.send(request("GET /healthz"));
    assert_eq!(once.answer().status, 200);
    assert_eq!(never.rest(), b"");
    assert_eq!(once.rest(), b"");
}
