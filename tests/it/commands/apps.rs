//! The apps that there are, and what is counted of each: on the link as over HTTP.

use super::Desk;
use crate::raw::{Raw, TEXT, masked, request, upgrade};
use crate::support::*;
use gannet::config::{AppConfig, BackendKey, Secret};
use gannet::dispatch::Right;
use serde_json::{Value, json};

fn server() -> TestServer {
    TestServer::start(|config| {
        for name in ["chess", "checkers"] {
            config.apps.insert(name.into(), AppConfig { max_sessions: 3, ..AppConfig::default() });
        }
    })
}

#[test]
fn a_link_names_the_apps_that_http_names() {
    let server = server();
    let _players: Vec<Player> = (0..3).map(|_| server.try_player("/ws/chess").unwrap()).collect();
    server.await_stats("they are there", |stats| stats["sessions"] == 3);
    let app = |name: &str, sessions: u32| json!({"app": name, "sessions": sessions});
    let all = json!({"apps": [app("checkers", 0), app("chess", 3), app("default", 0)], "next": null});
    let mut backend = server.backend();
    assert_eq!(backend.ok("GET", "/v1/apps"), all);
    let first = json!({"apps": [app("checkers", 0)], "next": "checkers"});
    assert_eq!(backend.ok("GET", "/v1/apps?limit=1"), first);
    for mut desk in Desk::all(&server) {
        assert_eq!(desk.run(json!({"op": "apps"})), all);
        assert_eq!(desk.run(json!({"op": "apps", "limit": 1, "prefix": "c"})), first);
        let rest = json!({"apps": [app("chess", 3)], "next": null});
        assert_eq!(desk.run(json!({"op": "apps", "prefix": "c", "after": "checkers"})), rest);
    }
}

#[test]
fn a_link_counts_of_an_app_what_http_counts() {
    let server = server();
    let mut players: Vec<Player> = (0..3).map(|_| server.try_player("/ws/chess?user=ada").unwrap()).collect();
    let _other = server.player("");
    assert_eq!(server.try_player("/ws/chess").err().unwrap().status(), 503);
    players[0].send_text("hi");
    server.backend().push_text("app=chess&user=ada", "to three");
    server.backend().push_text("app=chess&user=nobody", "to none");
    players.pop().unwrap().close(1000, "");
    server.await_stats("one has gone", |stats| stats["sessions"] == 3 && stats["messages_in"] == 1);
    let expected = json!({
        "sessions": 2, "away": 0, "opened": 3, "closed": 1, "refused": 1, "messages_in": 1, "pushes": 2, "queued": 3,
    });
    assert_eq!(server.backend().ok("GET", "/v1/apps/stats?app=chess"), expected);
    for mut desk in Desk::all(&server) {
        assert_eq!(desk.run(json!({"op": "stats", "app": "chess"})), expected);
        assert_eq!(desk.run(json!({"op": "stats"}))["opened"], 1);
        assert_eq!(desk.run(json!({"op": "stats", "app": "go"})), json!({"error": "not_found"}));
    }
}

#[test]
fn a_key_of_some_apps_hears_of_no_others() {
    const KEY: &str = "the-key-of-the-game-chess";
    let server = TestServer::start(|config| {
        for name in ["chess", "checkers"] {
            config.apps.insert(name.into(), AppConfig::default());
        }
        config.backend.key = Some(Secret::new("the-key-that-may-do-everything"));
        config.backend.keys.push(BackendKey {
            name: "chess".into(),
            key: Some(Secret::new(KEY)),
            may: vec![Right::Read],
            apps: vec!["chess".into()],
            key_file: None,
        });
    });
    let shown = format!("Authorization: Bearer {KEY}\r\n");
    let http = |line: &str| {
        let mut raw = Raw::connect(server.backend);
        raw.send(request(line).replacen("\r\n\r\n", &format!("\r\n{shown}\r\n"), 1));
        raw.answer()
    };
    let only = json!({"apps": [{"app": "chess", "sessions": 0}], "next": null});
    assert_eq!(http("GET /v1/apps").json(), only);
    assert_eq!(http("GET /v1/apps?limit=1").json(), only);
    assert_eq!(http("GET /v1/apps/stats?app=chess").status, 200);
    assert_eq!(http("GET /v1/apps/stats?app=checkers").status, 404);
    let mut link = Raw::connect(server.backend);
    link.send(upgrade("/v1/link?app=chess", &format!("Sec-WebSocket-Protocol: gannet.link.json\r\n{shown}")));
    assert_eq!(link.answer().status, 101);
    link.send(masked(TEXT, br#"{"id":1,"op":"apps"}"#));
    let reply: Value = serde_json::from_str(link.frame().unwrap().text()).unwrap();
    assert_eq!(reply, json!({"id": 1, "ok": only}));
    let mut batch = Raw::connect(server.backend);
    let line = r#"{"op":"apps"}"#;
    batch.send(format!(
        "POST /v1/batch?app=chess HTTP/1.1\r\nHost: localhost\r\n{shown}Content-Length: {}\r\n\r\n{line}",
        line.len()
    ));
    let answer = batch.answer();
    assert_eq!((answer.status, answer.json()), (200, json!({"ok": only})));
}
