//! Users that are in a group with every session, those that come included, until they leave it or have been gone for long enough.

use super::{Desk, names};
use crate::memory::latest;
use crate::support::{Backend, Link, Player, TestServer, until};
use gannet::dispatch::{Action, ErrorCode, OperationOutcome, Who};
use gannet::session::Name;
use gannet::{PushError, config::Config};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

const DAY_MS: u64 = 24 * 3_600_000;

fn lasting(config: &mut Config) {
    config.apps.get_mut("default").unwrap().sticky_ms = DAY_MS;
}

fn groups_of(backend: &mut Backend, player: &Player) -> Vec<String> {
    names(backend, &player.id.to_string(), "groups")
}

/// Ends a session, and waits until the server knows.
fn close(link: &mut Link, player: Player) {
    let id = player.id.to_string();
    drop(player);
    while link.event()["session"] != *id {}
}

fn count(backend: &mut Backend, group: &str) -> u64 {
    backend.ok("GET", &format!("/v1/count?group={group}"))["sessions"].as_u64().unwrap()
}

#[test]
fn each_session_of_a_user_is_in_the_group_whichever_reactor_it_is_on_and_whenever_it_comes() {
    let server = TestServer::start(lasting);
    let mut backend = server.backend();
    for (number, mut desk) in Desk::all(&server).into_iter().enumerate() {
        let (user, group) = (format!("ada{number}"), format!("g{number}"));
        let query = format!("user={user}");
        let mut players: Vec<Player> = (0..4).map(|_| server.player(&query)).collect();
        let mut other = server.player("user=eve");
        let reactors: BTreeSet<u8> = players.iter().map(|player| player.id.worker()).collect();
        assert!(reactors.len() > 1, "{reactors:?}");
        let join = json!({"op": "join", "group": group, "user": user, "sticky": true});
        assert_eq!(desk.run(join.clone()), json!({"sessions": 4}));
        assert_eq!(desk.run(join), json!({"sessions": 0}), "it is done already");
        players.extend((0..4).map(|_| server.player(&query)));
        let push = json!({"op": "push", "to": {"group": group}, "text": "hi"});
        assert_eq!(desk.run(push)["matched"], 8);
        players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "hi"));
        // One session leaves by itself; the user stays.
        let first = players[0].id.to_string();
        assert_eq!(
            desk.run(json!({"op": "leave", "group": group, "session": first})),
            json!({"sessions": 1})
        );
        players.push(server.player(&query));
        assert_eq!(count(&mut backend, &group), 8);
        assert_eq!(desk.run(json!({"op": "leave", "group": group, "user": user})), json!({"sessions": 8}));
        players.push(server.player(&query));
        assert_eq!(count(&mut backend, &group), 0);
        // A join without it is of the sessions that are there.
        assert_eq!(
            desk.run(json!({"op": "join", "group": group, "user": user, "sticky": false})),
            json!({"sessions": 10})
        );
        players.push(server.player(&query));
        assert_eq!(count(&mut backend, &group), 10);
        desk.run(json!({"op": "push", "to": {"user": "eve"}, "text": "to eve"}));
        assert_eq!(other.recv_text(), "to eve");
    }
}

#[test]
fn lists_join_and_what_moves_destroys_and_sets_groups_counts_for_those_that_come() {
    let server = TestServer::start(lasting);
    let mut backend = server.backend();
    for mut desk in Desk::all(&server) {
        let ada = server.player("user=ada");
        let join =
            json!({"op": "join", "group": ["m:1", "m:2", "x"], "user": ["ada", "bob"], "sticky": true});
        assert_eq!(desk.run(join), json!({"sessions": 1, "unknown": 1}));
        let mut now = |user: &str| {
            let player = server.player(&format!("user={user}"));
            groups_of(&mut backend, &player)
        };
        ["ada", "bob"].iter().for_each(|user| assert_eq!(now(user), ["m:1", "m:2", "x"]));
        desk.run(json!({"op": "destroy", "group": "m:2"}));
        ["ada", "bob"].iter().for_each(|user| assert_eq!(now(user), ["m:1", "x"]));
        desk.run(json!({"op": "move", "group": "x", "to": "y"}));
        ["ada", "bob"].iter().for_each(|user| assert_eq!(now(user), ["m:1", "y"]));
        desk.run(json!({"op": "move", "group": "y", "to": "z", "user": "bob"}));
        [("ada", "y"), ("bob", "z")].iter().for_each(|(user, group)| assert_eq!(now(user), ["m:1", group]));
        // Moved alone, a session is no user.
        desk.run(json!({"op": "move", "group": "y", "to": "z", "session": ada.id.to_string()}));
        assert_eq!(now("ada"), ["m:1", "y"]);
        desk.run(json!({"op": "set_groups", "user": "ada", "groups": ["m:3"], "prefix": "m:"}));
        assert_eq!(now("ada"), ["y"], "it is in m:3 with the sessions that are there");
        desk.run(json!({"op": "leave", "group": ["m:1", "z"], "user": ["bob", "nobody"]}));
        assert_eq!(now("bob"), [""; 0]);
        desk.run(json!({"op": "set_groups", "user": "ada", "groups": []}));
        assert_eq!(now("ada"), [""; 0]);
        let id = ada.id.to_string();
        for session in [json!(id), json!([id])] {
            let refused = desk.run(json!({"op": "join", "group": "g", "session": session, "sticky": true}));
            assert_eq!(refused, json!({"error": "bad_request"}));
        }
    }
    let refused = server
        .link()
        .try_command(json!({"op": "join", "group": "g", "session": super::NOBODY, "sticky": true}));
    assert!(refused.unwrap_err()["message"].as_str().unwrap().contains("sticky is about users"));
}

#[test]
fn over_http_both_requests_take_it() {
    let server = TestServer::start(lasting);
    let mut backend = server.backend();
    let ada = server.player("user=ada");
    assert_eq!(backend.change("POST", "/v1/groups/g/members?user=ada&sticky=1"), 1);
    assert_eq!(backend.change("POST", "/v1/members?group=h&group=i&user=ada&sticky=true"), 1);
    let later = server.player("user=ada");
    let both = [&ada, &later].map(|player| groups_of(&mut backend, player));
    assert_eq!(both, [["g", "h", "i"], ["g", "h", "i"]]);
    assert_eq!(backend.change("DELETE", "/v1/members?group=h&group=i&user=ada"), 2);
    assert_eq!(backend.change("DELETE", "/v1/groups/g/members?user=ada"), 2);
    assert_eq!(groups_of(&mut backend, &server.player("user=ada")), [""; 0]);
    let id = ada.id;
    for bad in [
        format!("POST /v1/groups/g/members?session={id}&sticky=1"),
        "POST /v1/groups/g/members?user=ada&sticky=yes".to_owned(),
        "DELETE /v1/groups/g/members?user=ada&sticky=1".to_owned(),
        "DELETE /v1/members?group=g&user=ada&sticky=1".to_owned(),
    ] {
        let (method, target) = bad.split_once(' ').unwrap();
        assert_eq!(backend.request(method, target).status, 400, "{bad}");
    }
}

#[test]
fn a_user_stays_until_its_last_session_has_been_gone_for_long_enough() {
    let server = TestServer::start(|config| {
        lasting(config);
        config.apps.insert("chess".to_owned(), Default::default());
        config.apps.get_mut("chess").unwrap().sticky_ms = 1;
    });
    let (mut backend, mut link) = (server.backend(), server.link());
    link.listen(&["close"], None);
    let [first, second] = [server.player("user=ada"), server.player("user=ada")];
    assert_ne!(first.id.worker(), second.id.worker());
    assert_eq!(backend.change("POST", "/v1/groups/g/members?user=ada&sticky=1"), 2);
    close(&mut link, first);
    close(&mut link, second);
    assert_eq!(count(&mut backend, "g"), 0);
    let again = server.player("user=ada");
    assert_eq!(groups_of(&mut backend, &again), ["g"], "a day is not over");
    assert_eq!(backend.change("DELETE", "/v1/users/ada"), 1);
    assert_eq!(groups_of(&mut backend, &server.player("user=ada")), ["g"], "a kick is no leave");

    let chess = |user: &str| server.try_player(&format!("/ws/chess?user={user}")).unwrap();
    let pairs = |backend: &mut Backend| backend.scrape().sum("gannet_app_sticky", &["app=\"chess\""]);
    let [first, second] = [chess("ada"), chess("ada")];
    assert_eq!(backend.change("POST", "/v1/groups/g/members?app=chess&user=ada&sticky=1"), 2);
    drop(first);
    until("the end of the first", || backend.ok("GET", "/v1/count?app=chess")["sessions"] == 1);
    assert_eq!((pairs(&mut backend), backend.scrape().sum("gannet_app_sticky", &[])), (1, 2));
    drop(second);
    until("the end of the pair", || pairs(&mut backend) == 0);
    let _again = chess("ada");
    assert_eq!(count(&mut backend, "g&app=chess"), 0);
    // One that never had a session has as long.
    assert_eq!(backend.change("POST", "/v1/groups/g/members?app=chess&user=bob&sticky=1"), 0);
    until("the end of the pair", || pairs(&mut backend) == 0);
    let _first = chess("bob");
    assert_eq!(count(&mut backend, "g&app=chess"), 0);
}

#[test]
fn a_session_that_gets_another_user_changes_groups_and_links_hear_it_as_any_change() {
    let server = TestServer::start(lasting);
    let (mut backend, mut desk) = (server.backend(), server.link());
    let mut links = [server.link(), server.binary_link()];
    links.iter_mut().for_each(|link| link.listen(&["open", "join", "leave", "bind"], None));
    for (user, group) in [("ada", json!(["both", "g"])), ("bob", json!(["both", "h"]))] {
        desk.command(json!({"op": "join", "group": group, "user": user, "sticky": true}));
    }
    let player = server.player("user=ada&group=own");
    let id = player.id.to_string();
    assert_eq!(groups_of(&mut backend, &player), ["both", "g", "own"]);
    desk.command(json!({"op": "bind", "session": id, "user": "bob"}));
    assert_eq!(groups_of(&mut backend, &player), ["both", "h", "own"]);
    desk.command(json!({"op": "bind", "session": id, "user": "bob"}));
    desk.command(json!({"op": "bind", "session": id, "user": null}));
    assert_eq!(groups_of(&mut backend, &player), ["own"]);
    let heard = |event: &Value| {
        let about = if event["group"].is_null() { &event["old_user"] } else { &event["group"] };
        (event["event"].clone(), event["user"].clone(), about.clone())
    };
    let event = |kind, user, about| (json!(kind), user, about);
    for link in &mut links {
        let told: Vec<_> = (0..10).map(|_| heard(&link.event())).collect();
        let [ada, bob, nobody] = [json!("ada"), json!("bob"), json!(null)];
        let expected = [
            event("open", ada.clone(), json!(null)),
            event("join", ada.clone(), json!("own")),
            event("join", ada.clone(), json!("both")),
            event("join", ada.clone(), json!("g")),
            event("leave", ada.clone(), json!("g")),
            event("bind", bob.clone(), ada),
            event("join", bob.clone(), json!("h")),
            event("leave", bob.clone(), json!("both")),
            event("leave", bob.clone(), json!("h")),
            event("bind", nobody, bob),
        ];
        assert_eq!(told, expected);
    }
}

#[test]
fn bounds_hold_and_what_is_beyond_them_is_said_or_counted() {
    let server = TestServer::start(|config| {
        lasting(config);
        config.apps.get_mut("default").unwrap().max_sticky = 2;
        config.limits.groups_per_session = 2;
        config.apps.insert("chess".to_owned(), Default::default());
    });
    let mut backend = server.backend();
    for mut desk in Desk::all(&server) {
        let join =
            |users: Value, group: Value| json!({"op": "join", "group": group, "user": users, "sticky": true});
        assert_eq!(desk.run(join(json!("ada"), json!(["a", "b", "c"]))), json!({"error": "rate_limited"}));
        assert_eq!(groups_of(&mut backend, &server.player("user=ada")), [""; 0], "nothing of it is done");
        desk.run(join(json!("ada"), json!(["a", "b"])));
        assert_eq!(desk.run(join(json!("bob"), json!("a"))), json!({"error": "rate_limited"}));
        assert_eq!(desk.run(join(json!("ada"), json!(["b", "a"]))), json!({"sessions": 0}));
        let in_chess = json!({"op": "join", "app": "chess", "group": "a", "user": "bob", "sticky": true});
        assert_eq!(desk.run(in_chess), json!({"sessions": 0}), "each app has its own");
        desk.run(json!({"op": "leave", "group": "b", "user": "ada"}));
        assert_eq!(desk.run(join(json!("bob"), json!("a"))), json!({"sessions": 0}));
        desk.run(json!({"op": "destroy", "group": "a"}));
    }
    let full = backend.request("POST", "/v1/members?group=a&group=b&group=c&user=ada&sticky=1");
    assert_eq!(full.status, 429);
    assert!(full.json()["error"]["message"].as_str().unwrap().contains("apps.NAME.max_sticky"));

    assert_eq!(backend.change("POST", "/v1/groups/a/members?user=eve&sticky=1"), 0);
    let player = server.player("user=eve&group=x&group=y");
    assert_eq!(groups_of(&mut backend, &player), ["x", "y"]);
    assert_eq!(backend.scrape().sum("gannet_sticky_refused_total", &[]), 1);
    assert_eq!(groups_of(&mut backend, &server.player("user=eve&group=x")), ["a", "x"]);
}

/// What a session does that comes while the user joins, leaves or is moved: in the end it is as if it had come before, or behind.
#[test]
fn no_session_that_comes_meanwhile_is_missed() {
    const OPENERS: usize = 3;
    let server = TestServer::start(lasting);
    let (mut backend, mut link) = (server.backend(), server.link());
    link.listen(&["close"], None);
    for round in 0..40 {
        if round % 4 != 0 {
            backend.ok("POST", "/v1/groups/g/members?user=ada&sticky=1");
        }
        let start = Barrier::new(OPENERS + 1);
        let players: Vec<Player> = thread::scope(|scope| {
            let opening = [(); OPENERS].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    (0..3).map(|_| server.player("user=ada")).collect::<Vec<_>>()
                })
            });
            start.wait();
            match round % 4 {
                0 => backend.ok("POST", "/v1/groups/g/members?user=ada&sticky=1"),
                1 => backend.ok("DELETE", "/v1/groups/g/members?user=ada"),
                2 => backend.ok("DELETE", "/v1/groups/g"),
                _ => backend.ok("POST", "/v1/groups/g/move?to=h"),
            };
            opening.into_iter().flat_map(|opening| opening.join().unwrap()).collect()
        });
        let there = [count(&mut backend, "g"), count(&mut backend, "h")];
        let all = players.len() as u64;
        let expected = [[all, 0], [0, 0], [0, 0], [0, all]][round % 4];
        assert_eq!(there, expected, "round {round}");
        players.into_iter().for_each(|player| close(&mut link, player));
        backend.ok("DELETE", "/v1/members?group=g&group=h&user=ada");
    }
}

/// The same of sessions that are bound to the user, which are many in a short time.
#[test]
fn no_session_that_is_bound_meanwhile_is_missed() {
    const SESSIONS: usize = 48;
    let server = TestServer::start(lasting);
    let (mut desk, mut binding) = (server.link(), server.binary_link());
    let players: Vec<Player> = (0..SESSIONS).map(|_| server.player("")).collect();
    let bind = |user: Option<&str>| {
        let bind = |player: &Player| json!({"op": "bind", "session": player.id.to_string(), "user": user});
        players.iter().map(bind).collect::<Vec<_>>()
    };
    let mut bind_all = |user| {
        binding.send_several(&bind(user));
        (0..SESSIONS).for_each(|_| assert!(binding.receive().1.is_ok()));
    };
    let join = json!({"op": "join", "group": "g", "user": "ada", "sticky": true});
    for round in 0..600 {
        if round % 4 != 0 {
            desk.command(join.clone());
        }
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                bind_all(Some("ada"));
            });
            start.wait();
            desk.command(match round % 4 {
                0 => join.clone(),
                1 => json!({"op": "leave", "group": "g", "user": "ada"}),
                2 => json!({"op": "destroy", "group": "g"}),
                _ => json!({"op": "move", "group": "g", "to": "h"}),
            });
        });
        let there =
            ["g", "h"].map(|group| desk.command(json!({"op": "count", "group": group}))["sessions"].clone());
        let expected = [[SESSIONS, 0], [0, 0], [0, 0], [0, SESSIONS]][round % 4];
        assert_eq!(there, expected, "round {round}");
        bind_all(None);
        desk.command(json!({"op": "leave", "group": ["g", "h"], "user": "ada"}));
    }
}

#[test]
fn a_session_that_comes_gets_what_the_group_remembers() {
    let server = TestServer::start(|config| {
        lasting(config);
        config.apps.get_mut("default").unwrap().groups = vec![latest("m:")];
    });
    let mut backend = server.backend();
    assert_eq!(backend.change("POST", "/v1/groups/m:1/members?user=ada&sticky=1"), 0);
    backend.push_text("group=m:1&key=score", "3:1");
    assert_eq!(server.player("user=ada").recv_text(), "3:1");
    let mut bound = server.player("user=bob");
    backend.ok("PUT", &format!("/v1/sessions/{}/user?user=ada", bound.id));
    assert_eq!(bound.recv_text(), "3:1");
    // There is no log to have a part of, and so no pair either.
    let refused = backend.request("POST", "/v1/groups/m:2/members?user=ada&sticky=1&last=3");
    assert_eq!((refused.status, backend.scrape().sum("gannet_app_sticky", &[])), (400, 1));
}

#[test]
fn an_embedding_program_joins_users_too() {
    let server = TestServer::start(lasting);
    let name = |text: &str| Name::new(text).unwrap();
    let act = |action| server.pusher().act("default", action, Duration::from_secs(60));
    let join = |who| Action::JoinSticky { who, groups: vec![name("g")], recall: None };
    let ada = server.player("user=ada");
    assert_eq!(act(join(Who::User(name("ada")))), Ok(OperationOutcome::Sessions(1)));
    let several = join(Who::Users(vec![name("ada"), name("bob")]));
    assert_eq!(act(several), Ok(OperationOutcome::Changed { sessions: 0, unknown: 1 }));
    let mut backend = server.backend();
    for user in ["ada", "bob"] {
        assert_eq!(groups_of(&mut backend, &server.player(&format!("user={user}"))), ["g"]);
    }
    let Err(PushError::Refused(refused)) = act(join(Who::Session(ada.id))) else { panic!("it is no user") };
    assert_eq!(refused.code, ErrorCode::BadRequest);
}
