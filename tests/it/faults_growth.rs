//! What happens again and again costs no memory, and what is asked in parts or shared among links comes whole: nothing
//! twice, nothing left out.

use crate::links::{merge, session};
use crate::raw::{CLOSE, Raw, TEXT, masked, request, upgrade};
use crate::support::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const NO_PINGS: &str = "[timeouts]\nping_ms = 3600000\nidle_ms = 7200000\n";

#[test]
fn sessions_that_are_paused_again_and_again_cost_no_memory() {
    const SESSIONS: usize = 500;
    // Each pause leaves a timer behind where the deadline before it is not remembered: 8 bytes until the ping is due.
    const PAUSES: u64 = 100_000;
    let _heavy = heavy();
    let rates = "[rates]\nmessages = { per_second = 1000, burst = 1 }\nbeyond = \"pause\"\n";
    let server = ServerProcess::start(&["--reactors", "1"], &format!("{NO_PINGS}{rates}"));
    let mut players: Vec<Raw> = (0..SESSIONS).map(|_| Raw::player(server.client, "/ws")).collect();
    let mut backend = server.backend();
    // The second message of two that come together is beyond the rate.
    let two_messages = masked(TEXT, b"").repeat(2);
    let (mut rounds, mut pauses) = (0, 0);
    let mut pause_until = |most: u64| {
        while pauses < most {
            players.iter_mut().for_each(|player| player.send(&two_messages));
            rounds += 1;
            until("everybody is beyond its rate", || {
                pauses = backend.scrape().sum("gannet_throttled_total", &["what=\"messages\""]);
                pauses >= rounds * SESSIONS as u64
            });
        }
    };
    pause_until(PAUSES / 10);
    let before = server.resident_bytes();
    pause_until(PAUSES / 10 + PAUSES);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < PAUSES * 8 / 2, "{grown} bytes for {PAUSES} pauses of {SESSIONS} sessions");
}

/// A link on reactor 0 that listens for messages.
fn listening_link(server: &ServerProcess) -> Raw {
    let mut link = loop {
        let mut raw = Raw::connect(server.backend);
        raw.send(request("GET /v1/stats"));
        if raw.answer().json()["reactor"] == 0 {
            break raw;
        }
    };
    link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
    assert_eq!(link.answer().status, 101);
    link.send(masked(TEXT, br#"{"id":1,"op":"listen","events":["message"]}"#));
    assert_eq!(link.frame().unwrap().text(), r#"{"id":1,"ok":{}}"#);
    link
}

/// Reads to the Close frame, or until the stream is ended by the test: the last message of each session must be followed
/// by the next one. How many events came, and how many Close frames.
fn count_events(mut link: Raw, got: &AtomicU64) -> u64 {
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let mut closes = 0;
    while let Some(frame) = link.frame() {
        if frame.first == CLOSE {
            closes += 1;
            // The server waits for the answer and may have gone by then.
            let _ = link.try_send(masked(CLOSE, &frame.payload));
            continue;
        }
        assert_eq!(closes, 0, "an event behind the Close: {}", frame.text());
        let event: Value = serde_json::from_slice(&frame.payload).unwrap();
        let number: u64 = event["text"].as_str().unwrap().parse().unwrap();
        let next = next.entry(session(&event)).or_default();
        assert!(number >= *next, "message {number} of {} came after {}", session(&event), *next);
        *next = number + 1;
        got.fetch_add(1, Ordering::Relaxed);
    }
    closes
}

#[test]
fn events_for_a_link_of_another_reactor_wait_within_the_bounds() {
    const PLAYERS: usize = 20;
    const MESSAGES: usize = 2_000;
    const OVERFLOW: usize = 64;
    const FOR_ONE_LINK: usize = 256;
    // An overflow, and beside it what must not be lost: what is on its way to a link, one more of each player, the rest.
    const MOST: u64 = (OVERFLOW + FOR_ONE_LINK + PLAYERS + 16) as u64;
    let limits = format!(
        "[limits]\nmailbox_messages = 64\noverflow_messages = {OVERFLOW}\nlink_outbox_messages = {FOR_ONE_LINK}\n"
    );
    let server = ServerProcess::start(&["--reactors", "2"], &format!("{NO_PINGS}{limits}"));
    let link = listening_link(&server);
    let mut elsewhere = Vec::new();
    let mut players: Vec<Player> = Vec::new();
    while players.len() < PLAYERS {
        let player = server.player("");
        if player.id.worker() == 1 { players.push(player) } else { elsewhere.push(player) }
    }
    let mut backend = server.backend();
    let (got, sent) = (Arc::new(AtomicU64::new(0)), (PLAYERS * MESSAGES) as u64);
    let stream = link.sender();
    let reading = thread::spawn({
        let got = Arc::clone(&got);
        move || count_events(link, &got)
    });
    let messages: Vec<u8> =
        (0..MESSAGES).flat_map(|number| masked(TEXT, number.to_string().as_bytes())).collect();
    let frozen = server.freeze();
    for player in &players {
        Raw::over(player.stream().try_clone().unwrap()).send(&messages);
    }
    drop(frozen);
    until("every event is told or counted as lost", || {
        let scrape = backend.scrape();
        let overflow = scrape.sum("gannet_mailbox_overflow_messages", &[]);
        assert!(overflow <= MOST, "{overflow} envelopes wait where {MOST} may");
        let told = got.load(Ordering::Relaxed) + scrape.sum("gannet_link_events_lost_total", &[]);
        assert!(told <= sent, "{told} of {sent} events");
        told == sent
    });
    // It may have been closed, once; then there is no more to shut down.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    assert!(reading.join().unwrap() <= 1);
}

/// Tells threads to end, by a panic too.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Walks the pages of a listing: the sessions in the order in which they came.
fn walk(backend: &mut Backend, listing: &str, entries: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let sign = if listing.contains('?') { '&' } else { '?' };
        let page = backend.ok("GET", &format!("{listing}{sign}limit={limit}{after}"));
        let rows = page[entries].as_array().unwrap();
        ids.extend(rows.iter().map(session));
        assert!(rows.len() <= limit, "{listing}: {} entries where {limit} may be", rows.len());
        let Some(next) = page["next"].as_str() else { return ids };
        after = format!("&after={next}");
    }
}

#[test]
fn pages_of_a_listing_have_every_session_once_while_others_come_and_go() {
    const STABLE: usize = 120;
    let server = TestServer::start(|_| ());
    let query = |number: usize| format!("user=u{}&group=g&tag=t", number % 2);
    let mut coming: Vec<Player> = Vec::new();
    let mut stable: Vec<(usize, Player)> = Vec::new();
    // Places of those who have gone lie between the others.
    for number in 0..STABLE {
        coming.push(server.player(&query(number)));
        stable.push((number, server.player(&query(number))));
    }
    drop(coming);
    let of = |user: Option<usize>| -> BTreeSet<String> {
        let members = stable.iter().filter(|(number, _)| user.is_none_or(|user| number % 2 == user));
        members.map(|(_, player)| player.id.to_string()).collect()
    };
    let (everybody, half) = (of(None), of(Some(1)));
    let listings = [
        ("/v1/sessions", "sessions", &everybody),
        ("/v1/sessions?group=g", "sessions", &everybody),
        ("/v1/sessions?tag=t", "sessions", &everybody),
        ("/v1/sessions?user=u1", "sessions", &half),
        ("/v1/groups/g", "members", &everybody),
    ];
    let over = AtomicBool::new(false);
    let came = AtomicU64::new(0);
    thread::scope(|scope| {
        for first in 0..2 {
            let (over, came, ports) = (&over, &came, *server);
            scope.spawn(move || {
                let mut number = first;
                while !over.load(Ordering::Relaxed) {
                    let some: Vec<Player> = (0..10).map(|more| ports.player(&query(number + more))).collect();
                    some.into_iter().for_each(Player::reset);
                    number += 1;
                    came.fetch_add(10, Ordering::Relaxed);
                }
            });
        }
        let _over = SetOnDrop(&over);
        let mut backend = server.backend();
        for (listing, entries, expected) in listings {
            for limit in [1, 7, STABLE - 1, STABLE, 1_000] {
                let before = came.load(Ordering::Relaxed);
                loop {
                    let ids = walk(&mut backend, listing, entries, limit);
                    let listed: BTreeSet<String> = ids.iter().cloned().collect();
                    assert_eq!(listed.len(), ids.len(), "{listing} by {limit} names one twice: {ids:?}");
                    let missing: Vec<&String> = expected.difference(&listed).collect();
                    assert!(missing.is_empty(), "{listing} by {limit}: without {missing:?}");
                    if came.load(Ordering::Relaxed) > before {
                        break;
                    }
                }
            }
        }
    });
    server.await_stats("the others have gone", |stats| stats["sessions"] == STABLE);
    for (listing, entries, expected) in listings {
        let ids = walk(&mut server.backend(), listing, entries, 7);
        assert_eq!((ids.len(), &BTreeSet::from_iter(ids)), (expected.len(), expected), "{listing}");
    }
}

#[test]
fn of_eight_links_in_one_share_each_session_has_one_while_others_come_and_go() {
    const LINKS: usize = 8;
    const PLAYERS: usize = 160;
    const ROUNDS: usize = 10;
    let server = TestServer::start(|_| ());
    let mut sharers: Vec<Link> =
        (0..LINKS).map(|number| if number % 2 == 0 { server.link() } else { server.binary_link() }).collect();
    let all = ["open", "message", "close"];
    sharers.iter_mut().for_each(|link| link.listen(&all, Some("workers")));
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
    for round in 0..ROUNDS {
        let passer_by = server.player("");
        for player in players.iter_mut() {
            player.send_text(&round.to_string());
            expected.insert((player.id.to_string(), round.to_string()));
        }
        let id = passer_by.id.to_string();
        expected.insert((id.clone(), "open".to_owned()));
        expected.insert((id, "close".to_owned()));
        passer_by.close(1000, "");
    }
    for player in players {
        let id = player.id.to_string();
        expected.insert((id.clone(), "open".to_owned()));
        expected.insert((id, "close".to_owned()));
        player.close(1000, "");
    }
    let merged = merge(sharers);
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    while told.len() < expected.len() {
        let (number, event) = merged.recv_timeout(DEADLINE).unwrap();
        let id = session(&event);
        assert_eq!(*owners.entry(id.clone()).or_insert(number), number, "two links got events of {id}");
        let what = event["text"].as_str().or(event["event"].as_str()).unwrap().to_owned();
        let before = told.range((id.clone(), String::new())..).take_while(|(other, _)| *other == id).count();
        let place = match what.as_str() {
            "open" => 0,
            "close" => before,
            round => round.parse::<usize>().unwrap() + 1,
        };
        assert_eq!(before, place, "{what} of {id} came in the wrong place");
        assert!(told.insert((id.clone(), what.clone())), "{what} of {id} came twice");
    }
    assert_eq!(told, expected);
    let busy: BTreeSet<usize> = owners.values().copied().collect();
    assert_eq!(busy.len(), LINKS, "a link got no session");
    // Nothing follows but what comes next.
    let next = server.player("");
    let (_, event) = merged.recv_timeout(DEADLINE).unwrap();
    assert_eq!((event["event"].as_str(), session(&event)), (Some("open"), next.id.to_string()));
}
