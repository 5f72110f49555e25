//! What a player who does not keep up gets under each policy, class and key, over real sockets; what the receipts and
//! counters say of the rest; and that nobody else is concerned.

use crate::raw::Raw;
use crate::stalled::{skip, stalled};
use crate::support::*;
use gannet::config::{Slow, SlowPolicy};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::Message;

fn with_slow(slow: Slow) -> TestServer {
    TestServer::start(|config| {
        config.limits.outbox_messages = 40;
        config.apps.get_mut("default").unwrap().slow = slow;
    })
}

/// The texts that come next, without the fill of a stalled socket, up to the one that says "end".
fn texts_to_the_end(raw: &mut Raw) -> Vec<String> {
    let frames = std::iter::from_fn(|| Some(raw.frame().expect("the end of the messages").text().to_owned()));
    frames.filter(|text| text.len() < 50_000).take_while(|text| text != "end").collect()
}

#[test]
fn a_slow_client_gets_the_last_value_of_each_key_and_never_an_older_one_after_a_newer() {
    const KEYS: usize = 100;
    const ROUNDS: usize = 12;
    let server = TestServer::start(|_| ());
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    let mut random = Random::new(7);
    for round in 0..ROUNDS {
        for key in 0..KEYS {
            let size = 1 + random.below(300);
            let text = format!("{key} {round} {}", "x".repeat(size));
            assert_eq!(backend.push_text(&format!("user=slow&key=k{key}"), &text).queued, 1);
        }
    }
    assert_eq!(backend.push_text("user=slow", "end").queued, 1);
    skip(&mut slow, fill);
    let mut last: HashMap<usize, usize> = HashMap::new();
    let texts = texts_to_the_end(&mut slow);
    for text in &texts {
        let mut words = text.split(' ').map(|word| word.parse().ok());
        let (key, round): (usize, usize) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        assert!(last.insert(key, round).is_none_or(|before| before < round), "{key}: {round} is stale");
    }
    assert_eq!(last.len(), KEYS);
    assert!(last.values().all(|round| *round == ROUNDS - 1), "{last:?}");
    assert_eq!(texts.len(), KEYS, "the socket was full before the first of them");
    server.await_stats("all others are replaced", |totals| {
        totals["deliveries"]["replaced"] == KEYS * ROUNDS - KEYS
    });
}

#[test]
fn an_urgent_notice_arrives_before_a_mebibyte_of_queued_chat() {
    let server = TestServer::start(|config| {
        config.limits.outbox_bytes = 8 << 20;
        config.limits.outbox_messages = 4096;
    });
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    for _ in 0..64 {
        assert_eq!(backend.push_text("user=slow", &"c".repeat(16 << 10)).queued, 1);
    }
    assert_eq!(backend.push_text("user=slow&class=urgent", "you will be kicked").queued, 1);
    let mut before = 0;
    while slow.frame().unwrap().text() != "you will be kicked" {
        before += 1;
        assert!(before <= fill, "only what the socket had taken came before it");
    }
    let chat = (before..fill + 64).filter(|_| slow.frame().unwrap().text().starts_with('c')).count();
    assert_eq!(chat, 64, "and nothing of the chat is lost");
}

fn dropped(totals: &Value, reason: &str) -> u64 {
    totals["dropped"][reason].as_u64().unwrap()
}

/// 100 numbered pushes to a stalled player, whose receipts wait for the socket: what it got when it read again, and the
/// receipts.
fn numbered(server: &TestServer, options: &str) -> (Vec<usize>, Vec<Receipt>) {
    let (mut slow, fill) = stalled(server, "slow");
    let mut publisher = server.backend();
    for number in 0..100 {
        let message = Message::text(number.to_string());
        publisher.send_push(&format!("user=slow&receipt=written{options}"), &message);
    }
    server.await_stats("all are pushed", |totals| {
        let queued = totals["deliveries"]["queued"].as_u64().unwrap();
        queued + dropped(totals, "newest") == fill as u64 + 100
    });
    let reader = thread::spawn(move || texts_to_the_end(&mut slow));
    let receipts = (0..100).map(|_| publisher.receive_receipt()).collect();
    assert_eq!(publisher.push_text("user=slow", "end").queued, 1);
    let got = reader.join().unwrap();
    (got.iter().map(|text| text.parse().unwrap()).collect(), receipts)
}

#[test]
fn the_oldest_or_the_newest_go_and_the_receipts_say_which() {
    let slow = |normal, urgent, droppable| Slow { normal, urgent, droppable };
    let (close, oldest, newest) = (SlowPolicy::Close, SlowPolicy::DropOldest, SlowPolicy::DropNewest);
    let table = [
        (slow(oldest, close, close), "", true),
        (slow(newest, close, close), "", false),
        (slow(close, oldest, close), "&class=urgent", true),
        (slow(close, newest, close), "&class=urgent", false),
        (Slow::default(), "&class=droppable", true),
        (slow(close, close, newest), "&class=droppable", false),
    ];
    for (slow, options, oldest_go) in table {
        let server = with_slow(slow);
        let (got, receipts) = numbered(&server, options);
        let said = format!("{slow:?} {options}: {got:?}");
        assert!((20..=40).contains(&got.len()), "{said}");
        let first = if oldest_go { 100 - got.len() } else { 0 };
        assert!(got.iter().copied().eq(first..first + got.len()), "{said}");
        for (number, receipt) in receipts.iter().enumerate() {
            assert!(receipt.adds_up(), "{said}: {receipt:?}");
            let written = u32::from(got.contains(&number));
            assert_eq!((receipt.matched, receipt.written, receipt.dropped), (1, Some(written), 1 - written));
            assert_eq!(receipt.queued, if oldest_go { 1 } else { written }, "{said}");
        }
        // What became of messages is counted at the end of the turn that has written the last one.
        let totals = server.await_stats("nothing waits", |totals| totals["outbox_memory"] == 0);
        let lost = 100 - got.len() as u64;
        let (by_age, not_met) = if oldest_go { ("oldest", "newest") } else { ("newest", "oldest") };
        // The fill of a normal class goes too, where the oldest do.
        assert!(dropped(&totals, by_age) >= lost && dropped(&totals, not_met) == 0, "{said}: {totals:#}");
        assert_eq!(totals["deliveries"]["dropped"].as_u64(), Some(dropped(&totals, by_age)));
        assert_eq!(totals["closed"]["4003"], 0, "{said}");
    }
}

#[test]
fn where_sessions_are_closed_the_receipts_say_so_and_pings_close_none_that_lose_messages() {
    let server = with_slow(Slow::default());
    let (mut slow, _) = stalled(&server, "slow");
    let mut publisher = server.backend();
    let send = |publisher: &mut Backend, number: usize| {
        publisher.send_push("user=slow&receipt=written", &Message::text(number.to_string()));
        number + 1
    };
    let sent = (0..60).fold(0, |number, _| send(&mut publisher, number));
    let receipts: Vec<Receipt> = (0..sent).map(|_| publisher.receive_receipt()).collect();
    let count = |of: fn(&Receipt) -> u32| receipts.iter().map(of).sum::<u32>();
    assert!(receipts.iter().all(Receipt::adds_up));
    assert_eq!(count(|receipt| receipt.dropped), 1, "the one that met a full queue");
    assert_eq!(count(|receipt| receipt.closed.unwrap()) + 1, count(|receipt| receipt.matched));
    server.await_stats("it is counted", |totals| dropped(totals, "too_slow") == 1);
    while slow.frame().is_some_and(|frame| frame.first != crate::raw::CLOSE) {}

    let server = with_slow(Slow { normal: SlowPolicy::DropNewest, ..Slow::default() });
    let (mut slow, _) = stalled(&server, "slow");
    let mut publisher = server.backend();
    while publisher.push_text("user=slow", "chat").dropped == 0 {}
    for _ in 0..5 {
        slow.send(crate::raw::masked(crate::raw::PING, b"are you there"));
    }
    // Pongs that are due together are one item.
    let totals =
        server.await_stats("pongs take the places of messages", |totals| dropped(totals, "oldest") > 0);
    assert_eq!(totals["closed"]["4003"], 0);
}

/// The value of a counter on each reactor.
fn by_reactor(server: &TestServer, name: &str) -> Vec<u64> {
    let reply = server.backend().request("GET", "/metrics");
    let text = String::from_utf8(reply.body).unwrap();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    samples.map(|sample| sample.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_ticked_group_of_a_thousand_is_written_once_a_session_and_tick() {
    const MEMBERS: u64 = 1_000;
    const PUSHES: u64 = 200;
    let _heavy = heavy();
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().group_tick_ms = [("match/".to_owned(), 50)].into();
    });
    let pool = Pool::new(|_, message| message.into_text().unwrap().parse::<u64>().unwrap());
    for _ in 0..MEMBERS {
        pool.add(server.player("group=match/1"));
    }
    let mut publisher = server.backend();
    let before: u64 = by_reactor(&server, "gannet_socket_writes_total").iter().sum();
    for number in 0..PUSHES {
        assert_eq!(u64::from(publisher.push_text("group=match/1", &number.to_string()).queued), MEMBERS);
    }
    pool.wait("all messages", |logs| logs.iter().all(|log| log.messages.len() as u64 == PUSHES));
    // The writes of a tick are counted behind the last of them.
    server.await_stats("nothing waits", |totals| totals["outbox_messages"] == 0);
    let sessions = by_reactor(&server, "gannet_sessions");
    let ticks = by_reactor(&server, "gannet_ticks_total");
    let at_ticks = by_reactor(&server, "gannet_tick_writes_total");
    let writes = by_reactor(&server, "gannet_socket_writes_total").iter().sum::<u64>() - before;
    for ((writes, ticks), sessions) in at_ticks.iter().zip(&ticks).zip(&sessions) {
        assert!(*sessions > 0 && *ticks > 0 && *writes >= *sessions);
        // A call takes 64 messages: on a busy machine more than that may wait for one tick.
        let most = (ticks + PUSHES / 64) * sessions;
        assert!(*writes <= most, "{writes} writes in {ticks} ticks of {sessions} sessions");
    }
    // All others are answers to the backend.
    let others = writes - at_ticks.iter().sum::<u64>();
    assert!(others <= PUSHES + 20, "{others} writes outside the ticks");
    for log in pool.finish() {
        assert!(log.messages.into_iter().eq(0..PUSHES), "in order");
    }
}

/// States of four things at 20 Hz, each behind a key, beside a tick of 50 ms: whoever reads gets every one. The long form, for so many
/// seconds as `KEYED_SECONDS` says, has four hundred players.
#[test]
fn who_keeps_up_gets_every_keyed_value_beside_a_tick() {
    const KEYS: u64 = 4;
    let seconds: Option<u64> = std::env::var("KEYED_SECONDS")
        .ok()
        .map(|seconds| seconds.parse().expect("it is a number of seconds"));
    let (players, states) = (if seconds.is_some() { 400 } else { 50 }, seconds.unwrap_or(3) * 20);
    let _heavy = heavy();
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().group_tick_ms = [("match/".to_owned(), 50)].into();
    });
    let pool = Pool::new(|_, message| message.into_text().unwrap().parse::<u64>().unwrap());
    (0..players).for_each(|_| _ = pool.add(server.player("group=match/1")));
    let mut publisher = server.backend();
    let began = Instant::now();
    for state in 0..states {
        thread::sleep(
            (began + Duration::from_millis(50) * state as u32).saturating_duration_since(Instant::now()),
        );
        for key in 0..KEYS {
            let query = format!("group=match/1&key=thing-{key}");
            assert_eq!(publisher.push_text(&query, &(state * KEYS + key).to_string()).queued, players);
        }
    }
    let all = states * KEYS;
    pool.wait("all values", |logs| logs.iter().all(|log| log.messages.len() as u64 == all));
    assert_eq!(server.backend().stats()["deliveries"]["replaced"], 0);
    for log in pool.finish() {
        assert!(log.messages.into_iter().eq(0..all), "in order");
    }
}

/// What `play` makes of a server whose pushes wait ten seconds for their tick, in a time without a tick.
fn between_ticks<R>(play: impl Fn(&TestServer, &mut Player) -> R) -> R {
    loop {
        let server = TestServer::start(|config| {
            config.apps.get_mut("default").unwrap().tick_ms = 10_000;
        });
        let mut player = server.player("user=ada");
        let came = play(&server, &mut player);
        if server.backend().stats()["ticks"] == 0 {
            return came;
        }
    }
}

#[test]
fn urgent_messages_and_pongs_do_not_wait_for_a_tick_and_leave_the_rest_to_it() {
    let waiting = between_ticks(|server, player| {
        let mut backend = server.backend();
        for number in 0..5 {
            assert_eq!(backend.push_text("user=ada&key=state", &number.to_string()).queued, 1);
        }
        assert_eq!(backend.push_text("user=ada&class=urgent&receipt=written", "urgent").written, Some(1));
        let first = player.recv_text();
        let waiting = (&json!(5), &json!(0));
        let of = |stats: &Value| (&stats["outbox_messages"], &stats["deliveries"]["replaced"]) == waiting;
        // A tick ends the attempt.
        let stats = server.await_stats("all values wait", |stats| of(stats) || stats["ticks"] != 0);
        (first, of(&stats))
    });
    assert_eq!(waiting, ("urgent".to_owned(), true));
}

#[test]
fn a_close_takes_with_it_what_waits_for_a_tick() {
    let came = between_ticks(|server, player| {
        let mut backend = server.backend();
        for number in 0..3 {
            backend.push_text("user=ada", &number.to_string());
        }
        backend.request("DELETE", "/v1/users/ada?reason=bye");
        let texts = [(); 3].map(|()| player.recv_text());
        (texts, player.recv_end())
    });
    assert_eq!(came.0, ["0", "1", "2"]);
    assert_eq!(came.1, End::Closed(4001, "bye".to_owned()));
}

#[test]
fn a_receipt_of_a_ticked_push_waits_for_the_tick() {
    let server = TestServer::start(|config| config.apps.get_mut("default").unwrap().tick_ms = 100);
    let mut player = server.player("user=ada");
    let receipt = server.backend().push_text("user=ada&receipt=written", "written at the tick");
    assert_eq!((receipt.written, receipt.queued), (Some(1), 1));
    let totals = server.backend().stats();
    assert_eq!((&totals["ticks"], &totals["tick_writes"]), (&json!(1), &json!(1)));
    assert_eq!(player.recv_text(), "written at the tick");
}

#[test]
fn an_outbox_that_is_full_before_its_tick_is_written_early_and_loses_nothing() {
    let server = TestServer::start(|config| {
        config.limits.outbox_messages = 10;
        config.apps.get_mut("default").unwrap().tick_ms = 10_000;
    });
    let mut player = server.player("user=ada");
    let mut backend = server.backend();
    for number in 0..100 {
        assert_eq!(backend.push_text("user=ada", &number.to_string()).queued, 1);
    }
    for number in 0..90 {
        assert_eq!(player.recv_text(), number.to_string());
    }
    assert_eq!(server.backend().stats()["deliveries"]["dropped"], 0);
}

#[test]
fn a_pong_finds_room_where_an_outbox_is_full_of_what_waits_for_a_tick() {
    let server = TestServer::start(|config| {
        config.limits.outbox_messages = 10;
        config.apps.get_mut("default").unwrap().tick_ms = 10_000;
    });
    let mut raw = Raw::player(server.client, "/ws?user=ada");
    for number in 0..10 {
        assert_eq!(server.backend().push_text("user=ada", &number.to_string()).queued, 1);
    }
    raw.send(crate::raw::masked(crate::raw::PING, b"are you there"));
    let came: Vec<_> = (0..11).map(|_| raw.frame().expect("the session lives")).collect();
    assert!(came.iter().any(|frame| frame.first == crate::raw::PONG), "{came:?}");
    assert_eq!(server.backend().stats()["closed"]["4003"], 0);
}

#[test]
fn a_player_who_keeps_up_gets_every_value_of_a_key_whatever_the_tick() {
    const PLAYERS: usize = 20;
    const VALUES: u64 = 100;
    let server = TestServer::start(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.group_tick_ms = [("match/".to_owned(), 300), ("match/fast/".to_owned(), 20)].into();
    });
    let pool = Pool::new(|_, message| message.into_text().unwrap().parse::<u64>().unwrap());
    for _ in 0..PLAYERS {
        pool.add(server.player("group=match/1&group=match/fast/1"));
    }
    let mut publisher = server.backend();
    for number in 0..VALUES {
        // Many in one tick; some that take with them what waits, at a sooner tick or at once.
        let target = match number % 17 {
            5 => "group=match/fast/1",
            11 => "all=1",
            _ => "group=match/1",
        };
        let receipt = publisher.push_text(&format!("{target}&key=state"), &number.to_string());
        assert_eq!(receipt.queued as usize, PLAYERS);
    }
    pool.wait("every value", |logs| logs.iter().all(|log| log.messages.len() as u64 == VALUES));
    for log in pool.finish() {
        assert!(log.messages.into_iter().eq(0..VALUES), "in order");
    }
    assert_eq!(server.backend().stats()["deliveries"]["replaced"], 0);
}

#[test]
fn a_player_who_does_not_keep_up_with_ticks_gets_the_last_value_of_a_key() {
    const VALUES: usize = 50;
    let server = TestServer::start(|config| {
        config.apps.get_mut("default").unwrap().group_tick_ms = [("match/".to_owned(), 20)].into();
    });
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    assert_eq!(backend.change("POST", "/v1/groups/match%2F1/members?user=slow"), 1);
    for number in 0..VALUES {
        assert_eq!(backend.push_text("group=match/1&key=state", &number.to_string()).queued, 1);
    }
    assert_eq!(backend.push_text("user=slow", "end").queued, 1);
    skip(&mut slow, fill);
    assert_eq!(texts_to_the_end(&mut slow), [(VALUES - 1).to_string()]);
    server.await_stats("all others are replaced", |totals| totals["deliveries"]["replaced"] == VALUES - 1);
}

#[test]
fn two_hundred_stalled_readers_are_bounded_together_and_the_largest_queues_go() {
    const BOUND: u64 = 8 << 20;
    const STALLED: usize = 200;
    const HOGS: usize = 20;
    const SIZE: usize = 64 << 10;
    let _heavy = heavy();
    let server = ServerProcess::start(
        &["--reactors", "2"],
        &format!("[limits]\noutboxes_bytes = {BOUND}\noutbox_bytes = {BOUND}"),
    );
    let healthy = Pool::new(|_, message| message.into_text().unwrap()[..4].parse::<usize>().unwrap());
    for _ in 0..20 {
        healthy.add(server.player("group=busy"));
    }
    let target = |index: usize| format!("/ws?group=busy&user=user{index}");
    let _stalled: Vec<Raw> =
        (0..STALLED).map(|index| Raw::narrow_player(server.client, &target(index))).collect();
    let mut backend = server.backend();
    let before = server.resident_bytes();
    let text = |number: usize| format!("{number:04}{}", "-".repeat(SIZE - 4));
    let mut pushed = 0;
    // Frames that all share: they count once a reactor, and nobody is closed for them.
    while backend.stats()["behind"].as_u64().unwrap() < STALLED as u64 {
        backend.push_text("group=busy", &text(pushed));
        pushed += 1;
        healthy.wait("each message", |logs| logs.iter().all(|log| log.messages.len() == pushed));
        assert!(pushed < 100, "the sockets take everything");
    }
    assert_eq!(backend.stats()["relieved"], 0);
    // Messages of their own make some queues the largest, beyond the bound.
    let mut most = 0;
    for round in 0..16 {
        for hog in 0..HOGS {
            backend.push_text(&format!("user=user{hog}"), &text(round));
            most = most.max(backend.stats()["outbox_memory"].as_u64().unwrap());
        }
        backend.push_text("group=busy", &text(pushed));
        pushed += 1;
    }
    assert!(most <= BOUND + BOUND / 4, "{most} bytes waited");
    let is_there = |index: usize| backend.push_text(&format!("user=user{index}&ttl_ms=0"), "").matched == 1;
    let there: Vec<bool> = (0..STALLED).map(is_there).collect();
    assert!(there[HOGS..].iter().all(|there| *there), "only the largest queues go");
    let gone = there.iter().filter(|there| !**there).count();
    assert!((1..=HOGS).contains(&gone), "{gone} closed");
    server.await_stats("each is counted once", |totals| {
        totals["relieved"] == gone && totals["closed"]["4003"] == gone
    });
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < BOUND + (32 << 20), "{grown} bytes more");
    healthy.wait("each message", |logs| logs.iter().all(|log| log.messages.len() == pushed));
    for log in healthy.finish() {
        assert!(log.end.is_none() && log.messages.into_iter().eq(0..pushed));
    }
}
