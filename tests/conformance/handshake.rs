//! The opening handshake as a table: whole request heads, and the status that each must get.

use gannet::protocol::handshake::check_upgrade;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const REST: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";

struct Case {
    section: &'static str,
    about: &'static str,
    head: String,
    status: u16,
}

fn case(section: &'static str, about: &'static str, status: u16, lines: &[&str]) -> Case {
    Case { section, about, status, head: lines.join("\r\n") + "\r\n\r\n" }
}

fn cases() -> Vec<Case> {
    let get = "GET /ws HTTP/1.1";
    let host = "Host: localhost";
    let upgrade = "Upgrade: websocket";
    let connection = "Connection: Upgrade";
    let version = "Sec-WebSocket-Version: 13";
    vec![
        case("§1.2", "the least that is needed", 101, &[get, host, REST, KEY]),
        case("§4.2.1 1", "not GET", 405, &["POST /ws HTTP/1.1", host, REST, KEY]),
        case("§4.2.1 1", "HTTP/1.0", 400, &["GET /ws HTTP/1.0", host, REST, KEY]),
        case("§4.2.1 2", "no Host", 400, &[get, REST, KEY]),
        case("§4.2.1 2", "two Hosts", 400, &[get, host, host, REST, KEY]),
        case("§4.2.1 3", "no Upgrade", 400, &[get, host, connection, version, KEY]),
        case(
            "§4.2.1 3",
            "Upgrade to another protocol",
            400,
            &[get, host, "Upgrade: h2c", connection, version, KEY],
        ),
        case(
            "§4.2.1 3",
            "Upgrade in capitals",
            101,
            &[get, host, "UPGRADE: WEBSOCKET", connection, version, KEY],
        ),
        case(
            "§4.2.1 3",
            "Upgrade with a choice",
            101,
            &[get, host, "Upgrade: h2c, websocket", connection, version, KEY],
        ),
        case("§4.2.1 4", "no Connection", 400, &[get, host, upgrade, version, KEY]),
        case(
            "§4.2.1 4",
            "Connection without upgrade",
            400,
            &[get, host, upgrade, "Connection: close", version, KEY],
        ),
        case(
            "§4.2.1 4",
            "Connection with more",
            101,
            &[get, host, upgrade, "Connection: keep-alive, upgrade", version, KEY],
        ),
        case("§4.2.1 5", "no key", 400, &[get, host, REST]),
        case("§4.2.1 5, §11.3.1", "two keys", 400, &[get, host, REST, KEY, KEY]),
        case(
            "§4.2.1 5",
            "a key of 15 bytes",
            400,
            &[get, host, REST, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"],
        ),
        case(
            "§4.2.1 5",
            "a key that is not base64",
            400,
            &[get, host, REST, "Sec-WebSocket-Key: !!!hIHNhbXBsZSBub25jZQ=="],
        ),
        case("§4.2.1 6", "no version", 400, &[get, host, upgrade, connection, KEY]),
        case(
            "§4.2.2 4, §4.4",
            "version 8",
            426,
            &[get, host, upgrade, connection, "Sec-WebSocket-Version: 8", KEY],
        ),
        case(
            "§4.2.2 4, §4.4",
            "version 25",
            426,
            &[get, host, upgrade, connection, "Sec-WebSocket-Version: 25", KEY],
        ),
        case("§11.3.5", "two versions", 400, &[get, host, REST, version, KEY]),
        case(
            "§4.2.1 8",
            "subprotocols",
            101,
            &[get, host, REST, KEY, "Sec-WebSocket-Protocol: chat, superchat"],
        ),
        case(
            "§4.1 10",
            "a subprotocol twice",
            400,
            &[get, host, REST, KEY, "Sec-WebSocket-Protocol: chat, chat"],
        ),
        case(
            "§4.1 10",
            "a subprotocol that is no token",
            400,
            &[get, host, REST, KEY, "Sec-WebSocket-Protocol: a b"],
        ),
        case(
            "§4.2.1 9, §9.1",
            "extensions nobody knows",
            101,
            &[get, host, REST, KEY, "Sec-WebSocket-Extensions: foo; a=\"b\", bar"],
        ),
        case(
            "§9.1",
            "extensions beside the grammar",
            400,
            &[get, host, REST, KEY, "Sec-WebSocket-Extensions: foo; ="],
        ),
        case(
            "§4.2.1 10",
            "headers nobody knows",
            101,
            &[get, host, REST, KEY, "X-Whatever: yes", "Cookie: a=b"],
        ),
    ]
}

/// The core's verdict on a head: the status.
fn judge_in_memory(head: &str) -> u16 {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    assert!(request.parse(head.as_bytes()).is_ok_and(|status| status.is_complete()), "{head}");
    let (method, version) = (request.method.unwrap_or_default(), request.version.unwrap_or_default());
    let headers = request.headers.iter().map(|header| (header.name, header.value));
    check_upgrade(method, version, headers).map_or_else(|error| error.status(), |_| 101)
}

#[test]
fn heads_in_memory() {
    let cases = cases();
    for case in &cases {
        println!("handshake {:20} {}", case.section, case.about);
        assert_eq!(judge_in_memory(&case.head), case.status, "{} ({})", case.about, case.section);
    }
    println!("handshake: {} cases, 0 failed", cases.len());
}
