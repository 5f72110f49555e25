//! Links that can be resumed, across an upgrade: away, connected, with events that wait; who listens for joins and leaves.

use super::running::Running;
use crate::links::merge;
use crate::ownership::{Books, OWNER, say};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;

fn ticket(first: &Value) -> String {
    first["resume"].as_str().unwrap().to_owned()
}

fn number(event: &Value) -> usize {
    event["text"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_ticket_of_the_old_process_is_good_in_the_new_one() {
    let mut server = Running::start(&["--reactors", "3"], "");
    let mut links: Vec<(Link, Value, u64, bool)> = (0..6)
        .map(|number| {
            let is_binary = number % 2 == 0;
            let (mut link, first) = Link::resume(server.backend, is_binary, "new", None);
            link.listen(&["message"], None);
            (link, first, 0, is_binary)
        })
        .collect();
    let mut player = server.player("");
    let mut said = 0;
    for round in 0..4 {
        // Some are away when it is upgraded, some come away while they have read nothing, some go on.
        for (number, (link, ..)) in links.iter().enumerate() {
            if number % 3 == 0 {
                link.stream().shutdown(Shutdown::Both).unwrap();
            }
        }
        server.await_stats("two are away", |stats| stats["links_away"] == 2);
        (0..5).for_each(|more| player.send_text(&(said + more).to_string()));
        server.await_stats("all has been said", |stats| stats["messages_in"] == said + 5);
        server.upgrade();
        let stats = server.backend().stats();
        assert_eq!((&stats["links_away"], &stats["links"]), (&json!(2), &json!(4)), "{stats:#}");
        (5..10).for_each(|more| player.send_text(&(said + more).to_string()));
        for (index, (link, first, received, is_binary)) in links.iter_mut().enumerate() {
            if index % 3 != 2 {
                let (again, now) = Link::resume(server.backend, *is_binary, &ticket(first), Some(*received));
                assert_eq!(now["resumed"], true, "round {round}, link {index}");
                (*link, *first) = (again, now);
            }
            for expected in said..said + 10 {
                assert_eq!(number(&link.event()) as u64, expected, "round {round}, link {index}");
            }
            *received += 10;
            link.command(json!({"op": "destroy", "group": "nobody"}));
        }
        said += 10;
    }
    let stats = server.backend().stats();
    assert_eq!((&stats["link_events_lost"], &stats["link_resumes"]["resumed"]), (&json!(0), &json!(16)));
}

/// Numbers go on where they were, of events that wait, of those that come again, and of new ones.
#[test]
fn the_numbers_of_events_go_on_in_the_new_process() {
    let mut server = Running::start(&["--reactors", "3"], "");
    let listen = json!({"op": "listen", "events": ["message"], "numbers": true});
    let mut player = server.player("");
    for is_binary in [false, true] {
        let (mut link, mut first) = Link::resume(server.backend, is_binary, "new", None);
        link.command(listen.clone());
        let (mut said, mut received) = (0, 0);
        let mut say = |server: &Running| {
            let before = server.backend().stats()["messages_in"].as_u64().unwrap();
            (said..said + 3).for_each(|number| player.send_text(&number.to_string()));
            said += 3;
            server.await_stats("all has been said", |stats| stats["messages_in"] == before + 3);
        };
        for is_away in [false, true, true, false] {
            if is_away {
                link.stream().shutdown(Shutdown::Both).unwrap();
                server.await_stats("it is away", |stats| stats["links_away"] == 1);
            }
            say(&server);
            server.upgrade();
            say(&server);
            if is_away {
                let (again, now) = Link::resume(server.backend, is_binary, &ticket(&first), Some(received));
                assert_eq!(now["resumed"], true);
                (link, first) = (again, now);
            }
            for expected in received..received + 6 {
                let event = link.event();
                assert_eq!((number(&event) as u64, &event["n"]), (expected, &json!(expected + 1)), "{event}");
            }
            // The next ticket is all that is good from now on.
            link.command(json!({"op": "destroy", "group": "nobody"}));
            received += 6;
        }
        link.close(1000);
        server.await_stats("it has ended", |stats| stats["links"] == 0 && stats["links_away"] == 0);
    }
}

#[test]
fn a_link_that_lingers_goes_on_lingering_and_is_taken_over_from_in_the_new_process() {
    let mut server = Running::start(&["--reactors", "3"], "timeouts.link_linger_ms = 1500");
    let mut heir = server.binary_link();
    heir.listen(&["message"], Some("s"));
    let (mut link, _) = Link::resume(server.backend, false, "new", None);
    link.listen(&["message"], Some("s"));
    let mut players: Vec<Player> = (0..30).map(|_| server.player("")).collect();
    link.reset();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    let mut said = 0;
    let mut say = |players: &mut Vec<Player>| {
        players.iter_mut().for_each(|player| player.send_text(&said.to_string()));
        said += 1;
    };
    (0..3).for_each(|_| say(&mut players));
    server.upgrade();
    (0..3).for_each(|_| say(&mut players));
    server.await_stats("it is over", |stats| stats["links_away"] == 0);
    (0..3).for_each(|_| say(&mut players));
    let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for _ in 0..9 * players.len() {
        let event = heir.event();
        heard.entry(event["session"].as_str().unwrap().to_owned()).or_default().push(number(&event));
    }
    assert_eq!(heard.len(), players.len());
    assert!(heard.values().all(|numbers| numbers.iter().copied().eq(0..9)), "{heard:?}");
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

#[test]
fn whose_the_sessions_are_and_what_links_are_called_is_carried() {
    const PLAYERS: usize = 60;
    let mut server = Running::start(&["--reactors", "3"], "");
    let mut listen = json!({"op": "listen", "events": OWNER, "share": "s"});
    let links: Vec<Link> = (0..3)
        .map(|number| {
            let mut link = if number == 1 { server.binary_link() } else { server.link() };
            listen["name"] = format!("m{number}").into();
            link.command(listen.clone());
            link
        })
        .collect();
    let merged = merge(links);
    let mut players: Vec<Player> = (0..PLAYERS).map(|_| server.player("")).collect();
    let (mut books, mut said) = (Books::default(), 0);
    for _ in 0..3 {
        (0..5).for_each(|_| say(&mut players, &mut said));
        server.upgrade();
        (0..5).for_each(|_| say(&mut players, &mut said));
        books.read_until(&merged, PLAYERS, said);
    }
    let before = books.owners();
    let mut fourth = server.link();
    assert_eq!(fourth.try_command(listen.clone()).unwrap_err()["code"], "conflict");
    listen["name"] = "m3".into();
    fourth.command(listen);
    server.upgrade();
    (0..5).for_each(|_| say(&mut players, &mut said));
    books.read_until(&merged, PLAYERS, said);
    // Each was assigned once.
    assert_eq!(books.owners(), before);
    books.check(said);
    fourth.command(json!({"op": "destroy", "group": "nobody"}));
    assert_eq!(fourth.events_so_far(), [] as [Value; 0]);
}

/// Sessions are routed to and fro, and the server is upgraded meanwhile: moves that have begun end in the new process.
#[test]
fn routes_and_sessions_that_move_are_carried() {
    const PLAYERS: usize = 24;
    let mut server = Running::start(&["--reactors", "3"], "");
    let links: Vec<Link> = (0..3)
        .map(|number| {
            let mut link = if number == 1 { server.binary_link() } else { server.link() };
            let name = format!("m{number}");
            link.command(json!({"op": "listen", "events": OWNER, "share": "s", "name": name}));
            link
        })
        .collect();
    let merged = merge(links);
    let mut players: Vec<Player> = (0..PLAYERS)
        .map(|number| server.player(&format!("user=u{}&group=g{}", number % 5, number % 3)))
        .collect();
    let (mut books, mut said, mut random) = (Books::default(), 0, Random::new(3));
    for _ in 0..6 {
        let mut asks = server.link();
        for _ in 0..15 {
            let (group, link) = (format!("g{}", random.below(3)), format!("m{}", random.below(3)));
            asks.send(json!({"op": "route", "group": group, "link": link}));
            say(&mut players, &mut said);
        }
        server.upgrade();
        say(&mut players, &mut said);
    }
    let mut asks = server.link();
    for group in 0..3 {
        asks.command(json!({"op": "route", "group": format!("g{group}"), "link": format!("m{group}")}));
    }
    server.upgrade();
    // Those that come in the new process go where the routes of the old one say.
    let mut comes: Vec<Player> = (0..3).map(|number| server.player(&format!("group=g{number}"))).collect();
    let first = said;
    say(&mut players, &mut said);
    books.read_until(&merged, PLAYERS, said);
    books.check(said);
    comes.iter_mut().for_each(|player| player.send_text(&first.to_string()));
    for (number, player) in comes.iter().chain(&players).enumerate() {
        let (id, owner) = (player.id.to_string(), number % 3);
        until(&format!("link {owner} has {id}"), || {
            while let Ok((link, event)) = merged.try_recv() {
                books.note(link, &event);
            }
            books.owner(&id) == Some(owner)
        });
    }
    assert_eq!(server.backend().stats()["link_events_lost"], 0);
}

/// A link asks for all sessions, and the server is upgraded before it has read them: it is told of each, and that these were all.
#[test]
fn a_snapshot_that_is_under_way_is_told_to_its_end() {
    const PLAYERS: usize = 200;
    let config = "limits.link_outbox_messages = 8\nlimits.socket_unsent_bytes = 4096";
    let mut server = Running::start(&["--reactors", "3"], config);
    let players: Vec<Player> = (0..PLAYERS).map(|_| server.player("group=g")).collect();
    for is_binary in [false, true] {
        let mut link = if is_binary { server.binary_link() } else { server.link() };
        link.command(json!({"op": "listen", "events": ["close"], "snapshot": true}));
        server.upgrade();
        let mut told = BTreeSet::new();
        loop {
            let event = link.event();
            match event["event"].as_str().unwrap() {
                "session" => _ = told.insert(event["session"].as_str().unwrap().to_owned()),
                "synced" => break,
                other => panic!("{other}"),
            }
        }
        assert!(players.iter().all(|player| told.contains(&player.id.to_string())), "{} told", told.len());
        link.command(json!({"op": "destroy", "group": "nobody"}));
        assert_eq!(link.events_so_far(), [] as [Value; 0]);
    }
}

#[test]
fn who_is_carried_has_not_joined_anew_and_leaves_once() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut links = [server.link(), server.binary_link()];
    links.iter_mut().for_each(|link| link.listen(&["join", "leave", "close"], None));
    let players: Vec<Player> =
        (0..20).map(|number| server.player(&format!("user=u{}&group=g", number % 6))).collect();
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    let presence = server.backend().ok("GET", "/v1/groups/g/presence");
    assert_eq!((&presence["sessions"], &presence["users"]), (&json!(20), &json!(6)));
    server.upgrade();
    assert_eq!(server.backend().ok("GET", "/v1/groups/g/presence"), presence);
    assert_eq!(server.backend().change("POST", "/v1/groups/g/move?to=h"), 20);
    server.upgrade();
    players.into_iter().for_each(|player| drop(player.close(1000, "")));
    for link in &mut links {
        let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for _ in 0..20 * 5 {
            let event = link.event();
            let of = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            told.entry(of("session")).or_default().push((of("event"), of("group")));
        }
        let all = [("join", "g"), ("leave", "g"), ("join", "h"), ("leave", "h"), ("close", "")];
        let all: Vec<(String, String)> =
            all.map(|(kind, group)| (kind.to_owned(), group.to_owned())).to_vec();
        assert!(ids.iter().all(|id| told[id] == all), "{told:?}");
    }
}
