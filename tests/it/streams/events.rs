//! Event streams: the same sessions, pushes, bounds and refusals as over a WebSocket.

use super::{GZIP, push};
use crate::raw::{Answer, Raw};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{Config, Slow, SlowPolicy};
use gannet::dispatch::{EncodedFrame, PushOptions, Selector, Target};
use gannet::{App, Session};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn compressing(config: &mut Config) {
    config.deflate.enabled = true;
}

const TEXT: &str = "text/plain";
const BYTES: &str = "application/octet-stream";

/// A stream with a small receive buffer.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    prepared(socket.into())
}

/// What `line` with these field lines is answered, on a connection of its own.
fn asked(server: &Ports, line: &str, fields: &str) -> Answer {
    let mut raw = Raw::connect(server.client);
    raw.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    raw.answer_to(line.split(' ').next().unwrap())
}

#[test]
fn a_stream_gets_what_a_websocket_gets() {
    for fields in ["", GZIP] {
        let server = TestServer::start(compressing);
        let (mut stream, welcome) =
            EventStream::welcomed(server.client, "/sse?user=ada&group=red&tag=ios", fields);
        assert_eq!(welcome["user"], "ada");
        assert_eq!(stream.field("content-encoding"), (!fields.is_empty()).then_some("gzip"));
        assert_eq!(
            (stream.field("cache-control"), stream.field("content-length")),
            (Some("no-cache, no-transform"), None)
        );
        let session = welcome["session"].as_str().unwrap();
        let mut player = server.player("user=bob&group=red");
        let texts = [
            "hello",
            "",
            "two\nlines\n",
            "a\rb",
            " : x",
            &"lorem ipsum\n".repeat(2_000),
            &"x".repeat(300_000),
        ];
        for text in texts {
            assert_eq!(push(&server, "group=red", TEXT, text.as_bytes()), 2);
            assert_eq!((stream.text(), player.recv_text()), (text.to_owned(), text.to_owned()));
        }
        for target in ["user=ada".to_owned(), "tag=ios".to_owned(), format!("session={session}")] {
            assert_eq!(push(&server, &target, BYTES, &[0, 255, 10, 13]), 1);
            let event = stream.next().unwrap();
            assert_eq!((event.name.as_str(), event.data.as_str()), ("binary", "AP8KDQ=="));
        }
        assert_eq!(stream.wire_bytes < 300_000, !fields.is_empty(), "{}", stream.wire_bytes);
        let listed = server.backend().ok("GET", "/v1/sessions?user=ada");
        assert_eq!(listed["sessions"][0]["session"], session, "{listed}");
        server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=cheating");
        assert_eq!(stream.closed(), (4001, "cheating".to_owned()));
        server.await_stats("its end", |stats| stats["sessions"] == 1);
    }
}

/// Greets each session with two messages, and closes it if its user is to leave.
struct Greeter;

impl App for Greeter {
    fn open(&mut self, session: &mut Session<'_>) {
        session.send_text("one\r");
        session.send_binary(b"two");
        session.push(Target::from(Selector::All), EncodedFrame::text("three"), PushOptions::default());
        if session.user().is_some_and(|user| user.as_str() == "leaver") {
            session.close(gannet::protocol::CloseCode(4001), "as you wish");
        }
    }
}

#[test]
fn what_an_app_sends_comes_in_its_order_behind_the_welcome() {
    let server = TestServer::with_app(compressing, |_| Box::new(Greeter));
    for fields in ["", GZIP] {
        let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=leaver", fields);
        let events: Vec<(String, String)> =
            (0..3).map(|_| stream.next().unwrap()).map(|event| (event.name, event.data)).collect();
        let expected = [("json", "\"one\\r\""), ("binary", "dHdv"), ("message", "three")];
        assert_eq!(events, expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
        assert_eq!(stream.closed(), (4001, "as you wish".to_owned()));
    }
}

#[test]
fn a_silent_stream_gets_comments() {
    let server = TestServer::start(|config| {
        config.timeouts.heartbeat = Duration::from_millis(20);
        config.limits.stream_padding_bytes = 0;
    });
    for fields in ["", GZIP] {
        let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=ada", fields);
        assert_eq!(stream.comments, 0);
        (0..3).for_each(|_| stream.await_comment());
        assert_eq!(push(&server, "user=ada", TEXT, b"still there"), 1);
        assert_eq!(stream.text(), "still there");
        stream.leave();
        server.await_stats("its end", |stats| stats["sessions"] == 0);
    }
}

#[test]
fn the_padding_stands_before_everything_else() {
    let server = TestServer::start(|_| {});
    let (stream, _) = EventStream::welcomed(server.client, "/sse", "");
    assert_eq!((stream.comments, stream.wire_bytes > 2_048), (1, true));
}

#[test]
fn ticks_classes_and_keys_hold_on_a_stream() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().tick_ms = 200;
    });
    let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=ada", "");
    let mut backend = server.backend();
    backend.push_text("user=ada&key=k", "old");
    backend.push_text("user=ada", "slow");
    backend.push_text("user=ada&key=k", "new");
    backend.push_text("user=ada&class=urgent", "first");
    let texts: Vec<String> = (0..4).map(|_| stream.text()).collect();
    assert_eq!(texts, ["first", "old", "slow", "new"]);
    assert_eq!(backend.stats()["deliveries"]["replaced"], 0);
}

/// A client that reads nothing: what waits is bounded, what is lost is counted, and nothing is left of it in the end.
#[test]
fn a_slow_stream_loses_what_its_policy_says_and_receipts_add_up() {
    for fields in ["", GZIP] {
        let server = TestServer::start(|config| {
            config.limits.outbox_messages = 40;
            config.limits.outbox_bytes = 16 << 20;
            config.deflate.enabled = true;
            config.apps.get_mut("default").unwrap().slow =
                Slow { normal: SlowPolicy::DropOldest, ..Slow::default() };
        });
        let mut stream = EventStream::over(narrow(server.client), &stream_request("/sse?user=slow", fields));
        assert_eq!(stream.next().unwrap().name, "welcome");
        let mut backend = server.backend();
        let mut random = Random::new(3);
        let fill: String = (0..60_000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        let sent = 200;
        for number in 0..sent {
            assert_eq!(backend.push_text("user=slow", &format!("{number} {fill}")).queued, 1);
        }
        let dropped = backend.stats()["deliveries"]["dropped"].as_u64().unwrap();
        assert!(dropped > 0, "{}", backend.stats());
        let mut seen = BTreeSet::new();
        for _ in 0..sent - dropped {
            let text = stream.text();
            let (number, rest) = text.split_once(' ').unwrap();
            assert!(rest == fill && seen.insert(number.parse::<u64>().unwrap()));
        }
        assert_eq!(seen.last(), Some(&(sent - 1)));
        let stats = server.await_stats("all is written", |stats| {
            stats["deliveries"]["written"].as_u64().unwrap() + dropped == sent
        });
        assert_eq!(stats["deliveries"]["dropped"], dropped);
        until("nothing waits", || {
            let scrape = backend.scrape();
            ["messages", "bytes", "memory_bytes"]
                .iter()
                .all(|what| scrape.sum(&format!("gannet_outbox_{what}"), &[]) == 0)
        });
    }
}

#[test]
fn a_receipt_waits_for_the_socket_of_a_stream_and_says_whom_it_lost() {
    let server = TestServer::start(|config| config.limits.outbox_bytes = 16 << 20);
    let (mut stream, _) = EventStream::welcomed(server.client, "/sse?user=ada", "");
    let mut backend = server.backend();
    let receipt = backend.push_text("user=ada&receipt=written", "hello");
    assert_eq!((receipt.matched, receipt.written), (1, Some(1)));
    assert_eq!(stream.text(), "hello");
    let narrow = EventStream::over(narrow(server.client), &stream_request("/sse?user=eve", ""));
    let big = "x".repeat(1_000_000);
    (0..8).for_each(|_| assert_eq!(backend.push_text("user=eve", &big).queued, 1));
    backend.send_push("user=eve&receipt=written", &tungstenite::Message::text(big.as_str()));
    server.await_stats("all of them wait", |stats| stats["deliveries"]["queued"] == 10);
    narrow.leave();
    let receipt = backend.receive_receipt();
    assert_eq!((receipt.matched, receipt.closed, receipt.adds_up()), (1, Some(1), true), "{receipt:?}");
}

#[test]
fn a_stream_beyond_its_outbox_is_told_that_it_is_too_slow() {
    let server = TestServer::start(|config| config.limits.outbox_messages = 8);
    let mut stream = EventStream::over(narrow(server.client), &stream_request("/sse?user=slow", ""));
    let mut backend = server.backend();
    let big = "x".repeat(60_000);
    while backend.push_text("user=slow", &big).matched > 0 {}
    let mut last = stream.next().unwrap();
    while let Some(event) = stream.next() {
        last = event;
    }
    assert_eq!(last.close(), (4003, "too slow".to_owned()));
}

#[test]
fn who_may_not_have_a_websocket_may_not_have_a_stream() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".into(), app(&[CHESS]));
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.limits.max_sessions = 2;
        for name in ["chess", "default"] {
            config.apps.get_mut(name).unwrap().origins = vec!["https://game.example".parse().unwrap()];
        }
    });
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 60, "app": "chess" }), CHESS);
    let page = "Origin: https://game.example\r\n";
    let with_two = format!("GET /sse/chess?token={good}&user=eve");
    for (line, fields, status, code) in [
        ("GET /sse/chess", page, 401, "unauthorized"),
        ("GET /sse/chess?token=a.b.c", page, 401, "unauthorized"),
        ("GET /sse/poker", page, 404, "not_found"),
        ("POST /sse/chess", page, 405, "method_not_allowed"),
        (&with_two, page, 400, "bad_request"),
    ] {
        let answer = asked(&server, line, fields);
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://game.example"), "{line}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("Retry-After"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let foreign = asked(&server, &format!("GET /sse/chess?token={good}"), "Origin: https://evil.example\r\n");
    assert_eq!((foreign.status, foreign.error().as_str()), (403, "forbidden"));
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let (stream, welcome) = EventStream::welcomed(
        server.client,
        "/sse/chess",
        &format!("Authorization: Bearer {good}\r\n{page}"),
    );
    assert_eq!(stream.field("access-control-allow-origin"), Some("https://game.example"));
    assert!(welcome["expires_unix_ms"].as_u64().unwrap() > now() * 1_000);
    let _second = EventStream::welcomed(server.client, &format!("/sse/chess?token={good}"), "");
    let full = asked(&server, &format!("GET /sse/chess?token={good}"), page);
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")), "{full:?}");
    assert_eq!(full.header("access-control-expose-headers"), Some("Retry-After"));
}

#[test]
fn a_page_asks_before_it_sends_what_a_form_could_not() {
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().origins = vec!["https://*.game.example".parse().unwrap()];
    });
    let ask = |origin: &str| {
        let fields = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n"
        );
        asked(&server, "OPTIONS /sse", &fields)
    };
    let allowed = ask("https://eu.game.example");
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://eu.game.example"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, OPTIONS"));
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("Authorization, Content-Type, Last-Event-ID")
    );
    let foreign = ask("https://evil.example");
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (204, None));
}

#[test]
fn a_token_ends_a_stream_and_links_hear_of_all_of_it() {
    let server = TestServer::start(|config| {
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.auth.leeway = Duration::ZERO;
    });
    let mut link = server.link();
    link.listen(&["open", "close"], None);
    let claims = json!({ "sub": "ada", "exp": now() + 2, "groups": ["red"] });
    let target = format!("/sse?token={}", token(HS256, &claims, DEFAULT));
    let (mut stream, _) = EventStream::welcomed(server.client, &target, "");
    let open = link.event();
    assert_eq!((&open["event"], &open["user"]), (&json!("open"), &json!("ada")));
    assert_eq!(stream.closed(), (4004, "token expired".to_owned()));
    let close = link.event();
    assert_eq!((&close["event"], &close["code"]), (&json!("close"), &json!(4004)));
}

#[test]
fn a_drain_tells_streams_where_to_go() {
    let server = TestServer::start(|_| {});
    let (mut stream, _) = EventStream::welcomed(server.client, "/sse", GZIP);
    server.backend().ok("POST", "/v1/admin/drain?over_ms=1&to=wss://b.example/ws");
    let (code, reason) = stream.closed();
    assert!(code == 1012 && reason.ends_with(" to=wss://b.example/ws"), "{code} {reason}");
    assert_eq!(asked(&server, "GET /sse", "").status, 503);
}

#[test]
fn a_stream_over_tls() {
    let files = tls::CertFiles::new(&["localhost"]);
    let server = TestServer::start(|config| {
        config.tls.cert = Some(files.cert.clone());
        config.tls.key = Some(files.key.clone());
        config.deflate.enabled = true;
    });
    for fields in ["", GZIP] {
        let mut stream =
            EventStream::over(tls::connect(server.client), &stream_request("/sse?user=ada", fields));
        assert_eq!(stream.next().unwrap().name, "welcome");
        for size in [0, 1, 16_000, 16_384, 100_000, 1_000_000] {
            let text = "abcdefg\n".repeat(size / 8);
            assert_eq!(push(&server, "user=ada", TEXT, text.as_bytes()), 1);
            assert_eq!(stream.text(), text);
        }
        server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=bye");
        assert_eq!(stream.closed(), (4001, "bye".to_owned()));
    }
}

/// HTTP/1.0, as nginx and older proxies speak it: the stream ends with the connection, and needs no chunks.
#[test]
fn a_stream_over_http_1_0() {
    let server = TestServer::start(|_| {});
    let stream = prepared(TcpStream::connect(server.client).unwrap());
    let mut stream = EventStream::over(
        stream,
        "GET /sse?user=ada HTTP/1.0\r\nHost: upstream\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((stream.field("transfer-encoding"), stream.field("connection")), (None, Some("close")));
    assert_eq!(stream.next().unwrap().name, "welcome");
    push(&server, "user=ada", TEXT, b"hello");
    assert_eq!(stream.text(), "hello");
}
