//! A server that is emptied while it runs.

use crate::entry::support::{ALL, CHESS, READ, ask, bearer, with_keys};
use crate::support::*;
use serde_json::{Value, json};

const PLAYERS: usize = 40;

/// A server with players, all in one pool.
fn crowded() -> (TestServer, Pool<String>) {
    let server = TestServer::start(|config| config.reactors = Some(2));
    let pool = Pool::new(|_, message| message.into_text().unwrap().as_str().to_owned());
    (0..PLAYERS).for_each(|number| _ = pool.add(server.player(&format!("user=u{number}"))));
    (server, pool)
}

fn is_ready(server: &TestServer) -> bool {
    server.backend().request("GET", "/readyz").status == 200
}

#[test]
fn all_leave_with_where_to_go_and_when_and_nobody_comes() {
    let (server, pool) = crowded();
    let mut backend = server.backend();
    let began = backend.ok("POST", "/v1/admin/drain?over_ms=500&to=wss://b.example/ws");
    assert_eq!(
        (&began["draining"], &began["over_ms"], &began["to"]),
        (&json!(true), &json!(500), &json!("wss://b.example/ws"))
    );
    assert!(!is_ready(&server));
    match server.try_player("/ws?user=late").err() {
        Some(Refusal::Http { status, code }) => assert_eq!((status, code.as_str()), (503, "draining")),
        other => panic!("{other:?}"),
    }
    pool.wait("all have left", |logs| logs.iter().all(|log| log.end.is_some()));
    pool.look(|logs| {
        for log in logs {
            let Some(End::Closed(1012, reason)) = &log.end else { panic!("{:?}", log.end) };
            let (after, to) = reason.split_once(' ').unwrap();
            let after_ms: u64 = after.strip_prefix("after_ms=").unwrap().parse().unwrap();
            assert_eq!((after_ms < 1_000, to), (true, "to=wss://b.example/ws"), "{reason}");
        }
    });
    until("it says that they have gone", || backend.ok("GET", "/v1/admin/drain")["sessions"] == 0);
    assert_eq!(backend.ok("GET", "/v1/admin/drain")["closed"], PLAYERS);
    let over = backend.ok("DELETE", "/v1/admin/drain");
    let nothing = json!({ "draining": false, "over_ms": null, "elapsed_ms": null, "to": null, "closed": 0, "sessions": 0 });
    assert_eq!(over, nothing);
    assert!(is_ready(&server));
    server.player("user=welcome");
}

#[test]
fn who_is_left_when_a_drain_is_called_off_stays() {
    let (server, pool) = crowded();
    let mut backend = server.backend();
    // One leaves every 250 ms: it is called off long before the last.
    backend.ok("POST", "/v1/admin/drain?over_ms=10000");
    pool.wait("some have left", |logs| logs.iter().filter(|log| log.end.is_some()).count() >= 2);
    backend.ok("DELETE", "/v1/admin/drain");
    // A command to every session comes behind what each reactor has been told.
    let reached = backend.push_text("all=1", "stay").queued as usize;
    assert!((1..PLAYERS - 1).contains(&reached), "{reached}");
    let has_stayed = |log: &Log<String>| log.messages.last().is_some_and(|last| last == "stay");
    // Who has left may not have read its end when all who stay have the message.
    pool.wait("each has left or is served", |logs| {
        logs.iter().all(|log| log.end.is_some() || has_stayed(log))
    });
    pool.look(|logs| {
        assert!(logs.iter().all(|log| log.end.is_some() != has_stayed(log)));
        assert_eq!(logs.iter().filter(|log| has_stayed(log)).count(), reached);
    });
    assert!(is_ready(&server));
}

#[test]
fn a_drain_is_for_a_key_that_may_do_all_on_the_whole_server() {
    let server = with_keys();
    let asked = |key: &str, method: &str| {
        let answer = ask(server.backend, &format!("{method} /v1/admin/drain"), &bearer(key), "");
        (answer.status, answer.json()["draining"].clone())
    };
    for (key, method, status) in [
        (READ, "POST", 403),
        (READ, "DELETE", 403),
        (CHESS, "POST", 403),
        (CHESS, "GET", 403),
        (READ, "GET", 200),
    ] {
        assert_eq!(asked(key, method).0, status, "{method}");
    }
    assert_eq!((asked(READ, "GET"), asked(ALL, "POST")), ((200, json!(false)), (200, json!(true))));
    for query in ["over_ms=86400001", "over_ms=soon", "to=https://b.example", "to=ws://b%20c", "for=ever"] {
        let answer = ask(server.backend, &format!("POST /v1/admin/drain?{query}"), &bearer(ALL), "");
        assert_eq!((answer.status, answer.error()), (400, "bad_request".to_owned()), "{query}");
    }
    let _: Value = ask(server.backend, "DELETE /v1/admin/drain", &bearer(ALL), "").json();
}
