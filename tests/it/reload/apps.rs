//! Apps that come and go, and their secrets.

use crate::support::*;
use crate::tokens::{CHESS, DEFAULT, HS256, ROTATED, app, ask, now, token};
use gannet::config::{AppConfig, OriginPattern, Slow};
use serde_json::json;

/// The target of a player of chess whose token is signed with `secret`.
fn target(secret: &str) -> String {
    format!(
        "/ws/chess?token={}",
        token(HS256, &json!({ "sub": "ada", "app": "chess", "exp": now() + 600 }), secret)
    )
}

fn chess() -> TestServer {
    TestServer::start(|config| {
        config.apps.insert("default".to_owned(), app(&[DEFAULT]));
        config.apps.insert("chess".to_owned(), app(&[CHESS]));
    })
}

#[test]
fn secrets_are_rotated_and_those_who_came_by_the_old_one_stay() {
    let server = chess();
    let status = |secret| ask(server.client, &target(secret), "").status;
    let mut ada = server.try_player(&target(CHESS)).unwrap();
    assert_eq!([CHESS, ROTATED].map(status), [101, 401]);
    let both = server.reload(|config| _ = config.apps.insert("chess".to_owned(), app(&[ROTATED, CHESS])));
    assert_eq!((both.changed, both.restart), (vec!["apps.chess.secrets".to_owned()], vec![]));
    assert_eq!([CHESS, ROTATED].map(status), [101, 101]);
    server.reload(|config| _ = config.apps.insert("chess".to_owned(), app(&[ROTATED])));
    assert_eq!([CHESS, ROTATED].map(status), [401, 101]);
    server.backend().push_text("app=chess&user=ada", "still here");
    assert_eq!(ada.recv_text(), "still here");
}

#[test]
fn a_signed_query_is_used_once_whatever_is_reloaded_in_between() {
    let server = chess();
    let signed =
        |nonce: &str| format!("/ws?{}", crate::tokens::signed_query("chess", "ada", now(), nonce, CHESS));
    let once = signed("once");
    assert_eq!(ask(server.client, &once, "").status, 101);
    server.reload(|config| config.auth.timestamp_window *= 2);
    assert_eq!(ask(server.client, &once, "").status, 401);
    assert_eq!(ask(server.client, &signed("another"), "").status, 101);
    server.reload(|config| config.auth.timestamp_window /= 4);
    assert_eq!(ask(server.client, &once, "").status, 401);
}

#[test]
fn an_app_that_is_removed_keeps_its_players_and_takes_no_more() {
    let server = TestServer::start(|config| {
        config.apps.insert("chess".to_owned(), AppConfig::default());
        config.apps.insert("go".to_owned(), AppConfig::default());
    });
    let (mut ada, mut bob) =
        (server.try_player("/ws/chess?user=ada").unwrap(), server.try_player("/ws/go?user=bob").unwrap());
    let mut link = server.link();
    link.command(json!({ "op": "listen", "app": "chess", "events": ["close"] }));
    // One before it in the order of names, so that every place in it changes.
    let reloaded = server.reload(|config| {
        config.apps.remove("chess");
        config.apps.insert("backgammon".to_owned(), AppConfig::default());
    });
    assert_eq!(reloaded.changed, ["apps.backgammon", "apps.chess"]);
    assert_eq!(server.try_player("/ws/chess?user=eve").err().map(|refusal| refusal.status()), Some(404));
    assert_eq!(server.backend().push_text("app=chess&user=ada", "to chess").queued, 1);
    assert_eq!(server.backend().push_text("app=go&user=bob", "to go").queued, 1);
    assert_eq!((ada.recv_text(), bob.recv_text()), ("to chess".to_owned(), "to go".to_owned()));
    server.try_player("/ws/backgammon?user=ada").unwrap();
    let id = ada.id;
    ada.close(1000, "");
    assert_eq!(link.event()["session"], id.to_string());
    // Without players it is gone for a backend too.
    until("its last player has left", || {
        server.reload(|_| {});
        server.backend().request("GET", "/v1/sessions?app=chess").status == 404
    });
    server.reload(|config| _ = config.apps.insert("chess".to_owned(), AppConfig::default()));
    let mut ada = server.try_player("/ws/chess?user=ada").unwrap();
    assert_eq!(server.backend().push_text("app=chess&all=1", "again").queued, 1);
    assert_eq!(ada.recv_text(), "again");
    assert_eq!(
        link.command(json!({ "op": "push", "app": "chess", "to": { "user": "ada" }, "text": "by link" }))["queued"],
        1
    );
    assert_eq!(ada.recv_text(), "by link");
}

#[test]
fn origins_subprotocols_and_slow_policies_are_of_the_last_reload() {
    let server = TestServer::start(|_| {});
    let from =
        |origin: &str| ask(server.client, "/ws", &format!("Origin: https://{origin}.example\r\n")).status;
    let speaks =
        |name: &str| ask(server.client, "/ws", &format!("Sec-WebSocket-Protocol: {name}\r\n")).status;
    assert_eq!([from("a"), from("b"), speaks("chess.v1")], [403, 403, 400]);
    server.reload(|config| {
        let app = config.apps.get_mut("default").unwrap();
        app.origins = vec!["https://a.example".parse::<OriginPattern>().unwrap()];
        app.subprotocols = vec!["chess.v1".to_owned()];
        app.slow = Slow::default();
    });
    assert_eq!([from("a"), from("b"), speaks("chess.v1")], [101, 403, 101]);
}
