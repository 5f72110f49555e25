//! Bytes that mean nothing, on every port and at every stage, reproducible by their seeds.

use super::stage::{Stage, guarded};
use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::Random;

/// The beginning of a TLS 1.2 ClientHello (RFC 8446 §4.1.2, in a record of §5.1).
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x04\x13\x01\x13\x02\x01\x00\x00\x05\x00\x0b\x00\x02\x01\x00";

fn noise(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = 1 + random.below(4_000);
    (0..length).map(|_| random.bits() as u8).collect()
}

/// What a peer may say to whom an HTTP request is due.
fn not_http() -> impl Iterator<Item = Vec<u8>> {
    let almost: [&[u8]; 8] = [
        CLIENT_HELLO,
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: gannet\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/push?all=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /ws\0 HTTP/1.1\r\nHost: gannet\r\n\r\n",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    ];
    (0..42).map(noise).chain(almost.map(<[u8]>::to_vec))
}

/// Sends it, says that it was all, and reads to the end that must come.
fn end_with(mut raw: Raw, bytes: &[u8]) -> Vec<u8> {
    // It may be closed before all of it is sent.
    if raw.try_send(bytes).is_ok() {
        raw.end_writing();
    }
    raw.rest()
}

pub fn before_the_upgrade(stage: &mut Stage) {
    for bytes in not_http() {
        let answer = end_with(stage.connect(), &bytes);
        assert!(!answer.starts_with(b"HTTP/1.1 1") && !answer.starts_with(b"HTTP/1.1 2"), "{bytes:?}");
    }
}

pub fn after_the_upgrade(stage: &mut Stage) {
    for seed in 100..150 {
        let raw = stage.player(&format!("/ws?{}", guarded("eve", "g")));
        // Half of it in frames that are well formed but for what is in them.
        let bytes = noise(seed);
        match seed % 5 {
            0 => end_with(raw, &masked(TEXT, &bytes)),
            _ => end_with(raw, &[&[bytes[0] | 0x70], &bytes[..]].concat()),
        };
    }
}

pub fn on_the_backend_port(stage: &mut Stage) {
    for bytes in not_http() {
        let answer = end_with(Raw::connect(stage.server.backend), &bytes);
        assert!(!answer.starts_with(b"HTTP/1.1 1") && !answer.starts_with(b"HTTP/1.1 2"), "{bytes:?}");
    }
}

pub fn on_links(stage: &mut Stage) {
    let link = |stage: &Stage| {
        let mut raw = Raw::connect(stage.server.backend);
        raw.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
        assert_eq!(raw.answer().status, 101);
        raw
    };
    for seed in 200..230 {
        end_with(link(stage), &noise(seed));
        end_with(link(stage), &masked(TEXT, &noise(seed)));
        end_with(link(stage), &masked(0x82, &noise(seed)));
    }
    // What is JSON but no command is answered, and the link goes on.
    let mut raw = link(stage);
    for text in
        ["{}", "[]", "7", "{\"op\":7}", "{\"op\":\"push\"}", "{\"op\":\"listen\",\"events\":[\"all\"]}"]
    {
        raw.send(masked(TEXT, text.as_bytes()));
        let frame = raw.frame().unwrap();
        assert!(frame.first == TEXT && frame.text().contains("\"error\""), "{text}: {frame:?}");
    }
    end_with(raw, b"");
}
