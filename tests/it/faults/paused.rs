//! A session that is not read, since it sends beyond its rate, is neither idle nor late: it is the server that waits.

use super::settings::config;
use crate::raw::{Raw, TEXT, masked, upgrade};
use crate::support::*;
use serde_json::Value;

/// Waits until the server has handled `count` messages; the session must not end before.
fn await_messages(server: &Ports, count: u64) {
    // That there is no session is no sign of its end: one that has just begun is not among the sessions yet.
    let has_ended = |totals: &Value| totals["closed"].as_object().unwrap().values().any(|count| *count != 0);
    let totals = server.await_stats("every message, or the session's end", |totals| {
        totals["messages_in"].as_u64().unwrap() >= count || has_ended(totals)
    });
    assert!(!has_ended(&totals), "{:#}", totals["closed"]);
}

#[test]
fn a_session_that_sends_beyond_its_rate_all_the_time_is_not_idle() {
    // What one read brings, 16 KiB, and one message pause it for longer than `idle_ms`.
    let rates = [
        ("bytes", "{ per_second = 10000, burst = 1000 }", 60),
        ("messages", "{ per_second = 1, burst = 1 }", 4),
    ];
    for (what, rate, count) in rates {
        let common = format!(
            "rates.beyond = 'pause'\nrates.{what} = {rate}\ntimeouts.ping_ms = 200\ntimeouts.idle_ms = 600"
        );
        let server = ServerProcess::start(&["--reactors", "2"], &config(&common, ""));
        let mut player = Raw::connect(server.client);
        // All that it says is there before it is a session: on a busy machine too there is always something to read.
        let says = masked(TEXT, &[b'x'; 1000]).repeat(2 * count as usize);
        player.send([upgrade("/ws", "").into_bytes(), says].concat());
        assert_eq!(player.answer().status, 101);
        await_messages(&server, count);
        assert!(server.backend().stats()["throttled"][what].as_u64() >= Some(1));
    }
}

#[test]
fn a_message_that_the_server_does_not_read_on_is_not_late() {
    let common = "rates.beyond = 'pause'\nrates.bytes = { per_second = 20000, burst = 1000 }";
    let server = ServerProcess::start(&["--reactors", "2"], &config(common, "timeouts.message_ms = 1000"));
    let mut player = Raw::player(server.client, "/ws");
    // All of it is there at once. At its rate it is read in three seconds.
    player.send(masked(TEXT, &[b'x'; 60_000]));
    await_messages(&server, 1);
}
