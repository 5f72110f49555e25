//! Players behind proxies: where they are, as the PROXY protocol and X-Forwarded-For say, is what counts and what is
//! shown; and nobody else's word is taken.

use crate::support::tls::{CertFiles, client_config, over};
use crate::support::*;
use crate::tokens::connect_from;
use gannet::config::Config;
use rustls::version::TLS13;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A server that believes 127.0.0.9 by the PROXY protocol and 127.0.0.8 by X-Forwarded-For.
fn server(configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.proxy.protocol_from = vec!["127.0.0.9".parse().unwrap()];
        config.proxy.forwarded_from = vec!["127.0.0.8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        configure(config);
    })
}

fn v1(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 127.0.0.1 40000 9000\r\n").into_bytes()
}

fn v2(source: [u8; 4]) -> Vec<u8> {
    // With an extension behind the addresses.
    let body = [source.as_slice(), &[127, 0, 0, 1], &[0x9c, 0x40], &[0x23, 0x28], &[3, 0, 1, 7]].concat();
    [V2_SIGNATURE, &[0x21, 0x11, 0, body.len() as u8], &body].concat()
}

/// A connection of the proxy at 127.0.0.9 that begins with `header`.
fn proxied(server: &TestServer, header: &[u8]) -> TcpStream {
    let mut stream = connect_from([127, 0, 0, 9], server.client);
    stream.write_all(header).unwrap();
    stream
}

fn remote_of(server: &TestServer, user: &str) -> Value {
    server.backend().ok("GET", &format!("/v1/sessions?user={user}"))["sessions"][0]["remote"].take()
}

/// A request for an upgrade through the proxy at 127.0.0.8: its status.
fn forwarded(server: &TestServer, user: &str, field: &str) -> (TcpStream, String) {
    let mut stream = connect_from([127, 0, 0, 8], server.client);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "GET /ws?user={user} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{field}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    (stream, String::from_utf8_lossy(&status[9..]).into_owned())
}

fn is_closed(mut stream: TcpStream) -> bool {
    is_over(&mut stream)
}

#[test]
fn the_proxy_protocol_says_where_a_player_is() {
    let server = server(|_| ());
    let mut link = server.link();
    link.listen(&["open"], None);
    let mut players = Vec::new();
    for (user, header, remote) in
        [("one", v1("203.0.113.7"), "203.0.113.7:40000"), ("two", v2([203, 0, 113, 8]), "203.0.113.8:40000")]
    {
        players.push(Player::over(proxied(&server, &header), &format!("/ws?user={user}")).unwrap());
        assert_eq!(remote_of(&server, user), remote);
        assert_eq!(link.event()["remote"], remote);
    }
    // A health check of the proxy's own, and one that does not know.
    for (user, header) in
        [("own", [V2_SIGNATURE, &[0x20, 0, 0, 0]].concat()), ("unknown", b"PROXY UNKNOWN\r\n".to_vec())]
    {
        players.push(Player::over(proxied(&server, &header), &format!("/ws?user={user}")).unwrap());
        assert!(remote_of(&server, user).as_str().unwrap().starts_with("127.0.0.9:"));
    }
    for player in &mut players {
        assert_eq!(server.backend().push_text("all=1", "hi").queued, 4);
        assert_eq!(player.recv_text(), "hi");
    }
    // Byte by byte it is the same.
    let mut stream = connect_from([127, 0, 0, 9], server.client);
    for byte in v2([203, 0, 113, 9]) {
        stream.write_all(&[byte]).unwrap();
    }
    let _slow = Player::over(stream, "/ws?user=slow").unwrap();
    assert_eq!(remote_of(&server, "slow"), "203.0.113.9:40000");
}

#[test]
fn a_header_is_asked_of_proxies_and_taken_from_nobody_else() {
    let server = server(|config| config.timeouts.upgrade = Duration::from_secs(3));
    for wrong in [
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(),
        b"PROXY TCP4 1.2.3.4 x 1 2\r\n",
        &[22, 3, 1, 0, 5],
    ] {
        assert!(is_closed(proxied(&server, wrong)), "{wrong:?}");
    }
    // A part of one, and nothing at all.
    for late in [b"PROXY TCP4 203.0.113.7".as_slice(), b""].map(|part| proxied(&server, part)) {
        assert!(is_closed(late));
    }
    assert_eq!(server.backend().stats()["refused"]["proxy_header"], 5);
    for header in [v1("203.0.113.7"), v2([203, 0, 113, 7])] {
        let mut stream = connect_from([127, 0, 0, 7], server.client);
        stream.write_all(&header).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(server.backend().stats()["refused"]["proxy_header"], 7);
}

#[test]
fn tls_begins_behind_the_header() {
    let files = CertFiles::new(&["localhost"]);
    let server = server(|config| {
        (config.tls.cert, config.tls.key) = (Some(files.cert.clone()), Some(files.key.clone()))
    });
    let stream = over(proxied(&server, &v2([203, 0, 113, 7])), &client_config(&[&TLS13]), "localhost");
    let mut player = Player::on(stream, "/ws?user=ada").unwrap();
    assert_eq!(remote_of(&server, "ada"), "203.0.113.7:40000");
    assert_eq!(server.backend().push_text("user=ada", "hi").queued, 1);
    assert_eq!(player.recv_text(), "hi");
    assert!(is_closed(proxied(&server, &[22, 3, 1, 0, 5])));
}

#[test]
fn the_last_address_that_is_no_proxy_is_the_player_s() {
    let server = server(|_| ());
    for (user, field, remote) in [
        ("one", "X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0"),
        ("liar", "X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.2.3\r\n", "203.0.113.7:0"),
        ("lines", "x-forwarded-for: 198.51.100.1\r\nX-Forwarded-For: 2001:db8::7\r\n", "[2001:db8::7]:0"),
    ] {
        let (_stream, status) = forwarded(&server, user, field);
        assert_eq!((status.as_str(), remote_of(&server, user)), ("101", remote.into()), "{field}");
    }
    let (_stream, _) = forwarded(&server, "none", "");
    assert!(remote_of(&server, "none").as_str().unwrap().starts_with("127.0.0.8:"));
    // A stranger's word is worth nothing.
    let mut stranger = connect_from([127, 0, 0, 7], server.client);
    let head = "GET /ws?user=stranger HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                X-Forwarded-For: 203.0.113.7\r\n\r\n";
    stranger.write_all(head.as_bytes()).unwrap();
    stranger.read_exact(&mut [0; 12]).unwrap();
    assert!(remote_of(&server, "stranger").as_str().unwrap().starts_with("127.0.0.7:"));
    // Both: the proxy's own address is what the PROXY header says it is.
    let mut both = proxied(&server, &v1("10.0.0.5"));
    both.write_all(head.replace("stranger", "both").as_bytes()).unwrap();
    both.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(remote_of(&server, "both"), "203.0.113.7:0");
}

#[test]
fn bounds_by_address_count_the_players_not_the_proxy() {
    let server = server(|config| {
        config.limits.connections_per_address = 2;
        config.timeouts.close = Duration::from_millis(100);
    });
    // Two of each of five players, by either way, and no third.
    let mut players = Vec::new();
    for host in 1..=5 {
        for _ in 0..2 {
            players.push(Player::over(proxied(&server, &v2([203, 0, 113, host])), "/ws").unwrap());
        }
        assert!(is_closed(proxied(&server, &v2([203, 0, 113, host]))));
    }
    let mut streams = Vec::new();
    for host in 1..=5 {
        for _ in 0..2 {
            let (stream, status) =
                forwarded(&server, "x", &format!("X-Forwarded-For: 198.51.100.{host}\r\n"));
            assert_eq!(status, "101");
            streams.push(stream);
        }
        let (_, status) = forwarded(&server, "x", &format!("X-Forwarded-For: 198.51.100.{host}\r\n"));
        assert_eq!(status, "429");
    }
    assert_eq!(server.backend().stats()["refused"]["connections"], 10);
    // Their places are free again when they have gone.
    drop((players, streams));
    server.await_stats("all have gone", |totals| totals["sessions"] == 0);
    for host in 1..=5 {
        Player::over(proxied(&server, &v2([203, 0, 113, host])), "/ws").unwrap();
        assert_eq!(forwarded(&server, "x", &format!("X-Forwarded-For: 198.51.100.{host}\r\n")).1, "101");
    }
}

#[test]
fn rates_and_sessions_by_address_too() {
    let server = server(|config| {
        config.limits.sessions_per_address = 1;
        config.rates.upgrades_per_address = gannet::config::Rate { per_second: 1, burst: 2 };
    });
    let ask = |host: u8| forwarded(&server, "x", &format!("X-Forwarded-For: 198.51.100.{host}\r\n"));
    let answers: Vec<_> = [1, 1, 1, 2, 2, 3].map(ask).into();
    let statuses: Vec<&str> = answers.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["101", "429", "429", "101", "429", "101"]);
    // On a busy machine the third one may be within the rate, and a later one not.
    let stats = server.await_stats("one is too fast", |totals| {
        let too_fast = totals["refused"]["rate"].as_u64().unwrap() > 0;
        if !too_fast {
            assert_eq!(ask(1).1, "429");
        }
        too_fast
    });
    assert!(stats["refused"]["address"].as_u64() >= Some(2), "{stats:#}");
}
