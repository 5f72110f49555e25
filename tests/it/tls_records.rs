//! TLS behind the handshake, over real sockets: rustls clients whose keys change, whose records come in pieces or are wrong.

use crate::support::tls::{
    CertFiles, TlsStream, client_config, client_config_of, connect, connect_as, shake,
};
use crate::support::*;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error};
use std::io::{Read, Write};
use tungstenite::{Message, WebSocket};

fn with_tls(files: &CertFiles) -> TestServer {
    TestServer::start(|config| {
        config.tls.cert = Some(files.cert.clone());
        config.tls.key = Some(files.key.clone());
        config.echo = true;
        config.reactors = Some(1);
    })
}

/// A player who has been welcomed, or an echo.
fn websocket(stream: TlsStream, target: &str) -> WebSocket<TlsStream> {
    let mut socket = tungstenite::client::client(format!("ws://localhost{target}"), stream).unwrap().0;
    if target.starts_with("/ws") {
        assert!(text(&mut socket).contains("welcome"));
    }
    socket
}

fn text(socket: &mut WebSocket<TlsStream>) -> String {
    socket.read().unwrap().into_text().unwrap().to_string()
}

/// Moves what the client has sealed to `out`: the test sends it.
fn sealed(stream: &mut TlsStream) -> Vec<u8> {
    let mut out = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut out).unwrap();
    }
    out
}

#[test]
fn every_suite_goes_on_behind_its_handshake() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files);
    let mut suites = Vec::new();
    for suite in ring::default_provider().cipher_suites {
        let provider = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
        let config = client_config_of(provider, &[suite.version()]);
        let mut stream = connect_as(server.client, &config, "localhost");
        // Those of RSA find no certificate here.
        if shake(&mut stream).is_err() {
            continue;
        }
        suites.push(suite.suite());
        let mut echo = websocket(stream, "/echo");
        for size in [0, 1, 64, 16_384, 100_000] {
            let message = Message::binary(vec![size as u8; size]);
            echo.send(message.clone()).unwrap();
            assert!(echo.read().unwrap() == message, "{suite:?}, {size} bytes");
        }
        echo.close(None).unwrap();
    }
    assert_eq!(suites.len(), 6, "{suites:?}");
}

#[test]
fn keys_that_change_in_the_middle_of_a_stream_lose_no_message() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files);
    let mut ada =
        websocket(connect_as(server.client, &client_config(&[&TLS13]), "localhost"), "/ws?user=ada");
    let mut echo = websocket(connect_as(server.client, &client_config(&[&TLS13]), "localhost"), "/echo");
    let mut backend = server.backend();
    for number in 0..200 {
        // It changes its key and asks for another one of ours.
        if number % 3 == 0 {
            ada.get_mut().conn.refresh_traffic_keys().unwrap();
            echo.get_mut().conn.refresh_traffic_keys().unwrap();
        }
        if number % 2 == 0 {
            ada.get_mut().flush().unwrap();
        }
        // So many updates without any data would be a flood.
        if number % 50 == 0 {
            ada.send(Message::Ping(vec![1].into())).unwrap();
            assert!(ada.read().unwrap().is_pong());
        }
        assert_eq!(backend.push_text("user=ada", &number.to_string()).queued, 1);
        assert_eq!(text(&mut ada), number.to_string());
        echo.send(Message::text(format!("echo {number}"))).unwrap();
        assert_eq!(text(&mut echo), format!("echo {number}"));
    }
}

#[test]
fn a_record_that_comes_in_pieces_is_a_message_when_it_is_whole() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files);
    for version in [&TLS12, &TLS13] {
        let stream = connect_as(server.client, &client_config(&[version]), "localhost");
        let mut ada = websocket(stream, "/ws?user=ada");
        let mut echo = websocket(connect_as(server.client, &client_config(&[version]), "localhost"), "/echo");
        for cut in [1, 4, 5, 6, 20, 29, 400, 900] {
            let payload = vec![b'p'; 1000];
            // A masked frame, by hand (RFC 6455 §5.2): its mask is zero.
            let mut frame = vec![0x82, 0x80 | 126, 3, 0xe8, 0, 0, 0, 0];
            frame.extend_from_slice(&payload);
            let stream = echo.get_mut();
            stream.conn.writer().write_all(&frame).unwrap();
            let record = sealed(stream);
            stream.sock.write_all(&record[..cut]).unwrap();
            // The others are served, and so is it.
            assert_eq!(server.backend().push_text("user=ada", "meanwhile").queued, 1);
            assert_eq!(text(&mut ada), "meanwhile");
            echo.get_mut().sock.write_all(&record[cut..]).unwrap();
            assert_eq!(echo.read().unwrap(), Message::binary(payload), "cut at {cut}");
        }
        ada.close(None).unwrap();
        assert!(ada.read().unwrap().is_close());
        server.await_stats("it is gone", |totals| totals["sessions"] == 0);
    }
}

#[test]
fn a_record_that_is_wrong_ends_its_session_with_the_alert_and_no_other() {
    let files = CertFiles::new(&["localhost"]);
    let server = with_tls(&files);
    let mut ada = Player::on(connect(server.client), "/ws?user=ada").unwrap();
    let change_cipher_spec = [20, 3, 3, 0, 1, 1];
    let garbage = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    let endless = [23, 3, 3, 0xff, 0xff];
    for version in [&TLS12, &TLS13] {
        for (bytes, alert) in [
            (&change_cipher_spec[..], AlertDescription::UnexpectedMessage),
            (&garbage, AlertDescription::BadRecordMac),
            (&endless, AlertDescription::RecordOverflow),
        ] {
            let stream = connect_as(server.client, &client_config(&[version]), "localhost");
            let mut bob = websocket(stream, "/ws?user=bob");
            let stream = bob.get_mut();
            stream.sock.write_all(bytes).unwrap();
            let error = stream.read(&mut [0; 100]).unwrap_err();
            let said = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
            assert_eq!(said, Some(&Error::AlertReceived(alert)), "{version:?}");
            server.await_stats("only the other is there", |totals| totals["sessions"] == 1);
        }
    }
    assert_eq!(server.backend().push_text("user=ada", "unharmed").queued, 1);
    assert_eq!(ada.recv_text(), "unharmed");
}
