//! Closing handshakes, drains and what else is under way with single players.

use super::load::tls_config;
use super::running::Running;
use crate::raw::{CLOSE, PING, PONG, Raw, TEXT, masked};
use crate::support::*;
use serde_json::json;
use std::net::TcpStream;
use tungstenite::Message;

#[test]
fn a_closing_handshake_of_the_server_ends_in_the_new_process() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.close_ms = 60000");
    let mut link = server.link();
    link.listen(&["close"], None);
    let mut backend = server.backend();
    let mut kicked = Raw::player(server.client, "/ws?user=ada");
    assert_eq!(backend.change("DELETE", "/v1/users/ada?code=4321&reason=enough"), 1);
    assert_eq!(kicked.frame().unwrap().close(), (4321, "enough"));
    let event = link.event();
    assert_eq!((&event["event"], &event["code"]), (&json!("close"), &json!(4321)));
    server.upgrade();
    assert!(!kicked.is_readable(), "the new process waits for the answer");
    kicked.send(masked(CLOSE, &4321_u16.to_be_bytes()));
    assert_eq!(kicked.rest(), b"");
    server.await_stats("it has gone", |totals| totals["sessions"] == 0);
    assert_eq!(server.backend().stats()["closed"]["other"], 1, "{}", server.backend().stats()["closed"]);
}

#[test]
fn a_closing_handshake_that_is_not_answered_ends_at_its_time() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.close_ms = 1500");
    let mut kicked = Raw::player(server.client, "/ws?user=ada");
    assert_eq!(server.backend().change("DELETE", "/v1/users/ada"), 1);
    assert_eq!(kicked.frame().unwrap().close().0, 4001);
    server.upgrade();
    assert_eq!(kicked.rest(), b"");
    until("its socket is closed", || server.backend().stats()["sessions"] == 0);
}

#[test]
fn a_wss_player_who_is_being_closed_gets_the_end_from_the_new_process() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let config = format!("timeouts.close_ms = 60000\n{}", tls_config(&cert));
    let mut server = Running::start(&["--reactors", "2"], &config);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let stream = prepared(TcpStream::connect(server.client).unwrap());
        let stream = tls::over(stream, &tls::client_config(&[version]), "localhost");
        let mut player = Player::on(stream, "/ws?user=ada").unwrap();
        assert_eq!(server.backend().change("DELETE", "/v1/users/ada?code=4321&reason=enough"), 1);
        server.upgrade();
        assert_eq!(player.recv_end(), End::Closed(4321, "enough".to_owned()), "{version:?}");
        server.await_stats("it has gone", |totals| totals["sessions"] == 0);
    }
}

#[test]
fn who_goes_while_it_goes_on_is_seen_to_have_gone() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.handover_ms = 60000");
    let mut link = server.link();
    link.listen(&["close"], None);
    for step in ["new:receiving", "new:received", "new:restored", "new:taken"] {
        let mut leaves = Raw::player(server.client, "/ws?user=leaves");
        let resets = server.player("user=resets");
        let drops = server.player("user=drops");
        server.upgrade_around(step, |_| {
            leaves.send(masked(CLOSE, &1000_u16.to_be_bytes()));
            resets.reset();
            drop(drops);
        });
        let mut ends: Vec<_> = (0..3)
            .map(|_| {
                let event = link.event();
                (event["user"].as_str().unwrap().to_owned(), event["code"].as_u64().unwrap())
            })
            .collect();
        ends.sort();
        let expected = [("drops", 1006), ("leaves", 1000), ("resets", 1006)];
        assert_eq!(ends, expected.map(|(user, code)| (user.to_owned(), code)), "{step}");
        assert_eq!(leaves.closed().0, 1000);
    }
}

#[test]
fn what_players_say_while_it_goes_on_is_heard_once_and_answered() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.handover_ms = 60000");
    let mut link = server.link();
    link.listen(&["message"], None);
    let mut players: Vec<Raw> =
        (0..10).map(|number| Raw::player(server.client, &format!("/ws?user=u{number}"))).collect();
    for step in ["new:ready", "new:listeners", "new:receiving", "new:received", "new:restored", "new:taken"] {
        server.upgrade_around(step, |_| {
            for player in &mut players {
                player.send(masked(TEXT, b"1"));
                player.send(masked(PING, b"are you there"));
                player.send(masked(TEXT, b"2"));
            }
        });
        for player in &mut players {
            let frame = player.frame().unwrap();
            assert_eq!((frame.first, frame.text()), (PONG, "are you there"), "{step}");
        }
        let mut heard = vec![String::new(); players.len()];
        for _ in 0..2 * players.len() {
            let event = link.event();
            let user: usize = event["user"].as_str().unwrap()[1..].parse().unwrap();
            heard[user] += event["text"].as_str().unwrap();
        }
        assert_eq!(heard, vec!["12"; players.len()], "{step}");
    }
}

#[test]
fn messages_that_are_long_and_compressed_arrive_whole() {
    let mut server = Running::start(&["--reactors", "2"], "[deflate]\nenabled = true\n");
    let mut raw = Raw::connect(server.client);
    raw.send(crate::raw::upgrade("/ws?user=ada", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    let answer = raw.answer();
    assert!(
        answer.header("sec-websocket-extensions").is_some_and(|value| value.contains("permessage-deflate"))
    );
    assert!(raw.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
    let mut backend = server.backend();
    let text = "again and again ".repeat(1000);
    let mut pushed = |raw: &mut Raw| {
        assert_eq!(backend.push_text("user=ada", &text).queued, 1);
        let frame = raw.frame().unwrap();
        // RSV1: compressed.
        assert_eq!(frame.first, TEXT | 0x40);
        frame.payload
    };
    let before = pushed(&mut raw);
    server.upgrade();
    // Without context takeover the same text has the same form.
    assert_eq!(pushed(&mut raw), before);
    let mut link = server.link();
    link.listen(&["message"], None);
    // Half of what was compressed, by the client this time, before, and half after.
    let said = masked(TEXT | 0x40, &before);
    raw.send(&said[..said.len() / 2]);
    server.upgrade();
    raw.send(&said[said.len() / 2..]);
    assert_eq!(link.event()["text"], text);
}

#[test]
fn no_upgrade_begins_while_the_server_is_drained() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut backend = server.backend();
    let mut player = server.player("user=ada");
    backend.ok("POST", "/v1/admin/drain?over_ms=600000");
    let why = server.refused_by("");
    assert!(why.contains("drain"), "{why}");
    backend.ok("DELETE", "/v1/admin/drain");
    server.upgrade();
    assert_eq!(backend.push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    // The new process can be drained, and stopped.
    backend.ok("POST", "/v1/admin/drain?over_ms=0");
    assert!(matches!(player.recv_end(), End::Closed(1012, _)));
}

#[test]
fn who_gets_binary_and_empty_messages_gets_them_as_they_were() {
    let mut server = Running::start(&["--reactors", "2"], "");
    let mut player = server.player("user=ada");
    let messages = [Message::binary(vec![0, 255, 1]), Message::text(""), Message::binary(Vec::new())];
    for message in &messages {
        server.backend().push("user=ada", message);
        server.upgrade();
        assert_eq!(player.recv(), *message);
    }
}
