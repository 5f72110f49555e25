//! Players who reset the connection right behind their upgrade request: by then the kernel has forgotten where they were,
//! and the server must not have.

use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::*;
use std::collections::BTreeMap;

const COUNT: usize = 60;

/// As many players upgrade, send a message and vanish with a reset, all of it before the server gets to any of them.
fn reset_all(server: &ServerProcess) {
    let frozen = server.freeze();
    for _ in 0..COUNT {
        let mut raw = Raw::connect(server.client);
        raw.send(upgrade("/ws", ""));
        raw.send(masked(TEXT, b"hidden"));
        raw.reset();
    }
    drop(frozen);
}

#[test]
fn a_reset_hides_nobody_from_the_bounds_by_address() {
    let config = "[rates]\nupgrades_per_address = { per_second = 1, burst = 1 }";
    let server = ServerProcess::start(&["--reactors", "2"], config);
    reset_all(&server);
    let totals = server.await_stats("all have been looked at", |totals| {
        let refused = totals["refused"]["rate"].as_u64().unwrap();
        totals["opened"].as_u64().unwrap() + refused == COUNT as u64
    });
    // One at once, and one more for each second that this took.
    assert!(totals["opened"].as_u64().unwrap() < COUNT as u64 / 2, "{totals:#}");
}

#[test]
fn of_a_session_that_was_reset_a_link_hears_the_open_before_anything_else() {
    let server = ServerProcess::start(&["--reactors", "2"], "");
    let mut link = server.link();
    link.listen(&["open", "message", "close"], None);
    reset_all(&server);
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut closed = 0;
    while closed < COUNT {
        let event = link.event();
        let kind = event["event"].as_str().unwrap();
        if kind == "open" {
            assert!(event["remote"].as_str().unwrap().starts_with("127.0.0.1:"), "{event}");
        }
        closed += usize::from(kind == "close");
        heard.entry(event["session"].as_str().unwrap().to_owned()).or_default().push(kind.to_owned());
    }
    assert_eq!(heard.len(), COUNT);
    for events in heard.values() {
        // Its message is read only where the reset has not been seen before.
        assert!(events == &["open", "close"] || events == &["open", "message", "close"], "{heard:#?}");
    }
}
