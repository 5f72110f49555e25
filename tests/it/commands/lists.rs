//! Lists of sessions, users and groups in one command.

use super::{Desk, NOBODY, names};
use crate::support::{Player, TestServer};
use serde_json::{Value, json};

const PLAYERS: usize = 12;

/// Players on several reactors: the even ones are ada's, the odd ones bob's.
fn crowd(server: &TestServer) -> (Vec<Player>, Vec<String>) {
    let user = |number: usize| if number.is_multiple_of(2) { "ada" } else { "bob" };
    let players: Vec<Player> =
        (0..PLAYERS).map(|number| server.player(&format!("user={}", user(number)))).collect();
    let ids = players.iter().map(|player| player.id.to_string()).collect();
    (players, ids)
}

fn members(server: &TestServer, group: &str) -> u64 {
    server.backend().ok("GET", &format!("/v1/groups/{group}"))["count"].as_u64().unwrap()
}

#[test]
fn a_list_is_one_command_in_every_form_and_whom_there_is_not_is_counted() {
    let server = TestServer::start(|_| ());
    let (_players, ids) = crowd(&server);
    let with_nobody: Vec<&str> = ids.iter().map(String::as_str).chain([NOBODY, &ids[0]]).collect();
    for mut desk in Desk::all(&server) {
        let mut run = |command: Value, expected: Value| {
            assert_eq!(desk.run(command.clone()), expected, "{command}");
        };
        let (all, none) = (PLAYERS, json!({"sessions": 0, "unknown": 1}));
        let changed = |sessions: usize, unknown: usize| json!({"sessions": sessions, "unknown": unknown});
        run(json!({"op": "join", "group": "g", "session": with_nobody}), changed(all, 1));
        run(json!({"op": "join", "group": "g", "session": with_nobody}), changed(0, 1));
        run(json!({"op": "leave", "group": "g", "session": [ids[3], ids[4]]}), changed(2, 0));
        run(json!({"op": "join", "group": ["g", "h"], "user": ["ada", "eve"]}), changed(all / 2, 1));
        assert_eq!((members(&server, "g"), members(&server, "h")), (all as u64 - 1, all as u64 / 2));
        run(json!({"op": "leave", "group": ["g", "h", "i"], "user": "ada"}), json!({"sessions": all / 2}));
        assert_eq!((members(&server, "g"), members(&server, "h")), (all as u64 / 2 - 1, 0));
        run(json!({"op": "leave", "group": "g", "user": ["bob"]}), changed(all / 2 - 1, 0));
        run(json!({"op": "join", "group": "g", "session": [NOBODY]}), none.clone());
        run(json!({"op": "tag", "tag": "ios", "user": "ada"}), json!({"sessions": all / 2}));
        run(json!({"op": "tag", "tag": "ios", "session": with_nobody}), changed(all / 2, 1));
        run(json!({"op": "untag", "tag": "ios", "user": ["ada", "bob"]}), changed(all, 0));
        run(json!({"op": "untag", "tag": "ios", "session": [NOBODY]}), none);
        run(json!({"op": "kick", "session": [NOBODY, "fff0000000000002"]}), changed(0, 2));
        for bad in [
            json!({"op": "join", "group": "g", "session": []}),
            json!({"op": "join", "group": [], "session": ids}),
            json!({"op": "join", "group": "g", "session": vec![NOBODY; 1_025]}),
            json!({"op": "join", "group": ["g", ""], "session": ids}),
            json!({"op": "join", "group": ["g", "h"], "user": "ada", "last": 3}),
        ] {
            if !bad["last"].is_null() && matches!(desk, Desk::Link(_)) {
                continue;
            }
            assert_eq!(desk.run(bad.clone()), json!({"error": "bad_request"}), "{bad}");
        }
        assert_eq!(members(&server, "g"), 0);
    }
}

#[test]
fn lists_over_http_are_repeated_parameters() {
    let server = TestServer::start(|_| ());
    let (mut players, ids) = crowd(&server);
    let mut backend = server.backend();
    let (a, b, c) = (&ids[0], &ids[1], &ids[2]);
    let both = format!("session={a}&session={b}&session={NOBODY}");
    let (two, changed) =
        (json!({"sessions": 2, "unknown": 1}), |count: u32| json!({"sessions": count, "unknown": 0}));
    assert_eq!(backend.ok("POST", &format!("/v1/groups/g/members?{both}")), two);
    assert_eq!(backend.ok("POST", &format!("/v1/members?group=h&group=i&{both}")), two);
    assert_eq!(names(&mut backend, a, "groups"), ["g", "h", "i"]);
    let moved = backend.ok("POST", &format!("/v1/groups/g/move?to=j&session={a}"));
    assert_eq!(moved, json!({"sessions": 1}), "one that is no list is answered as one");
    assert_eq!(backend.ok("POST", &format!("/v1/groups/g/move?to=j&session={a}&session={b}")), changed(1));
    assert_eq!(backend.ok("POST", &format!("/v1/groups/g/move?to=j&session={c}")), json!({"sessions": 0}));
    assert_eq!(names(&mut backend, b, "groups"), ["h", "i", "j"]);
    assert_eq!(backend.ok("DELETE", &format!("/v1/members?group=h&group=j&{both}")), two);
    assert_eq!(backend.ok("DELETE", "/v1/groups/i/members?user=ada&user=bob"), changed(2));
    assert_eq!(backend.ok("POST", "/v1/tags/eu/sessions?user=ada&user=bob"), changed(PLAYERS as u32));
    assert_eq!(backend.ok("DELETE", &format!("/v1/tags/eu/sessions?{both}")), two);
    assert_eq!(names(&mut backend, c, "tags"), ["eu"]);
    assert_eq!(backend.request("DELETE", "/v1/sessions").status, 400, "nobody is named");
    assert_eq!(backend.ok("DELETE", &format!("/v1/sessions?{both}&code=4100&reason=bye")), two);
    for player in &mut players[..2] {
        assert_eq!(player.recv_end(), crate::support::End::Closed(4100, "bye".to_owned()));
    }
    assert_eq!(
        backend.ok("DELETE", "/v1/sessions?user=ada&user=bob&user=eve"),
        json!({"sessions": PLAYERS - 2, "unknown": 1})
    );
}

/// Whoever a list names has joined on every reactor before the next command begins, and a session that may not join stays out of
/// all of the groups.
#[test]
fn a_list_is_a_barrier_and_no_session_joins_half_of_the_groups() {
    let server = TestServer::start(|config| config.limits.groups_per_session = 2);
    let (mut players, ids) = crowd(&server);
    let mut link = server.link();
    for round in 0..50 {
        let (join, push) = (format!("g{round}"), format!("{round}"));
        link.tell(&json!({"op": "join", "group": [join], "session": ids}));
        link.tell(&json!({"op": "push", "to": {"group": join}, "text": push}));
        link.tell(&json!({"op": "leave", "group": [join], "user": ["ada", "bob"]}));
        link.tell(&json!({"op": "push", "to": {"group": join}, "text": "nobody"}));
    }
    for player in &mut players {
        (0..50).for_each(|round| assert_eq!(player.recv_text(), round.to_string()));
    }
    link.command(json!({"op": "join", "group": "own", "session": ids[0]}));
    let refused = link.try_command(json!({"op": "join", "group": ["a", "b"], "session": ids})).unwrap_err();
    assert_eq!(refused["code"], "bad_request");
    let mut backend = server.backend();
    assert_eq!(names(&mut backend, &ids[0], "groups"), ["own"]);
    assert_eq!(names(&mut backend, &ids[1], "groups"), ["a", "b"], "the others have joined");
}
