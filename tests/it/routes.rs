//! Routes: the events of a session, of a user's sessions and of a group's members go to the link that is named, those that are
//! there and those that come, in order and once, however often they move; and a share is divided anew where that is asked for.

use crate::links::{merge, session};
use crate::ownership::{Books, OWNER, owner, say};
use crate::support::{DEADLINE, Link, Player, Random, TestServer, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Receiver;

/// Three links of the share `s`, called m0 to m2, read by threads of their own; and their sockets.
fn fleet(server: &TestServer) -> (Receiver<(usize, Value)>, Vec<TcpStream>) {
    let links: Vec<Link> =
        (0..3).map(|number| owner(server, number == 1, json!({"name": format!("m{number}")}))).collect();
    let streams = links.iter().map(|link| link.stream().try_clone().unwrap()).collect();
    (merge(links), streams)
}

/// Everybody says something, and all of it has been heard.
fn round(
    books: &mut Books,
    merged: &Receiver<(usize, Value)>,
    players: &mut [Player],
    said: &mut usize,
    sessions: usize,
) {
    say(players, said);
    books.read_until(merged, sessions, *said);
}

/// The link has the session, and no other.
fn await_owner(books: &mut Books, merged: &Receiver<(usize, Value)>, id: &str, owner: usize) {
    until(&format!("link {owner} has {id}"), || {
        while let Ok((link, event)) = merged.try_recv() {
            books.note(link, &event);
        }
        books.owner(id) == Some(owner)
    });
}

#[test]
fn sessions_users_and_groups_go_to_the_link_that_is_named_also_those_that_come() {
    const PLAYERS: usize = 30;
    let server = TestServer::start(|_| ());
    let (merged, streams) = fleet(&server);
    let mut players: Vec<Player> = (0..PLAYERS)
        .map(|number| server.player(&format!("user=u{}&group=g{}", number % 10, number % 3)))
        .collect();
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    let (mut books, mut said) = (Books::default(), 0);
    round(&mut books, &merged, &mut players, &mut said, PLAYERS);
    let mut binary = server.binary_link();
    let mut json_link = server.link();
    // All members of a group, by HTTP; a user, by the binary link; one session, by the JSON link, from the group's link.
    let before = books.owners();
    let moved = before
        .iter()
        .filter(|(id, owner)| ids.iter().position(|one| one == *id).unwrap() % 3 == 0 && **owner != 0);
    let moved = moved.count();
    assert_eq!(server.backend().change("POST", "/v1/route?group=g0&link=m0"), moved as u64);
    binary.command(json!({"op": "route", "user": "u1", "link": "m1"}));
    json_link.command(json!({"op": "route", "session": ids[3], "link": "m2"}));
    let expected = |number: usize| match number {
        3 => Some(2),
        number if number % 10 == 1 => Some(1),
        number if number % 3 == 0 => Some(0),
        _ => None,
    };
    round(&mut books, &merged, &mut players, &mut said, PLAYERS);
    for (number, id) in ids.iter().enumerate() {
        await_owner(&mut books, &merged, id, expected(number).unwrap_or(before[id]));
    }
    // Those that come: to the group, as the user, with both.
    let server_backend = || server.backend();
    server_backend().change("POST", &format!("/v1/groups/g0/members?session={}", ids[2]));
    server_backend().change("PUT", &format!("/v1/sessions/{}/user?user=u1", ids[5]));
    let mut comes: Vec<Player> =
        ["group=g0", "user=u1", "user=u1&group=g0"].map(|query| server.player(query)).into();
    let come: Vec<String> = comes.iter().map(|player| player.id.to_string()).collect();
    let mut told = BTreeSet::new();
    while told.len() < 3 {
        let (link, event) = merged.recv_timeout(DEADLINE).unwrap();
        books.note(link, &event);
        if event["event"] == "open" {
            told.insert(session(&event));
        }
    }
    round(&mut books, &merged, &mut players, &mut said, PLAYERS);
    for (id, owner) in [(&ids[2], 0), (&ids[5], 1), (&come[0], 0), (&come[1], 1), (&come[2], 1)] {
        await_owner(&mut books, &merged, id, owner);
    }
    // Without the user's route the group's counts; one that is in no such group stays where it is.
    binary.command(json!({"op": "route", "user": "u1", "link": null}));
    json_link.command(json!({"op": "route", "group": "g0", "link": "m2"}));
    comes.iter_mut().for_each(|player| player.send_text("0"));
    for (id, owner) in [(&come[2], 2), (&come[0], 2), (&come[1], 1)] {
        await_owner(&mut books, &merged, id, owner);
    }
    // A route ends with its link; what it bound goes to others, and to another route where there is one.
    json_link.command(json!({"op": "route", "group": "g1", "link": "m0"}));
    json_link.command(json!({"op": "route", "group": "g0", "link": "m0"}));
    streams[2].shutdown(Shutdown::Both).unwrap();
    until("all have other links", || {
        while let Ok((link, event)) = merged.try_recv() {
            books.note(link, &event);
        }
        let others: Vec<&String> = ids.iter().chain(&come).collect();
        others
            .iter()
            .all(|id| books.has.contains(&((**id).clone(), 0)) || books.has.contains(&((**id).clone(), 1)))
    });
    let (id, error) =
        (ids[4].clone(), json_link.try_command(json!({"op": "route", "session": ids[4], "link": "m2"})));
    assert_eq!(error.unwrap_err()["code"], "not_found", "{id}");
    assert!(server.backend().stats()["link_moves"].as_u64() > Some(0));
}

#[test]
fn what_cannot_be_routed_is_an_error_and_changes_nothing() {
    let server = TestServer::start(|_| ());
    let mut link = owner(&server, false, json!({"name": "m0"}));
    let mut alone = server.link();
    alone.command(json!({"op": "listen", "events": ["message"], "name": "alone"}));
    let mut player = server.player("group=g");
    let id = player.id.to_string();
    for is_binary in [false, true] {
        let mut asks = if is_binary { server.binary_link() } else { server.link() };
        let mut code = |command: Value| asks.try_command(command).unwrap_err()["code"].clone();
        assert_eq!(code(json!({"op": "route", "group": "g", "link": "m1"})), "not_found");
        assert_eq!(code(json!({"op": "route", "group": "g", "link": "alone"})), "bad_request");
        let nobody = "00a0000000000001";
        assert_eq!(code(json!({"op": "route", "session": nobody, "link": "m0"})), "unknown_session");
        assert_eq!(code(json!({"op": "rebalance", "share": "t"})), "not_found");
        assert_eq!(asks.command(json!({"op": "route", "session": id, "link": "m0"})), json!({"sessions": 0}));
        assert_eq!(asks.command(json!({"op": "route", "session": id, "link": null})), json!({"sessions": 0}));
    }
    let refused = |target: &str| server.backend().request("POST", target).status;
    assert_eq!(refused("/v1/route?link=m0"), 400);
    assert_eq!(refused("/v1/route?group=g&user=ada&link=m0"), 400);
    assert_eq!(refused("/v1/route?group=g"), 400);
    assert_eq!(refused("/v1/route?group=g&link=m1"), 404);
    assert_eq!(server.backend().change("POST", "/v1/route?group=g&link="), 0);
    player.send_text("hi");
    let said: Vec<Value> = (0..3).map(|_| link.event()["event"].clone()).collect();
    assert_eq!(said, ["assigned", "open", "message"]);
}

/// A backend that never ends a route is told so; a group that is destroyed has none any more.
#[test]
fn there_are_only_so_many_routes_and_that_of_a_group_ends_with_it() {
    let server = TestServer::start(|config| (config.reactors, config.limits.max_routes) = (Some(1), 2));
    let mut link = owner(&server, false, json!({"name": "m0"}));
    let route = |what: &str, name: &str| json!({"op": "route", what: name, "link": "m0"});
    link.command(route("group", "red"));
    link.command(route("user", "ada"));
    assert_eq!(link.try_command(route("group", "blue")).unwrap_err()["code"], "rate_limited");
    // The same once more is not one more.
    link.command(route("group", "red"));
    link.command(json!({"op": "destroy", "group": "red"}));
    link.command(route("group", "blue"));
    let _first = server.player("");
    assert_eq!(link.event()["event"], "assigned");
    // Whoever comes goes to the link that has fewer, and not where the group's route said.
    let mut other = owner(&server, true, json!({"name": "m1"}));
    let player = server.player("group=red");
    assert_eq!(session(&other.event()), player.id.to_string());
}

/// Sessions are routed to and fro while they say numbers: each number goes to one link, once and in order.
fn to_and_fro(is_binary: bool) {
    const PLAYERS: usize = 24;
    const ROUTES: usize = 100;
    let server = TestServer::start(|_| ());
    let (merged, _streams) = fleet(&server);
    let mut players: Vec<Player> = (0..PLAYERS)
        .map(|number| server.player(&format!("user=u{}&group=g{}", number % 4, number % 3)))
        .collect();
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    let (mut books, mut said, mut random) = (Books::default(), 0, Random::new(11));
    let mut asks = if is_binary { server.binary_link() } else { server.link() };
    for _ in 0..ROUTES {
        say(&mut players, &mut said);
        let link = format!("m{}", random.below(3));
        let mut route = json!({"op": "route", "link": link});
        match random.below(8) {
            0 => route["user"] = format!("u{}", random.below(4)).into(),
            1 => route["group"] = format!("g{}", random.below(3)).into(),
            2 => route = json!({"op": "rebalance", "share": "s"}),
            3 => (route["session"], route["link"]) = (ids[random.below(PLAYERS)].clone().into(), Value::Null),
            _ => route["session"] = ids[random.below(PLAYERS)].clone().into(),
        }
        asks.send(route);
        say(&mut players, &mut said);
    }
    (0..ROUTES).for_each(|_| assert!(asks.receive().1.is_ok()));
    say(&mut players, &mut said);
    books.read_until(&merged, PLAYERS, said);
    books.check(said);
    let stats = server.backend().stats();
    assert_eq!(stats["link_events_lost"], 0, "{stats:#}");
    assert!(stats["link_moves"].as_u64() > Some(0), "{stats:#}");
}

#[test]
fn under_a_flood_each_message_goes_to_the_link_of_the_moment_once_and_in_order() {
    to_and_fro(false);
}

#[test]
fn by_the_binary_link_as_well() {
    to_and_fro(true);
}

/// What a link that is away has not got of a session goes with it.
#[test]
fn a_session_leaves_a_link_that_is_away_with_what_that_has_not_got() {
    let server = TestServer::start(|_| ());
    let (mut away, first) = Link::resume(server.backend, false, "new", None);
    away.command(json!({"op": "listen", "events": OWNER, "share": "s", "name": "away"}));
    let mut stays = owner(&server, true, json!({"name": "m0"}));
    server.backend().change("POST", "/v1/route?group=g&link=away");
    let mut players: Vec<Player> = (0..2).map(|_| server.player("group=g")).collect();
    let ids: Vec<String> = players.iter().map(|player| player.id.to_string()).collect();
    (0..4).for_each(|_| _ = away.event());
    away.stream().shutdown(Shutdown::Both).unwrap();
    server.await_stats("it is away", |stats| stats["links_away"] == 1);
    (0..5).for_each(|number| players.iter_mut().for_each(|player| player.send_text(&number.to_string())));
    server.await_stats("they wait for it", |stats| stats["link_kept_events"] == 14);
    server.backend().change("POST", &format!("/v1/route?session={}&link=m0", ids[0]));
    let assigned = stays.event();
    assert_eq!((&assigned["event"], session(&assigned)), (&json!("assigned"), ids[0].clone()));
    (0..5).for_each(|number| assert_eq!(stays.event()["text"], number.to_string()));
    // When it is back it hears that it has the one no more, and all of the other.
    let (mut back, again) = Link::resume(server.backend, false, first["resume"].as_str().unwrap(), Some(4));
    assert_eq!(again["resumed"], true);
    let told: Vec<Value> = (0..6).map(|_| back.event()).collect();
    let (gone, of_other): (Vec<&Value>, Vec<&Value>) =
        told.iter().partition(|event| session(event) == ids[0]);
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0]["event"], "unassigned");
    assert!(of_other.iter().map(|event| event["text"].as_str().unwrap()).eq(["0", "1", "2", "3", "4"]));
    players[0].send_text("5");
    assert_eq!(stays.event()["text"], "5");
}

#[test]
fn a_share_is_divided_evenly_anew_where_that_is_asked_for() {
    const PLAYERS: usize = 120;
    let server = TestServer::start(|_| ());
    let mut first = owner(&server, false, json!({"name": "first"}));
    let mut players: Vec<Player> =
        (0..PLAYERS).map(|number| server.player(&format!("group=g{}", number % 6))).collect();
    (0..2 * PLAYERS).for_each(|_| _ = first.event());
    let mut all = vec![first];
    all.extend((0..3).map(|number| owner(&server, number == 1, json!({"name": format!("m{number}")}))));
    let merged = merge(all);
    // A sixth is bound to the first link.
    server.backend().change("POST", "/v1/route?group=g0&link=first");
    let moved = server.backend().change("POST", "/v1/rebalance?share=s");
    assert!((70..=80).contains(&moved), "{moved} of 100 are to move");
    let mut said = 0;
    say(&mut players, &mut said);
    let mut heard = [0; 4];
    for _ in 0..PLAYERS {
        let link = loop {
            let (link, event) = merged.recv_timeout(DEADLINE).unwrap();
            if event["event"] == "message" {
                break link;
            }
        };
        heard[link] += 1;
    }
    assert!((41..=49).contains(&heard[0]), "{heard:?}");
    assert!(heard[1..].iter().all(|heard| (21..=29).contains(heard)), "{heard:?}");
    server.await_stats("all have moved", |stats| stats["link_moves"] == moved);
}

/// A session waits until the socket of the link that it leaves has taken its events, and the connection of that link ends: the
/// session goes then, and nothing else has to happen before.
#[test]
fn a_session_on_its_way_from_a_link_goes_when_the_connection_of_that_ends() {
    const SAID: usize = 16;
    let server = TestServer::start(|config| {
        config.reactors = Some(1);
        config.limits.socket_unsent_bytes = 4096;
    });
    let (mut old, _) = Link::resume(server.backend, false, "new", None);
    socket2::SockRef::from(old.stream()).set_recv_buffer_size(4096).unwrap();
    old.command(json!({"op": "listen", "events": OWNER, "share": "s", "name": "m0"}));
    let mut player = server.player("");
    // More than the sockets take of what is not read.
    let long = "x".repeat(64 * 1024);
    (0..SAID).for_each(|number| player.send_text(&format!("{number} {long}")));
    server.await_stats("all has come", |stats| stats["messages_in"] == SAID);
    let mut new = owner(&server, false, json!({"name": "m1"}));
    let id = player.id.to_string();
    new.command(json!({"op": "route", "session": id, "link": "m1"}));
    old.reset();
    let assigned = new.event();
    assert_eq!((&assigned["event"], session(&assigned)), (&json!("assigned"), id));
    let text = |event: Value| event["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let first: usize = text(new.event()).parse().unwrap();
    (first + 1..SAID).for_each(|number| assert_eq!(text(new.event()), number.to_string()));
}
