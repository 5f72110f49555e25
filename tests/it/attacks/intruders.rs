//! Who has no business here: tokens that are not good, and an app that reaches for another's players.

use super::stage::Stage;
use crate::tokens::{CHESS, DEFAULT, HS256, now, signed_query, token};
use serde_json::{Value, json};

const TIMES: usize = 20;

fn claims(lasts: i64) -> Value {
    json!({ "sub": "eve", "exp": now().saturating_add_signed(lasts), "groups": ["healthy"] })
}

/// Each query gets the same answer, which does not say why.
fn refused(stage: &mut Stage, queries: impl IntoIterator<Item = String>) {
    let told = stage.ask("/ws").body;
    for query in queries {
        let answer = stage.ask(&format!("/ws?{query}"));
        assert_eq!((answer.status, answer.error().as_str()), (401, "unauthorized"), "{query}");
        assert_eq!(answer.body, told, "{query}");
    }
}

pub fn forged(stage: &mut Stage) {
    let good = token(HS256, &claims(60), DEFAULT);
    let guessed = |number| token(HS256, &claims(60), &format!("{DEFAULT}{number}"));
    refused(stage, (0..TIMES).map(|number| format!("token={}", guessed(number))));
    // One character of a good signature after the other, and a good signature under other claims.
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let changed = (0..TIMES / 2).map(|at| {
        let mut signature = signature.as_bytes().to_vec();
        signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
        format!("token={unsigned}.{}", String::from_utf8(signature).unwrap())
    });
    refused(stage, changed.collect::<Vec<_>>());
    let (admin, _) = token(HS256, &json!({ "sub": "admin", "exp": now() + 60 }), CHESS)
        .rsplit_once('.')
        .map(|(unsigned, signature)| (unsigned.to_owned(), signature.to_owned()))
        .unwrap();
    refused(stage, (0..TIMES / 2).map(|_| format!("token={admin}.{signature}")));
}

pub fn expired(stage: &mut Stage) {
    let ends = (0..TIMES).map(|number| -10 - 1_000_000 * number as i64);
    refused(stage, ends.map(|lasts| format!("token={}", token(HS256, &claims(lasts), DEFAULT))));
}

pub fn unsigned(stage: &mut Stage) {
    let headers = [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"NONE"}"#, r#"{"alg":"HS512"}"#];
    let tokens = headers.iter().cycle().take(TIMES).map(|header| token(header, &claims(60), DEFAULT));
    refused(stage, tokens.map(|token| format!("token={token}")));
}

pub fn replayed(stage: &mut Stage) {
    let query = signed_query("default", "eve", now(), "seen once", DEFAULT);
    let mut first = stage.player(&format!("/ws?{query}"));
    refused(stage, (0..TIMES).map(|_| query.clone()));
    first.end_writing();
    first.rest();
    refused(stage, [query]);
}

pub fn token_of_another_app(stage: &mut Stage) {
    let chess = token(HS256, &claims(60), CHESS);
    refused(stage, (0..TIMES).map(|_| format!("token={chess}")));
}

pub fn names_of_another_app(stage: &mut Stage) {
    let claims = json!({ "sub": "u1", "exp": now() + 60, "groups": ["healthy"] });
    let mut eve = stage.player(&format!("/ws/chess?token={}", token(HS256, &claims, CHESS)));
    let id = stage.a_healthy_id();
    let backend = &mut stage.backend;
    // A session's id means nothing under another app, whatever is asked about it.
    for (method, target) in [
        ("GET", format!("/v1/sessions/{id}?app=chess")),
        ("DELETE", format!("/v1/sessions/{id}?app=chess")),
        ("PUT", format!("/v1/sessions/{id}/user?user=eve&app=chess")),
        ("POST", format!("/v1/sessions/{id}/tags?tag=mine&app=chess")),
        ("POST", format!("/v1/groups/mine/members?session={id}&app=chess")),
    ] {
        let reply = backend.request(method, &target);
        assert_eq!(reply.status, 404, "{method} {target}");
        assert_eq!(reply.json()["error"]["code"], "unknown_session", "{method} {target}");
    }
    let missed = backend.push_text(&format!("app=chess&session={id}&user=u0"), "not for you");
    assert_eq!((missed.matched, missed.offline), (0, 2));
    let mut link = stage.server.link();
    for mut command in [
        json!({ "op": "session" }),
        json!({ "op": "kick" }),
        json!({ "op": "bind", "user": "eve" }),
        json!({ "op": "tag", "tag": "mine" }),
        json!({ "op": "join", "group": "mine" }),
    ] {
        command["app"] = "chess".into();
        command["session"] = id.as_str().into();
        let error = link.try_command(command.clone()).unwrap_err();
        assert_eq!(error["code"], "unknown_session", "{command}");
    }
    drop(link);
    // The same names are other users and groups: eve is the only one in them.
    assert_eq!(backend.push_text("app=chess&group=healthy&user=u1&all=1", "to eve").matched, 1);
    assert_eq!(eve.frame().unwrap().text(), "to eve");
    assert_eq!(backend.ok("GET", "/v1/groups/healthy?app=chess")["count"], 1);
    assert_eq!(backend.ok("GET", "/v1/sessions?user=u0&app=chess")["sessions"], json!([]));
    assert_eq!(backend.change("DELETE", "/v1/users/u0?app=chess"), 0);
    assert_eq!(backend.change("POST", "/v1/groups/healthy/move?to=mine&app=chess"), 1);
    assert_eq!(backend.change("DELETE", "/v1/groups/mine?app=chess"), 1);
    assert_eq!(backend.change("DELETE", "/v1/users/u1?app=chess"), 1);
    assert_eq!(eve.frame().unwrap().close().0, 4001);
}
