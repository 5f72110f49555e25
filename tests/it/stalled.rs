//! Messages for a player whose socket is full: what becomes of them, and what the publisher is told.

use crate::raw::{Raw, TEXT};
use crate::support::*;

/// A player behind a full socket: its outbox holds at least two messages, the second of them not begun.
pub fn stalled(server: &Ports, user: &str) -> (Raw, usize) {
    let mut raw = Raw::narrow_player(server.client, &format!("/ws?user={user}"));
    let mut backend = server.backend();
    let mut sent = 0;
    loop {
        let session = backend.ok("GET", &format!("/v1/sessions?user={user}"))["sessions"][0].take();
        if session["queued_messages"].as_u64().unwrap() >= 2 {
            return (raw, sent);
        }
        assert!(!raw.is_readable() || sent < 1000, "the socket takes everything");
        assert_eq!(backend.push_text(&format!("user={user}"), &"-".repeat(50_000)).queued, 1);
        sent += 1;
    }
}

/// Reads what made the socket full.
pub fn skip(raw: &mut Raw, fill: usize) {
    for _ in 0..fill {
        assert_eq!(raw.frame().unwrap().payload.len(), 50_000);
    }
}

#[test]
fn receipts_say_what_became_of_a_message() {
    let server = TestServer::start(|_| ());
    let (mut slow, fill) = stalled(&server, "slow");
    let _quick = server.player("user=quick");
    let mut backend = server.backend();
    assert_eq!(backend.request("POST", "/v1/push?user=slow&receipt=none").status, 202);
    let queued = backend.push_text("user=slow&user=quick", "queued");
    assert_eq!((queued.queued, queued.written, queued.closed), (2, None, None));
    let quick = backend.push_text("user=quick&user=nobody&receipt=written", "quick");
    assert_eq!((quick.matched, quick.written, quick.closed, quick.offline), (1, Some(1), Some(0), 1));
    // What waits for a socket is answered when the socket has taken it, and no earlier.
    let mut waiting = server.backend();
    waiting.send_push("user=slow&user=quick&receipt=written", &tungstenite::Message::text("written"));
    let mut expiring = server.backend();
    expiring.send_push("user=slow&receipt=written&ttl_ms=50", &tungstenite::Message::text("expired"));
    let expired = expiring.receive_receipt();
    assert_eq!((expired.matched, expired.written, expired.expired), (1, Some(0), 1));
    skip(&mut slow, fill);
    assert_eq!(slow.frame().unwrap().text(), "");
    assert_eq!(slow.frame().unwrap().text(), "queued");
    assert_eq!(slow.frame().unwrap().text(), "written");
    let written = waiting.receive_receipt();
    assert!(written.adds_up(), "{written:?}");
    assert_eq!((written.matched, written.written), (2, Some(2)));
    // Closed before it was written.
    let (slower, _) = stalled(&server, "slower");
    waiting.send_push("user=slower&receipt=written", &tungstenite::Message::text("closed"));
    server.await_stats("it waits", |totals| totals["outbox_messages"].as_u64() >= Some(3));
    slower.reset();
    let closed = waiting.receive_receipt();
    assert_eq!((closed.written, closed.closed), (Some(0), Some(1)));
}

#[test]
fn no_time_to_live_is_now_or_never() {
    let server = TestServer::start(|config| config.reactors = Some(1));
    let mut ready = server.player("user=ready");
    let (_slow, _) = stalled(&server, "slow");
    let mut backend = server.backend();
    for _ in 0..50 {
        let receipt = backend.push_text("user=ready&ttl_ms=0&receipt=written", "now");
        assert_eq!((receipt.written, receipt.expired), (Some(1), 0));
        assert_eq!(ready.recv_text(), "now");
    }
    let receipt = backend.push_text("user=slow&ttl_ms=0&receipt=written", "never");
    assert_eq!((receipt.written, receipt.expired), (Some(0), 1));
}

#[test]
fn keys_and_classes_before_a_stalled_socket() {
    let server = TestServer::start(|config| config.limits.outbox_messages = 40);
    let (mut slow, fill) = stalled(&server, "slow");
    let mut backend = server.backend();
    let mut push = |options: &str, text: &str| backend.push_text(&format!("user=slow&{options}"), text);
    assert_eq!(push("key=score", "score 1").replaced, 0);
    assert_eq!(push("class=droppable", "droppable").queued, 1);
    assert_eq!(push("", "normal").queued, 1);
    assert_eq!(push("key=score", "score 2").queued, 1);
    assert_eq!(push("key=other&class=urgent", "urgent 1").queued, 1);
    assert_eq!(push("class=urgent", "urgent 2").queued, 1);
    assert_eq!(push("key=other&class=urgent", "urgent 3").queued, 1);
    // What became of messages is counted at the end of a turn, and the receipt may be there before.
    let totals = server.await_stats("two are replaced", |totals| totals["deliveries"]["replaced"] == 2);
    assert_eq!(totals["deliveries"]["dropped"], 0);
    // Fill it up: the droppable one goes first, and one that is droppable itself finds no room.
    let waiting = server.backend().ok("GET", "/v1/sessions?user=slow")["sessions"][0]["queued_messages"]
        .as_u64()
        .unwrap();
    for number in waiting..41 {
        assert_eq!(push("", &format!("more {number}")).queued, 1);
    }
    let dropped = push("class=droppable", "no room");
    assert_eq!((dropped.queued, dropped.dropped), (0, 1));
    server.await_stats("both are counted", |totals| totals["deliveries"]["dropped"] == 2);
    let mut texts = Vec::new();
    let mut fills = 0;
    while texts.len() < 5 + (41 - waiting) as usize - 1 {
        let frame = slow.frame().unwrap();
        assert_eq!(frame.first, TEXT);
        match frame.payload.len() {
            50_000 => fills += 1,
            _ => texts.push(frame.text().to_owned()),
        }
    }
    // The urgent ones overtook the fill that was not on the wire, and all else.
    let rest: Vec<String> = (waiting..41).map(|number| format!("more {number}")).collect();
    let expected = ["urgent 3", "urgent 2", "score 2", "normal"].map(str::to_owned).into_iter().chain(rest);
    assert_eq!(texts, expected.collect::<Vec<_>>());
    assert!(fills <= fill);
}
