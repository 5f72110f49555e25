//! The upgrade request of RFC 6455 §4, on both ports.

use super::ask;
use crate::raw::{CLOSE, Raw, TEXT, masked, upgrade};
use crate::support::*;
use gannet::config::Config;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const LINK: &str = "Sec-WebSocket-Protocol: gannet.link.json\r\n";

#[test]
fn a_body_on_an_upgrade_request_is_refused_and_not_read_as_frames() {
    let server = TestServer::start(|config| config.echo = true);
    let frame = masked(TEXT, b"hi");
    let length = format!("Content-Length: {}\r\n", frame.len());
    let chunk = [format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n0\r\n\r\n"].concat();
    for (port, target, more) in
        [(server.client, "/ws", ""), (server.client, "/echo", ""), (server.backend, "/v1/link", LINK)]
    {
        for (fields, body) in [
            (length.as_str(), &frame),
            ("Transfer-Encoding: chunked\r\n", &chunk),
            ("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", &chunk),
            ("Content-Length: 99999999999\r\n", &frame),
        ] {
            let head = upgrade(target, &format!("{more}{fields}"));
            let (answer, rest) = ask(port, [head.as_bytes(), body].concat());
            let status = answer.status;
            // The backend port bounds a body before it looks at the path.
            assert!(
                status == 400 || (port == server.backend && status == 413),
                "{target} {fields}: {status}"
            );
            assert!(!answer.error().is_empty());
            assert_eq!(rest, b"", "{target} {fields}");
        }
        // An empty one is none.
        let mut raw = Raw::connect(port);
        raw.send(upgrade(target, &format!("{more}Content-Length: 0\r\nExpect: 100-continue\r\n")));
        assert_eq!(raw.answer().status, 101, "{target}");
    }
    assert_eq!(server.backend().stats()["messages_in"], 0);
}

#[test]
fn a_key_of_24_characters_is_taken_whatever_its_unused_bits_are() {
    let server = TestServer::start(|_| ());
    // The key that RFC 6455 §4.1 prints has unused bits set. For each key, the answer that §4.2.2 asks for.
    for (key, accept) in
        [("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="), (KEY, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]
    {
        for (port, target, more) in [(server.client, "/ws", ""), (server.backend, "/v1/link", LINK)] {
            let mut raw = Raw::connect(port);
            raw.send(upgrade(target, more).replace(KEY, key));
            let answer = raw.answer();
            assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some(accept)), "{key}");
        }
    }
    for key in ["AQIDBAUGBwgJCgsMDQ4PEC=", "AQIDBAUGBwgJCgsMDQ4PECC=", "AQIDBAUGBwgJCgsMDQ4P-_==", "===="] {
        let (answer, _) = ask(server.client, upgrade("/ws", "").replace(KEY, key));
        assert_eq!(answer.status, 400, "{key}");
    }
}

/// The subprotocol of the 101 for an offer, or the status of the refusal.
fn selected(server: &TestServer, target: &str, offer: &str) -> Result<Option<String>, u16> {
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade(target, offer));
    let answer = raw.answer();
    match answer.status {
        101 => Ok(answer.header("sec-websocket-protocol").map(str::to_owned)),
        status => {
            assert!(!answer.error().is_empty());
            Err(status)
        }
    }
}

#[test]
fn an_offer_of_only_unknown_subprotocols_opens_no_session() {
    let server = TestServer::start(|config| config.echo = true);
    for target in ["/ws?user=ada", "/echo"] {
        for offer in ["chess.v2", "chess.v2, x", "GANNET.RAW", "gannet.link.json"] {
            let offer = format!("Sec-WebSocket-Protocol: {offer}\r\n");
            assert_eq!(selected(&server, target, &offer), Err(400), "{target} {offer}");
        }
        for empty in ["", "Sec-WebSocket-Protocol:\r\n"] {
            assert_eq!(selected(&server, target, empty), Ok(None), "{target}");
        }
        let raw = "Sec-WebSocket-Protocol: x, gannet.raw\r\n";
        assert_eq!(selected(&server, target, raw), Ok(Some("gannet.raw".to_owned())), "{target}");
    }
    assert_eq!(server.backend().stats()["opened"], 3, "the two that offer nothing, and the raw one");
}

/// It sends every message back, gannet's own ones too: a client that is told to offer what turns them on would be refused again.
#[test]
fn an_echo_that_is_offered_gannets_own_messages_says_what_it_does_speak() {
    let server = TestServer::start(|config| config.echo = true);
    let refusal = |target: &str, offer: &str| {
        let mut raw = Raw::connect(server.client);
        raw.send(upgrade(target, &format!("Sec-WebSocket-Protocol: {offer}\r\n")));
        let answer = raw.answer();
        assert_eq!(answer.status, 400, "{target} {offer}");
        answer.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    let said = refusal("/echo", "gannet.v1");
    assert!(said.contains("offer none at all, or gannet.raw") && !said.contains("gannet.v1"), "{said}");
    assert!(refusal("/ws?user=ada", "chess.v2").contains("offer gannet.v1 or one of the app's"));
}

#[test]
fn the_first_subprotocol_offered_that_the_app_lists_is_selected() {
    let text = "[apps.chess]\nsubprotocols = ['chess.v1', 'chess.v2']";
    let apps = Config::from_toml(text).expect("subprotocols is a key of an app").apps;
    let server = TestServer::start(|config| config.apps = apps);
    for (offer, selection) in [
        ("chess.v2", "chess.v2"),
        ("chess.v3, chess.v2, chess.v1", "chess.v2"),
        ("chess.v1\r\nSec-WebSocket-Protocol: chess.v2", "chess.v1"),
        ("chess.v2, gannet.raw", "chess.v2"),
        ("gannet.raw, chess.v2", "gannet.raw"),
    ] {
        let fields = format!("Sec-WebSocket-Protocol: {offer}\r\n");
        assert_eq!(selected(&server, "/ws/chess", &fields), Ok(Some(selection.to_owned())), "{offer}");
    }
    // What one app lists, another does not know; and case counts.
    for (target, offer) in [("/ws", "chess.v2"), ("/ws/chess", "Chess.v2")] {
        let fields = format!("Sec-WebSocket-Protocol: {offer}\r\n");
        assert_eq!(selected(&server, target, &fields), Err(400), "{target} {offer}");
    }
    // Beside a subprotocol of the app, gannet.raw still means no welcome.
    let mut raw = Raw::connect(server.client);
    raw.send(upgrade("/ws/chess?user=ada", "Sec-WebSocket-Protocol: chess.v2, gannet.raw\r\n"));
    assert_eq!(raw.answer().status, 101);
    server.backend().push_text("app=chess&user=ada", "first");
    assert_eq!(raw.frame().unwrap().text(), "first");
}

#[test]
fn subprotocols_of_the_configuration_are_tokens() {
    for list in ["['a b']", "['']", "['a,b']", "['a', 'a']", "['gannet.raw']", "['ü']", "'a'"] {
        let text = format!("[apps.chess]\nsubprotocols = {list}");
        let error = Config::from_toml(&text).expect_err(list).to_string();
        assert!(error.contains("subprotocols") && error.contains("line 2"), "{error}");
    }
}

/// RFC 6455 §5.5.1: the answer to a Close has its code; the reason is not repeated (docs/protocol.md).
#[test]
fn the_answer_to_a_close_has_its_code_and_no_reason() {
    let server = TestServer::start(|config| config.echo = true);
    let long = [&3000u16.to_be_bytes()[..], "x".repeat(123).as_bytes()].concat();
    for target in ["/ws", "/echo"] {
        for (payload, answer) in [
            (&b"\x03\xe8"[..], &b"\x03\xe8"[..]),
            (b"\x03\xe8bye", b"\x03\xe8"),
            (b"\x0f\xa1kicked", b"\x0f\xa1"),
            (&long, b"\x0b\xb8"),
            (b"", b""),
            (b"\x03", b"\x03\xea"),
            (b"\x03\xedno", b"\x03\xea"),
            (b"\x03\xe8\xff", b"\x03\xef"),
        ] {
            let mut raw = Raw::connect(server.client);
            raw.send(upgrade(target, "Sec-WebSocket-Protocol: gannet.raw\r\n"));
            assert_eq!(raw.answer().status, 101);
            raw.send(masked(CLOSE, payload));
            let frame = raw.frame().unwrap();
            assert_eq!((frame.first, frame.payload.as_slice()), (CLOSE, answer), "{target} {payload:?}");
            assert_eq!(raw.rest(), b"");
        }
    }
}
