//! Clients and backends that do what they should not, each beside fifty players who get every message meanwhile. Each
//! ends as the configuration says, is counted under its reason, and leaves nothing behind.

use crate::raw::{BINARY, PING, Raw, TEXT, masked, request, request_with, upgrade};
use crate::support::*;
use std::fmt::Write;

const CROWD: usize = 50;

/// A server in a process of its own, fifty players in a group, and what the server held before anybody misbehaved.
struct World {
    pool: Pool<String>,
    backend: Backend,
    told: usize,
    open_files: usize,
    server: ServerProcess,
}

impl World {
    fn new(config: &str) -> Self {
        let server = ServerProcess::start(&["--echo", "--reactors", "2"], config);
        let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
        for _ in 0..CROWD {
            pool.add(server.player("group=crowd"));
        }
        let backend = server.backend();
        // The connection that asks is there now and will be there when it is asked again.
        let mut open_files = 0;
        server.await_stats("the server answers", |_| {
            open_files = server.open_files();
            true
        });
        Self { pool, backend, told: 0, open_files, server }
    }

    /// A message to the whole crowd.
    fn tell(&mut self) {
        let receipt = self.backend.push_text("group=crowd", &self.told.to_string());
        assert_eq!((receipt.matched, receipt.queued), (CROWD as u32, CROWD as u32));
        self.told += 1;
    }

    /// The sum over the reactors of the samples of a family, with `label` where it has labels: `code="4003"`.
    fn metric(&mut self, family: &str, label: &str) -> u64 {
        let reply = self.backend.request("GET", "/metrics");
        let text = String::from_utf8(reply.body).unwrap();
        let samples = text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
        let values: Vec<u64> = samples
            .filter(|sample| sample.contains(label))
            .map(|sample| sample.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!values.is_empty(), "no {family} with {label}");
        values.into_iter().sum()
    }

    fn closed(&mut self, code: &str) -> u64 {
        self.metric("gannet_closed_total", &format!("code=\"{code}\""))
    }

    fn refused(&mut self, reason: &str) -> u64 {
        self.metric("gannet_refused_total", &format!("reason=\"{reason}\""))
    }

    /// Waits until nobody but the crowd is left, and nothing of the others; then the crowd must have got everything.
    fn is_unharmed(mut self) {
        self.tell();
        let told: Vec<String> = (0..self.told).map(|number| number.to_string()).collect();
        self.pool.wait("every message to everybody", |logs| {
            logs.iter().all(|log| log.messages.len() == told.len() || log.end.is_some())
        });
        self.pool.look(|logs| {
            for log in logs {
                assert_eq!((&log.messages, &log.end), (&told, &None), "{}", log.id);
            }
        });
        let server = &self.server;
        server.await_stats("only the crowd is left", |totals| {
            let left = ["sessions", "backend_connections", "links", "outbox_messages", "outbox_bytes"]
                .map(|name| totals[name].as_u64().unwrap());
            left == [CROWD as u64, 2, 0, 0, 0] && server.open_files() == self.open_files
        });
    }
}

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
    world.is_unharmed();
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
    world.is_unharmed();
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
    world.is_unharmed();
}

#[test]
fn who_never_answers_a_close_is_freed_when_its_time_is_up() {
    let mut world = World::new(SMALL_OUTBOX);
    let mut stubborn = Raw::player(world.server.client, "/ws?user=stubborn");
    world.tell();
    assert_eq!(world.backend.change("DELETE", "/v1/users/stubborn?code=4001&reason=out"), 1);
    assert_eq!(stubborn.closed(), (4001, "out".to_owned()));
    assert_eq!(world.closed("4001"), 1);
    world.is_unharmed();
    drop(stubborn);
}

#[test]
fn who_does_not_answer_pings_is_closed_with_4000() {
    let mut world = World::new("[timeouts]\nping_ms = 300\nidle_ms = 2500\nclose_ms = 300");
    let mut dead = Raw::player(world.server.client, "/ws?user=dead");
    let ping = dead.frame().unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8), "the time of the ping, for the round-trip time");
    world.tell();
    assert_eq!(dead.closed(), (4000, "idle".to_owned()));
    assert_eq!(world.closed("4000"), 1, "the crowd has answered its pings");
    world.is_unharmed();
}

#[test]
fn half_a_head_is_answered_with_408_however_it_trickles() {
    let mut world = World::new("[timeouts]\nupgrade_ms = 400\nbackend_idle_ms = 600000");
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
    for late in [&mut silent, &mut partial, &mut trickling] {
        let answer = late.answer();
        assert_eq!((answer.status, answer.error().as_str()), (408, "bad_request"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(late.rest(), b"");
    }
    assert_eq!(world.refused("head_timeout"), 3);
    drop((silent, partial, trickling));
    world.is_unharmed();
}

#[test]
fn half_requests_and_halves_of_connections() {
    let mut world = World::new("[timeouts]\nclose_ms = 300\nbackend_idle_ms = 60000");
    let (client, backend) = (world.server.client, world.server.backend);
    let half_head = "POST /v1/push?user=a HTTP/1.1\r\nHost";
    let half_body = "POST /v1/push?user=a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    let half_chunk =
        "POST /v1/push?user=a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf";
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
    world.is_unharmed();
}

#[test]
fn half_a_body_costs_no_turns() {
    let mut world = World::new("");
    let mut half = Raw::connect(world.server.backend);
    half.send("POST /v1/push?user=a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
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
    world.is_unharmed();
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
        (backend, "POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{"),
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
    world.is_unharmed();
}

/// Text FIN=0, continuations FIN=0, none with a byte in it.
fn empty_fragments(count: usize) -> Vec<u8> {
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
    world.is_unharmed();
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
            b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
            &[400],
        ),
        ("no host", b"GET /ws HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        ("bare line feeds", b"GET /ws HTTP/1.1\nHost: a\n\n".to_vec(), &[400]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 505]),
    ];
    let reasons = ["malformed", "target_too_long", "head_too_large"];
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
    world.is_unharmed();
}

#[test]
fn bodies_beyond_their_bound() {
    let mut world =
        World::new("[limits]\nmax_body_bytes = 100000\nmax_push_bytes = 50000\n[timeouts]\nclose_ms = 300");
    let head = "POST /v1/push?user=a HTTP/1.1\r\nHost: a\r\n";
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
    world.is_unharmed();
}

#[test]
fn a_backend_that_does_not_read_its_answers_is_not_read_and_loses_none() {
    let mut world = World::new("[limits]\noutbox_bytes = 131072\nmax_push_bytes = 65536");
    let mut lazy = Raw::connect_narrow(world.server.backend);
    let asked = 2000;
    let requests = request("GET /metrics").repeat(asked);
    let mut stream = lazy.sender();
    // Forty megabytes of answers: the server must stop reading before it has them all.
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut stream, requests.as_bytes()));
    for _ in 0..50 {
        world.tell();
        let waiting = world.backend.stats()["outbox_bytes"].as_u64().unwrap();
        assert!(waiting < 400_000, "{waiting} bytes wait");
    }
    for _ in 0..asked {
        assert_eq!(lazy.answer().status, 200);
    }
    sender.join().unwrap().unwrap();
    drop(lazy);
    world.is_unharmed();
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
    let last = "POST /v1/push?user=stalled&receipt=written HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast";
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
    world.is_unharmed();
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
    world.is_unharmed();
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
    assert_eq!(got + world.metric("gannet_link_events_lost_total", ""), sent);
    link.send(masked(0x88, &closed.payload));
    assert_eq!(link.rest(), b"");
    player.send(masked(0x88, b"\x03\xe8"));
    assert_eq!(player.closed().0, 1000);
    drop((link, player));
    world.is_unharmed();
}
