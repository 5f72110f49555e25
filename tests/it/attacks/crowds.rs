//! Very many at once: connections from one address, and players who do not read.

use super::stage::{HEALTHY, Stage, guarded};
use crate::raw::Raw;
use crate::tokens::connect_from;
use serde_json::Value;
use std::net::TcpStream;

const CROWD: usize = 5_000;
/// As many as the configuration says an address may have.
const SHARE: usize = 200;
const STALLED: usize = 200;
/// What a stalled reader's outbox may hold: as configured, and what is partly on the wire counts whole.
const OUTBOX: u64 = 131_072 + 65_600;
/// The messages are shared, and so the outboxes hold little more than references to them.
const MEMORY: u64 = 32 << 20;

/// Beyond its share an address is closed as it comes; others get in meanwhile. Those within it say nothing, so that in the end
/// they make room for as many that say nothing either.
pub fn turned_away(stage: &mut Stage) {
    let turned_away = |totals: &Value| {
        let refused = |reason: &str| totals["refused"][reason].as_u64().unwrap() as usize;
        refused("connections") + refused("head_timeout")
    };
    let before = turned_away(&stage.stats());
    let from = stage.address();
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect_from(from, stage.server.client)).collect();
    let welcome = stage.player(&format!("/ws?{}", guarded("late", "g")));
    stage.server.await_stats("all but its share are turned away", |totals| {
        turned_away(totals) >= before + CROWD - SHARE
    });
    drop((crowd, welcome));
}

pub fn let_in(stage: &mut Stage) {
    let from = stage.address();
    let client = stage.server.client;
    let enter =
        |number| Raw::over(connect_from(from, client)).upgraded(&format!("/ws?user=c{number}&group=crowd"));
    let crowd: Vec<Raw> = (0..CROWD).map(enter).collect();
    assert_eq!(stage.stats()["sessions"], HEALTHY + CROWD);
    assert_eq!(stage.backend.push_text("group=crowd", "hello").queued as usize, CROWD);
    crowd.into_iter().for_each(|mut raw| assert_eq!(raw.frame().unwrap().text(), "hello"));
}

pub fn stalled(stage: &mut Stage) {
    let client = stage.server.client;
    let stall = |number| Raw::narrow_player(client, &format!("/ws?user=s{number}&group=busy"));
    let readers: Vec<Raw> = (0..STALLED).map(stall).collect();
    let before = stage.server.resident_bytes();
    let text = "x".repeat(65_000);
    let closed = |stage: &mut Stage| stage.stats()["closed"]["4003"].as_u64().unwrap() as usize;
    let (mut most, mut pushes) = (0, 0);
    while closed(stage) < STALLED {
        stage.backend.push_text("group=busy", &text);
        let waiting = stage.stats()["outbox_bytes"].as_u64().unwrap();
        // The healthy may be behind by a few numbers.
        assert!(waiting <= STALLED as u64 * OUTBOX + 100 * HEALTHY as u64, "{waiting} bytes wait");
        most = most.max(waiting);
        pushes += 1;
        assert!(pushes < 1_000, "sixty megabytes cannot be on the way to each");
    }
    let grown = stage.server.peak_resident_bytes().saturating_sub(before);
    println!("{STALLED} stalled readers: {most} bytes waited at the most, {grown} bytes more were resident");
    assert!(grown < MEMORY, "{grown} bytes for {most} that waited");
    drop(readers);
}
