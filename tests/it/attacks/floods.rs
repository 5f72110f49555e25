//! Who sends much of what is cheap to send.

use super::siege::Siege;
use crate::misbehaving::empty_fragments;
use crate::raw::{CLOSE, PING, Raw, masked, upgrade};
use flate2::{Compress, Compression, FlushCompress};
use std::io::Write;
use std::thread;

const COUNT: u64 = 20;

/// Sends while it reads; the Close frame must be the one given.
fn floods(mut raw: Raw, bytes: &[u8], close: (u16, &str)) {
    let mut sender = raw.sender();
    thread::scope(|scope| {
        // The server may be gone before all of it is sent.
        scope.spawn(move || sender.write_all(bytes).is_ok());
        let frame = std::iter::from_fn(|| raw.frame()).find(|frame| frame.first == CLOSE).expect("a Close");
        assert_eq!(frame.close(), close);
        raw.end_writing();
        raw.rest();
    });
}

pub fn fragments(siege: &mut Siege) {
    let flood = empty_fragments(100_000);
    siege.counts(["closed", "1008"], COUNT, |siege| {
        for number in 0..COUNT {
            floods(siege.intruder(50, &format!("fragments {number}")), &flood, (1008, ""));
        }
    });
}

pub fn pings(siege: &mut Siege) {
    let flood = masked(PING, &[b'x'; 125]).repeat(5_000);
    siege.counts(["throttled", "messages"], COUNT, |siege| {
        for number in 0..COUNT {
            floods(siege.intruder(51, &format!("pings {number}")), &flood, (1008, "too fast"));
        }
    });
}

/// The payload of a compressed message that inflates to a gibibyte (RFC 7692 §7.2.1).
fn bomb() -> Vec<u8> {
    let mebibyte = vec![0; 1 << 20];
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 16);
    compress.compress_vec(&mebibyte, &mut block, FlushCompress::Full).unwrap();
    assert_eq!(compress.total_in(), 1 << 20);
    // A full flush ends each block: one after the other they make a stream.
    let mut bomb = block.repeat(1024);
    assert!(bomb.ends_with(&[0, 0, 0xff, 0xff]));
    bomb.truncate(bomb.len() - 4);
    bomb
}

pub fn deflate_bombs(siege: &mut Siege) {
    let bomb = bomb();
    assert!(bomb.len() < (1 << 20) + (1 << 17), "{} bytes are sent for a gibibyte", bomb.len());
    let frame = masked(0xc2, &bomb);
    let before = siege.server.peak_resident_bytes();
    let token = super::siege::pass("bomber", serde_json::json!([]));
    siege.counts(["closed", "1009"], COUNT, |siege| {
        for _ in 0..COUNT {
            let mut raw = siege.raw(52);
            let offer =
                "Sec-WebSocket-Protocol: gannet.raw\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
            raw.send(upgrade(&format!("/ws?token={token}"), offer));
            let answer = raw.answer();
            assert_eq!(answer.status, 101);
            assert!(answer.header("sec-websocket-extensions").is_some());
            floods(raw, &frame, (1009, ""));
        }
    });
    let after = siege.server.peak_resident_bytes();
    println!(
        "  {} bytes sent for a gibibyte; at most {before} bytes resident before, {after} now",
        bomb.len()
    );
    assert!(after <= before + (16 << 20), "{after} bytes resident, {before} before");
}
