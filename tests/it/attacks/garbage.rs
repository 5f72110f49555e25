//! What is too large, and what is not anything.

use super::siege::{Siege, pass};
use crate::raw::{BINARY, Raw, TEXT, masked, request_with, upgrade};
use crate::support::*;
use serde_json::json;
use std::fmt::Write;

pub fn oversized_from_players(siege: &mut Siege) {
    let many = (0..100).fold(String::new(), |mut all, number| {
        write!(all, "X-{number}: y\r\n").unwrap();
        all
    });
    let token = pass("eve", json!([]));
    let heads = [
        ("a long target", upgrade(&format!("/ws?user={}", "x".repeat(9_000)), ""), 414),
        ("a long head", upgrade("/ws", &format!("X: {}\r\n", "x".repeat(20_000))), 431),
        ("many fields", upgrade("/ws", &many), 431),
        ("a long token", upgrade(&format!("/ws?token={}", "a".repeat(5_000)), ""), 401),
    ];
    for (what, head, status) in heads {
        let mut raw = siege.raw(60);
        let _ = raw.try_send(head);
        assert_eq!(raw.answer().status, status, "{what}");
    }
    let long_groups: Vec<String> = (0..100).map(|number| format!("g{number}")).collect();
    siege.refused(60, &format!("/ws?token={}", pass("eve", json!(long_groups))), 401);
    siege.refused(60, &format!("/ws?token={}", pass(&"n".repeat(200), json!([]))), 401);
    let half = vec![b'x'; 600_000];
    let frames = [
        ("a frame", masked(BINARY, &vec![0; (1 << 20) + 1])),
        ("a message", [masked(0x01, &half), masked(0x80, &half)].concat()),
        ("a terabyte announced", [&[BINARY, 0xff][..], &(1_u64 << 40).to_be_bytes(), b"mask"].concat()),
    ];
    for (what, frame) in frames {
        siege.counts(["closed", "1009"], 1, |siege| {
            let mut raw = siege.raw(60).upgraded(&format!("/ws?token={token}"));
            let _ = raw.try_send(&frame);
            assert_eq!(raw.frame().unwrap().close(), (1009, ""), "{what}");
        });
    }
}

pub fn oversized_from_backends(siege: &mut Siege) {
    let line = "{\"op\":\"push\",\"to\":{\"user\":\"nobody\"},\"text\":\"x\"}\n";
    let name = "n".repeat(129);
    let table = [
        ("a body", "POST /v1/batch".to_owned(), "x".repeat((1 << 20) + 1), 413),
        ("a batch", "POST /v1/batch".to_owned(), line.repeat(10_001), 413),
        ("a push", "POST /v1/push?all=1".to_owned(), "x".repeat(65_537), 413),
        ("a name", format!("POST /v1/push?user={name}"), "x".to_owned(), 400),
        ("a group", format!("POST /v1/groups/{name}/members?user=x"), String::new(), 400),
        ("a target", format!("POST /v1/push?user={}", "x".repeat(9_000)), "x".to_owned(), 414),
    ];
    for (what, line, body, status) in &table {
        for _ in 0..5 {
            let mut raw = siege.raw_backend();
            // The answer may come, and the connection end, before all is sent.
            let _ = raw.try_send(request_with(line, body));
            assert_eq!(raw.answer_to("POST").status, *status, "{what}");
        }
    }
    let mut link = siege.server.link();
    let too_long = json!({ "op": "push", "to": { "all": true }, "text": "x".repeat(65_537) });
    let refused = link.try_command(too_long).unwrap_err();
    assert_eq!(refused["code"], "payload_too_large");
    let users: Vec<String> = (0..1_025).map(|number| number.to_string()).collect();
    let too_many = json!({ "op": "push", "to": { "user": users }, "text": "x" });
    let refused = link.try_command(too_many).unwrap_err();
    assert_eq!(refused["code"], "bad_request");
    assert!(refused["message"].as_str().unwrap().contains("1024"), "{refused}");
}

fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.bits() as u8).collect()
}

/// What somebody says who speaks something else.
fn nonsense(random: &mut Random) -> Vec<Vec<u8>> {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".iter().copied().chain(0..=255);
    let mut all: Vec<Vec<u8>> = (0..40).map(|round| noise(random, 1 + round * 997)).collect();
    all.extend([
        hello.collect(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /v1/push HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
            .to_vec(),
        vec![b'\n'; 100_000],
        vec![0; 100_000],
    ]);
    all
}

/// Says it and leaves, with whatever answer there is.
fn say(mut raw: Raw, what: &[u8]) {
    if raw.try_send(what).is_ok() {
        raw.end_writing();
    }
    raw.rest();
}

pub fn at_the_client_port(siege: &mut Siege) {
    let mut random = Random::new(0x6a88);
    nonsense(&mut random).iter().for_each(|bytes| say(siege.raw(61), bytes));
}

pub fn at_the_backend_port(siege: &mut Siege) {
    let mut random = Random::new(0x6a89);
    nonsense(&mut random).iter().for_each(|bytes| say(siege.raw_backend(), bytes));
    for round in 0..40 {
        let mut link = siege.raw_backend();
        link.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
        assert_eq!(link.answer().status, 101);
        let garbage = match round % 4 {
            0 => noise(&mut random, 5_000),
            1 => masked(BINARY, &noise(&mut random, 5_000)),
            2 => masked(TEXT, "[".repeat(50_000).as_bytes()),
            _ => masked(TEXT, format!("{{\"op\":\"push\",\"to\":{{\"user\":\"{round}").as_bytes()),
        };
        say(link, &garbage);
    }
}

pub fn within_a_session(siege: &mut Siege) {
    let mut random = Random::new(0x6a90);
    for round in 0..60 {
        let raw = siege.intruder(62, &format!("noisy {round}"));
        let bytes = noise(&mut random, 1 + round * 501);
        say(raw, &bytes);
    }
}
