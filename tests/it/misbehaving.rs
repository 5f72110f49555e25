//! Clients that do what they should not, each beside fifty players who get every message meanwhile. Each ends as the
//! configuration says, is counted under its reason, and leaves nothing behind.

use crate::crowd::{CROWD, World};
use crate::raw::{BINARY, PING, Raw, TEXT, masked, upgrade};
use crate::support::*;
use std::fmt::Write;

const SMALL_OUTBOX: &str = "
[limits]
outbox_bytes = 131072
max_push_bytes = 65536
[timeouts]
close_ms = 300
";

#[test]
fn who_stops_reading_is_closed_with_4003_and_gets_all_before_it() {
    let mut world = World::new(&SMALL_OUTBOX.replace("close_ms = 300", ""));
    let mut slow = Raw::narrow_player(world.server.client, "/ws?user=slow");
    let mut queued = 0;
    loop {
        let text = format!("{queued:-<20000}");
        let receipt = world.backend.push_text("user=slow", &text);
        assert_eq!(receipt.matched, 1);
        world.tell();
        let waiting = world.backend.stats()["outbox_bytes"].as_u64().unwrap();
        // What is partly on the wire counts whole, and the crowd may be behind by a message.
        assert!(waiting <= 131_072 + 20_008 + 10 * CROWD as u64, "{waiting} bytes wait");
        if receipt.dropped == 1 {
            break;
        }
        assert_eq!(receipt.queued, 1);
        queued += 1;
        assert!(queued < 1000, "twenty megabytes cannot be on their way");
    }
    assert_eq!(world.backend.push_text("user=slow", "late").offline, 1, "its session is over for everybody");
    assert_eq!(world.closed("4003"), 1);
    let mut got = 0;
    let closed = loop {
        let frame = slow.frame().expect("a Close frame");
        if frame.first != TEXT {
            break frame;
        }
        assert_eq!(frame.text(), format!("{got:-<20000}"), "nothing is missing before what was given up");
        got += 1;
    };
    assert_eq!(closed.close(), (4003, "too slow"));
    let given_up = world.metric("gannet_deliveries_total", "outcome=\"closed\"");
    assert_eq!(got + given_up, queued, "what did not come is counted");
    slow.send(masked(0x88, &4003_u16.to_be_bytes()));
    assert_eq!(slow.rest(), b"");
    world.assert_unharmed();
}

#[test]
fn who_stops_reading_and_floods_with_pings_is_closed_with_4003_and_freed() {
    let mut world = World::new(SMALL_OUTBOX);
    let mut flooding = Raw::narrow_player(world.server.client, "/ws?user=flood");
    let pings = masked(PING, &[b'x'; 125]).repeat(500);
    // Neither the Close nor anything else is read: in the end the server drops the connection.
    while flooding.try_send(&pings).is_ok() {
        world.tell();
        let waiting = world.backend.stats()["outbox_bytes"].as_u64().unwrap();
        assert!(waiting <= 2 * 131_072 + 10 * CROWD as u64, "{waiting} bytes wait");
    }
    assert_eq!(world.closed("4003"), 1);
    drop(flooding);
    world.assert_unharmed();
}

#[test]
fn who_echoes_without_reading_is_closed_with_4003_and_freed() {
    let mut world = World::new(SMALL_OUTBOX);
    let mut flooding = Raw::connect_narrow(world.server.client);
    flooding.send(upgrade("/echo", ""));
    assert_eq!(flooding.answer().status, 101);
    let texts = masked(TEXT, &[b'x'; 1000]).repeat(64);
    while flooding.try_send(&texts).is_ok() {
        world.tell();
    }
    drop(flooding);
    world.assert_unharmed();
}

#[test]
fn who_never_answers_a_close_is_freed_when_its_time_is_up() {
    let mut world = World::new(SMALL_OUTBOX);
    let mut stubborn = Raw::player(world.server.client, "/ws?user=stubborn");
    world.tell();
    assert_eq!(world.backend.change("DELETE", "/v1/users/stubborn?code=4001&reason=out"), 1);
    assert_eq!(stubborn.closed(), (4001, "out".to_owned()));
    assert_eq!(world.closed("4001"), 1);
    world.assert_unharmed();
    drop(stubborn);
}

#[test]
fn who_does_not_answer_pings_is_closed_with_4000() {
    let mut world = World::new("[timeouts]\nping_ms = 300\nidle_ms = 5000\nclose_ms = 300");
    let mut dead = Raw::player(world.server.client, "/ws?user=dead");
    let ping = dead.frame().unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8), "the time of the ping, for the round-trip time");
    world.tell();
    assert_eq!(dead.closed(), (4000, "idle".to_owned()));
    assert_eq!(world.closed("4000"), 1, "the crowd has answered its pings");
    world.assert_unharmed();
}

#[test]
fn half_a_head_is_answered_with_408_however_it_trickles_and_none_with_nothing() {
    let mut world = World::new("[timeouts]\nupgrade_ms = 3000\nbackend_idle_ms = 600000");
    let head = upgrade("/ws", &format!("X: {}", "x".repeat(10_000)));
    let mut silent = Raw::connect(world.server.client);
    let mut partial = Raw::connect(world.server.client);
    partial.send(&head[..30]);
    let mut trickling = Raw::connect(world.server.client);
    let mut bytes = head.bytes();
    while !trickling.is_readable() {
        trickling.send([bytes.next().expect("408 before ten thousand bytes")]);
        world.tell();
    }
    assert_eq!(silent.rest(), b"");
    for late in [&mut partial, &mut trickling] {
        let answer = late.answer();
        assert_eq!((answer.status, answer.error().as_str()), (408, "bad_request"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(late.rest(), b"");
    }
    assert_eq!(world.refused("head_timeout"), 3);
    drop((silent, partial, trickling));
    world.assert_unharmed();
}

#[test]
fn resets_in_the_middle_leave_nothing() {
    let mut world = World::new("");
    let (client, backend) = (world.server.client, world.server.backend);
    let message = masked(BINARY, &[7; 100_000]);
    for cut in [1, 5, 14, 1000, 99_999] {
        let mut player = Raw::player(client, "/ws?user=gone&group=gone");
        player.send(&message[..cut]);
        world.tell();
        player.reset();
    }
    for (address, bytes) in [
        (client, "GET /w"),
        (backend, "GET /healthz HTT"),
        (backend, "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{"),
    ] {
        let mut raw = Raw::connect(address);
        raw.send(bytes);
        raw.reset();
    }
    let mut link = Raw::connect(backend);
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    link.send(&message[..50_000]);
    link.reset();
    world.server.await_stats("five are lost", |totals| totals["closed"]["1006"] == 5);
    assert_eq!(world.backend.push_text("user=gone&group=gone", "x").matched, 0);
    world.assert_unharmed();
}

/// Text FIN=0, continuations FIN=0, none with a byte in it.
pub fn empty_fragments(count: usize) -> Vec<u8> {
    let mut frames = masked(0x01, b"");
    frames.extend(masked(0x00, b"").repeat(count));
    frames
}

#[test]
fn frames_that_break_the_protocol() {
    let mut world =
        World::new("[limits]\nmax_frame_bytes = 1000\nmax_message_bytes = 2000\n[timeouts]\nclose_ms = 300");
    let unmasked = b"\x81\x02hi".to_vec();
    let huge = [&[BINARY, 0xff][..], &(1_u64 << 40).to_be_bytes(), b"mask"].concat();
    let out_of_range = [&[BINARY, 0xff][..], &u64::MAX.to_be_bytes(), b"mask"].concat();
    let long_way = [&[BINARY, 0xfe][..], &[0, 5], b"maskhello"].concat();
    let too_long_together =
        [masked(0x02, &[0; 900]), masked(0x00, &[0; 900]), masked(0x00, &[0; 900])].concat();
    let cut_sequence = [masked(0x01, b"caf\xc3"), masked(0x80, b"x")].concat();
    let table: &[(&str, Vec<u8>, u16, &str)] = &[
        ("unmasked", unmasked, 1002, "protocol"),
        ("a terabyte announced", huge, 1009, "too_big"),
        ("a length with its top bit", out_of_range, 1002, "protocol"),
        ("a length in too many bytes", long_way, 1002, "protocol"),
        ("a frame beyond its limit", masked(TEXT, &[b'x'; 1001]), 1009, "too_big"),
        ("a message beyond its limit", too_long_together, 1009, "too_big"),
        ("100,000 empty fragments", empty_fragments(100_000), 1008, "policy"),
        ("text that is not UTF-8", masked(TEXT, b"\xc0\xaf"), 1007, "invalid_utf8"),
        ("a character cut by a fragment that does not go on with it", cut_sequence, 1007, "invalid_utf8"),
        ("a reserved bit", masked(0xc1, b"x"), 1002, "protocol"),
        ("a reserved opcode", masked(0x83, b"x"), 1002, "protocol"),
        ("a control frame of 126 bytes", masked(PING, &[0; 126]), 1002, "protocol"),
        ("a control frame in fragments", masked(0x09, b"x"), 1002, "protocol"),
        ("a continuation of nothing", masked(0x80, b"x"), 1002, "protocol"),
        ("a message in a message", [masked(0x01, b"x"), masked(TEXT, b"y")].concat(), 1002, "protocol"),
        ("a Close of one byte", masked(0x88, b"\x03"), 1002, "protocol"),
        ("a Close with 1005", masked(0x88, &1005_u16.to_be_bytes()), 1002, "protocol"),
        ("a Close whose reason is not UTF-8", masked(0x88, b"\x03\xe8\xff"), 1007, "invalid_utf8"),
    ];
    for (what, bytes, code, kind) in table {
        let closed = world.closed(&code.to_string());
        let family = "gannet_protocol_errors_total";
        let errors = world.metric(family, &format!("kind=\"{kind}\""));
        let mut player = Raw::player(world.server.client, "/ws");
        player.send(bytes);
        world.tell();
        assert_eq!(player.closed(), (*code, String::new()), "{what}");
        assert_eq!(world.closed(&code.to_string()), closed + 1, "{what}");
        assert_eq!(world.metric(family, &format!("kind=\"{kind}\"")), errors + 1, "{what}");
    }
    world.assert_unharmed();
}

#[test]
fn what_is_not_http() {
    let mut world = World::new("[timeouts]\nclose_ms = 300");
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".iter().copied().chain(0..=255);
    let mut random = Random::new(7);
    let noise: Vec<u8> = (0..100_000).map(|_| random.bits() as u8).collect();
    let no_line = vec![b'x'; 200_000];
    let many = upgrade(
        "/ws",
        &(0..100).fold(String::new(), |mut all, number| {
            write!(all, "X-{number}: y\r\n").unwrap();
            all
        }),
    );
    let table: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("TLS", tls_hello.collect(), &[400]),
        ("noise", noise, &[400, 414]),
        ("no line", no_line, &[414]),
        ("a long target", upgrade(&format!("/ws?user={}", "x".repeat(9000)), "").into(), &[414]),
        ("a long head", upgrade("/ws", &format!("X: {}\r\n", "x".repeat(20_000))).into(), &[431]),
        ("many fields", many.into(), &[431]),
        (
            "two lengths",
            b"POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_vec(),
            &[400],
        ),
        ("no host", b"GET /ws HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        ("bare line feeds", b"GET /ws HTTP/1.1\nHost: a\n\n".to_vec(), &[400]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 505]),
    ];
    let reasons = ["malformed", "tls_on_plain", "target_too_long", "head_too_large"];
    let refused = |world: &mut World| reasons.map(|reason| world.refused(reason)).iter().sum::<u64>();
    for (what, bytes, statuses) in &table {
        for address in [world.server.client, world.server.backend] {
            let before = refused(&mut world);
            let mut raw = Raw::connect(address);
            // The answer may come, and the connection end, before all is sent.
            let _ = raw.try_send(bytes);
            world.tell();
            let answer = raw.answer();
            assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
            answer.error();
            assert_eq!(answer.header("connection"), Some("close"), "{what}");
            assert_eq!(raw.rest(), b"", "{what}");
            let counted = u64::from(address == world.server.client);
            assert_eq!(refused(&mut world), before + counted, "{what}");
        }
    }
    let failed = ["4xx", "5xx"];
    let failed =
        failed.map(|class| world.metric("gannet_http_requests_total", &format!("status=\"{class}\"")));
    assert_eq!(failed.iter().sum::<u64>(), table.len() as u64);
    world.assert_unharmed();
}
