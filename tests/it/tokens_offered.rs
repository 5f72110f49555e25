//! A token among the subprotocols that a client offers: the one way for a page to keep it out of the URL.

use crate::issuer::{Issuer, jwks};
use crate::raw::{Raw, upgrade};
use crate::support::*;
use crate::tokens::*;
use gannet::config::{AppConfig, Config};
use serde_json::json;

#[test]
fn a_token_is_taken_from_the_offer_and_never_selected() {
    let issuers = Issuer::all();
    let server = TestServer::start(|config| {
        let text = "[apps.chess]\nsubprotocols = ['chess.v2']";
        let chess = Config::from_toml(text).unwrap().apps["chess"].clone();
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.apps.insert("chess".into(), AppConfig { jwks: Some(jwks(&issuers)), ..chess });
    });
    for issuer in &issuers {
        let token = issuer.token(&json!({ "sub": "ada", "exp": now() + 600 }));
        let token = format!("gannet.token.{token}");
        for (offer, selected) in [
            (format!("gannet.v1, {token}"), "gannet.v1"),
            (format!("{token}, gannet.v1"), "gannet.v1"),
            (format!("{token}\r\nSec-WebSocket-Protocol: chess.v3, chess.v2"), "chess.v2"),
        ] {
            let mut raw = Raw::connect(server.client);
            raw.send(upgrade("/ws/chess", &format!("Sec-WebSocket-Protocol: {offer}\r\n")));
            let answer = raw.answer();
            assert_eq!(
                (answer.status, answer.header("sec-websocket-protocol")),
                (101, Some(selected)),
                "{offer}"
            );
            assert!(raw.frame().unwrap().text().contains(r#""user":"ada""#));
        }
    }
}

#[test]
fn others_are_refused() {
    let server = TestServer::start(|config| {
        config.apps.insert("default".into(), app(&[DEFAULT]));
        config.echo = true;
    });
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), DEFAULT);
    let other = token(HS256, &json!({ "sub": "ada", "exp": now() + 61 }), DEFAULT);
    let forged = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), CHESS);
    let offering = |offer: &str| format!("Sec-WebSocket-Protocol: {offer}\r\n");
    for (target, fields, status, what) in [
        ("/ws".to_owned(), offering(&format!("gannet.v1, gannet.token.{forged}")), 401, "a forged one"),
        ("/ws".to_owned(), offering("gannet.v1, gannet.token."), 401, "an empty one"),
        ("/ws".to_owned(), offering("gannet.v1"), 401, "none"),
        ("/ws".to_owned(), offering(&format!("gannet.token.{good}")), 400, "nothing to select beside it"),
        (
            "/ws".to_owned(),
            offering(&format!("gannet.v1, gannet.token.{good}, gannet.token.{other}")),
            400,
            "two",
        ),
        (
            format!("/ws?token={good}"),
            offering(&format!("gannet.v1, gannet.token.{good}")),
            400,
            "in the query too",
        ),
        (
            "/ws".to_owned(),
            format!(
                "{}Authorization: Bearer {good}\r\n",
                offering(&format!("gannet.v1, gannet.token.{good}"))
            ),
            400,
            "in Authorization too",
        ),
        (
            "/ws?user=eve".to_owned(),
            offering(&format!("gannet.v1, gannet.token.{good}")),
            400,
            "a user beside it",
        ),
        ("/echo".to_owned(), offering(&format!("gannet.raw, gannet.token.{good}")), 101, "an echo"),
    ] {
        let answer = ask(server.client, &target, &fields);
        assert_eq!(answer.status, status, "{what}");
    }
    let open = TestServer::start(|_| {});
    let answer = ask(open.client, "/ws", &offering(&format!("gannet.v1, gannet.token.{good}")));
    assert_eq!(answer.status, 400, "players are taken at their word there");
}

#[test]
fn no_token_that_is_offered_stands_in_the_log() {
    let server =
        ServerProcess::start(&["--log", "trace"], &format!("[apps.default]\nsecrets = ['{DEFAULT}']\n"));
    let good = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), DEFAULT);
    let forged = token(HS256, &json!({ "sub": "ada", "exp": now() + 600 }), CHESS);
    for (token, status) in [(&good, 101), (&forged, 401)] {
        let fields = format!("Sec-WebSocket-Protocol: gannet.v1, gannet.token.{token}\r\n");
        assert_eq!(ask(server.client, "/ws", &fields).status, status);
    }
    server.signal(rustix::process::Signal::TERM);
    let (_, said) = server.wait();
    for part in good.split('.').chain(forged.split('.')) {
        assert!(!said.contains(part), "{said}");
    }
}
