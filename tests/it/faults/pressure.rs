//! A link that reads gets what the players send, however much that is at once: they are not read until it has room. Rates
//! count what a message inflates to.

use super::load::{Clock, Flood};
use super::raw_link::RawLink;
use super::settings::{await_until, config, metric};
use crate::raw::{CLOSE, Frame, Raw, TEXT, masked, upgrade};
use crate::stalled::stalled;
use crate::support::*;
use flate2::{Compress, Compression, FlushCompress};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::thread;

const MIB: usize = 1 << 20;
const LOST: &str = "gannet_link_events_lost_total";
/// Of a link that is to be behind soon: room for a few messages of 8,000 bytes.
const SMALL_LINK_OUTBOX: &str = "
limits.max_frame_bytes = 8000
limits.max_message_bytes = 8000
limits.link_outbox_bytes = 60000
";
const PATIENT: &str = "timeouts.link_stalled_ms = 600000";

/// The session that a message event is about. It is read from the first bytes: the others are a mebibyte and more.
fn session_of(event: &Frame) -> String {
    let head = std::str::from_utf8(&event.payload[..80]).unwrap();
    let (_, rest) = head.split_once(r#"{"event":"message","session":""#).unwrap_or_else(|| panic!("{head}"));
    rest.split('"').next().unwrap().to_owned()
}

/// Players who each finish a message of a mebibyte in the same instant, beside a link that reads.
fn finish_at_once(reactors: &str, byte: u8, bytes_in_event: usize) {
    const PLAYERS: usize = 24;
    let server = ServerProcess::start(&["--reactors", reactors], "");
    let mut link = RawLink::open(&server);
    link.listen();
    let message = masked(TEXT, &vec![byte; MIB]);
    let (last, rest) = message.split_last().unwrap();
    let mut players: Vec<Raw> = (0..PLAYERS).map(|_| Raw::player(server.client, "/ws")).collect();
    players.iter_mut().for_each(|player| player.send(rest));
    server.await_stats("all but the last bytes are read", |totals| {
        totals["bytes_in"].as_u64().unwrap() >= (PLAYERS * rest.len()) as u64
    });
    // The server finds them all at once.
    server.signal(Signal::STOP);
    players.iter_mut().for_each(|player| player.send([*last]));
    server.signal(Signal::CONT);
    let sessions: BTreeSet<String> = (0..PLAYERS)
        .map(|_| {
            let event = link.message();
            assert!(event.payload.len() > bytes_in_event, "{} bytes", event.payload.len());
            session_of(&event)
        })
        .collect();
    assert_eq!(sessions.len(), PLAYERS, "each player's message comes once");
    assert_eq!(link.ping("still there"), []);
    let mut backend = server.backend();
    assert_eq!(metric(&mut backend, LOST, ""), Some(0));
    assert_eq!(backend.stats()["sessions"], PLAYERS);
}

#[test]
fn a_link_gets_the_large_messages_that_many_players_finish_at_once() {
    for reactors in ["1", "3"] {
        finish_at_once(reactors, b'x', MIB);
    }
}

#[test]
fn a_link_gets_large_messages_that_json_makes_six_times_as_large() {
    finish_at_once("2", 1, 6 * MIB);
}

/// A compressed text frame whose message inflates to a mebibyte (RFC 7692 §7.2.1).
fn compressed_mebibyte() -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut bytes = Vec::with_capacity(1 << 16);
    compress.compress_vec(&vec![b'x'; MIB], &mut bytes, FlushCompress::Sync).unwrap();
    assert_eq!(compress.total_in(), MIB as u64);
    assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]) && bytes.len() < 2000);
    bytes.truncate(bytes.len() - 4);
    masked(0x40 | TEXT, &bytes)
}

/// A player that speaks permessage-deflate.
fn deflating_player(server: &Ports) -> Raw {
    let mut player = Raw::connect(server.client);
    let fields = "Sec-WebSocket-Protocol: gannet.raw\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    player.send(upgrade("/ws", fields));
    let answer = player.answer();
    assert!(answer.status == 101 && answer.header("sec-websocket-extensions").is_some(), "{answer:?}");
    player
}

/// Compressed messages in one write: 64 mebibytes in less than 128 kB.
const COMPRESSED: usize = 64;

#[test]
fn a_link_gets_all_that_small_frames_inflate_to() {
    let server = ServerProcess::start(&["--reactors", "2"], "deflate.enabled = true");
    let mut link = RawLink::open(&server);
    link.listen();
    let mut player = deflating_player(&server);
    player.send(compressed_mebibyte().repeat(COMPRESSED));
    for _ in 0..COMPRESSED {
        assert!(link.message().payload.len() > MIB);
    }
    assert_eq!(link.ping("still there"), []);
    let mut backend = server.backend();
    assert_eq!(metric(&mut backend, LOST, ""), Some(0));
    assert_eq!(backend.stats()["sessions"], 1);
}

#[test]
fn a_session_that_sends_more_than_its_rate_when_inflated_is_closed() {
    let server = ServerProcess::start(
        &["--reactors", "2"],
        "deflate.enabled = true\nrates.bytes = { per_second = 100000, burst = 2000000 }",
    );
    let mut player = deflating_player(&server);
    player.send([compressed_mebibyte().repeat(COMPRESSED), masked(CLOSE, b"\x03\xe8")].concat());
    assert_eq!(player.frame().expect("a Close frame").close(), (1008, "too fast"));
    let totals = server.backend().stats();
    assert!(totals["throttled"]["bytes"].as_u64() >= Some(1), "{totals:#}");
    assert!(totals["messages_in"].as_u64() <= Some(3), "the burst is of two mebibytes: {totals:#}");
}

#[test]
fn a_session_that_sends_more_than_its_rate_when_inflated_is_paused_and_loses_nothing() {
    let server = ServerProcess::start(
        &["--reactors", "2"],
        "deflate.enabled = true\nrates.bytes = { per_second = 33554432, burst = 2000000 }\nrates.beyond = 'pause'",
    );
    let mut player = deflating_player(&server);
    player.send(compressed_mebibyte().repeat(COMPRESSED));
    let totals = server.await_stats("every message", |totals| totals["messages_in"] == COMPRESSED);
    assert!(totals["throttled"]["bytes"].as_u64() >= Some(1), "{totals:#}");
    assert_eq!(totals["sessions"], 1);
}

fn numbered(number: u64) -> Vec<u8> {
    masked(TEXT, format!("{number:-<8000}").as_bytes())
}

fn paused_for_a_link(backend: &mut Backend) -> Option<u64> {
    metric(backend, "gannet_paused_total", "reason=\"link\"")
}

/// Waits until a player is not read for a link's sake. The link must not lose anything before.
fn await_pressure(server: &Ports) {
    let mut backend = server.backend();
    await_until("a player is paused for the link", || {
        assert_eq!(metric(&mut backend, LOST, ""), Some(0), "events are lost");
        paused_for_a_link(&mut backend) > Some(0)
    });
}

#[test]
fn players_who_are_not_read_for_a_links_sake_are_not_idle_and_lose_nothing() {
    const MESSAGES: u64 = 1500;
    let common = format!("{SMALL_LINK_OUTBOX}\ntimeouts.ping_ms = 1000\ntimeouts.idle_ms = 4000");
    let server = ServerProcess::start(&["--reactors", "2"], &config(&common, PATIENT));
    let mut link = RawLink::open_narrow(&server);
    link.listen();
    let player = Raw::player(server.client, "/ws?user=flood");
    let _flood = Flood::of(&player, MESSAGES, numbered);
    await_pressure(&server);
    // For longer than a silent session is kept, the link reads nothing.
    let mut clock = Clock::start(&server);
    for _ in 0..6 {
        clock.tick();
        link.stir();
    }
    // From here on nobody answers its pings.
    drop(clock);
    for number in 0..MESSAGES {
        assert_eq!(link.event(), format!("{number:-<8000}"));
    }
    let mut backend = server.backend();
    assert_eq!(backend.ok("GET", "/v1/sessions?user=flood")["count"], 1);
    let totals = backend.stats();
    assert_eq!((&totals["messages_in"], &totals["link_events_lost"]), (&MESSAGES.into(), &0.into()));
}

#[test]
fn a_link_that_takes_nothing_is_closed_in_the_end_and_its_players_are_read_again() {
    const MESSAGES: u64 = 2000;
    // While the closing handshake of the stalled link lasts, the players must be read already.
    let common = format!("{SMALL_LINK_OUTBOX}\ntimeouts.close_ms = 600000");
    let server =
        ServerProcess::start(&["--reactors", "2"], &config(&common, "timeouts.link_stalled_ms = 3000"));
    let (mut stalled, mut reading) = (RawLink::open_narrow(&server), RawLink::open(&server));
    stalled.listen();
    reading.listen();
    let reader = thread::spawn(move || {
        (0..MESSAGES).for_each(|number| assert_eq!(reading.event(), format!("{number:-<8000}")));
    });
    let player = Raw::player(server.client, "/ws");
    let _flood = Flood::of(&player, MESSAGES, numbered);
    reader.join().expect("a link that reads gets every message");
    let mut backend = server.backend();
    assert!(paused_for_a_link(&mut backend) > Some(0), "the player was read all the time");
    let mut raw = stalled.into_raw();
    let mut told = 0;
    let closed = loop {
        let frame = raw.frame().expect("a Close frame");
        if frame.first == CLOSE {
            break frame;
        }
        if frame.first == TEXT {
            assert!(frame.text().contains(&format!("\"{told:-<8000}\"")), "message {told} is missing");
            told += 1;
        }
    };
    assert_eq!(closed.close().0, 4003);
    assert!(told < MESSAGES, "it was closed before it had all");
    assert!(metric(&mut backend, LOST, "") >= Some(1), "what waited for it is counted");
    assert!(metric(&mut backend, "gannet_link_events_total", "") >= Some(told + MESSAGES));
    assert_eq!(metric(&mut backend, "gannet_paused", ""), Some(0));
}

#[test]
fn players_who_flood_a_slow_link_get_a_fair_share_of_it_each() {
    const PLAYERS: usize = 6;
    const MUCH: u64 = 500;
    const LITTLE: u64 = 50;
    let common = "
        limits.max_frame_bytes = 1000
        limits.max_message_bytes = 1000
        limits.link_outbox_bytes = 60000
    ";
    let server = ServerProcess::start(&["--reactors", "2"], &config(common, PATIENT));
    let mut link = RawLink::open_narrow(&server);
    link.listen();
    let players: Vec<Raw> = (0..PLAYERS).map(|_| Raw::player(server.client, "/ws")).collect();
    let numbered = |player: usize, number: u64| format!("{player} {number} {}", "-".repeat(900));
    let floods: Vec<Flood> = (0..PLAYERS)
        .map(|player| {
            let ten =
                move |from: u64| (from * 10..from * 10 + 10).map(move |number| numbered(player, number));
            let frames = move |from| ten(from).flat_map(|text| masked(TEXT, text.as_bytes())).collect();
            Flood::start(&players[player], frames)
        })
        .collect();
    await_pressure(&server);
    let mut told = [0; PLAYERS];
    let mut take = || {
        let text = link.event();
        let mut words = text.split(' ');
        let player: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(words.next().unwrap().parse(), Ok(told[player]), "player {player}");
        told[player] += 1;
        told
    };
    // What came before the link was full depends on whose thread was first.
    let warmed =
        std::iter::repeat_with(&mut take).take(20_000).find(|told| told.iter().all(|count| *count >= LITTLE));
    let before = warmed.expect("a player starves");
    let after = std::iter::repeat_with(&mut take)
        .find(|told| told.iter().zip(&before).any(|(count, before)| count - before >= MUCH))
        .unwrap();
    for (count, before) in after.iter().zip(&before) {
        assert!(count - before >= LITTLE, "from {before:?} to {after:?}");
    }
    assert_eq!(metric(&mut server.backend(), LOST, ""), Some(0));
    drop(floods);
}

/// A link is stalled by what its socket does not take, not by the time in which it had nothing to take.
#[test]
fn a_link_that_was_quiet_and_is_behind_for_a_moment_is_not_stalled() {
    const ASKED: usize = 2000;
    let common = "timeouts.ping_ms = 200\ntimeouts.idle_ms = 60000";
    let new = "timeouts.link_stalled_ms = 3000\ndelivery.receipt_ms = 600000";
    let server = ServerProcess::start(&["--reactors", "1"], &config(common, new));
    let (_slow, _) = stalled(&server, "slow");
    let mut link = RawLink::open_narrow(&server);
    // A receipt that it waits for: it has been of use.
    link.send(1, json!({ "op": "push", "to": { "user": "slow" }, "text": "x", "receipt": "written" }));
    let session = server.backend().ok("GET", "/v1/sessions?user=slow")["sessions"][0]["session"].take();
    let mut clock = Clock::start(&server);
    // Quiet for longer than a link may be stalled: a ping comes every 160 ms or more.
    (0..25).for_each(|_| clock.tick());
    let ask = json!({ "id": 2, "op": "session", "session": session }).to_string();
    let mut raw = link.into_raw();
    let mut sender = raw.sender();
    let asking = thread::spawn(move || sender.write_all(&masked(TEXT, ask.as_bytes()).repeat(ASKED)));
    // It begins to read when the server has seen its socket full.
    let mut backend = server.backend();
    await_until("the link is behind", || metric(&mut backend, "gannet_outboxes_behind", "") >= Some(2));
    let mut replies = 0;
    while replies < ASKED {
        let frame = raw.frame().expect("a reply");
        assert_ne!(frame.first, CLOSE, "closed after {replies} replies: {:?}", frame.close());
        replies += usize::from(frame.first == TEXT);
    }
    asking.join().unwrap().unwrap();
}
