//! TLS across an upgrade: every suite, keys that the client updates at any time, and reconnects.

use super::load::tls_config;
use super::running::Running;
use crate::support::*;
use rustls::HandshakeKind;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::*;
use rustls::crypto::{CryptoProvider, ring};
use serde_json::json;
use std::net::TcpStream;
use std::sync::Arc;
use tungstenite::Message;

const TLS13: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
const TLS12: [SupportedCipherSuite; 3] = [
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

type TlsPlayer = Player<tls::TlsStream>;

fn player_of(ports: &Ports, suite: SupportedCipherSuite, user: usize) -> TlsPlayer {
    let stream = prepared(TcpStream::connect(ports.client).unwrap());
    let provider = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
    let config = tls::client_config_of(provider, &[suite.version()]);
    Player::on(tls::over(stream, &config, "localhost"), &format!("/ws?user=u{user}")).unwrap()
}

/// Each player says something, and is told something.
fn all_talk(backend: &mut Backend, link: &mut Link, players: &mut [TlsPlayer], what: &str) {
    for (user, player) in players.iter_mut().enumerate() {
        player.send_text(what);
        let event = link.event();
        assert_eq!((&event["user"], &event["text"]), (&json!(format!("u{user}")), &json!(what)));
        // Longer than a record.
        for text in [what.to_owned(), what.repeat(20_000)] {
            assert_eq!(backend.push_text(&format!("user=u{user}"), &text).queued, 1);
            assert_eq!(player.recv_text(), text, "of {:?}", TLS13.get(user));
        }
    }
}

#[test]
fn sessions_of_every_suite_go_on() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let mut server = Running::start(&["--reactors", "2"], &tls_config(&cert));
    let (mut backend, mut link) = (server.backend(), server.link());
    link.listen(&["message"], None);
    let suites = TLS13.into_iter().chain(TLS12);
    let mut players: Vec<_> =
        suites.enumerate().map(|(user, suite)| player_of(&server, suite, user)).collect();
    // The first has said nothing before: its first record comes after the upgrade.
    server.upgrade();
    for round in 0..3 {
        all_talk(&mut backend, &mut link, &mut players, &format!("round {round}"));
        server.upgrade();
    }
    all_talk(&mut backend, &mut link, &mut players, "the last");
    for player in players {
        assert_eq!(player.close(1000, ""), [] as [Message; 0]);
    }
    server.await_stats("all have gone", |totals| totals["sessions"] == 0);
    assert_eq!(server.backend().stats()["closed"]["1000"], 6);
}

#[test]
fn keys_that_the_client_updates_before_during_and_after_are_followed() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let config = format!("timeouts.handover_ms = 60000\n{}", tls_config(&cert));
    let mut server = Running::start(&["--reactors", "2"], &config);
    let (mut backend, mut link) = (server.backend(), server.link());
    link.listen(&["message"], None);
    let suites = TLS13.into_iter().chain(TLS12).enumerate();
    let mut players: Vec<_> = suites.map(|(user, suite)| player_of(&server, suite, user)).collect();
    let update = |players: &mut [TlsPlayer]| {
        // TLS 1.2 has nothing like it.
        for player in &mut players[..TLS13.len()] {
            player.stream_mut().conn.refresh_traffic_keys().unwrap();
        }
    };
    for round in 0..3 {
        update(&mut players);
        all_talk(&mut backend, &mut link, &mut players, &format!("before {round}"));
    }
    for (round, step) in ["new:ready", "new:receiving", "new:restored"].into_iter().enumerate() {
        // What comes just before is in the socket, or half done.
        update(&mut players);
        players.iter_mut().for_each(|player| player.send_text(&format!("just before {round}")));
        server.upgrade_around(step, |_| {
            for each in ["during", "during again"] {
                update(&mut players);
                players.iter_mut().for_each(|player| player.send_text(&format!("{each} {round}")));
            }
        });
        let mut heard: Vec<(String, String)> = (0..3 * players.len())
            .map(|_| {
                let event = link.event();
                (event["user"].as_str().unwrap().to_owned(), event["text"].as_str().unwrap().to_owned())
            })
            .collect();
        heard.sort_by(|one, other| one.0.cmp(&other.0));
        for (number, (user, text)) in heard.into_iter().enumerate() {
            let said = ["just before", "during", "during again"][number % 3];
            assert_eq!((user, text), (format!("u{}", number / 3), format!("{said} {round}")));
        }
        update(&mut players);
        all_talk(&mut backend, &mut link, &mut players, &format!("after {round}"));
    }
}

#[test]
fn who_comes_back_after_it_resumes_by_the_ticket_from_before() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let mut server = Running::start(&["--reactors", "2"], &tls_config(&cert));
    let mut backend = server.backend();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = tls::client_config(&[version]);
        let connect = |server: &Running| {
            let stream = prepared(TcpStream::connect(server.client).unwrap());
            Player::on(tls::over(stream, &Arc::clone(&config), "localhost"), "/ws?user=ada").unwrap()
        };
        let mut player = connect(&server);
        assert_eq!(player.stream().conn.handshake_kind(), Some(HandshakeKind::Full));
        // Tickets come with the first read.
        backend.push_text("user=ada", "read this");
        assert_eq!(player.recv_text(), "read this");
        player.close(1000, "");
        server.upgrade();
        let player = connect(&server);
        assert_eq!(player.stream().conn.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
        player.close(1000, "");
    }
}
