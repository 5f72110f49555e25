//! Whose a session is among the links of a share: one link's, from its open to its end, which is told so; another's only where
//! that one has gone, or it is asked for; and each of its events goes to the one that has it, once and in order.

use crate::links::{merge, session};
use crate::support::{DEADLINE, End, Link, Player, ServerProcess, TestServer, encode_binary, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use tungstenite::Message;

/// What a link of these tests listens to.
pub const OWNER: [&str; 6] = ["open", "message", "close", "leave", "assigned", "unassigned"];

/// What links were told, link by link.
#[derive(Default)]
pub struct Books {
    /// Of each session the numbers that a link was told while it had it, each time that it had it.
    spans: BTreeMap<(String, usize), Vec<Vec<usize>>>,
    /// The sessions that a link has.
    pub has: BTreeSet<(String, usize)>,
    heard: BTreeMap<String, usize>,
}

impl Books {
    /// Notes what the link was told. It is told that it has a session before anything else of it, and nothing behind its end.
    pub fn note(&mut self, link: usize, event: &Value) {
        let key = (session(event), link);
        match event["event"].as_str().unwrap() {
            "assigned" => {
                assert!(event["since_unix_ms"].as_u64() > Some(0), "{event}");
                assert!(self.has.insert(key.clone()), "link {link} has it already: {event}");
                self.spans.entry(key).or_default().push(Vec::new());
            }
            "unassigned" => assert!(self.has.remove(&key), "link {link} does not have it: {event}"),
            kind => {
                assert!(self.has.contains(&key), "link {link} does not have it: {event}");
                if kind == "message" {
                    let number = event["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
                    self.spans.get_mut(&key).unwrap().last_mut().unwrap().push(number);
                    *self.heard.entry(key.0).or_default() += 1;
                }
            }
        }
    }

    /// The link that has the session, as links were told; `None` while it moves.
    pub fn owner(&self, id: &str) -> Option<usize> {
        let mut owners = self.has.iter().filter(|(session, _)| session == id).map(|(_, link)| *link);
        owners.next().filter(|_| owners.next().is_none())
    }

    /// Whose the sessions are.
    pub fn owners(&self) -> BTreeMap<String, usize> {
        self.has.iter().cloned().collect()
    }

    /// Reads until each of so many sessions has been heard so often.
    pub fn read_until(&mut self, merged: &Receiver<(usize, Value)>, sessions: usize, said: usize) {
        while self.heard.len() < sessions || self.heard.values().any(|heard| *heard < said) {
            let (link, event) = merged.recv_timeout(DEADLINE).unwrap();
            self.note(link, &event);
        }
    }

    /// Each number of each session went to one link, once, and in order from link to link.
    pub fn check(&self, said: usize) {
        for id in self.heard.keys() {
            let of_it = self.spans.iter().filter(|((session, _), _)| session == id);
            let mut spans: Vec<&Vec<usize>> = of_it.flat_map(|(_, spans)| spans).collect();
            spans.retain(|span| !span.is_empty());
            spans.sort_by_key(|span| span[0]);
            let numbers: Vec<usize> = spans.into_iter().flatten().copied().collect();
            assert!(numbers.iter().copied().eq(0..said), "of {id}: {numbers:?}");
        }
    }
}

/// A link of the share `s`, in either form.
pub fn owner(server: &TestServer, is_binary: bool, more: Value) -> Link {
    let mut link = if is_binary { server.binary_link() } else { server.link() };
    let mut listen = json!({"op": "listen", "events": OWNER, "share": "s"});
    for (name, value) in more.as_object().into_iter().flatten() {
        listen[name] = value.clone();
    }
    link.command(listen);
    link
}

/// Each player says the next number.
pub fn say(players: &mut [Player], said: &mut usize) {
    players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
    *said += 1;
}

#[test]
fn a_link_that_joins_a_share_takes_new_sessions_only() {
    const PLAYERS: usize = 100;
    let server = TestServer::start(|_| ());
    let links = (0..3).map(|number| owner(&server, number == 1, json!({}))).collect();
    let merged = merge(links);
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("user=ada&group=g&tag=ios")).collect();
    let (mut books, mut said) = (Books::default(), 0);
    say(&mut players, &mut said);
    books.read_until(&merged, PLAYERS, said);
    let before = books.owners();
    assert_eq!(before.len(), PLAYERS);
    for link in 0..3 {
        let share = before.values().filter(|owner| **owner == link).count();
        // Each reactor divides its own.
        assert!((PLAYERS / 3 - 4..=PLAYERS / 3 + 5).contains(&share), "link {link} has {share}");
    }
    let mut fourth = owner(&server, true, json!({}));
    (0..3).for_each(|_| say(&mut players, &mut said));
    books.read_until(&merged, PLAYERS, said);
    fourth.command(json!({"op": "destroy", "group": "nobody"}));
    assert_eq!(fourth.events_so_far(), [] as [Value; 0], "none of them is its own");
    assert_eq!(books.owners(), before);
    books.check(said);
    // It has the fewest: a new session is its own, which is told first, with its state.
    let mut new = server.player("user=bob&group=g&group=h&tag=ios");
    let (assigned, open) = (fourth.event(), fourth.event());
    let id = new.id.to_string();
    let remote = new.stream().local_addr().unwrap().to_string();
    let mut expected = json!({
        "event": "assigned", "session": id, "app": "default", "user": "bob", "groups": ["g", "h"],
        "tags": ["ios"], "remote": remote,
    });
    expected["since_unix_ms"] = assigned["since_unix_ms"].clone();
    let mut sorted = assigned.clone();
    sorted["groups"].as_array_mut().unwrap().sort_by_key(|group| group.to_string());
    assert_eq!(sorted, expected);
    assert_eq!((&open["event"], session(&open)), (&json!("open"), id.clone()));
    new.send_text("hi");
    assert_eq!(fourth.event()["text"], "hi");
    // Behind everything else it is told that it has it no more.
    new.close(1000, "");
    let left: Vec<Value> = (0..4).map(|_| fourth.event()["event"].clone()).collect();
    assert_eq!(left, ["leave", "leave", "close", "unassigned"]);
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// What waited for a link that is over goes to those that have its sessions then, who are told so before.
#[test]
fn the_sessions_of_a_link_that_has_gone_are_assigned_to_others_with_what_it_did_not_take() {
    const PLAYERS: usize = 60;
    let server = TestServer::start(|config| config.timeouts.link_linger = Duration::from_millis(50));
    let (mut gone, _) = Link::resume(server.backend, true, "new", None);
    gone.command(json!({"op": "listen", "events": OWNER, "share": "s"}));
    // The first of a share has the sessions that are there; it is told of them.
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("group=g")).collect();
    let mut books = Books::default();
    let is_told = |event: &Value| event["event"] == "assigned";
    let mut told = BTreeSet::new();
    while told.len() < PLAYERS {
        let event = gone.event();
        assert!(is_told(&event) || event["event"] == "open");
        told.insert(session(&event));
    }
    let merged = merge((0..3).map(|number| owner(&server, number == 2, json!({}))).collect());
    gone.stream().shutdown(Shutdown::Both).unwrap();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    let mut said = 0;
    (0..5).for_each(|_| say(&mut players, &mut said));
    // Some of them are over before anybody else has them.
    let over: Vec<String> = players
        .drain(..10)
        .map(|player| {
            let id = player.id.to_string();
            player.close(1000, "");
            id
        })
        .collect();
    while server.backend().stats()["links_away"] == 1 {
        say(&mut players, &mut said);
    }
    (0..5).for_each(|_| say(&mut players, &mut said));
    let mut closed = BTreeSet::new();
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    while closed.len() < over.len() || heard.values().filter(|heard| **heard == said).count() < PLAYERS - 10 {
        let (link, event) = merged.recv_timeout(DEADLINE).unwrap();
        books.note(link, &event);
        match event["event"].as_str().unwrap() {
            "message" => *heard.entry(session(&event)).or_default() += 1,
            "unassigned" => assert!(closed.insert(session(&event))),
            _ => {}
        }
    }
    assert!(over.iter().all(|id| closed.contains(id) && heard[id] == 5));
    over.iter().for_each(|id| _ = books.heard.remove(id));
    books.check(said);
    let shares: Vec<usize> =
        (0..3).map(|link| books.has.iter().filter(|(_, owner)| *owner == link).count()).collect();
    assert!(shares.iter().all(|share| *share > 8), "{shares:?}");
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// A backend that is stopped answers no ping: others have its sessions, with what its socket had not taken.
fn freezes(is_binary: bool, resume: bool) {
    const PLAYERS: usize = 30;
    let server = TestServer::start(|config| {
        let timeouts = &mut config.timeouts;
        (timeouts.link_ping, timeouts.link_idle) = (Duration::from_millis(100), Duration::from_millis(1_500));
    });
    let listen = json!({"op": "listen", "events": OWNER, "share": "s"});
    let (mut frozen, ticket) = match resume {
        true => {
            let (link, first) = Link::resume(server.backend, is_binary, "new", None);
            (link, first["resume"].as_str().map(str::to_owned))
        }
        false if is_binary => (server.binary_link(), None),
        false => (server.link(), None),
    };
    frozen.command(listen);
    let merged = merge((0..2).map(|number| owner(&server, number == 0, json!({}))).collect());
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    let mut books = Books::default();
    // From here on it reads nothing, and its socket is open. What it is sent fits into one read: when it goes on, its Pong meets a
    // socket that is closed, and what it has not read by then is gone.
    let mut said = 0;
    while books.has.len() < PLAYERS {
        say(&mut players, &mut said);
        while let Ok((link, event)) = merged.recv_timeout(Duration::from_millis(200)) {
            if event["event"] == "message" && !books.has.contains(&(session(&event), link)) {
                panic!("{event} at link {link}");
            }
            books.note(link, &event);
        }
    }
    say(&mut players, &mut said);
    let last = (said - 1).to_string();
    let mut left: BTreeSet<String> = players.iter().map(|player| player.id.to_string()).collect();
    while !left.is_empty() {
        let (link, event) = merged.recv_timeout(DEADLINE).unwrap();
        books.note(link, &event);
        if event["text"] == *last {
            left.remove(&session(&event));
        }
    }
    // What its socket had taken is before all that others got.
    let mut taken: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let end = loop {
        match frozen.next_event() {
            Ok(event) if event["event"] == "message" => {
                let number = event["text"].as_str().unwrap().parse().unwrap();
                taken.entry(session(&event)).or_default().push(number);
            }
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert_eq!(end, End::Closed(4000, "idle".to_owned()));
    for ((id, _), spans) in &books.spans {
        let of_it = taken.remove(id).unwrap_or_default();
        assert!(of_it.into_iter().chain(spans.concat()).eq(0..said), "{id}: {spans:?}");
    }
    assert_eq!(server.backend().stats()["links_away"], 0);
    if let Some(ticket) = ticket {
        let (_, first) = Link::resume(server.backend, is_binary, &ticket, Some(0));
        assert_eq!(first["why"], "unknown", "others have had its sessions");
    }
}

#[test]
fn a_link_that_answers_no_ping_loses_its_sessions_to_the_others() {
    freezes(false, false);
}

#[test]
fn a_binary_link_that_answers_no_ping_loses_its_sessions_to_the_others() {
    freezes(true, false);
}

#[test]
fn a_link_that_answers_no_ping_does_not_linger_where_others_can_take_over() {
    freezes(false, true);
}

/// The whole server stands still for longer than a link may be silent: its links answer, and stay.
#[test]
fn a_server_that_stood_still_ends_no_link_that_answers() {
    let server = ServerProcess::start(
        &["--reactors", "2"],
        "timeouts.link_ping_ms = 500\ntimeouts.link_idle_ms = 4000",
    );
    let links: Vec<Link> = (0..4)
        .map(|number| {
            let mut link = if number % 2 == 0 { server.link() } else { server.binary_link() };
            link.command(json!({"op": "listen", "events": OWNER, "share": "s"}));
            link
        })
        .collect();
    let merged = merge(links);
    let mut players: Vec<Player> = (0..20).map(|_| server.player("")).collect();
    let (mut books, mut said) = (Books::default(), 0);
    for _ in 0..2 {
        let frozen = server.freeze();
        // The time in which it cannot hear is what is tested.
        thread::sleep(Duration::from_millis(5_000));
        drop(frozen);
        say(&mut players, &mut said);
        books.read_until(&merged, 20, said);
    }
    books.check(said);
    assert_eq!(server.backend().stats()["links"], 4);
}

#[test]
fn what_cannot_be_of_names_and_shares_is_an_error_that_names_the_field() {
    let server = TestServer::start(|config| {
        config.apps.insert("other".to_owned(), Default::default());
    });
    let mut first = owner(&server, false, json!({"name": "m7"}));
    let refused = |link: &mut Link, listen: Value| {
        let error = link.try_command(listen).unwrap_err();
        assert_eq!(error["code"], "conflict", "{error}");
        error["message"].as_str().unwrap().split(':').next().unwrap().to_owned()
    };
    let listen = |more: Value| {
        let mut listen = json!({"op": "listen", "events": ["open", "message"], "share": "s"});
        more.as_object().unwrap().iter().for_each(|(name, value)| listen[name] = value.clone());
        listen
    };
    let mut seconds = [server.link(), server.binary_link()];
    for (is_binary, second) in [false, true].into_iter().zip(&mut seconds) {
        assert_eq!(refused(second, listen(json!({}))), "events");
        assert_eq!(refused(second, listen(json!({"share": "t", "name": "m7"}))), "name");
        // It listens to nothing, and is told nothing, and may ask again. What is told of what is its own may differ.
        let events = json!(["open", "message", "close", "leave"]);
        second.command(listen(json!({"events": events, "name": format!("m8{is_binary}")})));
        assert_eq!(refused(second, listen(json!({"events": events, "app": "other"}))), "app");
        assert_eq!(refused(second, listen(json!({"events": events, "share": "t"}))), "share");
        assert_eq!(refused(second, listen(json!({"events": events, "share": null}))), "share");
        assert_eq!(refused(second, listen(json!({"events": events, "name": "m9"}))), "name");
        second.command(listen(json!({"events": events})));
    }
    assert_eq!(refused(&mut first, listen(json!({}))), "events");
    // Names are an app's, and free when their link has gone.
    let mut elsewhere = server.link();
    elsewhere.command(listen(json!({"app": "other", "name": "m7"})));
    drop(first);
    let mut next = server.binary_link();
    until("the name is free", || next.try_command(listen(json!({"share": "t", "name": "m7"}))).is_ok());
    // One that is alone in its share may ask for other events.
    next.command(listen(json!({"share": "t", "events": ["close"]})));
    let player = server.player("");
    player.close(1000, "");
    assert_eq!(next.event()["event"], "close");
}

/// Frames of before names and owners are read as ever.
#[test]
fn an_old_binary_listen_is_byte_for_byte_as_it_was() {
    let server = TestServer::start(|_| ());
    let mut link = server.binary_link();
    link.send_raw(Message::binary(vec![0x0b, 0, 7, 0, 7, 0, 0, 0, 0, 4, b'g', b'a', b'm', b'e']));
    assert_eq!(link.receive(), (7, Ok(json!({}))));
    let named =
        json!({"id": 7, "op": "listen", "events": ["open", "assigned"], "share": "game", "name": "m7"});
    assert_eq!(encode_binary(&named)[..4], [0x0b, 0x11, 0x01, 0]);
}
