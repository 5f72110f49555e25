//! The HTTP API of the backend port over real sockets: every row of its table, and every refusal.

use crate::raw::{Answer, Raw, request, request_with};
use crate::support::*;
use gannet::config::{Config, Rate, Secret};
use serde_json::{Value, json};
use std::net::SocketAddr;

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

/// The answer to a request on a connection of its own.
pub fn ask(address: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    ));
    raw.send(body);
    raw.answer_to(line.split(' ').next().unwrap())
}

fn sessions(count: u32) -> Body {
    Json(json!({ "sessions": count }))
}

/// The answer to a push that nothing was lost of.
pub fn receipt(matched: u32, queued: u32, offline: u32) -> Value {
    json!({"matched": matched, "queued": queued, "replaced": 0, "dropped": 0, "expired": 0, "offline": offline})
}

fn check(address: SocketAddr, rows: &[(String, u16, Body)]) {
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
                Json(json!({"group": "red/blue", "count": 2, "behind": 0, "pushes": 1,
                "members": [{"session": a.min(b).to_string(), "user": if a < b { "ada" } else { "bob" }}],
                "next": a.min(b).to_string()})),
            ),
            row(
                format!("GET /v1/groups/red%2Fblue?after={}", a.min(b)),
                200,
                Json(json!({"group": "red/blue", "count": 2, "behind": 0, "pushes": 1,
                "members": [{"session": a.max(b).to_string(), "user": if a < b { "bob" } else { "ada" }}],
                "next": null})),
            ),
            row("DELETE /v1/groups/red%2Fblue/members?user=bob", 200, sessions(1)),
            row(format!("DELETE /v1/groups/red%2Fblue/members?session={b}"), 200, sessions(0)),
            row("POST /v1/groups/red%2Fblue/move?to=green", 200, sessions(1)),
            row(
                "GET /v1/groups/red%2Fblue",
                200,
                Json(
                    json!({"group": "red/blue", "count": 0, "behind": 0, "pushes": 0, "members": [], "next": null}),
                ),
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
            row("GET /", 200, Type("text/html; charset=utf-8")),
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
        "reactor": ada.id.worker(), "behind_since_unix_ms": null,
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
        (&format!("{session}/tags"), "POST, PUT, DELETE"),
        (&format!("{session}/groups"), "PUT"),
        ("/v1/members", "POST, DELETE"),
        ("/v1/tags/t/sessions", "POST, DELETE"),
        ("/v1/users/u", "DELETE"),
        ("/v1/sessions", "GET, HEAD, DELETE"),
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
    let server = TestServer::start(|config: &mut Config| {
        config.backend.key = Some(Secret::new(key));
        config.rates.wrong_keys_per_address = Rate::default();
    });
    let header = format!("Authorization: Bearer {key}\r\n");
    for path in ["/v1/stats", "/metrics", "/v1/stats/stream?x=1", "/v1/sessions", "/nowhere"] {
        let line = format!("GET {path}");
        let status = match path {
            "/nowhere" => 404,
            // It would have no end.
            "/v1/stats/stream?x=1" => 400,
            _ => 200,
        };
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
        "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\nExpect: 100-continue\r\n\r\n",
    );
    let answer = raw.answer();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    assert_eq!(raw.rest(), b"");
    let mut raw = Raw::connect(server.backend);
    raw.send(crate::raw::upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(raw.answer().status, 401);
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
fn pages_about_the_whole_process_keep_their_place_among_pipelined_answers() {
    const ROUNDS: usize = 5;
    const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
    let server = TestServer::start(|_| ());
    let mut player = server.player("user=ada");
    server.await_stats("the player is counted", |totals| totals["sessions"] == 1);
    let mut raw = Raw::connect(server.backend);
    let round = [
        request("GET /healthz"),
        request("GET /metrics"),
        request("GET /v1/stats"),
        request("GET /nowhere"),
        request("HEAD /v1/stats"),
        request_with("POST /v1/push?user=ada", "hi"),
        request("HEAD /metrics"),
        request_with("POST /v1/batch", "{\"op\":\"push\",\"to\":{\"all\":true},\"text\":\"batch\"}\n"),
    ]
    .concat();
    raw.send(round.repeat(ROUNDS));
    raw.send("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    for _ in 0..ROUNDS {
        assert_eq!(raw.answer().json(), json!({"alive": true}));
        let metrics = raw.answer();
        assert_eq!(metrics.header("content-type"), Some(PROMETHEUS));
        assert!(String::from_utf8(metrics.body).unwrap().contains("\nprocess_open_fds "));
        let stats = raw.answer().json();
        assert!(
            stats["reactor"].as_u64() < Some(4) && stats["sessions"] == 1 && stats["links"] == 0,
            "{stats}"
        );
        assert_eq!(raw.answer().error(), "not_found");
        assert_eq!(raw.answer_to("HEAD").header("content-type"), Some("application/json"));
        assert_eq!(raw.answer().json()["queued"], 1);
        assert_eq!(raw.answer_to("HEAD").header("content-type"), Some(PROMETHEUS));
        assert_eq!(raw.answer().header("content-type"), Some("application/x-ndjson"));
        assert_eq!((player.recv_text(), player.recv_text()), ("hi".to_owned(), "batch".to_owned()));
    }
    let last = raw.answer();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert_eq!(raw.rest(), b"");
}

/// What the kernel says of the threads of `pid` called `name`: how often they have gone to sleep.
fn sleeps_of(pid: u32, name: &str) -> Vec<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let field = |status: &str, key: &str| {
        status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
    };
    statuses
        .filter(|status| field(status, "Name:") == name)
        .map(|status| field(&status, "voluntary_ctxt_switches:").parse().unwrap())
        .collect()
}

#[test]
fn pages_about_the_whole_process_are_rendered_on_a_thread_of_their_own() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut backend = server.backend();
    backend.ok("GET", "/healthz");
    let before = sleeps_of(server.pid(), "gannet-observer");
    assert_eq!(before.len(), 1);
    for _ in 0..50 {
        backend.ok("GET", "/v1/stats");
        assert_eq!(backend.request("GET", "/metrics").status, 200);
    }
    let after = sleeps_of(server.pid(), "gannet-observer");
    assert!(after > before, "it has worked: {before:?}, {after:?}");
}
