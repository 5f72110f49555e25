//! Links: what happens to sessions is told in order and exactly once, a share splits the sessions and outlives its links,
//! and a link that is too slow is the only one who notices.

use crate::support::{DEADLINE, End, Link, Player, Pool, Ports, TestServer};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use socket2::SockRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use tungstenite::Message;

const ALL: [&str; 3] = ["open", "message", "close"];

pub fn session(event: &Value) -> String {
    event["session"].as_str().unwrap().to_owned()
}

/// The events up to the `count`-th close, by session.
fn events_to_the_end(link: &mut Link, count: usize) -> HashMap<String, Vec<Value>> {
    let mut events: HashMap<String, Vec<Value>> = HashMap::new();
    let mut closed = 0;
    while closed < count {
        let event = link.event();
        closed += usize::from(event["event"] == "close");
        events.entry(session(&event)).or_default().push(event);
    }
    events
}

/// How a player's session ends, and what the event says of it.
fn end(ports: Ports, player: Player, number: usize) -> (u16, String) {
    let id = player.id;
    match number % 6 {
        0 => {
            player.close(1000, "");
            (1000, String::new())
        }
        1 => {
            player.close(3001, "bye, \"größer\"");
            (3001, "bye, \"größer\"".to_owned())
        }
        2 => {
            player.close_without_code();
            (1005, String::new())
        }
        3 => {
            player.reset();
            (1006, String::new())
        }
        4 => {
            ports.backend().change("DELETE", &format!("/v1/sessions/{id}?code=4321&reason=cheating"));
            let mut player = player;
            assert_eq!(player.recv_end(), End::Closed(4321, "cheating".to_owned()));
            (4321, "cheating".to_owned())
        }
        _ => {
            drop(player);
            (1006, String::new())
        }
    }
}

#[test]
fn each_session_is_told_from_its_open_to_its_close_in_order_and_once() {
    const PLAYERS: usize = 120;
    const MESSAGES: usize = 20;
    let server = TestServer::start(|config| {
        config.apps.insert("other".to_owned(), Default::default());
    });
    // On several reactors, as the players are, and of both forms.
    let mut links: Vec<Link> =
        (0..6).map(|number| if number % 2 == 0 { server.link() } else { server.binary_link() }).collect();
    links.iter_mut().for_each(|link| link.listen(&ALL, None));
    let mut closes_only = server.link();
    closes_only.listen(&["close"], None);
    let mut elsewhere = server.link();
    elsewhere.command(json!({"op": "listen", "events": ALL, "app": "other"}));

    let mut expected: HashMap<String, Vec<Value>> = HashMap::new();
    let mut players = Vec::new();
    for number in 0..PLAYERS {
        let user = (number % 3 > 0).then(|| format!("u{number}"));
        let query = user.as_ref().map_or(String::new(), |user| format!("user={user}&"));
        let player = server.player(&format!("{query}group=g&tag=ios&tag=eu"));
        let (id, remote) = (player.id.to_string(), player.stream().local_addr().unwrap().to_string());
        let open = json!({
            "event": "open", "session": id, "app": "default", "user": user, "tags": ["ios", "eu"], "remote": remote
        });
        expected.insert(id, vec![open]);
        players.push((user, player));
    }
    for round in 0..MESSAGES {
        for (user, player) in &mut players {
            let id = player.id.to_string();
            let event = match round % 3 {
                0 => {
                    let bytes: Vec<u8> = (0..round * 7).map(|byte| byte as u8).collect();
                    player.send_binary(&bytes);
                    json!({"event": "message", "session": id, "user": user, "data": STANDARD.encode(bytes)})
                }
                _ => {
                    let text = format!("{round}: \"quoted\" \\ \n\0 größer 🦅");
                    player.send_text(&text);
                    json!({"event": "message", "session": id, "user": user, "text": text})
                }
            };
            expected.get_mut(&id).unwrap().push(event);
        }
    }
    // What the players have sent must be there before some of them vanish with a reset.
    let sent = (PLAYERS * MESSAGES) as u64;
    server.await_stats("every message has come", |stats| stats["messages_in"] == sent);
    for (number, (user, player)) in players.into_iter().enumerate() {
        let id = player.id.to_string();
        let (code, reason) = end(*server, player, number);
        let close = json!({"event": "close", "session": id, "user": user, "code": code, "reason": reason});
        expected.get_mut(&id).unwrap().push(close);
    }

    let sorted = |mut events: Value| {
        if let Some(tags) = events.get_mut("tags").and_then(Value::as_array_mut) {
            tags.sort_by_key(|tag| tag.as_str().unwrap().to_owned());
        }
        events
    };
    let all_sorted = |events: HashMap<String, Vec<Value>>| {
        let each = events.into_iter().map(|(id, events)| (id, events.into_iter().map(sorted).collect()));
        each.collect::<BTreeMap<String, Vec<Value>>>()
    };
    let expected = all_sorted(expected);
    for link in &mut links {
        assert_eq!(all_sorted(events_to_the_end(link, PLAYERS)), expected);
    }
    let closes = events_to_the_end(&mut closes_only, PLAYERS);
    for (id, events) in closes {
        assert_eq!(events, expected[&id][MESSAGES + 1..]);
    }

    // Nothing else follows, and nothing of another app: the next event of each is that of the next session.
    let other = server.try_player("/ws/other?user=eve").unwrap();
    assert_eq!(session(&elsewhere.event()), other.id.to_string());
    let next = server.player("");
    for link in &mut links {
        assert_eq!(session(&link.event()), next.id.to_string());
    }
}

#[test]
fn a_session_that_is_bound_anew_is_told_under_its_new_user() {
    let server = TestServer::start(|_| ());
    let mut link = server.link();
    link.listen(&ALL, None);
    let mut player = server.player("user=ada");
    assert_eq!(link.event()["user"], "ada");
    link.command(json!({"op": "bind", "session": player.id.to_string(), "user": "bob"}));
    player.send_text("hi");
    assert_eq!(link.event()["user"], "bob");
    link.command(json!({"op": "bind", "session": player.id.to_string(), "user": null}));
    player.send_text("hi");
    assert_eq!(link.event()["user"], Value::Null);
    player.close(1000, "");
    let close = link.event();
    assert_eq!((&close["event"], &close["user"]), (&json!("close"), &Value::Null));
}

/// A link read by a thread of its own, which ends with the link.
struct Reading {
    events: Receiver<Value>,
    thread: JoinHandle<End>,
    stream: TcpStream,
}

impl Reading {
    fn start(mut link: Link) -> Self {
        let stream = link.stream().try_clone().unwrap();
        let (sender, events) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                match link.next_event() {
                    Ok(event) => sender.send(event).unwrap(),
                    Err(end) => return end,
                }
            }
        });
        Self { events, thread, stream }
    }
}

/// What comes on several links, each with the number of its link.
pub fn merge(links: Vec<Link>) -> Receiver<(usize, Value)> {
    let (sender, merged) = mpsc::channel();
    for (number, mut link) in links.into_iter().enumerate() {
        let sender = sender.clone();
        thread::spawn(move || {
            // Until the link has ended, or nobody listens any more.
            while let Ok(event) = link.next_event() {
                if sender.send((number, event)).is_err() {
                    break;
                }
            }
        });
    }
    merged
}

#[test]
fn a_share_splits_the_sessions_and_goes_on_when_one_of_its_links_has_gone() {
    const PLAYERS: usize = 200;
    let server = TestServer::start(|_| ());
    let mut sharers: Vec<Link> =
        (0..4).map(|number| if number % 2 == 0 { server.link() } else { server.binary_link() }).collect();
    sharers.iter_mut().for_each(|link| link.listen(&ALL, Some("workers")));
    // It sees everything, and so tells when a round has been handled.
    let mut observer = server.link();
    observer.listen(&ALL, None);

    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    let ids: BTreeSet<String> = players.iter().map(|player| player.id.to_string()).collect();
    let mut say = |text: &str, players: &mut [Player]| {
        players.iter_mut().for_each(|player| player.send_text(text));
        let mut heard = 0;
        while heard < PLAYERS {
            heard += usize::from(observer.event()["text"] == text);
        }
    };
    say("first", &mut players);
    say("second", &mut players);

    // Each session is wholly one link's.
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    let streams: Vec<TcpStream> = sharers.iter().map(|link| link.stream().try_clone().unwrap()).collect();
    let merged = merge(sharers);
    let mut told: HashMap<String, Vec<Value>> = HashMap::new();
    let mut left = PLAYERS * 3;
    while left > 0 {
        let (number, event) = merged.recv_timeout(DEADLINE).unwrap();
        let id = session(&event);
        assert_eq!(*owners.entry(id.clone()).or_insert(number), number, "two links got events of {id}");
        told.entry(id).or_default().push(event);
        left -= 1;
    }
    assert!(owners.keys().eq(ids.iter()));
    for events in told.values() {
        assert_eq!(events[0]["event"], "open");
        assert_eq!((&events[1]["text"], &events[2]["text"]), (&json!("first"), &json!("second")));
    }
    for number in 0..4 {
        assert!(owners.values().any(|owner| *owner == number), "link {number} got no session");
    }

    // One link goes. Its sessions are the others' from some round on; theirs stay with them.
    streams[0].shutdown(Shutdown::Both).unwrap();
    server.await_stats("the link has gone", |stats| stats["links"] == 4);
    let mut heirs: BTreeMap<String, usize> = BTreeMap::new();
    let mut rounds: HashMap<String, Vec<usize>> = HashMap::new();
    let mut round = 0;
    while heirs.len() < PLAYERS {
        say(&round.to_string(), &mut players);
        round += 1;
        assert!(round < 1_000, "only {} of {PLAYERS} sessions have a link", heirs.len());
        let mut take = |(number, event): (usize, Value)| {
            let id = session(&event);
            rounds.entry(id.clone()).or_default().push(event["text"].as_str().unwrap().parse().unwrap());
            assert_eq!(*heirs.entry(id).or_insert(number), number);
        };
        merged.try_iter().for_each(&mut take);
    }
    players.into_iter().for_each(|player| drop(player.close(1000, "")));
    let mut closed = BTreeSet::new();
    while closed.len() < PLAYERS {
        let (number, event) = merged.recv_timeout(DEADLINE).unwrap();
        let id = session(&event);
        assert_eq!(heirs[&id], number);
        match event["event"].as_str().unwrap() {
            "message" => {
                rounds.get_mut(&id).unwrap().push(event["text"].as_str().unwrap().parse().unwrap());
            }
            _ => assert!(closed.insert(id), "closed twice"),
        }
    }
    for (id, owner) in &owners {
        let heir = heirs[id];
        assert!(heir != 0 && (*owner == 0 || *owner == heir), "{id} went from link {owner} to {heir}");
        // From the first that the heir was told, none is missing; who stays has missed none.
        let got = &rounds[id];
        let first = if *owner == 0 { got[0] } else { 0 };
        assert!(got.iter().copied().eq(first..round), "{id}: {got:?} of {round}");
    }
}

#[test]
fn a_link_too_slow_for_its_events_is_closed_and_slows_nobody() {
    const BYTES: usize = 32 * 1024;
    let server = TestServer::start(|config| {
        config.limits.max_frame_bytes = 64 << 10;
        config.limits.max_message_bytes = 64 << 10;
        config.limits.link_outbox_bytes = 512 << 10;
    });
    let mut slow = server.link();
    SockRef::from(slow.stream()).set_recv_buffer_size(64 << 10).unwrap();
    slow.listen(&ALL, None);
    let mut good = server.link();
    good.listen(&ALL, None);
    let reading = Reading::start(good);

    let pool = Pool::new(|_, message: Message| message.into_text().unwrap().as_str().to_owned());
    for _ in 0..8 {
        pool.add(server.player("group=g"));
    }
    let text = |round: usize| format!("{round} {}", "x".repeat(BYTES));
    let mut backend = server.backend();
    let mut rounds = 0;
    // Until the link has been given up; the players are answered all the while.
    while backend.stats()["link_events_lost"] == 0 {
        (0..8).for_each(|player| pool.send(player, Message::text(text(rounds))));
        assert_eq!(backend.push_text("group=g&receipt=written", &rounds.to_string()).written, Some(8));
        rounds += 1;
        let answered =
            |logs: &[crate::support::Log<String>]| logs.iter().all(|log| log.messages.len() == rounds);
        pool.wait("the push", answered);
        // The good link keeps up, or it would be the next to go.
        for _ in 0..8 {
            while reading.events.recv_timeout(DEADLINE).unwrap()["event"] != "message" {}
        }
        assert!(rounds < 10_000, "the slow link was never closed");
    }
    assert!(backend.stats()["link_events_lost"].as_u64() >= Some(1));

    // It was told in order, and then why it was told no more.
    let mut told: HashMap<String, usize> = HashMap::new();
    let end = loop {
        match slow.next_event() {
            Ok(event) if event["event"] == "message" => {
                let next = told.entry(session(&event)).or_default();
                let said = event["text"].as_str().unwrap();
                assert!(said == text(*next), "{}…", &said[..10]);
                *next += 1;
            }
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert!(matches!(end, End::Closed(4003, _)), "{end:?}");
    assert!(told.values().all(|count| *count <= rounds));

    // Everybody else is still there.
    assert!(pool.look(|logs| logs.iter().all(|log| log.end.is_none())));
    assert_eq!(backend.push_text("group=g", "after").queued, 8);
    pool.send(0, Message::text("after"));
    let event = reading.events.recv_timeout(DEADLINE).unwrap();
    assert_eq!(event["text"], "after");
    assert_eq!(reading.events.try_recv().ok(), None);
    drop(pool);
    let closes = std::iter::from_fn(|| reading.events.recv_timeout(DEADLINE).ok());
    assert!(closes.take(8).all(|event| event["event"] == "close"));
    reading.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(reading.events.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    reading.thread.join().unwrap();
}
