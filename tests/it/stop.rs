//! Stopping the real program: every session gets 1001 behind what is queued for it, and the process ends in time with 0.

use crate::support::{End, Player, Refusal, ServerProcess};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use tungstenite::Message;

const GOING_AWAY: u16 = 1001;

/// Takes the end and closes the socket, as every client does.
fn assert_going_away(mut player: Player) {
    let end = player.recv_end();
    assert!(matches!(end, End::Closed(GOING_AWAY, _)), "{end:?}");
}

#[test]
fn both_signals_close_every_session_with_1001_and_exit_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = ServerProcess::start(&["--reactors", "4"], "");
        let mut link = server.link();
        let mut backend = server.backend();
        let players: Vec<Player> = (0..40).map(|number| server.player(&format!("user=u{number}"))).collect();
        assert_eq!(backend.push_text("all=1", "before").queued, 40);

        server.signal(signal);
        for mut player in players {
            assert_eq!(player.recv_text(), "before");
            assert_going_away(player);
        }
        assert!(matches!(link.next_event(), Err(End::Closed(GOING_AWAY, _))));
        drop(link);
        let (status, said) = server.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("40 of 40 sessions closed cleanly"), "{said}");
    }
}

#[test]
fn what_is_queued_is_flushed_before_the_close() {
    let config = "[limits]\noutbox_bytes = 67_108_864\n[timeouts]\nshutdown_ms = 60_000\nclose_ms = 60_000";
    let server = ServerProcess::start(&["--reactors", "2"], config);
    let slow: Vec<Player> = (0..4).map(|_| server.player("group=slow")).collect();
    let mut backend = server.backend();
    let message = |number: usize| Message::binary(vec![number as u8; 200_000]);
    // More than the kernel takes on both sides of a connection.
    let sent = 150;
    for number in 0..sent {
        assert_eq!(backend.push("group=slow", &message(number)).queued, 4);
    }
    for player in &slow {
        let info = backend.ok("GET", &format!("/v1/sessions/{}", player.id));
        assert!(info["queued_messages"].as_u64() > Some(0), "{info}");
    }
    server.signal(Signal::TERM);
    for mut player in slow {
        for number in 0..sent {
            assert!(player.recv() == message(number), "message {number}");
        }
        assert_going_away(player);
    }
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("4 of 4 sessions closed cleanly"), "{said}");
}

#[test]
fn a_client_that_never_answers_the_close_is_not_waited_for_longer_than_the_bound() {
    // Were it the closing handshake's own bound that ends it, the test's deadline would come first.
    let config = "[timeouts]\nshutdown_ms = 4_000\nclose_ms = 600_000";
    let server = ServerProcess::start(&["--reactors", "4"], config);
    let players: Vec<Player> = (0..9).map(|_| server.player("")).collect();
    let silent = server.player("");
    server.signal(Signal::TERM);
    players.into_iter().for_each(assert_going_away);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("9 of 10 sessions closed cleanly"), "{said}");
    drop(silent);
}

#[test]
fn a_server_that_stops_takes_nobody_in() {
    let config = "[timeouts]\nshutdown_ms = 60_000\nclose_ms = 60_000";
    let server = ServerProcess::start(&["--reactors", "4"], config);
    let mut players: Vec<Player> = (0..8).map(|_| server.player("")).collect();
    // One session on another reactor holds the stop; the listeners are the first one's, gone before its Close frames.
    let holding = players.iter().position(|player| player.id.worker() == 3).unwrap();
    let holding = players.remove(holding);
    server.signal(Signal::TERM);
    assert!(players.iter().any(|player| player.id.worker() == 0));
    players.into_iter().for_each(assert_going_away);
    match server.try_player("/ws?user=late").err() {
        Some(Refusal::Http { status, code }) => assert_eq!((status, code.as_str()), (503, "draining")),
        Some(Refusal::Io(error)) => {
            let kinds = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        None => panic!("a server that stops has taken somebody in"),
    }
    assert_going_away(holding);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("8 of 8 sessions closed cleanly"), "{said}");
}

#[test]
fn half_open_upgrades_and_idle_backends_do_not_hold_the_stop() {
    let config = "[timeouts]\nshutdown_ms = 600_000\nclose_ms = 600_000\nupgrade_ms = 600_000";
    let server = ServerProcess::start(&["--reactors", "4"], config);
    let mut backend = server.backend();
    backend.stats();
    let mut heads: Vec<_> = (0..4).map(|_| TcpStream::connect(server.client).unwrap()).collect();
    for head in &mut heads {
        head.write_all(b"GET /ws HTTP/1.1\r\n").unwrap();
    }
    // Their reactors have them once this one is in: they were accepted in order.
    let player = server.player("");
    server.signal(Signal::TERM);
    assert_going_away(player);
    for mut head in heads {
        let mut answer = String::new();
        // A reset is as good: the connection may not have been taken yet.
        if head.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        }
    }
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    drop(backend);
}
