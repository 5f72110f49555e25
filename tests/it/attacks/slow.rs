//! Who takes time: to ask, and to read.

use super::siege::{Siege, pass};
use crate::raw::{Raw, upgrade};
use crate::support::{OverTcp, tls};
use serde_json::json;

pub fn heads(siege: &mut Siege) {
    const COUNT: usize = 200;
    let head = upgrade("/ws", &format!("X: {}", "x".repeat(10_000)));
    let mut trickling: Vec<Raw> = (0..COUNT).map(|_| siege.raw(40)).collect();
    siege.counts(["refused", "head_timeout"], COUNT as u64, |_| {
        let mut bytes = head.bytes();
        while !trickling.iter_mut().all(Raw::is_readable) {
            let byte = bytes.next().expect("408 before ten thousand bytes");
            for raw in &mut trickling {
                // It may have been answered and closed.
                let _ = raw.is_readable() || raw.try_send([byte]).is_err();
            }
        }
    });
}

pub fn readers(siege: &mut Siege) {
    const COUNT: u64 = 200;
    const OUTBOX: u64 = 131_072;
    const TEXT: u64 = 16_384;
    let target = format!("/ws?token={}", pass("idler", json!(["busy"])));
    let before = siege.server.resident_bytes();
    let readers: Vec<Raw> = (0..COUNT).map(|_| siege.narrow(41).upgraded(&target)).collect();
    let (mut waiting, mut resident) = (0, 0);
    siege.counts(["closed", "4003"], COUNT, |siege| {
        for number in 0..2_000 {
            let text = format!("{number:-<width$}", width = TEXT as usize);
            if siege.backend.push_text("group=busy", &text).matched == 0 {
                return;
            }
            waiting = waiting.max(siege.backend.stats()["outbox_bytes"].as_u64().unwrap());
            resident = resident.max(siege.server.resident_bytes());
        }
        panic!("thirty megabytes cannot be on their way to each");
    });
    println!("  at most {waiting} bytes in 200 outboxes; {before} bytes resident before, {resident} at most");
    // One text may be partly on the wire beyond the bound; the crowd's messages are of a few bytes.
    assert!(waiting <= COUNT * (OUTBOX + TEXT + 16) + 100_000, "{waiting} bytes wait");
    assert!(
        resident <= before + COUNT * (OUTBOX + TEXT) + (16 << 20),
        "{resident} bytes resident, {before} before"
    );
    drop(readers);
}

/// Connections that do not begin, or stop within their first record.
pub fn handshakes<S: OverTcp>(siege: &mut Siege<S>) {
    const COUNT: usize = 200;
    let mut hello = Vec::new();
    tls::connect(siege.server.client).conn.write_tls(&mut hello).unwrap();
    siege.counts(["refused", "tls_timeout"], COUNT as u64, |siege| {
        let mut slow: Vec<Raw> = (0..COUNT).map(|_| siege.raw(42)).collect();
        for (number, raw) in slow.iter_mut().enumerate() {
            raw.send(&hello[..(hello.len() - 1) * (number % 3) / 2]);
        }
        slow.iter_mut().for_each(|raw| _ = raw.rest());
    });
}
