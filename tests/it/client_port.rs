//! The client port: every refusal before the upgrade, the first frames after it, and apps that never meet.

use crate::raw::{Answer, BINARY, CLOSE, PING, PONG, Raw, TEXT, masked, request, upgrade};
use crate::support::*;
use gannet::config::AppConfig;
use gannet::dispatch::{Class, EncodedFrame, PushOptions, Selector, Target};
use gannet::{App, Message, Session};
use serde_json::{Value, json};
use std::time::Instant;

/// A server with three apps: `default`, `chess` and `a b`.
fn with_apps() -> TestServer {
    TestServer::start(|config| {
        config.echo = true;
        config.apps.insert("chess".into(), AppConfig::default());
        config.apps.insert("a b".into(), AppConfig::default());
    })
}

fn ask(server: &TestServer, bytes: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(server.client);
    raw.send(bytes);
    answer_of(raw)
}

fn answer_of(mut raw: Raw) -> Answer {
    let answer = raw.answer();
    if answer.status != 101 {
        assert!(answer.header("connection").is_some_and(|options| options.starts_with("close")));
        assert_eq!(raw.rest(), b"", "a refusal ends the connection");
    }
    answer
}

#[test]
fn every_refusal() {
    let server = with_apps();
    let valid = upgrade("/ws", "");
    let without = |line: &str| {
        assert!(valid.contains(line), "{line}");
        valid.replacen(line, "", 1)
    };
    let long = "x".repeat(129);
    let many = (0..65).map(|number| format!("group={number}")).collect::<Vec<_>>().join("&");
    let table: Vec<(String, u16, &str, &str)> = vec![
        (request("GET /ws"), 400, "bad_request", "malformed"),
        (without("Upgrade: websocket\r\n"), 400, "bad_request", "malformed"),
        (without("Connection: Upgrade\r\n"), 400, "bad_request", "malformed"),
        (without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, "bad_request", "malformed"),
        (without("Sec-WebSocket-Version: 13\r\n"), 400, "bad_request", "malformed"),
        (without("Host: localhost\r\n"), 400, "bad_request", "malformed"),
        (valid.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400, "bad_request", "malformed"),
        (valid.replace("HTTP/1.1", "HTTP/1.0"), 400, "bad_request", "malformed"),
        (upgrade("/ws", "Sec-WebSocket-Protocol: a, a\r\n"), 400, "bad_request", "malformed"),
        (upgrade("/ws", "Host: twice\r\n"), 400, "bad_request", "malformed"),
        (upgrade("/ws?user=", ""), 400, "bad_request", "malformed"),
        (upgrade("/ws?user=a&user=b", ""), 400, "bad_request", "malformed"),
        (upgrade(&format!("/ws?tag={long}"), ""), 400, "bad_request", "malformed"),
        (upgrade("/ws?user=%00", ""), 400, "bad_request", "malformed"),
        (upgrade("/ws?user=%ff", ""), 400, "bad_request", "malformed"),
        (upgrade("/ws?name=ada", ""), 400, "bad_request", "malformed"),
        (upgrade(&format!("/ws?{many}"), ""), 400, "bad_request", "malformed"),
        (upgrade("/echo?user=ada", ""), 400, "bad_request", "malformed"),
        (upgrade("/", ""), 404, "not_found", "not_found"),
        (upgrade("/ws/", ""), 404, "not_found", "not_found"),
        (upgrade("/ws/poker", ""), 404, "not_found", "not_found"),
        (upgrade("/ws/chess/1", ""), 404, "not_found", "not_found"),
        (upgrade("/v1/push", ""), 404, "not_found", "not_found"),
        (upgrade("/metrics", ""), 404, "not_found", "not_found"),
        (valid.replace("GET", "POST"), 405, "method_not_allowed", "method"),
        (valid.replace("GET", "OPTIONS"), 405, "method_not_allowed", "method"),
        (upgrade(&format!("/ws?user={}", "x".repeat(9000)), ""), 414, "payload_too_large", "target_too_long"),
        (valid.replace("Version: 13", "Version: 8"), 426, "bad_request", "version"),
        (
            upgrade("/ws", &format!("X: {}\r\n", "x".repeat(17_000))),
            431,
            "payload_too_large",
            "head_too_large",
        ),
        (upgrade("/ws", &"X: y\r\n".repeat(65)), 431, "payload_too_large", "head_too_large"),
    ];
    let mut backend = server.backend();
    for (bytes, status, code, reason) in table {
        let before = backend.stats()["refused"][reason].as_u64().unwrap();
        let answer = ask(&server, &bytes);
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{bytes}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET"), "{bytes}");
        assert_eq!(answer.header("sec-websocket-version"), (status == 426).then_some("13"), "{bytes}");
        assert_eq!(answer.header("upgrade"), (status == 426).then_some("websocket"), "{bytes}");
        assert_eq!(backend.stats()["refused"][reason], before + 1, "{bytes}");
    }
    assert_eq!(backend.stats()["opened"], 0);
}

#[test]
fn a_head_that_takes_too_long() {
    let server = ServerProcess::start(&[], "[timeouts]\nupgrade_ms = 300");
    for bytes in ["GET", &upgrade("/ws", "")[..100]] {
        let answer = answer_of(Raw::begun(&server, server.client, bytes));
        assert_eq!((answer.status, answer.error().as_str()), (408, "bad_request"));
    }
    // Where nothing has come nothing is answered.
    assert_eq!(Raw::connect(server.client).rest(), b"");
    // Who made it in time stays; on a busy machine it may take more than one attempt.
    let mut ada = std::iter::repeat_with(|| server.try_player("/ws?user=ada")).find_map(Result::ok).unwrap();
    assert_eq!(Raw::connect(server.client).rest(), b"");
    server.backend().push_text("user=ada", "still here");
    assert_eq!(ada.recv_text(), "still here");
}

#[test]
fn no_more_sessions_than_are_allowed() {
    let server = TestServer::start(|config| config.limits.max_sessions = 3);
    let mut players: Vec<_> = (0..3).map(|_| server.player("group=g")).collect();
    for _ in 0..3 {
        let answer = ask(&server, upgrade("/ws", ""));
        assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    assert_eq!(server.backend().stats()["refused"]["full"], 3);
    players.pop().unwrap().close(1000, "");
    server.await_stats("two sessions", |totals| totals["sessions"] == 2);
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade("/ws", ""));
    // The one that left may still be counted for a moment.
    if raw.answer().status == 503 {
        let started = Instant::now();
        while ask(&server, upgrade("/ws", "")).status == 503 {
            assert!(started.elapsed() < DEADLINE);
        }
    }
}

#[test]
fn a_server_that_stops_refuses_what_has_begun() {
    let server = TestServer::start(|_| ());
    let mut slow = Raw::player(server.client, "/ws");
    let mut half = Raw::connect(server.client);
    half.send(&upgrade("/ws", "")[..50]);
    let mut backend = Raw::connect(server.backend);
    // All of it has been accepted once this has been answered by everybody.
    backend.send(request("GET /v1/sessions"));
    assert_eq!(backend.answer().json()["count"], 1);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop());
        let answer = half.answer();
        assert_eq!((answer.status, answer.error().as_str()), (503, "draining"));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(half.rest(), b"");
        let close = slow.frame().unwrap();
        assert_eq!(close.close().0, 1001);
        slow.send(masked(CLOSE, &close.payload));
        assert_eq!(slow.rest(), b"");
        // An idle backend connection is ended as well.
        assert_eq!(backend.rest(), b"");
        drop((half, slow, backend));
        let report = stopping.join().unwrap();
        assert_eq!((report.sessions, report.closed_cleanly), (1, 1));
    });
}

#[test]
fn the_answer_to_an_upgrade_and_the_welcome() {
    let server = with_apps();
    for (target, app, user) in [
        ("/ws", "default", Value::Null),
        ("/ws?user=ada&group=g&tag=t", "default", json!("ada")),
        ("/ws/default?user=%22%5C%C3%B6", "default", json!("\"\\ö")),
        ("/ws/chess?user=ada", "chess", json!("ada")),
        ("/ws/a%20b?user=a+b", "a b", json!("a b")),
    ] {
        let mut raw = Raw::connect(server.client);
        raw.send(upgrade(target, "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        let answer = raw.answer();
        let expected = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let headers: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((answer.status, &headers[..]), (101, &expected[..]), "{target}");
        let welcome = raw.frame().unwrap();
        assert_eq!(welcome.first, TEXT);
        let sessions = server.backend().ok("GET", &format!("/v1/sessions?app={}", encoded(app)));
        let ids: Vec<&str> = sessions["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["session"].as_str().unwrap())
            .collect();
        let json: Value = serde_json::from_str(welcome.text()).unwrap();
        assert!(ids.contains(&json["session"].as_str().unwrap()), "{json} {ids:?}");
        let id = json["session"].as_str().unwrap();
        assert_eq!(welcome.text(), format!(r#"{{"type":"welcome","session":"{id}","user":{user}}}"#));
        raw.send(masked(CLOSE, b"\x03\xe8"));
        assert_eq!(raw.closed(), (1000, String::new()));
    }
}

#[test]
fn the_subprotocol_without_a_welcome() {
    let server = with_apps();
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade(
        "/ws?user=ada",
        "Sec-WebSocket-Protocol: x, gannet.raw\r\nSec-WebSocket-Protocol: y\r\n",
    ));
    assert_eq!(raw.answer().header("sec-websocket-protocol"), Some("gannet.raw"));
    server.backend().push_text("user=ada", "first");
    assert_eq!(raw.frame().unwrap().text(), "first");
    server.backend().push("user=ada", &tungstenite::Message::binary(vec![0, 255]));
    let frame = raw.frame().unwrap();
    assert_eq!((frame.first, &frame.payload[..]), (BINARY, &[0, 255][..]));
}

#[test]
fn apps_never_meet() {
    let server = with_apps();
    let apps = ["default", "chess", "a b"];
    let query = "user=ada&group=g&tag=t";
    let mut players: Vec<Raw> =
        apps.iter().map(|app| Raw::player(server.client, &format!("/ws/{}?{query}", encoded(app)))).collect();
    let mut links: Vec<_> = apps.iter().map(|_| server.link()).collect();
    for (link, app) in links.iter_mut().zip(apps) {
        link.command(json!({"op": "listen", "app": app, "events": ["message"]}));
    }
    let mut backend = server.backend();
    let id = |backend: &mut Backend, app: &str| {
        let page = backend.ok("GET", &format!("/v1/sessions?app={}", encoded(app)));
        assert_eq!(page["count"], 1, "{app}");
        page["sessions"][0]["session"].as_str().unwrap().to_owned()
    };
    for (index, app) in apps.iter().enumerate() {
        let encoded_app = encoded(app);
        let own = id(&mut backend, app);
        for selector in ["user=ada", "group=g", "tag=t", "all=1", &format!("session={own}")] {
            let receipt = backend.push_text(&format!("app={encoded_app}&{selector}"), selector);
            assert_eq!((receipt.matched, receipt.offline), (1, 0), "{app} {selector}");
            assert_eq!(players[index].frame().unwrap().text(), selector);
        }
        // A session of another app is none, however right its id.
        let other = encoded(apps[(index + 1) % apps.len()]);
        let receipt = backend.push_text(&format!("app={other}&session={own}"), "crossed");
        assert_eq!((receipt.matched, receipt.offline), (0, 1));
        for (method, path) in [
            ("GET", format!("/v1/sessions/{own}?app={other}")),
            ("DELETE", format!("/v1/sessions/{own}?app={other}")),
            ("PUT", format!("/v1/sessions/{own}/user?user=x&app={other}")),
            ("POST", format!("/v1/sessions/{own}/tags?tag=x&app={other}")),
            ("POST", format!("/v1/groups/g/members?session={own}&app={other}")),
        ] {
            assert_eq!(backend.request(method, &path).status, 404, "{method} {path}");
        }
        assert_eq!(backend.change("POST", &format!("/v1/groups/g/move?to=h&app={encoded_app}")), 1);
        assert_eq!(backend.push_text(&format!("app={encoded_app}&group=h"), "moved").matched, 1);
        assert_eq!(players[index].frame().unwrap().text(), "moved");
        players[index].send(masked(TEXT, app.as_bytes()));
        assert_eq!(links[index].event()["text"], *app, "only to the links of its app");
        assert_eq!(backend.change("DELETE", &format!("/v1/users/ada?app={encoded_app}&code=4242")), 1);
        let close = players[index].frame().unwrap();
        assert_eq!(close.close().0, 4242);
        players[index].send(masked(CLOSE, &close.payload));
        assert_eq!(players[index].rest(), b"");
    }
    server.await_stats("all have gone", |totals| totals["sessions"] == 0);
}

#[test]
fn what_comes_right_behind_the_upgrade() {
    let server = with_apps();
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    let behind = [
        masked(TEXT, b"one"),
        masked(PING, b"two"),
        masked(0x02, b"th"),
        masked(0x80, b"ree"),
        masked(CLOSE, b"\x03\xe9bye"),
    ]
    .concat();
    let all = [upgrade("/ws?user=ada", "").as_bytes(), &behind].concat();
    let head = all.len() - behind.len();
    // In one segment, and split at every byte behind the head.
    for split in head - 3..=all.len() {
        let mut raw = Raw::connect(server.client);
        raw.send(&all[..split]);
        raw.send(&all[split..]);
        assert_eq!(raw.answer().status, 101);
        assert!(raw.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
        let pong = raw.frame().unwrap();
        assert_eq!((pong.first, &pong.payload[..]), (PONG, &b"two"[..]));
        assert_eq!(raw.closed(), (1001, String::new()), "split at {split}");
        assert_eq!(link.event()["event"], "open");
        assert_eq!(link.event()["text"], "one");
        assert_eq!(link.event()["data"], "dGhyZWU=");
        let close = link.event();
        assert_eq!((&close["code"], &close["reason"]), (&json!(1001), &json!("bye")));
    }
    let mut echo = Raw::connect(server.client);
    echo.send([upgrade("/echo", "").as_bytes(), &masked(TEXT, b"echo")].concat());
    assert_eq!(echo.answer().status, 101);
    assert_eq!(echo.frame().unwrap().text(), "echo");
    // Behind a refused head nothing is a frame, nor a second request.
    let mut raw = Raw::connect(server.client);
    raw.send([request("GET /nowhere"), upgrade("/ws", "")].concat());
    assert_eq!(raw.answer().status, 404);
    assert_eq!(raw.rest(), b"");
}

/// Greets with an urgent push to the session that opens, and repeats what it is sent, fifty times as long.
struct Eager;

impl App for Eager {
    fn open(&mut self, session: &mut Session<'_>) {
        let options = PushOptions { class: Class::Urgent, ..PushOptions::default() };
        let target = Target::from(Selector::Session(session.id()));
        session.push(target, EncodedFrame::text("pushed in open"), options);
        session.send_text("sent in open");
    }

    fn message(&mut self, session: &mut Session<'_>, message: Message<'_>) {
        if let Message::Text(text) = message {
            session.send_text(&text.repeat(50));
        }
    }
}

#[test]
fn the_welcome_comes_first_whatever_the_app_does() {
    let server = TestServer::with_app(|_| (), |_| Box::new(Eager));
    for _ in 0..8 {
        let mut raw = Raw::connect(server.client);
        raw.send(upgrade("/ws", ""));
        assert_eq!(raw.answer().status, 101);
        assert!(raw.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
        let mut texts = [raw.frame().unwrap().text().to_owned(), raw.frame().unwrap().text().to_owned()];
        texts.sort();
        assert_eq!(texts, ["pushed in open", "sent in open"]);
    }
}

#[test]
fn an_urgent_push_never_splits_an_answer() {
    let server = TestServer::with_app(|config| config.reactors = Some(1), |_| Box::new(Eager));
    let mut backend = server.backend();
    let mut raw = Raw::narrow_player(server.client, "/ws?user=ada");
    assert_eq!(raw.frame().unwrap().text(), "pushed in open");
    assert_eq!(raw.frame().unwrap().text(), "sent in open");
    let mut asked = 0_u64;
    // Answers until the socket has taken a part of one.
    loop {
        let asking = format!("{asked:-<2000}");
        raw.send(masked(TEXT, asking.as_bytes()));
        asked += 1;
        let started = Instant::now();
        let session = loop {
            let session = backend.ok("GET", "/v1/sessions?user=ada")["sessions"][0].take();
            if session["bytes_in"] == asked * 2008 {
                break session;
            }
            assert!(started.elapsed() < DEADLINE, "{session}");
        };
        if session["queued_messages"] != 0 {
            break;
        }
        assert!(asked < 1000, "a hundred megabytes cannot be on their way");
    }
    for number in 0..3 {
        assert_eq!(backend.push_text("user=ada&class=urgent", &format!("urgent {number}")).queued, 1);
    }
    raw.send(masked(PING, b"ping"));
    let (mut answered, mut urgent, mut pongs) = (0, 0, 0);
    while (answered, urgent, pongs) != (asked, 3, 1) {
        let frame = raw.frame().unwrap();
        match frame.payload.len() {
            100_000 => {
                assert_eq!(frame.text(), format!("{answered:-<2000}").repeat(50));
                answered += 1;
            }
            4 => pongs += 1,
            _ => {
                assert_eq!(frame.text(), format!("urgent {urgent}"));
                urgent += 1;
            }
        }
    }
}
