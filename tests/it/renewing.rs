//! A backend renews the token of a session, over HTTP, a batch and both links; and what it gets where the token does not hold.

use crate::raw::{Raw, request_with};
use crate::support::*;
use crate::tokens::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Apps whose players show tokens; nothing is forgiven.
fn guarded() -> TestServer {
    TestServer::start(|config| {
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.apps.insert("chess".into(), app(&[CHESS]));
        config.auth.leeway = Duration::ZERO;
    })
}

fn of(user: &str, seconds: u64) -> String {
    token(HS256, &json!({ "sub": user, "exp": now() + seconds }), DEFAULT)
}

/// Status and answer of a renewal over HTTP.
fn renew(server: &TestServer, session: &str, query: &str, body: &str) -> (u16, Value) {
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
    let server = guarded();
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", 2))).unwrap();
    let id = ada.id.to_string();
    let mut ends = Vec::new();
    let (status, answer) = renew(&server, &id, "", &body(&of("ada", 600)));
    assert_eq!(status, 200, "{answer}");
    ends.push((600, answer));
    for (mut link, seconds) in [(server.link(), 500), (server.binary_link(), 400)] {
        let answer = link.command(json!({ "op": "renew", "session": id, "token": of("ada", seconds) }));
        ends.push((seconds, answer));
    }
    let line = json!({ "op": "renew", "session": id, "token": of("ada", 300) }).to_string();
    let mut backend = server.backend();
    backend.send("POST", "/v1/batch", "application/x-ndjson", line.as_bytes());
    let reply = backend.receive();
    ends.push((300, serde_json::from_slice::<Value>(&reply.body).unwrap()["ok"].clone()));
    for (seconds, answer) in ends {
        let end_s = answer["expires_unix_ms"].as_u64().unwrap() / 1000;
        assert!((now() + seconds - 60..=now() + seconds).contains(&end_s), "{seconds}: {answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    }
    // Its first end has passed long before the last one.
    let first = now() + 3;
    until("the first token has expired", || now() > first);
    server.backend().push_text("user=ada", "still there");
    assert_eq!(ada.recv_text(), "still there");
    assert_eq!(renew(&server, &id, "", &body(&of("ada", 1))).0, 200);
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
    assert_eq!(renew(&server, &id, "", &body(&of("ada", 600))).1["error"]["code"], "unknown_session");
}

#[test]
fn a_token_that_does_not_hold_leaves_the_session_as_it_is() {
    let server = guarded();
    let mut ada = server.try_player(&format!("/ws?token={}", of("ada", 600))).unwrap();
    let id = ada.id.to_string();
    let expired = token(HS256, &json!({ "sub": "ada", "exp": now() - 1 }), DEFAULT);
    let forged = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), CHESS);
    let good = of("ada", 600);
    for (query, body, status, code, says) in [
        ("", body(&of("eve", 600)), 400, "bad_request", "another user"),
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
    assert_eq!(renew(&server, &id, "", &body(&of("eve", 600))).0, 200);
    server.backend().push_text("user=eve", "still there");
    assert_eq!(ada.recv_text(), "still there");
    assert_eq!(server.backend().stats()["renewed"], 1);
}

#[test]
fn a_session_that_came_with_a_signed_query_ends_with_the_token_from_then_on() {
    let server = guarded();
    let query = signed_query("default", "ada", now(), "once", DEFAULT);
    let mut ada = server.try_player(&format!("/ws?{query}")).unwrap();
    assert_eq!(renew(&server, &ada.id.to_string(), "", &body(&of("ada", 1))).0, 200);
    assert_eq!(ada.recv_end(), End::Closed(4004, "token expired".to_owned()));
}
