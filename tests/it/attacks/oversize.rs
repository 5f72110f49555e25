//! Everything larger than its bound: heads, frames, messages, and what the backend port takes.

use super::stage::{Stage, guarded};
use crate::raw::{CLOSE, Raw, masked, request_with, upgrade};
use crate::support::encoded;

pub fn upgrades(stage: &mut Stage) {
    let long = "x".repeat(20_000);
    let table = [
        (upgrade("/ws", &format!("X: {long}\r\n")), 431),
        (upgrade("/ws", &"X: y\r\n".repeat(300)), 431),
        (upgrade(&format!("/ws?user={}", &long[..9_000]), ""), 414),
    ];
    for _ in 0..10 {
        for (request, status) in &table {
            let mut raw = stage.connect();
            raw.send(request);
            assert_eq!(raw.answer().status, *status);
            raw.end_writing();
            raw.rest();
        }
    }
}

pub fn messages(stage: &mut Stage) {
    // The header alone says too much; nothing of the payload is waited for, or room made for it.
    let announced = |length: u64| [&[0x82, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
    let part = masked(0x02, &[b'x'; 700_000]);
    let rest = masked(0x80, &[b'x'; 700_000]);
    let table = [
        announced((1 << 20) + 1),
        announced(1 << 40),
        announced((1 << 63) - 1),
        [part, rest[..20].to_vec()].concat(),
    ];
    for _ in 0..5 {
        for bytes in &table {
            let mut raw = stage.player(&format!("/ws?{}", guarded("eve", "g")));
            raw.send(bytes);
            let frame = raw.frame().unwrap();
            assert_eq!((frame.first, frame.close().0), (CLOSE, 1009));
            raw.end_writing();
            raw.rest();
        }
    }
}

pub fn requests(stage: &mut Stage) {
    let long = "x".repeat(129);
    let many: String = (0..65).map(|number| format!("user=u{number}&")).collect();
    let head = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: gannet\r\n{more}\r\n");
    let lines = "{\"op\":\"push\",\"to\":{\"user\":\"nobody\"},\"text\":\"\"}\n".repeat(101);
    let table = [
        ("a head", head("GET /v1/stats", &format!("X: {}\r\n", "x".repeat(20_000))), 431),
        ("header fields", head("GET /v1/stats", &"X: y\r\n".repeat(300)), 431),
        ("a target", head(&format!("GET /v1/stats?{}", "x".repeat(9_000)), ""), 414),
        ("a body", head("POST /v1/push?all=1", "Content-Length: 1048577\r\n"), 413),
        (
            "a body beyond numbers",
            head("POST /v1/push?all=1", "Content-Length: 99999999999999999999\r\n"),
            413,
        ),
        ("a push", request_with("POST /v1/push?user=nobody", &"x".repeat(65_537)), 413),
        ("selectors", request_with(&format!("POST /v1/push?{many}"), "x"), 400),
        ("a name", request_with(&format!("POST /v1/push?user={}", encoded(&long)), "x"), 400),
        ("a group", head(&format!("GET /v1/groups/{long}"), ""), 400),
        ("a page", head("GET /v1/sessions?group=healthy&limit=100000", ""), 400),
        ("a batch", request_with("POST /v1/batch", &lines), 413),
    ];
    for (what, request, status) in table {
        let mut raw = Raw::connect(stage.server.backend);
        // It may be refused before all of it is sent.
        let _ = raw.try_send(request);
        assert_eq!(raw.answer().status, status, "{what}");
    }
}
