//! The upgrade request of RFC 6455 §4, on both ports.

use super::ask;
use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::*;

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
