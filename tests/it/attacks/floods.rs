//! Too much of what is allowed: time, fragments, pings, inflated bytes, and reconnections.

use super::stage::{Stage, guarded};
use crate::raw::{CLOSE, PING, Raw, TEXT, masked, upgrade};
use crate::tokens::{CHESS, HS256, connect_from, now, token};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;
use std::time::Instant;

/// What the attacks of one kind may cost the server in memory at the most, buffers and all.
const MEMORY: u64 = 24 << 20;

pub fn slow_heads(stage: &mut Stage) {
    let head = upgrade("/ws", "");
    let mut slow: Vec<Raw> = (0..100).map(|_| stage.connect()).collect();
    for (number, raw) in slow.iter_mut().enumerate() {
        raw.send(&head[..number]);
    }
    for raw in &mut slow {
        assert_eq!(raw.answer().status, 408);
        raw.rest();
    }
}

/// Sends all of `bytes` after the upgrade: the code of the Close frame that comes for it.
fn closed_for(stage: &mut Stage, headers: &str, bytes: &[u8]) -> u16 {
    let mut raw = stage.connect();
    raw.send(upgrade(&format!("/ws?{}", guarded("eve", "g")), headers));
    assert_eq!(raw.answer().status, 101);
    // It may be closed before all of it is sent.
    let sent = raw.try_send(bytes);
    loop {
        let frame = raw.frame().unwrap_or_else(|| panic!("no Close; sent: {sent:?}"));
        if frame.first == CLOSE {
            raw.end_writing();
            raw.rest();
            return frame.close().0;
        }
    }
}

pub fn fragments(stage: &mut Stage) {
    let endless = [masked(0x01, b"x"), masked(0x00, b"x").repeat(3_000)].concat();
    let empty = [masked(0x01, b""), masked(0x00, b"").repeat(3_000)].concat();
    for bytes in [&endless, &empty, &endless, &empty, &endless] {
        assert_eq!(closed_for(stage, "", bytes), 1008);
    }
}

pub fn pings(stage: &mut Stage) {
    for payload in [&b""[..], b"x", &[b'x'; 125], b"", b"x"] {
        assert_eq!(closed_for(stage, "", &masked(PING, payload).repeat(2_000)), 1008);
    }
}

/// A megabyte that inflates to a gigabyte of zeros.
fn bomb() -> Vec<u8> {
    const MIB: usize = 1 << 20;
    let mut deflater = Compress::new(Compression::new(6), false);
    let zeros = vec![0; MIB];
    let mut mebibyte = || {
        let mut out = Vec::with_capacity(MIB);
        deflater.compress_vec(&zeros, &mut out, FlushCompress::Sync).unwrap();
        out
    };
    let mut bomb = mebibyte();
    // With the window full of zeros every further one is the same.
    let further = mebibyte();
    bomb.extend(further.repeat(960));
    bomb.truncate(bomb.len() - 4);
    assert!(bomb.len() <= MIB, "{} bytes", bomb.len());
    bomb
}

pub fn deflate_bomb(stage: &mut Stage) {
    let bomb = masked(0xc2, &bomb());
    let before = stage.server.resident_bytes();
    for _ in 0..5 {
        let headers = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
                       server_no_context_takeover\r\n";
        assert_eq!(closed_for(stage, headers, &bomb), 1009);
    }
    let grown = stage.server.peak_resident_bytes().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes for a bomb");
}

/// A session's rate begins anew with each session, but the address's does not.
pub fn reconnecting(stage: &mut Stage) {
    let from = stage.address();
    let began = Instant::now();
    let mut admitted = 0;
    for _ in 0..100 {
        let mut raw = Raw::over(connect_from(from, stage.server.client));
        raw.send(upgrade(&format!("/ws?{}", guarded("eve", "g")), ""));
        match raw.answer().status {
            101 => admitted += 1,
            status => {
                assert_eq!(status, 429);
                continue;
            }
        }
        raw.send(masked(TEXT, b"x").repeat(600));
        while raw.frame().expect("a Close frame").first != CLOSE {}
        raw.end_writing();
        raw.rest();
    }
    let most = 20 + began.elapsed().as_secs() + 1;
    assert!(admitted <= most, "{admitted} upgrades where {most} were due");
}

/// A user has two places, from wherever it comes and however it leaves.
pub fn one_user_everywhere(stage: &mut Stage) {
    let claims = json!({ "sub": "eve", "exp": now() + 60 });
    let target = format!("/ws/chess?token={}", token(HS256, &claims, CHESS));
    let mut places = vec![stage.player(&target), stage.player(&target)];
    for round in 0..10 {
        for _ in 0..4 {
            assert_eq!(stage.ask(&target).status, 429);
        }
        let leaving = places.remove(0);
        if round % 2 == 0 {
            leaving.reset()
        } else {
            drop(leaving)
        }
        stage
            .server
            .await_stats("its place is free", |totals| totals["sessions"] == super::stage::HEALTHY + 1);
        places.push(stage.player(&target));
    }
}
