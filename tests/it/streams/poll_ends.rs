//! How clients that poll hear of the end of their session, or of where to go: whether a poll waits or none does; and polls that come
//! late, which end nothing.

use super::push;
use crate::raw::{Answer, Raw, request};
use crate::support::*;
use crate::tokens::*;
use serde_json::{Value, json};

const WAIT_MS: u64 = 60_000;

fn server() -> TestServer {
    TestServer::start(|config| config.apps.get_mut("default").unwrap().resume.linger_ms = 600_000)
}

fn await_polls(server: &TestServer, count: u64) {
    until("so many wait", || server.backend().scrape().sum("gannet_polls", &[]) == count);
}

/// The answer to a request on a connection of its own.
fn get(server: &TestServer, target: &str) -> Answer {
    let mut raw = Raw::connect(server.client);
    raw.send(request(&format!("GET {target}")));
    raw.answer()
}

/// A poller that has read and confirmed two messages.
fn two_messages_on(server: &TestServer) -> Poller {
    let mut poller = Poller::open(server.client, "?user=ada", "");
    for text in ["1", "2"] {
        push(server, "user=ada", "text/plain", text.as_bytes());
        assert_eq!(poller.poll(0), [text]);
        assert_eq!(poller.poll(0), [""; 0]);
    }
    assert_eq!(poller.received, 2);
    poller
}

#[test]
fn a_poll_that_comes_late_ends_neither_the_session_nor_the_poll_that_waits() {
    let server = server();
    let mut poller = two_messages_on(&server);
    let session = poller.session.clone();
    let late = poller.target(WAIT_MS).replace("received=2", "received=1");
    for waits in [false, true] {
        if waits {
            poller.begin(WAIT_MS);
            await_polls(&server, 1);
        }
        let answer = get(&server, &late);
        assert_eq!((answer.status, answer.error().as_str()), (409, "conflict"), "{waits}");
    }
    push(&server, "user=ada", "text/plain", b"3");
    let document = poller.document();
    assert_eq!((&document["messages"], &document["received"]), (&json!([{ "text": "3" }]), &json!(3)));
    assert_eq!(poller.session, session);
    let failed = server.backend().scrape().sum("gannet_resume_failed_total", &[]);
    assert_eq!(failed, 0);
}

#[test]
fn a_late_claim_of_a_websocket_gets_another_session_and_the_one_that_polls_goes_on() {
    let server = server();
    let mut poller = two_messages_on(&server);
    let ticket = poller.ticket.clone();
    let welcome = server.player(&format!("user=ada&resume={ticket}&received=1")).welcome;
    assert_eq!((&welcome["resumed"], &welcome["why"]), (&json!(false), &json!("gap")));
    push(&server, &format!("session={}", poller.session), "text/plain", b"3");
    assert_eq!(poller.poll(0), ["3"]);
}

/// Whoever has never said to have read more is at a gap, as ever.
#[test]
fn a_client_that_has_missed_more_than_is_kept_has_a_gap() {
    let server = TestServer::start(|config| {
        let resume = &mut config.apps.get_mut("default").unwrap().resume;
        (resume.linger_ms, resume.messages) = (600_000, 1);
    });
    let mut poller = Poller::open(server.client, "?user=ada", "");
    for text in ["1", "2"] {
        push(&server, "user=ada", "text/plain", text.as_bytes());
    }
    let session = poller.session.clone();
    poller.begin(0);
    poller.vanish();
    until("the lost answer was written", || {
        server.backend().stats()["deliveries"]["written"].as_u64() == Some(2)
    });
    poller.begin(0);
    let document = poller.document();
    assert_eq!((&document["resumed"], &document["why"]), (&json!(false), &json!("gap")));
    assert_ne!(poller.session, session);
}

#[test]
fn a_kick_between_two_polls_is_told_to_the_next_one_however_often_it_comes() {
    let server = server();
    let mut poller = two_messages_on(&server);
    let session = poller.session.clone();
    server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=cheating");
    // The first answer may be lost.
    for _ in 0..2 {
        poller.begin(WAIT_MS);
        let document = poller.document();
        assert_eq!(document["close"], json!({ "code": 4001, "reason": "cheating" }), "{document}");
        assert_eq!((&document["session"], &document["received"]), (&json!(session), &json!(2)));
    }
    assert_eq!(server.backend().stats()["sessions"], 0);
    // Of somebody else's end nobody hears.
    let other = poller.target(0).replace("user=ada", "user=eve");
    let document: Value = get(&server, &other).json();
    assert_eq!((&document["why"], &document["close"]), (&json!("expired"), &Value::Null));
}

#[test]
fn the_answer_to_a_poll_that_was_ended_may_be_lost() {
    let server = server();
    let mut poller = two_messages_on(&server);
    poller.begin(WAIT_MS);
    await_polls(&server, 1);
    server.backend().change("DELETE", "/v1/users/ada?code=4001&reason=cheating");
    poller.vanish();
    poller.begin(WAIT_MS);
    assert_eq!(poller.document()["close"], json!({ "code": 4001, "reason": "cheating" }));
}

/// After most codes a client comes back, with the ticket that it has: it must not hear of the same end for ever.
#[test]
fn an_end_that_a_client_comes_back_from_is_told_once() {
    let server = server();
    let mut poller = two_messages_on(&server);
    let session = poller.session.clone();
    server.backend().change("DELETE", "/v1/users/ada?code=3123&reason=elsewhere");
    poller.begin(WAIT_MS);
    assert_eq!(poller.document()["close"], json!({ "code": 3123, "reason": "elsewhere" }));
    poller.begin(0);
    let document = poller.document();
    assert_eq!((&document["why"], &document["close"]), (&json!("expired"), &Value::Null));
    assert_ne!(poller.session, session);
}

#[test]
fn whoever_has_left_or_did_not_come_in_time_is_told_of_no_end() {
    let server = server();
    let mut poller = two_messages_on(&server);
    let target = format!("/session?resume={}", poller.ticket);
    assert_eq!(poller.request("DELETE", &target, "", b"").status, 204);
    poller.begin(0);
    assert_eq!(poller.document()["why"], "expired");
}

#[test]
fn a_drain_tells_pollers_where_to_go_whether_they_wait_or_not() {
    let server = server();
    let mut backend = server.backend();
    let mut waits = Poller::open(server.client, "?user=ada", "");
    let mut idle = Poller::open(server.client, "?user=bob", "");
    push(&server, "user=bob", "text/plain", b"before");
    waits.begin(WAIT_MS);
    await_polls(&server, 1);
    backend.ok("POST", "/v1/admin/drain?over_ms=1&to=wss://b.example/ws");
    until("both have been sent away", || backend.ok("GET", "/v1/admin/drain")["closed"] == 2);
    let is_sent_away = |document: &Value| {
        assert_eq!(document["close"]["code"], 1012, "{document}");
        let reason = document["close"]["reason"].as_str().unwrap().to_owned();
        let (after, to) = reason.split_once(' ').unwrap();
        assert!(after.strip_prefix("after_ms=").unwrap().parse::<u64>().unwrap() < 1_000);
        assert_eq!(to, "to=wss://b.example/ws");
        reason
    };
    is_sent_away(&waits.document());
    idle.begin(WAIT_MS);
    let document = idle.document();
    let reason = is_sent_away(&document);
    assert_eq!(document["messages"], json!([{ "text": "before" }]));
    // Who has not read it hears the same again; who has been told stays where the drain is called off.
    idle.begin(WAIT_MS);
    assert_eq!(is_sent_away(&idle.document()), reason);
    backend.ok("DELETE", "/v1/admin/drain");
    idle.begin(WAIT_MS);
    await_polls(&server, 1);
    push(&server, "user=bob", "text/plain", b"after");
    let document = idle.document();
    assert_eq!((&document["messages"], &document["close"]), (&json!([{ "text": "after" }]), &Value::Null));
}

#[test]
fn the_first_document_says_who_the_session_is_and_until_when() {
    let secret = TestServer::start(|config| {
        let mut app = app(&[DEFAULT]);
        app.resume.linger_ms = 600_000;
        config.apps.insert("default".into(), app);
    });
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), DEFAULT);
    let welcome = secret.player(&format!("token={good}")).welcome;
    assert!(welcome["expires_unix_ms"].is_u64());
    let first: Value = get(&secret, &format!("/poll?token={good}")).json();
    assert_eq!((&first["user"], &first["expires_unix_ms"]), (&json!("ada"), &welcome["expires_unix_ms"]));
    let server = server();
    let first: Value = get(&server, "/poll").json();
    assert_eq!((first.get("user"), first.get("expires_unix_ms")), (Some(&Value::Null), None));
    let ticket = first["resume"].as_str().unwrap();
    let next: Value = get(&server, &format!("/poll?resume={ticket}&received=0&wait_ms=0")).json();
    assert_eq!(next.get("user"), None);
}
