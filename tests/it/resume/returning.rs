//! What a client gets that comes back.

use super::*;
use tungstenite::Message;

#[test]
fn a_client_that_comes_back_gets_its_session_and_what_it_has_missed() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada&group=red&tag=ios");
    let before = push_all(*server, "user=ada", 0..3);
    assert_eq!(ada.texts(3), before);
    ada.vanish();
    ada.await_away();
    let missed = [push_all(*server, "group=red", 3..5), push_all(*server, "tag=ios", 5..7)].concat();
    let missed = [missed, push_all(*server, &format!("session={}", ada.session), 7..9)].concat();
    ada.come_back();
    assert_eq!(ada.texts(6), missed);
    let after = push_all(*server, "all=true&user=ada&group=red", 9..11);
    assert_eq!(ada.texts(2), after);
    server.await_stats("nobody is away", |stats| stats["away"] == 0 && stats["resumed"] == 1);
}

#[test]
fn what_was_written_and_not_read_comes_again_and_what_was_read_does_not() {
    let server = server(|_| {});
    for read in [0, 1, 7, 20] {
        let mut ada = Comer::new(*server, &format!("user=ada{read}"));
        let all = push_all(*server, &format!("user=ada{read}"), 0..20);
        assert_eq!(ada.texts(read), all[..read]);
        ada.vanish();
        ada.come_back();
        assert_eq!(ada.texts(20 - read), all[read..]);
        let more = push_all(*server, &format!("user=ada{read}"), 20..22);
        assert_eq!(ada.texts(2), more, "nothing was left over");
    }
}

#[test]
fn it_may_go_and_come_many_times_on_either_reactor() {
    let server = server(|_| {});
    // One more or less on the other reactor, so that connections come to both.
    let mut others = Vec::new();
    let mut ada = Comer::new(*server, "user=ada");
    let mut number = 0;
    for round in 0..40 {
        let sent = push_all(*server, "user=ada", number..number + 5);
        let read = (round % 6) as usize;
        assert_eq!(ada.texts(read), sent[..read]);
        ada.vanish();
        let missed = push_all(*server, "user=ada", number + 5..number + 8);
        ada.come_back();
        assert_eq!(ada.texts(8 - read), [&sent[read..], &missed].concat());
        number += 8;
        others.push(server.player(""));
    }
    let sessions = server.await_stats("all are there", |stats| stats["sessions"] == 41);
    assert_eq!(sessions["resumed"], 40);
}

#[test]
fn every_class_key_and_size_comes_once_and_in_the_order_of_the_wire() {
    let server = server(|config| config.limits.max_message_bytes = 1 << 20);
    let mut ada = Comer::new(*server, "user=ada");
    let mut backend = server.backend();
    backend.push("user=ada", &Message::binary(vec![7; 70_000]));
    backend.push("user=ada&class=urgent", &Message::text("urgent"));
    backend.push("user=ada", &Message::text(""));
    ada.vanish();
    ada.await_away();
    // Conflation goes on while it is away, and the urgent overtake.
    backend.push("user=ada&key=position", &Message::text("old"));
    backend.push("user=ada&class=droppable", &Message::text("droppable"));
    backend.push("user=ada&key=position", &Message::text("new"));
    backend.push("user=ada&class=urgent", &Message::text("urgent too"));
    ada.come_back();
    assert_eq!(ada.player().recv(), Message::binary(vec![7; 70_000]));
    ada.received += 1;
    assert_eq!(ada.texts(2), ["urgent", ""]);
    assert_eq!(ada.texts(3), ["urgent too", "new", "droppable"]);
}

#[test]
fn a_client_that_is_there_is_taken_from_its_socket_at_once() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    let sent = push_all(*server, "user=ada", 0..4);
    assert_eq!(ada.texts(2), sent[..2]);
    // Its old connection is there still: nobody has told the server otherwise.
    let mut old = ada.player.take().unwrap();
    ada.come_back();
    assert_eq!(ada.texts(2), sent[2..]);
    assert_eq!([old.recv_text(), old.recv_text()], sent[2..]);
    assert_eq!(old.recv_end(), End::Closed(4002, "resumed on another connection".to_owned()));
    let more = push_all(*server, "user=ada", 4..6);
    assert_eq!(ada.texts(2), more);
    assert_eq!(server.backend().stats()["away"], 0);
}

/// So many of these are more than the kernel takes for a client that reads nothing.
const LARGE: usize = 60_000;
const MANY: u8 = 12;

fn push_large(ports: Ports) -> Vec<Message> {
    let mut backend = ports.backend();
    let all: Vec<_> = (0..MANY).map(|number| Message::binary(vec![number; LARGE])).collect();
    all.iter().for_each(|message| assert_eq!(backend.push("user=ada", message).queued, 1));
    all
}

#[test]
fn an_older_claim_that_comes_late_rewinds_nothing_for_the_client_that_has_read_on() {
    let server = server(|config| config.apps.get_mut("default").unwrap().resume.bytes = 4 << 20);
    let mut ada = Comer::new(*server, "user=ada");
    let all = push_large(*server);
    let older = ada.query();
    ada.vanish();
    ada.come_back();
    for message in &all {
        assert_eq!(&ada.player().recv(), message);
        ada.received += 1;
    }
    // What it sent before on a connection that it has left arrives now: nobody reads the answer.
    let unread = server.player(&older);
    assert_eq!(unread.welcome["resumed"], true);
    assert_eq!(ada.player().recv_end(), End::Closed(4002, "resumed on another connection".to_owned()));
    ada.come_back();
    let more = push_all(*server, "user=ada", 0..2);
    assert_eq!(ada.texts(2), more, "nothing comes twice");
    drop(unread);
}

#[test]
fn what_a_client_reads_on_a_connection_that_the_server_ends_counts_to_the_last_frame() {
    let server = server(|config| {
        config.apps.get_mut("default").unwrap().resume.bytes = 4 << 20;
        (config.timeouts.ping, config.timeouts.idle) = (ms(200), ms(600));
    });
    let mut ada = Comer::new(*server, "user=ada");
    let all = push_large(*server);
    // It reads nothing, and so answers no ping either. A frame is partly on the wire by then.
    ada.await_away();
    let mut old = ada.player.take().unwrap();
    let end = loop {
        match old.next() {
            Ok(message) => assert_eq!(message, all[ada.received as usize]),
            Err(end) => break end,
        }
        ada.received += 1;
    };
    assert!(matches!(end, End::Closed(4000, _)), "{end:?}");
    let read = ada.received as usize;
    assert!((1..all.len()).contains(&read), "{read}");
    ada.come_back();
    for message in &all[read..] {
        assert_eq!(&ada.player().recv(), message);
        ada.received += 1;
    }
}

#[test]
fn a_message_that_comes_with_the_request_is_heard_by_the_session() {
    let server = server(|_| {});
    let mut ada = Comer::new(*server, "user=ada");
    ada.vanish();
    ada.await_away();
    let mut link = server.link();
    link.listen(&["message"], None);
    ada.come_back();
    ada.player().send_text("I am back");
    let event = link.event();
    assert_eq!((&event["session"], &event["text"]), (&ada.session.clone().into(), &"I am back".into()));
}

#[test]
fn own_messages_are_not_counted_and_texts_with_the_mark_keep_their_form() {
    use std::net::TcpStream;
    let server = server(|_| {});
    let speaker = |target: &str| {
        let stream = TcpStream::connect(server.client).unwrap();
        Player::speaking(stream, target, "gannet.v1").unwrap()
    };
    let player = speaker("/ws?user=ada");
    let mut ada = Comer {
        ports: *server,
        player: None,
        ticket: String::new(),
        received: 0,
        session: player.id.to_string(),
    };
    ada.has(player);
    ada.player().send_text("\u{1e}{\"type\":\"time\",\"t\":1}");
    assert!(
        ada.player().recv_text().starts_with("\u{1e}{\"type\":\"time\""),
        "gannet's own, which nobody counts"
    );
    push_all(*server, "user=ada", 0..1);
    server.backend().push_text("user=ada", "\u{1e}marked");
    assert_eq!(ada.text(), "0");
    ada.vanish();
    // Back without the subprotocol: the same text as it was pushed.
    ada.come_back();
    assert_eq!(ada.texts(1), ["\u{1e}marked"]);
    server.backend().push_text("user=ada", "\u{1e}again");
    ada.vanish();
    ada.await_away();
    server.backend().push_text("user=ada", "\u{1e}away");
    let player = speaker(&format!("/ws?{}", ada.query()));
    assert_eq!(player.welcome["resumed"], true);
    ada.has(player);
    assert_eq!(ada.texts(2), ["\u{1e}\u{1e}again", "\u{1e}\u{1e}away"]);
}
