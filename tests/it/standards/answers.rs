//! What every answer must have (RFC 9110, RFC 9112): each error status of both ports is provoked, with GET and with HEAD.

use super::ask;
use crate::raw::{Answer, Raw, request, upgrade};
use crate::support::*;
use gannet::config::{AppConfig, PerUser, PerUserPolicy, Rate, Secret};
use gannet::http::HttpDate;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// What stands in every answer, and what a status asks for.
fn check(answer: &Answer, closes: bool) {
    let status = answer.status;
    let has = |name: &str| answer.header(name).is_some_and(|value| !value.is_empty());
    if status < 200 || status == 204 {
        assert!(!has("content-length") && !has("transfer-encoding"), "RFC 9110 §8.6: {answer:?}");
    } else {
        assert!(has("content-length"), "{answer:?}");
        assert!(is_now(answer.header("date").unwrap_or_default()), "RFC 9110 §6.6.1: {answer:?}");
        let options: Vec<&str> =
            answer.header("connection").unwrap_or_default().split(',').map(str::trim).collect();
        assert_eq!(options.contains(&"close"), closes, "RFC 9112 §9.6: {answer:?}");
        let names_upgrade = options.iter().any(|option| option.eq_ignore_ascii_case("upgrade"));
        assert_eq!(names_upgrade, has("upgrade"), "RFC 9110 §7.8: {answer:?}");
    }
    match status {
        401 => assert!(has("www-authenticate"), "RFC 9110 §15.5.2: {answer:?}"),
        405 => assert!(has("allow"), "RFC 9110 §15.5.6: {answer:?}"),
        426 => assert!(has("upgrade") && has("sec-websocket-version"), "RFC 9110 §15.5.22: {answer:?}"),
        429 | 503 => {
            let seconds = answer.header("retry-after").map(str::parse::<u32>);
            assert!(matches!(seconds, Some(Ok(1..))), "RFC 9110 §10.2.3: {answer:?}");
        }
        _ => {}
    }
    if status >= 400 {
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

/// Whether `date` is in the one form that is sent, and of now: ten minutes off is another clock.
fn is_now(date: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    (now - 600..now + 600).any(|second| HttpDate::from_unix_seconds(second).as_str() == date)
}

/// Asks twice, with `head` and with the method HEAD in its place: the fields are the same, and only the first has a body.
fn check_both(address: SocketAddr, bytes: &str, status: u16) {
    let (answer, rest) = ask(address, bytes);
    assert_eq!((answer.status, rest), (status, Vec::new()), "{bytes}");
    let closes = answer.header("connection").unwrap().contains("close");
    check(&answer, closes);
    assert!(!answer.error().is_empty(), "{bytes}");
    if let Some(rest) = bytes.strip_prefix("GET ") {
        let mut raw = Raw::connect(address);
        raw.send(format!("HEAD {rest}"));
        raw.end_writing();
        let mut head = raw.answer_to("HEAD");
        assert_eq!(raw.rest(), b"", "the answer to HEAD has no body: {bytes}");
        check(&head, closes);
        if head.status == answer.status {
            let fields = |answer: &mut Answer| {
                // A 405 names the method, whose length differs.
                let differs =
                    |name: &str| name == "date" || (name == "content-length" && answer.status == 405);
                answer.headers.retain(|(name, _)| !differs(name));
                std::mem::take(&mut answer.headers)
            };
            assert_eq!(fields(&mut head), fields(&mut answer.clone()), "{bytes}");
        } else {
            assert_eq!(head.status, 405, "a WebSocket opens with GET: {bytes}");
        }
    }
}

/// Statuses that both ports answer with before anything is looked at but the head.
fn heads(target: &str) -> Vec<(String, u16)> {
    let line = |rest: &str| format!("GET {target} HTTP/1.1\r\n{rest}\r\n");
    vec![
        (line(""), 400),
        (line("Host: a\r\nContent-Length: x\r\n"), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000)), 414),
        (line("Host: a\r\nExpect: more\r\n"), 417),
        (line(&format!("Host: a\r\nX: {}\r\n", "x".repeat(17_000))), 431),
        (line(&format!("Host: a\r\n{}", "X: y\r\n".repeat(65))), 431),
        (line("Host: a\r\nTransfer-Encoding: gzip\r\n"), 501),
        (format!("GET {target} HTTP/1.9\r\nHost: a\r\n\r\n"), 505),
    ]
}

#[test]
fn errors_of_the_client_port() {
    let server = TestServer::start(|config| {
        config.apps.insert("locked".into(), AppConfig { max_sessions: 1, ..AppConfig::default() });
        config.limits.sessions_per_address = 2;
    });
    let client = server.client;
    for (bytes, status) in heads("/ws") {
        check_both(client, &bytes, status);
    }
    check_both(client, &request("GET /ws"), 400);
    check_both(client, &upgrade("/nowhere", ""), 404);
    check_both(client, &upgrade("/ws", "").replace("GET", "POST"), 405);
    check_both(client, &upgrade("/ws", "").replace("Version: 13", "Version: 8"), 426);
    let _first = Raw::player(client, "/ws/locked");
    check_both(client, &upgrade("/ws/locked", ""), 503);
    let _second = Raw::player(client, "/ws");
    check_both(client, &upgrade("/ws", ""), 429);
    let server = ServerProcess::start(&[], "[timeouts]\nupgrade_ms = 300");
    for (begun, method) in [("GET /ws HT", "GET"), ("HEAD /ws HT", "HEAD")] {
        let mut late = Raw::begun(&server, server.client, begun);
        let answer = late.answer_to(method);
        assert_eq!((answer.status, late.rest()), (408, Vec::new()));
        check(&answer, true);
    }
}

#[test]
fn errors_of_the_client_port_where_players_prove_who_they_are() {
    let server = TestServer::start(|config| {
        let secrets = vec![Secret::new("0123456789abcdef0123456789abcdef")];
        let origins = vec!["https://game.example".parse().unwrap()];
        config.apps.insert("default".into(), AppConfig { secrets, origins, ..AppConfig::default() });
        config.rates.upgrades = Rate { per_second: 1, burst: 5 };
    });
    check_both(server.client, &upgrade("/ws", ""), 401);
    check_both(server.client, &upgrade("/ws", "Origin: https://evil.example\r\n"), 403);
    // As fast as that, nobody may come.
    let limited =
        (0..100).map(|_| ask(server.client, upgrade("/ws", "")).0).find(|answer| answer.status == 429);
    check(&limited.unwrap(), true);
}

#[test]
fn errors_of_the_backend_port() {
    let server = TestServer::start(|config| {
        config.limits.max_body_bytes = 1_000;
        config.limits.max_push_bytes = 100;
        let per_user = PerUser { max: 1, policy: PerUserPolicy::Refuse };
        config.apps.insert("chess".into(), AppConfig { per_user, ..AppConfig::default() });
    });
    let backend = server.backend;
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    for (bytes, status) in heads("/healthz") {
        check_both(backend, &bytes, status);
    }
    for (target, fields, status) in [
        ("/v1/sessions?limit=x", "", 400),
        ("/v1/sessions", "Origin: https://evil.example\r\n", 403),
        ("/nowhere", "", 404),
        ("/v1/sessions/00a0000000000001", "", 404),
        ("/v1/push", "", 405),
        ("/v1/link", "", 400),
    ] {
        check_both(backend, &get(target, fields), status);
    }
    check_both(backend, &get("/v1/sessions", "").replace("localhost", "evil.example"), 421);
    let link = upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n")
        .replace("gannet\r", "localhost\r");
    check_both(backend, &link.replace("Version: 13", "Version: 8"), 426);
    let push = |length: usize| {
        format!("POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
    };
    check_both(backend, &format!("{}{}", push(101), "x".repeat(101)), 413);
    check_both(backend, &push(1_001), 413);
    // A bind beyond what a user may have.
    let _ada = server.try_player("/ws/chess?user=ada").unwrap();
    let bob = server.try_player("/ws/chess?user=bob").unwrap();
    let bind =
        format!("PUT /v1/sessions/{}/user?user=ada&app=chess HTTP/1.1\r\nHost: localhost\r\n\r\n", bob.id);
    check_both(backend, &bind, 429);
    let server = ServerProcess::start(&[], "[timeouts]\nmessage_ms = 300\nhead_ms = 300");
    for (begun, method) in [("GET /healthz HT", "GET"), ("HEAD /healthz HT", "HEAD"), (&push(10), "POST")] {
        let mut late = Raw::begun(&server, server.backend, begun);
        let answer = late.answer_to(method);
        assert_eq!((answer.status, late.rest()), (408, Vec::new()));
        check(&answer, true);
    }
}

#[test]
fn errors_of_the_backend_port_that_need_a_key() {
    let server = TestServer::start(|config| {
        config.backend.key = Some(Secret::new("0123456789abcdef"));
        config.rates.wrong_keys_per_address = Rate { per_second: 1, burst: 8 };
    });
    let wrong =
        "GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer fedcba9876543210\r\n\r\n";
    check_both(server.backend, wrong, 401);
    let with_body = wrong.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    check_both(server.backend, &with_body, 401);
    let limited = (0..100).map(|_| ask(server.backend, wrong).0).find(|answer| answer.status == 429);
    check(&limited.unwrap(), true);
}

#[test]
fn answers_that_are_no_errors() {
    let server = TestServer::start(|_| ());
    for (port, request) in [
        (server.client, upgrade("/ws", "")),
        (server.backend, upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n")),
    ] {
        let mut raw = Raw::connect(port);
        raw.send(request.replace("Host: gannet", "Host: localhost"));
        let answer = raw.answer();
        assert_eq!(answer.status, 101);
        check(&answer, false);
        assert_eq!(answer.header("connection"), Some("Upgrade"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
    for target in ["/healthz", "/readyz", "/metrics", "/v1/stats", "/v1/sessions", "/"] {
        for (method, keeps) in [("GET", true), ("HEAD", true), ("GET", false), ("HEAD", false)] {
            let mut raw = Raw::connect(server.backend);
            let connection = if keeps { "" } else { "Connection: close\r\n" };
            raw.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\n"));
            let answer = raw.answer_to(method);
            assert_eq!(answer.status, 200, "{target}");
            check(&answer, !keeps);
            assert_ne!(answer.header("content-length"), Some("0"), "{method} {target}");
            raw.end_writing();
            assert_eq!(raw.rest(), b"", "{method} {target}");
        }
    }
    // 100 (Continue) ends with its head.
    let mut raw = Raw::connect(server.backend);
    raw.send("POST /v1/push?all=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    let interim = raw.answer();
    assert_eq!(interim.status, 100);
    check(&interim, false);
    raw.send("hi");
    check(&raw.answer(), false);
}
