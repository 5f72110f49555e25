//! What clients and backends are told of a session that goes to another node.

use super::*;
use crate::raw::Raw;
use serde_json::json;
use std::thread;

#[test]
fn a_connection_that_is_still_there_is_told_that_its_session_has_gone() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    let sent = push_all(b, "user=ada", 0..3);
    assert_eq!(ada.texts(1), sent[..1]);
    let mut old = ada.player.take().unwrap();
    ada.resumes_on(b);
    assert_eq!(ada.texts(2), sent[1..]);
    assert_eq!((old.recv_text(), old.recv_text()), (sent[1].clone(), sent[2].clone()), "it had been written");
    assert_eq!(old.recv_end(), End::Closed(4002, "resumed on another connection".to_owned()));
}

#[test]
fn backends_hear_the_end_on_the_one_node_and_the_beginning_on_the_other() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut links = [a, b].map(|ports| {
        let mut link = ports.link();
        link.listen(&["open", "close", "join", "away", "back"], None);
        link
    });
    let mut ada = Wanderer::new(a, "user=ada&group=red");
    let old = ada.session.clone();
    assert_eq!([links[0].event()["event"].clone(), links[0].event()["event"].clone()], ["open", "join"]);
    ada.vanish();
    assert_eq!(links[0].event()["event"], "away");
    ada.resumes_on(b);
    let close = links[0].event();
    assert_eq!((&close["event"], &close["session"]), (&"close".into(), &old.as_str().into()));
    assert_eq!(
        (&close["code"], &close["reason"]),
        (&4002.into(), &format!("resumed on another node as {}", ada.session).into())
    );
    let (open, joined) = (links[1].event(), links[1].event());
    assert_eq!((&open["event"], &open["session"]), (&"open".into(), &ada.session.as_str().into()));
    assert_eq!((&joined["event"], &joined["group"]), (&"join".into(), &"red".into()));
    ada.vanish();
    assert_eq!(links[1].event()["event"], "away", "and nothing of its way there");
}

#[test]
fn an_event_stream_goes_to_another_node_and_so_does_a_poll() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let (mut stream, welcome) = EventStream::welcomed(a.client, "/sse?user=ada", "");
    let sent = push_all(b, "user=ada", 0..4);
    assert_eq!(stream.text(), sent[0]);
    stream.leave();
    let target = format!("/sse?resume={}&received=1", ticket_of(&welcome));
    let (mut stream, back) = EventStream::welcomed(b.client, &target, "");
    assert_eq!((&back["resumed"], &back["was"]), (&true.into(), &welcome["session"]), "{back}");
    assert_eq!([stream.text(), stream.text(), stream.text()], sent[1..]);
    // Back to a WebSocket, and to the first node.
    let mut ada = Wanderer {
        player: None,
        ticket: ticket_of(&back),
        received: 4,
        session: back["session"].as_str().unwrap().to_owned(),
    };
    ada.resumes_on(a);
    let more = push_all(b, "user=ada", 4..5);
    assert_eq!(ada.texts(1), more);
    let mut raw = Raw::connect(b.client);
    raw.send(format!(
        "GET /poll?resume={}&received=5&wait_ms=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ada.ticket
    ));
    let poll = raw.answer().json();
    assert_eq!((&poll["resumed"], &poll["was"]), (&true.into(), &json!(ada.session)), "{poll}");
}

#[test]
fn a_session_is_only_for_who_opened_it_and_for_who_knows_its_ticket() {
    let redis = Redis::start();
    let nodes = nodes(2, &[&redis]);
    let [a, b] = [0, 1].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(a, "user=ada");
    let sent = push_all(b, "user=ada", 0..1);
    let eve = b.player(&format!("{}&user=eve", ada.query()));
    assert_eq!((&eve.welcome["resumed"], &eve.welcome["why"]), (&false.into(), &"user".into()));
    let (all_but_one, last) = ada.ticket.split_at(ada.ticket.len() - 1);
    let forged = format!("{all_but_one}{}", if last == "A" { "Q" } else { "A" });
    let real = std::mem::replace(&mut ada.ticket, forged);
    ada.resumes_in_vain_on(b, "unknown");
    ada.ticket = real;
    ada.resumes_on(b);
    assert_eq!(ada.texts(1), sent);
}

#[test]
fn a_session_that_joins_a_group_while_it_goes_is_in_it_there() {
    let redis = Redis::start();
    let nodes = nodes(3, &[&redis]);
    let ports = [0, 1, 2].map(|node| *nodes.servers[node]);
    let mut ada = Wanderer::new(ports[0], "user=ada");
    for round in 1..=40 {
        let (query, node) = (ada.query(), round % 3);
        let (joins, leaves) = (format!("g{round}"), format!("g{}", round - 1));
        let mut links = [ports[2].link(), ports[1].link()];
        let player = thread::scope(|scope| {
            let [first, second] = &mut links;
            let command = |op: &str, group: &str| json!({"op": op, "user": "ada", "group": group});
            scope.spawn(move || first.command(command("join", &joins)));
            scope.spawn(move || second.command(command("leave", &leaves)));
            ports[node].player(&query)
        });
        assert_eq!(player.welcome["resumed"], true, "{}", player.welcome);
        (ada.ticket, ada.session) = (ticket_of(&player.welcome), player.id.to_string());
        ada.player = Some(player);
        let sent = push_all(ports[round % 3], &format!("group=g{round}"), 0..1);
        assert_eq!(ada.texts(1), sent, "{round}");
        let session = ports[node].backend().ok("GET", &format!("/v1/sessions/{}", ada.session));
        assert_eq!(session["groups"], json!([format!("g{round}")]), "{session}");
    }
}
