//! TLS connections that mean no good, or do not get through: each is closed and counted, and costs nobody else anything.

use crate::support::tls::{CertFiles, TlsStream, connect, shake};
use crate::support::*;
use gannet::config::{Config, ConfigError};
use gannet::{BindError, Server, TlsError};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

fn with_tls(files: &CertFiles, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.tls.cert = Some(files.cert.clone());
        config.tls.key = Some(files.key.clone());
        configure(config);
    })
}

fn tcp(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.client).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Everything until the server's end; a reset is an end.
fn until_end(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_no_tls_is_told_so_by_an_alert_and_counted() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |_| ());
    let mut random = Random::new(7);
    let garbage: Vec<u8> = (0..4000).map(|_| random.below(256) as u8 | 0x40).collect();
    for bytes in [
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(),
        &garbage,
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    ] {
        let mut stream = tcp(&server);
        stream.write_all(bytes).unwrap();
        let answer = until_end(stream);
        assert!(answer.is_empty() || answer[0] == 21, "an alert or nothing: {answer:?}");
    }
    // Handshake records full of garbage.
    let mut stream = tcp(&server);
    stream.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 9]).unwrap();
    until_end(stream);
    let stats = server.backend().stats();
    assert_eq!(stats["refused"]["tls_handshake"], 4, "{stats:#}");
    assert_eq!(stats["tls_handshakes"]["not_tls"], 3, "{stats:#}");
    assert_eq!(stats["tls_handshakes"]["misbehaved"], 1, "{stats:#}");
    let metrics = String::from_utf8(server.backend().request("GET", "/metrics").body).unwrap();
    assert!(metrics.contains("gannet_tls_handshakes_total{"), "{metrics}");
}

#[test]
fn tls_on_a_plain_port_is_answered_at_once() {
    let server = TestServer::start(|_| ());
    let mut stream = connect(server.client);
    shake(&mut stream).unwrap_err();
    let stats = server.backend().stats();
    assert_eq!((&stats["refused"]["tls_on_plain"], &stats["refused"]["malformed"]), (&1.into(), &0.into()));
}

#[test]
fn handshakes_that_never_end_are_ended_in_time() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| {
        config.timeouts.upgrade = Duration::from_secs(3);
        config.timeouts.head = Duration::from_secs(3);
        config.tls.backend = true;
    });
    // Silent, and in the middle of a record.
    let silent = tcp(&server);
    let mut half = tcp(&server);
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap();
    let backend = TcpStream::connect(server.backend).unwrap();
    for stream in [silent, half, backend] {
        assert_eq!(until_end(stream), b"");
    }
    // A handshake that is done counts for the request: its lateness is said inside TLS, where it has begun.
    for (begun, expected) in [("GET /ws", "HTTP/1.1 408"), ("", "")] {
        let mut late = connect(server.client);
        shake(&mut late).unwrap();
        late.write_all(begun.as_bytes()).unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(expected) && answer.is_empty() == begun.is_empty(), "{answer}");
    }
    let mut stream = connect(server.backend);
    stream.write_all(b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut stats = String::new();
    stream.read_to_string(&mut stats).unwrap();
    assert!(stats.contains("\"tls_timeout\":3"), "{stats}");
}

#[test]
fn a_flood_of_half_handshakes_leaves_the_players_alone() {
    let _heavy = heavy();
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| config.timeouts.upgrade = Duration::from_secs(5));
    let mut players: Vec<Player<TlsStream>> =
        (0..20).map(|_| Player::on(connect(server.client), "/ws?group=g").unwrap()).collect();
    let mut hello = Vec::new();
    connect(server.client).conn.write_tls(&mut hello).unwrap();
    let mut flood = Vec::new();
    let mut backend = server.backend();
    for number in 0..1_000 {
        let mut stream = tcp(&server);
        // A third whole, a third half, a third not begun.
        stream.write_all(&hello[..hello.len() * (number % 3) / 2]).unwrap();
        flood.push(stream);
        if number % 50 == 0 {
            assert_eq!(backend.push_text("group=g", &number.to_string()).queued, 20);
            players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), number.to_string()));
        }
    }
    server.await_stats("they are all closed", |totals| {
        totals["tls_handshakes"]["timeout"].as_u64().unwrap()
            + totals["tls_handshakes"]["gone"].as_u64().unwrap()
            >= 1_000
    });
    assert_eq!(backend.push_text("group=g", "after").queued, 20);
    players.iter_mut().for_each(|player| assert_eq!(player.recv_text(), "after"));
}

#[test]
fn a_slow_reader_is_closed_with_4003_inside_tls() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| {
        config.limits.outbox_messages = 20;
        config.timeouts.close = DEADLINE;
    });
    let mut slow = Player::on(connect(server.client), "/ws?user=slow").unwrap();
    let mut quick = Player::on(connect(server.client), "/ws?user=quick").unwrap();
    let mut backend = server.backend();
    let message = "-".repeat(100_000);
    let mut sent = 0;
    while backend.push_text("user=slow", &message).queued == 1 {
        sent += 1;
        assert!(sent < 1_000, "the socket takes everything");
        assert_eq!(backend.push_text("user=quick", "tick").queued, 1);
        assert_eq!(quick.recv_text(), "tick");
    }
    let mut received = 0;
    let end = loop {
        match slow.next() {
            Ok(message) => received += usize::from(message.len() == 100_000),
            Err(end) => break end,
        }
    };
    assert_eq!(end, End::Closed(4003, "too slow".into()));
    assert!(received <= sent, "{received} of {sent}");
    server.await_stats("nothing waits", |totals| totals["outbox_messages"] == 0);
}

#[test]
fn records_that_carry_nothing_do_not_hold_the_turn() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| config.reactors = Some(1));
    let mut ada = Player::on(connect(server.client), "/ws?user=ada").unwrap();
    let mut stream = connect(server.client);
    shake(&mut stream).unwrap();
    // Alerts that warn, updates of keys, a record that is none: whatever the server makes of it, the others go on.
    for _ in 0..40 {
        if stream.conn.refresh_traffic_keys().is_err() || stream.conn.complete_io(&mut stream.sock).is_err() {
            break;
        }
    }
    let _ = stream.sock.write_all(&[23, 3, 3, 0, 5, 1, 2, 3, 4, 5]);
    let _ = stream.sock.shutdown(Shutdown::Write);
    assert_eq!(server.backend().push_text("user=ada", "unharmed").queued, 1);
    assert_eq!(ada.recv_text(), "unharmed");
    server.await_stats("it is gone", |totals| totals["sessions"] == 1);
}

#[test]
fn certificates_that_cannot_be_used_keep_the_server_from_starting() {
    let (files, other) = (CertFiles::new(&["localhost"]), CertFiles::new(&["localhost"]));
    let expired =
        CertFiles::with(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let future =
        CertFiles::with(&["localhost"], |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let refusal = |cert: &std::path::Path, key: &std::path::Path| {
        let mut config = Config::default();
        (config.listen, config.backend.listen) =
            ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
        (config.tls.cert, config.tls.key) = (Some(cert.into()), Some(key.into()));
        match Server::bind(config) {
            Err(BindError::Tls(error)) => {
                assert!(!error.to_string().is_empty());
                error
            }
            other => panic!("{other:?}"),
        }
    };
    let missing = files.cert.with_file_name("missing.pem");
    assert!(matches!(refusal(&missing, &files.key), TlsError::Read { path, .. } if path == missing));
    assert!(matches!(refusal(&files.cert, &missing), TlsError::Read { path, .. } if path == missing));
    assert!(matches!(refusal(&files.cert, &other.key), TlsError::Mismatch { .. }));
    assert!(matches!(refusal(&files.key, &files.key), TlsError::NoCertificate(_)));
    assert!(matches!(refusal(&files.cert, &files.cert), TlsError::Key { .. }));
    assert!(matches!(refusal(&expired.cert, &expired.key), TlsError::Expired(_)));
    assert!(matches!(refusal(&future.cert, &future.key), TlsError::NotYetValid(_)));
    fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(refusal(&files.cert, &files.key), TlsError::Certificate { .. }));

    let half = Config::from_toml("[tls]\ncert = 'cert.pem'").unwrap().validate();
    assert!(matches!(half, Err(ConfigError::TlsHalf { has: "tls.cert", lacks: "tls.key" })));
}
