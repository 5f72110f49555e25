//! A backend renews the token of a session, over HTTP, a batch and both links; and what it gets where the token does not hold.

use crate::raw::{Raw, request_with};
use crate::support::*;
use crate::tokens::*;
use serde_json::{Value, json};

const HOUR: i64 = 3_600;

/// A server whose players show tokens, with a wall clock that the test sets.
fn guarded(clock: &WallClock) -> ServerProcess {
    let config = format!("apps.default.secrets = [\"{DEFAULT}\"]\napps.chess.secrets = [\"{CHESS}\"]\n");
    ServerProcess::start_with_clock(clock, &["--reactors", "1"], &config)
}

fn of(user: &str, secs: i64) -> String {
    token(HS256, &json!({ "sub": user, "exp": now() as i64 + secs }), DEFAULT)
}

/// Status and answer of a renewal over HTTP.
fn renew(server: &Ports, session: &str, query: &str, body: &str) -> (u16, Value) {
    let mut raw = Raw::connect(server.backend);
    raw.send(request_with(&format!("POST /v1/sessions/{session}/renew{query}"), body));
    let answer = raw.answer();
    (answer.status, answer.json())
}

fn body(token: &str) -> String {
    json!({ "token": token }).to_string()
}

#[test]
fn a_session_lives_on_whichever_way_its_token_is_renewed_and_ends_with_the_last_one() {
    let clock = WallClock::new();
    let server = guarded(&clock);
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", HOUR))).unwrap();
    let mut witness = server.try_player(&format!("/ws?token={}", of("witness", HOUR))).unwrap();
    let id = ada.id.to_string();
    let mut ends = Vec::new();
    let (status, answer) = renew(&server, &id, "", &body(&of("ada", 6 * HOUR)));
    assert_eq!(status, 200, "{answer}");
    ends.push((6, answer));
    for (mut link, hours) in [(server.link(), 5), (server.binary_link(), 4)] {
        let answer = link.command(json!({ "op": "renew", "session": id, "token": of("ada", hours * HOUR) }));
        ends.push((hours, answer));
    }
    let line = json!({ "op": "renew", "session": id, "token": of("ada", 3 * HOUR) }).to_string();
    let mut backend = server.backend();
    backend.send("POST", "/v1/batch", "application/x-ndjson", line.as_bytes());
    let reply = backend.receive();
    ends.push((3, serde_json::from_slice::<Value>(&reply.body).unwrap()["ok"].clone()));
    for (hours, answer) in ends {
        let end_s = answer["expires_unix_ms"].as_i64().unwrap() / 1000;
        let expected_s = now() as i64 + hours * HOUR;
        assert!((expected_s - HOUR / 2..=expected_s + HOUR / 2).contains(&end_s), "{hours}: {answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    }
    clock.set(2 * HOUR);
    assert_eq!(witness.recv_end(), End::Closed(4004, "token expired".to_owned()));
    server.backend().push_text("user=ada", "still there");
    assert_eq!(ada.recv_text(), "still there", "its first end has passed");
    clock.set(4 * HOUR);
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
    assert_eq!(renew(&server, &id, "", &body(&of("ada", 9 * HOUR))).1["error"]["code"], "unknown_session");
}

#[test]
fn a_token_that_does_not_hold_leaves_the_session_as_it_is() {
    let clock = WallClock::new();
    let server = guarded(&clock);
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", HOUR))).unwrap();
    let id = ada.id.to_string();
    let expired = token(HS256, &json!({ "sub": "ada", "exp": now() - 3_600 }), DEFAULT);
    let forged = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), CHESS);
    let good = of("ada", HOUR);
    for (query, body, status, code, says) in [
        ("", body(&of("eve", HOUR)), 400, "bad_request", "another user"),
        ("", body(&expired), 400, "bad_request", "expired"),
        ("", body(&forged), 400, "bad_request", "no key of the app made this signature"),
        ("", body(""), 400, "bad_request", "it is no token"),
        ("?app=chess", body(&good), 404, "unknown_session", "no session"),
        ("", String::new(), 400, "bad_request", "one JSON object with token, a text"),
        ("", "{}".to_owned(), 400, "bad_request", "one JSON object with token, a text"),
        ("", format!("[{}]", body(&good)), 400, "bad_request", "one JSON object with token, a text"),
        ("", format!("{} x", body(&good)), 400, "bad_request", "one JSON object with token, a text"),
        (
            "",
            json!({ "token": good, "user": "ada" }).to_string(),
            400,
            "bad_request",
            "one JSON object with token, a text",
        ),
        (
            "",
            format!(r#"{{"token":"{good}","token":"{good}"}}"#),
            400,
            "bad_request",
            "one JSON object with token, a text",
        ),
        ("", json!({ "token": 7 }).to_string(), 400, "bad_request", "one JSON object with token, a text"),
        ("?token=x", body(&good), 400, "bad_request", "no parameter \"token\" here"),
    ] {
        let (got, answer) = renew(&server, &id, query, &body);
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{query} {body}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(says) && !message.contains(&good), "{query} {body}: {message}");
    }
    // Bound to another user, it is that one's token that renews it.
    server.backend().ok("PUT", &format!("/v1/sessions/{id}/user?user=eve"));
    assert_eq!(renew(&server, &id, "", &body(&good)).0, 400);
    assert_eq!(renew(&server, &id, "", &body(&of("eve", HOUR))).0, 200);
    server.backend().push_text("user=eve", "still there");
    assert_eq!(ada.recv_text(), "still there");
    assert_eq!(server.backend().stats()["renewed"], 1);
}

#[test]
fn a_session_that_came_with_a_signed_query_ends_with_the_token_from_then_on() {
    let clock = WallClock::new();
    let server = guarded(&clock);
    let query = signed_query("default", "ada", now(), "once", DEFAULT);
    let mut ada = server.try_player(&format!("/ws?{query}")).unwrap();
    assert_eq!(renew(&server, &ada.id.to_string(), "", &body(&of("ada", HOUR))).0, 200);
    clock.set(2 * HOUR);
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
}

#[test]
fn a_backend_sets_the_end_of_a_session_without_a_token() {
    const HOUR_MS: i64 = HOUR * 1_000;
    let clock = WallClock::new();
    let server = guarded(&clock);
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", HOUR))).unwrap();
    let mut witness = server.try_player(&format!("/ws?token={}", of("witness", HOUR))).unwrap();
    let id = ada.id.to_string();
    let at = |hours: i64| now() as i64 * 1_000 + hours * HOUR_MS;
    let mut answers = vec![
        (2, server.link().command(json!({"op": "renew", "session": id, "for_ms": 2 * HOUR_MS}))),
        (3, server.binary_link().command(json!({"op": "renew", "session": id, "expires_unix_ms": at(3)}))),
        (5, server.binary_link().command(json!({"op": "renew", "session": id, "for_ms": 5 * HOUR_MS}))),
    ];
    let (status, answer) = renew(&server, &id, "", &json!({"expires_unix_ms": at(4)}).to_string());
    assert_eq!(status, 200, "{answer}");
    answers.push((4, answer));
    for (hours, answer) in answers {
        let end_ms = answer["expires_unix_ms"].as_i64().unwrap();
        assert!((end_ms - at(hours)).abs() < HOUR_MS / 2, "{hours}: {answer}");
    }
    for bad in [
        json!({"for_ms": 1, "expires_unix_ms": 1}),
        json!({"for_ms": -1}),
        json!({"for_ms": 1, "token": "a.b.c"}),
    ] {
        assert_eq!(renew(&server, &id, "", &bad.to_string()).0, 400, "{bad}");
    }
    clock.set(3 * HOUR);
    assert_eq!(witness.recv_end(), End::Closed(4004, "token expired".to_owned()));
    server.backend().push_text("user=ada", "still there");
    assert_eq!(ada.recv_text(), "still there", "the end of its token has passed");
    clock.set(5 * HOUR);
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
}

#[test]
fn where_tokens_end_no_session_it_goes_on_until_a_backend_ends_it() {
    let clock = WallClock::new();
    let config = format!(
        "[apps.default]\nsecrets = [\"{DEFAULT}\"]\ntoken_ends_session = false\n[apps.chess]\nsecrets = [\"{CHESS}\"]\n"
    );
    let server = ServerProcess::start_with_clock(&clock, &["--reactors", "1"], &config);
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", HOUR))).unwrap();
    let of_chess = token(HS256, &json!({"sub": "witness", "exp": now() as i64 + HOUR}), CHESS);
    let mut witness = server.try_player(&format!("/ws/chess?token={of_chess}")).unwrap();
    clock.set(2 * HOUR);
    assert_eq!(witness.recv_end(), End::Closed(4004, "token expired".to_owned()));
    server.backend().push_text("user=ada", "still there");
    assert_eq!(ada.recv_text(), "still there");
    let expired = server
        .try_player(&format!("/ws?token={}", of("ada", -HOUR)))
        .err()
        .expect("it counts when one opens");
    assert_eq!(expired.status(), 401);
    let renewed = server.link().command(json!({"op": "renew", "session": ada.id.to_string(), "for_ms": 0}));
    assert!(renewed["expires_unix_ms"].is_u64());
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
}
