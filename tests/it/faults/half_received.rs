//! All that is half received has one gauge, one bound and a deadline: messages, heads, bodies and commands of which the end
//! does not come.

use super::settings::{await_until, config, metric};
use crate::raw::{BINARY, PONG, Raw, TEXT, masked, upgrade};
use crate::support::*;

const MIB: usize = 1 << 20;
const GAUGE: &str = "gannet_incoming_bytes";
/// Connections may be silent for as long as a test takes.
const SILENT: &str = "timeouts.ping_ms = 600000\ntimeouts.idle_ms = 1200000";

/// A frame less its last byte. Any byte ends a binary message.
fn half_message(first: u8, length: usize) -> Vec<u8> {
    let mut frame = masked(first, &vec![b'x'; length]);
    frame.pop();
    frame
}

/// A request with a body of `length` bytes less its last byte. The body is a batch of one command, which will be refused.
fn half_body(length: usize) -> Vec<u8> {
    let command = r#"{"op":"push","to":{"user":"nobody"},"text":""#;
    let text = "x".repeat(length - command.len() - 1);
    format!("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{command}{text}")
        .into_bytes()
}

fn echo(server: &Ports) -> Raw {
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade("/echo", ""));
    assert_eq!(raw.answer().status, 101);
    raw
}

fn raw_link(server: &Ports) -> Raw {
    let mut link = Raw::connect(server.backend);
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    link
}

#[test]
fn a_gauge_shows_all_that_is_half_received() {
    const EACH: usize = 5;
    let patient = format!("{SILENT}\ntimeouts.upgrade_ms = 600000\ntimeouts.backend_idle_ms = 600000");
    let server = ServerProcess::start(
        &["--reactors", "2", "--echo"],
        &config(&patient, "timeouts.message_ms = 600000"),
    );
    let (client, backend_port) = (server.client, server.backend);
    let player = || Raw::player(client, "/ws");
    let fragment = [masked(0x01, &vec![b'x'; MIB / 2]), masked(0x00, &vec![b'x'; MIB / 4])].concat();
    let head = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(10_000)).into_bytes()
    };
    let chunk = format!(
        "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n{}",
        "x".repeat(MIB / 2 - 1)
    );
    type Connect<'a> = &'a dyn Fn() -> Raw;
    let rows: [(&str, Connect<'_>, Vec<u8>, usize); 8] = [
        ("messages of one frame", &player, half_message(BINARY, MIB), MIB - 1),
        ("messages in fragments", &player, fragment, MIB / 2 + MIB / 4),
        ("messages to be echoed", &|| echo(&server), half_message(BINARY, MIB), MIB - 1),
        ("heads of players", &|| Raw::connect(client), head("/ws"), 10_000),
        ("heads of backends", &|| Raw::connect(backend_port), head("/healthz"), 10_000),
        ("bodies", &|| Raw::connect(backend_port), half_body(2 * MIB), 2 * MIB - 1),
        ("bodies in chunks", &|| Raw::connect(backend_port), chunk.into_bytes(), MIB / 2 - 1),
        ("commands of links", &|| raw_link(&server), half_message(TEXT, MIB), MIB - 1),
    ];
    let mut backend = server.backend();
    let mut held = Vec::new();
    let mut sum = 0;
    for (what, connect, bytes, half) in rows {
        for _ in 0..EACH {
            let mut raw = connect();
            raw.send(&bytes);
            held.push(raw);
        }
        sum += (EACH * half) as u64;
        await_until(what, || metric(&mut backend, GAUGE, "").expect(GAUGE) >= sum);
    }
    // What is whole is not counted any more, and what has gone is not either.
    for (number, mut raw) in held.into_iter().enumerate() {
        if number < EACH {
            raw.send([b'x']);
            server.await_stats("it is whole", |totals| totals["messages_in"] == number as u64 + 1);
        }
        raw.reset();
    }
    await_until("nothing is half received", || metric(&mut backend, GAUGE, "") == Some(0));
}

/// Beyond `limits.incoming_bytes` the largest go until it is kept. One look may miss a sixteenth of the bound.
const BOUND: usize = 8 * MIB;
const BOUNDED: &str = "limits.incoming_bytes = 8388608\ntimeouts.message_ms = 600000";

/// How many of size `size` may be left.
fn most_left(size: usize) -> usize {
    (BOUND + BOUND / 16) / size
}

/// Waits until no more of the `large` ones are left than the bound has room for. Returns those that the server has answered
/// or closed, and those that are left.
fn relieved(server: &Ports, mut large: Vec<Raw>, size: usize) -> (Vec<Raw>, Vec<Raw>) {
    let mut backend = server.backend();
    let mut gone = Vec::new();
    await_until("the bound is kept", || {
        gone.extend(large.extract_if(.., Raw::is_readable));
        let held = metric(&mut backend, GAUGE, "");
        large.len() <= most_left(size) && held.is_some_and(|held| held <= (BOUND + BOUND / 16) as u64)
    });
    assert!(!large.is_empty(), "more are given up than the bound asks for");
    (gone, large)
}

#[test]
fn beyond_the_bound_the_players_with_the_largest_half_messages_go_and_the_others_stay() {
    const SMALL: usize = 20;
    let server =
        ServerProcess::start(&["--reactors", "2"], &config("limits.max_body_bytes = 1048576", BOUNDED));
    let mut small: Vec<Raw> = (0..SMALL).map(|_| Raw::player(server.client, "/ws")).collect();
    small.iter_mut().for_each(|player| player.send(half_message(BINARY, 1000)));
    let mut body = Raw::connect(server.backend);
    body.send(half_body(1000));
    let large: Vec<Raw> = (0..16)
        .map(|_| {
            let mut player = Raw::player(server.client, "/ws");
            // The server may close it before it has sent all.
            let _ = player.try_send(half_message(BINARY, MIB));
            player
        })
        .collect();
    let (gone, mut left) = relieved(&server, large, MIB - 1);
    for mut player in gone {
        assert_eq!(player.frame().expect("a Close frame").close().0, 1013);
    }
    // Each of the others can end what it has begun.
    let whole = small.len() + left.len();
    small.iter_mut().chain(&mut left).for_each(|player| player.send([b'x']));
    server.await_stats("the other messages", |totals| totals["messages_in"] == whole);
    body.send(b"\"");
    assert_eq!(body.answer().status, 200);
    drop((small, left, body));
    let mut backend = server.backend();
    await_until("nothing is half received", || metric(&mut backend, GAUGE, "") == Some(0));
}

#[test]
fn forty_bodies_that_stall_are_held_to_the_same_bound() {
    const SIZE: usize = 3 * MIB;
    const COUNT: usize = 40;
    let server =
        ServerProcess::start(&["--reactors", "2"], &config("limits.max_body_bytes = 4194304", BOUNDED));
    let before = server.resident_bytes();
    let mut player = Raw::player(server.client, "/ws");
    player.send(half_message(BINARY, 1000));
    let bodies: Vec<Raw> = (0..COUNT)
        .map(|_| {
            let mut body = Raw::connect(server.backend);
            // The server may answer and close before it has all.
            let _ = body.try_send(half_body(SIZE));
            body
        })
        .collect();
    let (gone, left) = relieved(&server, bodies, SIZE - 1);
    let grown = server.resident_bytes().saturating_sub(before);
    // Of the 120 MiB that were sent. The allocator may keep some of what is free again.
    assert!(grown < 4 * BOUND as u64, "{grown} bytes for {} bodies", left.len());
    for mut body in gone {
        let answer = body.answer();
        assert_eq!((answer.status, answer.error().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    for mut body in left {
        body.send(b"}");
        assert_eq!(body.answer().status, 200);
    }
    player.send(b"x");
    server.await_stats("the small message", |totals| totals["messages_in"] == 1);
}

/// Half messages and bodies may last so long.
const SHORT: &str = "timeouts.message_ms = 500";
/// Bytes that trickle one at a time, each after a whole message of another: together far longer than `message_ms`.
const TRICKLE: usize = 50_000;

#[test]
fn a_message_that_has_begun_has_to_end_in_its_time() {
    let server = ServerProcess::start(&["--reactors", "2", "--echo"], &config(SILENT, SHORT));
    let message = masked(TEXT, &[b'x'; TRICKLE]);
    let mut late: Vec<Raw> = (0..4).map(|_| Raw::player(server.client, "/ws")).collect();
    late.push(echo(&server));
    // Neither silence between messages nor messages that end are concerned.
    let mut silent = Raw::player(server.client, "/ws");
    let mut healthy = echo(&server);
    let first =
        [&message[..1], &masked(0x01, b"begun"), &message[..1000], &masked(0x01, b""), &message[..1000]];
    late.iter_mut().zip(first).for_each(|(raw, bytes)| raw.send(bytes));
    let mut bytes = message[1..].iter();
    while !late.iter_mut().all(Raw::is_readable) {
        let byte = bytes.next().expect("closed before the message's end");
        // They may have been closed.
        let _ = late[0].is_readable() || late[0].try_send([*byte]).is_err();
        let _ = late[1].is_readable() || late[1].try_send(masked(PONG, b"")).is_err();
        healthy.send(masked(TEXT, b"whole"));
        assert_eq!(healthy.frame().unwrap().text(), "whole");
    }
    for mut raw in late {
        assert_eq!(raw.frame().expect("a Close frame").close().0, 1008);
    }
    silent.send(masked(TEXT, b"x"));
    server.await_stats("the silent one is there", |totals| totals["messages_in"] == 1);
    assert!(!healthy.is_readable() && !silent.is_readable());
}

#[test]
fn a_command_that_has_begun_has_to_end_in_its_time() {
    let server = ServerProcess::start(&["--reactors", "2"], &config(SILENT, SHORT));
    let mut stalled = raw_link(&server);
    let mut silent = raw_link(&server);
    let command = masked(TEXT, br#"{"id":1,"op":"push","to":{"user":"nobody"},"text":"x"}"#);
    stalled.send([&command[..], &command[..20]].concat());
    assert!(stalled.frame().unwrap().text().starts_with(r#"{"id":1,"ok":"#), "what is whole is done");
    assert_eq!(stalled.frame().expect("a Close frame").close().0, 1008);
    silent.send(command);
    assert!(silent.frame().unwrap().text().starts_with(r#"{"id":1,"ok":"#));
}

#[test]
fn a_body_that_has_begun_has_to_end_in_its_time() {
    let server = ServerProcess::start(&["--reactors", "2"], &config(SILENT, SHORT));
    let body = half_body(TRICKLE);
    let (head, rest) = body.split_at(1000);
    let chunk = b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n80\r\nhalf"
        .as_slice();
    let mut late = [head, head, chunk].map(|bytes| {
        let mut raw = Raw::connect(server.backend);
        raw.send(bytes);
        raw
    });
    let mut silent = server.backend();
    let mut healthy = server.backend();
    let mut bytes = rest.iter();
    while !late.iter_mut().all(Raw::is_readable) {
        let byte = bytes.next().expect("answered before the body's end");
        // It may have been answered and closed.
        let _ = late[0].is_readable() || late[0].try_send([*byte]).is_err();
        assert_eq!(healthy.push_text("user=nobody", "whole").offline, 1);
    }
    for mut raw in late {
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
        answer.error();
        assert_eq!(raw.rest(), b"");
    }
    assert_eq!(silent.push_text("user=nobody", "whole").offline, 1);
}
