//! Backends and links that do what they should not, beside fifty players who get every message meanwhile.

use crate::crowd::{CROWD, World};
use crate::misbehaving::empty_fragments;
use crate::raw::{BINARY, Raw, TEXT, masked, request, request_with, upgrade};
use crate::support::until;
use std::io::Write;
use std::net::Shutdown;

#[test]
fn half_requests_and_halves_of_connections() {
    let mut world = World::new("[timeouts]\nclose_ms = 300\nbackend_idle_ms = 60000");
    let (client, backend) = (world.server.client, world.server.backend);
    let half_head = "POST /v1/push?user=a HTTP/1.1\r\nHost";
    let half_body = "POST /v1/push?user=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    let half_chunk =
        "POST /v1/push?user=a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf";
    let half_upgrade = &upgrade("/ws", "")[..40];
    for (address, bytes) in [
        (client, half_upgrade),
        (client, ""),
        (backend, half_head),
        (backend, half_body),
        (backend, half_chunk),
        (backend, ""),
    ] {
        let mut half = Raw::connect(address);
        half.send(bytes);
        world.tell();
        half.end_writing();
        assert_eq!(half.rest(), b"", "{bytes}");
    }
    // A player who ends its side without a Close is lost (RFC 6455 §7.1.5), and so is what it had begun.
    for unfinished in [&b""[..], b"\x81", &masked(TEXT, b"hello")[..9], &masked(0x01, b"hello")] {
        let mut half = Raw::player(client, "/ws");
        half.send(unfinished);
        half.end_writing();
        assert_eq!(half.rest(), b"");
    }
    assert_eq!(world.closed("1006"), 4);
    world.assert_unharmed();
}

#[test]
fn half_a_body_costs_no_turns() {
    let mut world = World::new("");
    let mut half = Raw::connect(world.server.backend);
    half.send("POST /v1/push?user=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab");
    world.tell();
    let before = world.metric("gannet_turns_total", "");
    for _ in 0..100 {
        world.tell();
    }
    let turns = world.metric("gannet_turns_total", "") - before;
    assert!(turns < 100 * (CROWD as u64 + 10), "{turns} turns: a reactor spins");
    half.send("cd");
    assert_eq!(half.answer().json()["offline"], 1);
    drop(half);
    world.assert_unharmed();
}

#[test]
fn bodies_beyond_their_bound() {
    let mut world =
        World::new("[limits]\nmax_body_bytes = 100000\nmax_push_bytes = 50000\n[timeouts]\nclose_ms = 300");
    let head = "POST /v1/push?user=a HTTP/1.1\r\nHost: localhost\r\n";
    let announced = format!("{head}Content-Length: 100001\r\n\r\n");
    let endless = format!("{head}Content-Length: 18446744073709551615\r\n\r\n");
    let chunks = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}",
        format!("2000\r\n{}\r\n", "x".repeat(0x2000)).repeat(20)
    );
    let one_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n");
    for (bytes, status) in [(announced, 413), (endless, 413), (chunks, 413), (one_chunk, 413)] {
        let mut raw = Raw::connect(world.server.backend);
        raw.send(bytes);
        world.tell();
        let answer = raw.answer();
        assert_eq!((answer.status, answer.error().as_str()), (status, "payload_too_large"));
        assert_eq!(raw.rest(), b"");
    }
    // A push beyond its own bound is a whole request: the connection goes on.
    let mut raw = Raw::connect(world.server.backend);
    raw.send(request_with("POST /v1/push?user=a", &"x".repeat(50_001)));
    assert_eq!(raw.answer().error(), "payload_too_large");
    raw.send(request("GET /healthz"));
    assert_eq!(raw.answer().status, 200);
    drop(raw);
    world.assert_unharmed();
}

#[test]
fn a_backend_that_does_not_read_its_answers_is_not_read_and_loses_none() {
    let mut world = World::new("[limits]\noutbox_bytes = 131072\nmax_push_bytes = 65536");
    let mut lazy = Raw::connect_narrow(world.server.backend);
    let asked = 2000;
    let requests = request("GET /metrics").repeat(asked);
    let mut stream = lazy.sender();
    // Forty megabytes of answers: the server must stop reading before it has them all.
    let sender = std::thread::spawn(move || {
        stream.write_all(requests.as_bytes())?;
        stream.shutdown(Shutdown::Write)
    });
    for _ in 0..50 {
        world.tell();
        let waiting = world.backend.stats()["outbox_bytes"].as_u64().unwrap();
        assert!(waiting < 400_000, "{waiting} bytes wait");
    }
    for _ in 0..asked {
        assert_eq!(lazy.answer().status, 200);
    }
    sender.join().unwrap().unwrap();
    assert_eq!(lazy.rest(), b"");
    drop(lazy);
    world.assert_unharmed();
}

#[test]
fn nothing_is_kept_behind_the_last_request() {
    let mut world = World::new("[limits]\noutbox_bytes = 131072\nmax_push_bytes = 65536");
    let mut stalled = Raw::narrow_player(world.server.client, "/ws?user=stalled");
    // Fill its socket, so that a receipt of what is written has to wait.
    let mut fill = 0;
    loop {
        assert_eq!(world.backend.push_text("user=stalled", &"x".repeat(20_000)).queued, 1);
        fill += 1;
        let session = world.backend.ok("GET", "/v1/sessions?user=stalled");
        if session["sessions"][0]["queued_messages"].as_u64().unwrap() >= 2 {
            break;
        }
    }
    let last = "POST /v1/push?user=stalled&receipt=written HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast";
    let deferred = [
        request_with("POST /v1/push?user=stalled&receipt=written", "then"),
        request_with("POST /v1/batch", ""),
    ]
    .concat();
    let before = world.server.resident_bytes();
    let (mut closing, mut waiting) = (Raw::connect(world.server.backend), Raw::connect(world.server.backend));
    closing.send(last);
    for _ in 0..1000 {
        closing.send([b'x'; 100_000]);
    }
    waiting.send(deferred);
    waiting.send(request("GET /healthz"));
    waiting.end_writing();
    world.tell();
    let grown = world.server.resident_bytes().saturating_sub(before);
    assert!(grown < 50_000_000, "{grown} bytes for a hundred million that nobody will read");
    for _ in 0..fill {
        assert_eq!(stalled.frame().unwrap().payload.len(), 20_000);
    }
    assert_eq!(stalled.frame().unwrap().text(), "last");
    assert_eq!(stalled.frame().unwrap().text(), "then");
    assert_eq!(closing.answer().json()["written"], 1);
    assert_eq!(closing.rest(), b"");
    assert_eq!(waiting.answer().json()["written"], 1);
    assert_eq!(waiting.answer().header("content-type"), Some("application/x-ndjson"));
    assert_eq!(waiting.answer().json()["alive"], true);
    assert_eq!(waiting.rest(), b"");
    drop((stalled, closing, waiting));
    world.assert_unharmed();
}

fn raw_link(world: &World, narrow: bool) -> Raw {
    let address = world.server.backend;
    let mut link = if narrow { Raw::connect_narrow(address) } else { Raw::connect(address) };
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    link
}

#[test]
fn links_that_break_the_rules() {
    let mut world =
        World::new("[limits]\nmax_body_bytes = 70000\nmax_push_bytes = 65536\n[timeouts]\nclose_ms = 300");
    let table: &[(&str, Vec<u8>, u16)] = &[
        ("a binary message", masked(BINARY, b"{}"), 1003),
        ("a message beyond its limit", masked(TEXT, &[b' '; 70_001]), 1009),
        ("text that is not UTF-8", masked(TEXT, b"\"\xff\""), 1007),
        ("unmasked", b"\x81\x02{}".to_vec(), 1002),
        ("100,000 empty fragments", empty_fragments(100_000), 1008),
    ];
    for (what, bytes, code) in table {
        let mut link = raw_link(&world, false);
        // What was asked before is still answered.
        link.send(masked(TEXT, br#"{"id":1,"op":"push","to":{"user":"nobody"},"text":"x"}"#));
        link.send(bytes);
        world.tell();
        assert!(link.frame().unwrap().text().starts_with(r#"{"id":1,"ok":{"#), "{what}");
        let close = link.frame().unwrap();
        assert_eq!(close.close().0, *code, "{what}");
        assert_eq!(link.rest(), b"", "{what}");
    }
    // What is no command is an error, and the link goes on.
    let mut link = raw_link(&world, false);
    for text in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"op":"push"}"#,
        r#"{"op":"fly"}"#,
        r#"{"op":"destroy","group":""}"#,
        &"[".repeat(60_000),
    ] {
        link.send(masked(TEXT, text.as_bytes()));
        let reply = link.frame().unwrap();
        assert!(reply.text().starts_with(r#"{"error":{"code":"bad_request","#), "{text}: {}", reply.text());
    }
    // Half a command and then nothing.
    link.send(&masked(TEXT, b"{\"op\":")[..8]);
    link.end_writing();
    assert_eq!(link.rest(), b"");
    world.assert_unharmed();
}

#[test]
fn every_event_that_a_slow_link_does_not_get_is_counted() {
    let mut world = World::new(
        "[limits]\nmax_frame_bytes = 8000\nmax_message_bytes = 8000\nlink_outbox_bytes = 60000\nlink_outbox_messages = 20",
    );
    let mut link = raw_link(&world, true);
    link.send(masked(TEXT, br#"{"id":1,"op":"listen","events":["message"]}"#));
    assert_eq!(link.frame().unwrap().text(), r#"{"id":1,"ok":{}}"#);
    let mut player = Raw::player(world.server.client, "/ws?user=ada");
    let mut sent = 0_u64;
    while world.metric("gannet_link_events_lost_total", "") == 0 {
        player.send(masked(TEXT, format!("{sent:-<8000}").as_bytes()));
        sent += 1;
        world.server.await_stats("it has been handled", |totals| totals["messages_in"] == sent);
        assert!(sent < 5000, "forty megabytes cannot be on their way");
    }
    world.tell();
    let mut got = 0;
    let closed = loop {
        let frame = link.frame().unwrap();
        if frame.first != TEXT {
            break frame;
        }
        assert!(frame.text().contains(&format!("{got:-<8000}")));
        got += 1;
    };
    assert_eq!(closed.close(), (4003, "too slow"));
    until("the others are counted", || {
        let known = got + world.metric("gannet_link_events_lost_total", "");
        assert!(known <= sent, "{known} of {sent}");
        known == sent
    });
    link.send(masked(0x88, &closed.payload));
    assert_eq!(link.rest(), b"");
    player.send(masked(0x88, b"\x03\xe8"));
    assert_eq!(player.closed().0, 1000);
    drop((link, player));
    world.assert_unharmed();
}
