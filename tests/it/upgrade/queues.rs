//! What waits for a player's socket, or for its receipt, goes along.

use super::load::tls_config;
use super::running::{Running, await_metric};
use crate::raw::Raw;
use crate::stalled::{skip, stalled};
use crate::support::*;
use gannet::session::SessionId;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use tungstenite::Message;

const MIB: u64 = 1 << 20;

/// A stream with a small receive buffer.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    prepared(socket.into())
}

fn queued(backend: &mut Backend, id: SessionId) -> (u64, u64) {
    let session = backend.ok("GET", &format!("/v1/sessions/{id}"));
    (session["queued_bytes"].as_u64().unwrap(), session["queued_messages"].as_u64().unwrap())
}

/// A player who reads nothing gets more than 1 MiB, through two upgrades, and then reads all of it.
fn reads_late<S: OverTcp>(config: &str, connect: impl Fn(TcpStream) -> Player<S>) {
    let text = |number: usize| {
        format!("{number} {}", char::from(b'a' + (number % 26) as u8).to_string().repeat(64_000))
    };
    let config = format!("limits.outbox_bytes = 8388608\ndelivery.ttl_ms = 600000\n{config}");
    let mut server = Running::start(&["--reactors", "2"], &config);
    let mut backend = server.backend();
    let mut player = connect(narrow(server.client));
    let mut sent = 0;
    let mut push = |backend: &mut Backend, count: usize| {
        for _ in 0..count {
            assert_eq!(backend.push_text("user=slow", &text(sent)).queued, 1);
            sent += 1;
        }
        sent
    };
    push(&mut backend, 40);
    assert!(queued(&mut backend, player.id).0 > MIB, "too little waits for the test to mean something");
    server.upgrade();
    assert!(queued(&mut backend, player.id).0 > MIB);
    push(&mut backend, 10);
    server.upgrade();
    let sent = push(&mut backend, 10);
    for number in 0..sent {
        assert_eq!(player.recv_text(), text(number));
    }
    backend.push_text("user=slow", "at last");
    assert_eq!(player.recv_text(), "at last");
    assert_eq!(queued(&mut backend, player.id), (0, 0));
}

#[test]
fn a_slow_reader_gets_in_order_what_waited() {
    reads_late("", |stream| Player::on(stream, "/ws?user=slow").unwrap());
}

#[test]
fn a_slow_wss_reader_gets_in_order_what_waited() {
    let cert = tls::CertFiles::new(&["localhost"]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = tls::client_config(&[version]);
        reads_late(&tls_config(&cert), |stream| {
            Player::on(tls::over(stream, &client, "localhost"), "/ws?user=slow").unwrap()
        });
    }
}

#[test]
fn keys_classes_and_deadlines_hold_for_what_waited() {
    let mut server = Running::start(&["--reactors", "2"], "delivery.ttl_ms = 600000");
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    let push = |backend: &mut Backend, options: &str, text: &str| {
        assert_eq!(backend.push_text(&format!("user=slow{options}"), text).queued, 1);
    };
    push(&mut backend, "&key=score", "score 1");
    push(&mut backend, "&class=droppable", "droppable");
    push(&mut backend, "&key=both&class=urgent", "urgent 1");
    push(&mut backend, "&ttl_ms=1000", "too late");
    push(&mut backend, "", "normal");
    server.upgrade();
    push(&mut backend, "&key=score", "score 2");
    push(&mut backend, "&class=urgent", "urgent 2");
    push(&mut backend, "&key=both&class=urgent", "urgent 3");
    server.await_stats("its time is over", |totals| totals["deliveries"]["expired"] == 1);
    server.upgrade();
    push(&mut backend, "&key=score", "score 3");
    let totals = backend.stats();
    assert_eq!(totals["deliveries"]["replaced"], 3, "{totals:#}");
    let (mut texts, mut fills) = (Vec::new(), 0);
    while texts.len() < 5 {
        let frame = slow.frame().unwrap();
        match frame.payload.len() {
            50_000 => fills += 1,
            _ => texts.push(frame.text().to_owned()),
        }
    }
    assert_eq!(texts, ["urgent 3", "urgent 2", "score 3", "droppable", "normal"]);
    assert_eq!(fills, fill);
}

#[test]
fn a_receipt_that_waits_for_a_socket_is_answered_by_the_new_process() {
    let mut server =
        Running::start(&["--reactors", "2"], "delivery.receipt_ms = 600000\ndelivery.ttl_ms = 600000");
    let (mut slow, fill) = stalled(&server, "slow");
    let mut quick = server.player("user=quick");
    let (mut http, mut json_link, mut binary_link) = (server.backend(), server.link(), server.binary_link());
    http.send_push("user=slow&user=quick&receipt=written", &Message::text("http"));
    let command = |text: &str| json!({ "op": "push", "to": { "user": ["slow", "quick"] }, "text": text, "receipt": "written" });
    let ids = [json_link.send(command("json")), binary_link.send(command("binary"))];
    // A batch of which the first line waits.
    let mut batch = server.backend();
    let line = |id: u64, text: &str| {
        let mut line = command(text);
        line["id"] = id.into();
        format!("{line}\n")
    };
    batch.send(
        "POST",
        "/v1/batch",
        "application/x-ndjson",
        (line(1, "batch 1") + &line(2, "batch 2")).as_bytes(),
    );
    let heard: Vec<String> = (0..5).map(|_| quick.recv_text()).collect();
    server.upgrade();
    // The replies to what came after are not held back.
    for link in [&mut json_link, &mut binary_link] {
        assert_eq!(
            link.command(json!({ "op": "push", "to": { "user": "quick" }, "text": "next" }))["queued"],
            1
        );
        assert_eq!(quick.recv_text(), "next");
    }
    server.upgrade();
    skip(&mut slow, fill);
    let read: Vec<String> = (0..5).map(|_| slow.frame().unwrap().text().to_owned()).collect();
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts
    };
    assert_eq!(sorted(read), ["batch 1", "batch 2", "binary", "http", "json"]);
    assert_eq!(sorted(heard), ["batch 1", "batch 2", "binary", "http", "json"]);
    let receipt = http.receive_receipt();
    assert_eq!((receipt.matched, receipt.written, receipt.pending), (2, Some(2), 0), "{receipt:?}");
    for (link, id) in [&mut json_link, &mut binary_link].into_iter().zip(ids) {
        let (replied, receipt) = link.receive();
        assert_eq!((replied, &receipt.unwrap()["written"]), (id, &json!(2)));
    }
    let replies = batch.receive();
    let replies: Vec<Value> = String::from_utf8(replies.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|reply| reply["ok"]["written"] == 2), "{replies:?}");
}

#[test]
fn a_receipt_is_due_at_its_time_whichever_process_answers() {
    let mut server =
        Running::start(&["--reactors", "2"], "delivery.receipt_ms = 2000\ndelivery.ttl_ms = 600000");
    let (mut slow, fill) = stalled(&server, "slow");
    let mut http = server.backend();
    http.send_push("user=slow&receipt=written", &Message::text("late"));
    server.await_stats("it waits", |totals| totals["pushes"].as_u64() > Some(fill as u64));
    server.upgrade();
    let receipt = http.receive_receipt();
    assert_eq!((receipt.matched, receipt.written, receipt.pending), (1, Some(0), 1), "{receipt:?}");
    skip(&mut slow, fill);
    assert_eq!(slow.frame().unwrap().text(), "late");
}

#[test]
fn what_waits_for_a_tick_goes_at_one() {
    let config = "[apps.default]\ngroup_tick_ms = { 'match/' = 2000 }\n";
    let mut server = Running::start(&["--reactors", "2"], config);
    let mut players: Vec<Raw> = (0..8).map(|_| Raw::player(server.client, "/ws?group=match/1")).collect();
    let mut backend = server.backend();
    let mut number = 0;
    for _ in 0..4 {
        for text in ["a", "b"] {
            number += 1;
            assert_eq!(backend.push_text("group=match/1&key=state", &format!("{text} {number}")).queued, 8);
        }
        server.upgrade();
    }
    // One after another, each once, whichever tick takes it.
    for player in &mut players {
        for number in 1..=8 {
            let text = ["b", "a"][number % 2];
            assert_eq!(player.frame().unwrap().text(), format!("{text} {number}"));
        }
    }
    await_metric(&server, "gannet_outbox_messages", |waiting| waiting == 0);
}
