//! TLS on both ports, with clients that share no code with the server: tungstenite over rustls, and rustls raw.

use crate::support::tls::{CertFiles, TlsStream, client_config, connect, connect_as, shake};
use crate::support::*;
use gannet::client::{Client, ClientConfig, ClientError, Trust};
use gannet::config::{Certificate, Config, TlsVersion};
use gannet::protocol::Event;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use std::io::{Read, Write};
use std::sync::Arc;
use tungstenite::Message;

/// A server whose client port shows `files`.
fn with_tls(files: &CertFiles, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start(|config| {
        config.tls.cert = Some(files.cert.clone());
        config.tls.key = Some(files.key.clone());
        configure(config);
    })
}

fn player(server: &TestServer, query: &str) -> Player<TlsStream> {
    Player::on(connect(server.client), &format!("/ws?{query}")).unwrap()
}

#[test]
fn both_versions_shake_hands_and_others_do_not() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |_| ());
    for (version, protocol) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = connect_as(server.client, &client_config(&[version]), "localhost");
        shake(&mut stream).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(protocol));
        assert_eq!(stream.conn.peer_certificates().unwrap()[0], files.der);
        let mut player = Player::on(stream, "/ws?user=ada").unwrap();
        assert_eq!(server.backend().push_text("user=ada", "hello").queued, 1);
        assert_eq!(player.recv_text(), "hello");
        player.close(1000, "");
    }
    let modern = with_tls(&files, |config| config.tls.versions = vec![TlsVersion::V1_3]);
    shake(&mut connect_as(modern.client, &client_config(&[&TLS13]), "localhost")).unwrap();
    shake(&mut connect_as(modern.client, &client_config(&[&TLS12]), "localhost")).unwrap_err();
    // The client has the alert before the server has counted.
    let stats = modern
        .await_stats("the refused one is counted", |stats| stats["tls_handshakes"]["incompatible"] == 1);
    assert_eq!(stats["tls_handshakes"]["full"], 1);
    assert_eq!(stats["refused"]["tls_handshake"], 1);
}

#[test]
fn pushes_of_every_size_arrive_byte_for_byte() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |_| ());
    let mut random = Random::new(1);
    let mut ada = player(&server, "user=ada");
    let mut backend = server.backend();
    let sizes = [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 100_000, 1_048_560];
    for size in sizes {
        let sent: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
        backend.send_push("user=ada&receipt=written", &Message::binary(sent.clone()));
        assert!(ada.recv().into_data() == sent, "{size} bytes");
        assert_eq!(backend.receive_receipt().written, Some(1), "{size} bytes");
    }
    // And many at once: more than TLS holds.
    for number in 0..200 {
        backend.send_push("user=ada", &Message::text(format!("{number} {}", "x".repeat(3_000))));
    }
    for number in 0..200 {
        assert!(ada.recv_text().starts_with(&format!("{number} ")));
        assert_eq!(backend.receive_receipt().queued, 1);
    }
}

#[test]
fn what_a_client_sends_comes_out_of_its_records_whole() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| config.echo = true);
    let mut stream = connect(server.client);
    shake(&mut stream).unwrap();
    let (mut echo, _) = tungstenite::client::client("ws://localhost/echo", stream).unwrap();
    for size in [0, 1, 300, 16_384, 70_000, 1_000_000] {
        let message = Message::text("e".repeat(size));
        echo.send(message.clone()).unwrap();
        assert!(echo.read().unwrap() == message, "{size} bytes");
    }
}

#[test]
fn the_name_asked_for_picks_the_certificate() {
    let files =
        ["localhost", "chess.example", "*.go.example", "backend.example"].map(|name| CertFiles::new(&[name]));
    let [first, chess, go, backend] = &files;
    let server = with_tls(first, |config| {
        let further = |files: &CertFiles| Certificate { cert: files.cert.clone(), key: files.key.clone() };
        config.tls.certificates = vec![further(chess), further(go)];
        config.tls.backend = true;
        config.tls.backend_cert = Some(backend.cert.clone());
        config.tls.backend_key = Some(backend.key.clone());
    });
    let config = client_config(&[&TLS13]);
    let shown = |address, name| {
        let mut stream = connect_as(address, &config, name);
        shake(&mut stream).unwrap();
        stream.conn.peer_certificates().unwrap()[0].clone()
    };
    for (name, files) in [
        ("localhost", first),
        ("chess.example", chess),
        ("CHESS.example", chess),
        ("9x9.go.example", go),
        ("go.example", first),
        ("a.b.go.example", first),
        ("elsewhere.example", first),
        ("127.0.0.1", first),
    ] {
        assert_eq!(shown(server.client, name), files.der, "{name}");
    }
    assert_eq!(shown(server.backend, "chess.example"), backend.der);
}

#[test]
fn the_backend_port_speaks_tls_on_request() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| config.tls.backend = true);
    let mut ada = player(&server, "user=ada");
    let mut stream = connect(server.backend);
    let request = "POST /v1/push?user=ada HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    stream.write_all(request.repeat(3).as_bytes()).unwrap();
    for _ in 0..3 {
        assert_eq!(ada.recv_text(), "hello");
    }
    // Its end, and it still gets its answers.
    stream.conn.send_close_notify();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    assert_eq!(answers.matches("\"queued\":1").count(), 3, "{answers}");
    // A link, too.
    let stream = connect(server.backend);
    let request = tungstenite::http::Request::builder()
        .uri("ws://localhost/v1/link")
        .header("Host", "localhost")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "gannet.link.json")
        .body(())
        .unwrap();
    let (mut link, _) = tungstenite::client::client(request, stream).unwrap();
    link.send(Message::text(r#"{"id":1,"op":"push","to":{"user":"ada"},"text":"by link"}"#)).unwrap();
    assert!(link.read().unwrap().into_text().unwrap().contains("\"queued\":1"));
    assert_eq!(ada.recv_text(), "by link");
}

#[test]
fn a_client_that_comes_back_brings_a_ticket() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |config| config.tls.backend = false);
    for version in [&TLS12, &TLS13] {
        let config = client_config(&[version]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut player = Player::on(connect_as(server.client, &config, "localhost"), "/ws").unwrap();
            assert_eq!(player.stream().conn.handshake_kind(), Some(kind), "{version:?}");
            assert_eq!(server.backend().push_text("all=1", "hi").queued, 1);
            assert_eq!(player.recv_text(), "hi");
            player.close(1000, "");
            server.await_stats("it is gone", |totals| totals["sessions"] == 0);
        }
    }
    let stats = server.backend().stats();
    assert_eq!(
        (&stats["tls_handshakes"]["full"], &stats["tls_handshakes"]["resumed"]),
        (&2.into(), &4.into())
    );
}

#[test]
fn http_1_1_is_agreed_on_where_the_client_offers_it() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |_| ());
    let offering = |protocols: &[&[u8]]| {
        let mut config = Arc::unwrap_or_clone(client_config(&[&TLS13]));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        connect_as(server.client, &Arc::new(config), "localhost")
    };
    let mut both = offering(&[b"h2", b"http/1.1"]);
    shake(&mut both).unwrap();
    assert_eq!(both.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    shake(&mut offering(&[b"h2"])).unwrap_err();
    // The alert is sent before it is counted.
    server.await_stats("it is counted", |totals| totals["tls_handshakes"]["incompatible"] == 1);
}

#[test]
fn close_codes_and_the_end_of_tls_arrive() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files, |_| ());
    let mut backend = server.backend();
    let mut kicked = player(&server, "user=kicked");
    let reply = backend.request("DELETE", "/v1/users/kicked?code=4001&reason=cheating");
    assert_eq!(reply.status, 200);
    assert_eq!(kicked.recv_end(), End::Closed(4001, "cheating".into()));

    // By hand: behind the Close frame comes a close_notify, so that the end is no cut (RFC 8446 §6.1).
    let mut stream = connect(server.client);
    let upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).unwrap();
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("rustls says so when there is no close_notify");
    assert!(all.ends_with(&[0x88, 0x02, 0x03, 0xe8]), "{all:?}");

    // A client that vanishes without any of it.
    let lost = player(&server, "user=lost");
    drop(lost);
    let rude = connect(server.client);
    let rude = Player::on(rude, "/ws?user=rude").unwrap();
    rude.stream().sock.shutdown(std::net::Shutdown::Write).unwrap();
    server.await_stats("both are gone", |totals| totals["sessions"] == 0 && totals["closed"]["1006"] == 2);

    // And the server's own end.
    let mut last = player(&server, "user=last");
    let closing = std::thread::spawn(move || last.recv_end());
    let report = server.stop();
    assert_eq!(closing.join().unwrap(), End::Closed(1001, "server going away".into()));
    assert_eq!((report.sessions, report.closed_cleanly), (1, 1));
}

#[test]
fn certificates_are_exchanged_under_open_sessions() {
    let mut files = CertFiles::new(&["localhost"]);
    let old = files.der.clone();
    let config = format!("[tls]\ncert = {:?}\nkey = {:?}\n", files.cert, files.key);
    let server = ServerProcess::start(&["--log", "info"], &config);
    let config = client_config(&[&TLS13]);
    let shown = || {
        let mut stream = connect_as(server.client, &config, "localhost");
        shake(&mut stream).unwrap();
        stream.conn.peer_certificates().unwrap()[0].clone()
    };
    let mut ada = Player::on(connect(server.client), "/ws?user=ada").unwrap();
    assert_eq!(shown(), old);
    files.renew(&["localhost"]);
    assert_eq!(shown(), old, "it is read when the server is told to");
    server.signal(rustix::process::Signal::HUP);
    let fresh = client_config(&[&TLS13]);
    let renewed = || {
        let mut stream = connect_as(server.client, &fresh, "localhost");
        shake(&mut stream).unwrap();
        stream.conn.peer_certificates().unwrap()[0] == files.der
    };
    server.await_stats("the new one is shown", |_| renewed());
    // One that is no good changes nothing.
    std::fs::write(&files.key, "no key").unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.await_stats("it says so", |_| server.said().contains("everything stays as it was"));
    assert!(renewed());
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(ada.recv_text(), "still here");
}

#[test]
fn the_client_of_the_library_believes_whom_it_is_told_to() {
    let (files, others) = (CertFiles::new(&["localhost"]), CertFiles::new(&["localhost"]));
    let server = with_tls(&files, |config| config.echo = true);
    let connect = |host: &str, trust| {
        let config = ClientConfig { trust, timeout: Some(DEADLINE), ..ClientConfig::default() };
        Client::connect_with(&format!("wss://{host}:{}/echo", server.client.port()), &config)
    };
    for trust in [Trust::File(files.cert.clone()), Trust::Anybody] {
        let mut client = connect("localhost", trust).unwrap();
        let text = "e".repeat(200_000);
        client.send_text(&text).unwrap();
        assert_eq!(client.receive().unwrap(), Some(Event::Text(text.into())));
        client.close(None, "").unwrap();
        while client.receive().unwrap().is_some() {}
    }
    for (host, trust) in [
        ("localhost", Trust::System),
        ("localhost", Trust::File(others.cert.clone())),
        ("127.0.0.1", Trust::File(files.cert.clone())),
    ] {
        assert!(matches!(connect(host, trust.clone()), Err(ClientError::Io(_))), "{host}, {trust:?}");
    }
    let no_certificate = connect("localhost", Trust::File(files.key.clone()));
    assert!(matches!(no_certificate, Err(ClientError::Tls(_))), "{no_certificate:?}");
}
