//! Headers of PROXY 2, each as haproxy's proxy-protocol.txt says in §2.2.

use crate::raw::{Raw, upgrade};
use crate::support::*;
use crate::tokens::connect_from;
use std::io::Write;
use std::net::TcpStream;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn server() -> TestServer {
    TestServer::start(|config| config.proxy.protocol_from = vec!["127.0.0.9".parse().unwrap()])
}

/// A connection of the proxy that begins with a header of these bytes.
fn proxied(server: &TestServer, version_command: u8, family: u8, body: &[u8]) -> TcpStream {
    let length = (body.len() as u16).to_be_bytes();
    let mut stream = connect_from([127, 0, 0, 9], server.client);
    stream.write_all(&[SIGNATURE, &[version_command, family], &length, body].concat()).unwrap();
    stream
}

/// Addresses of IPv4 and ports: 203.0.113.7, 54321.
const IPV4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0xd4, 0x31, 0x01, 0xbb];

#[test]
fn families_that_are_not_implemented_count_as_the_proxys_own_connections() {
    let server = server();
    let extended = |body: &[u8]| [body, &[3, 0, 4, 1, 2, 3, 4]].concat();
    for (name, version_command, family, body) in [
        ("udp over IPv4", 0x21, 0x12, IPV4.to_vec()),
        ("udp over IPv6", 0x21, 0x22, vec![0x20; 36]),
        ("unix stream", 0x21, 0x31, vec![0; 216]),
        ("unix stream with extensions", 0x21, 0x31, extended(&[0; 216])),
        ("unix datagram", 0x21, 0x32, vec![0; 216]),
        ("unspecified", 0x21, 0x00, vec![]),
        ("unspecified with extensions", 0x21, 0x00, extended(&[])),
        ("unspecified transport", 0x21, 0x10, IPV4.to_vec()),
        ("local", 0x20, 0x00, vec![]),
        ("local with addresses", 0x20, 0x11, IPV4.to_vec()),
        ("local with a family that does not exist", 0x20, 0xff, vec![1, 2, 3]),
    ] {
        let stream = proxied(&server, version_command, family, &body);
        let player = Player::over(stream, "/ws").unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        let described = server.backend().ok("GET", &format!("/v1/sessions/{}", player.id));
        let remote = described["remote"].as_str().unwrap();
        assert!(remote.starts_with("127.0.0.9:"), "{name}: {remote}");
    }
    let tcp = Player::over(proxied(&server, 0x21, 0x11, &extended(&IPV4)), "/ws").unwrap();
    let described = server.backend().ok("GET", &format!("/v1/sessions/{}", tcp.id));
    assert_eq!(described["remote"], "203.0.113.7:54321");
}

#[test]
fn versions_commands_families_and_transports_that_do_not_exist_are_refused() {
    let server = server();
    let table: [(u8, u8, &[u8]); 7] = [
        (0x11, 0x11, &IPV4),
        (0x31, 0x11, &IPV4),
        (0x22, 0x11, &IPV4),
        (0x21, 0x13, &IPV4),
        (0x21, 0x41, &[0; 216]),
        (0x21, 0x11, &IPV4[1..]),
        (0x21, 0x21, &[0; 35]),
    ];
    for (version_command, family, body) in table {
        let mut raw = Raw::over(proxied(&server, version_command, family, body));
        let _ = raw.try_send(upgrade("/ws", ""));
        assert_eq!(raw.rest(), b"", "{version_command:#x} {family:#x}");
    }
    assert_eq!(server.backend().stats()["refused"]["proxy_header"], table.len());
}
