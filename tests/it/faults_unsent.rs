//! What the kernel has not sent yet is within the server's reach: it is replaced, it expires and it is overtaken. Judged
//! by the numbers of messages and not by times.

use crate::raw::Raw;
use crate::support::*;

/// A server whose outboxes take whatever comes, and `count` readers that do not read.
fn stalled_readers(count: usize) -> (TestServer, Vec<Raw>) {
    let server = TestServer::start(|config| {
        config.limits.outbox_messages = 1 << 20;
        config.limits.outbox_bytes = 64 << 20;
    });
    let readers = (0..count).map(|_| Raw::narrow_player(server.client, "/ws?group=slow")).collect();
    (server, readers)
}

/// A kilobyte that begins with its number.
fn numbered(number: usize) -> String {
    format!("{number:-<1000}")
}

fn number_of(text: &str) -> usize {
    text.split('-').next().unwrap().parse().unwrap()
}

/// Of so many messages to one reader the kernel has, with what a socket may hold unsent, only the first few.
const PUSHES: usize = 2_000;
const FEW: usize = PUSHES / 4;

#[test]
fn most_of_what_a_hundred_stalled_readers_are_sent_is_replaced_or_expires_and_little_is_written() {
    const READERS: u32 = 100;
    let (server, _readers) = stalled_readers(READERS as usize);
    let mut backend = server.backend();
    for number in 0..PUSHES {
        let receipt = backend.push_text("group=slow&key=state&ttl_ms=200", &numbered(number));
        assert_eq!((receipt.matched, receipt.queued), (READERS, READERS));
    }
    let totals = server.await_stats("every message has its fate", |totals| {
        let of = |outcome: &str| totals["deliveries"][outcome].as_u64().unwrap();
        // One message of each may be partly on the wire.
        let waits = totals["outbox_messages"].as_u64().unwrap();
        let settled = of("written") + of("replaced") + of("expired");
        waits <= u64::from(READERS) && settled + waits == of("queued")
    });
    let deliveries = &totals["deliveries"];
    assert_eq!(deliveries["queued"].as_u64(), Some(u64::from(READERS) * PUSHES as u64));
    assert!(deliveries["written"].as_u64() <= Some(u64::from(READERS) * FEW as u64), "{deliveries:#}");
}

#[test]
fn a_stalled_reader_who_reads_again_comes_to_the_newest_value_soon() {
    let (server, mut readers) = stalled_readers(1);
    let mut backend = server.backend();
    for number in 0..PUSHES {
        assert_eq!(backend.push_text("group=slow&key=state", &numbered(number)).queued, 1);
    }
    let mut read = 0;
    while number_of(readers[0].frame().unwrap().text()) != PUSHES - 1 {
        read += 1;
        assert!(read <= FEW, "{read} old values came first");
    }
}

#[test]
fn a_reader_who_reads_half_of_what_comes_is_behind_by_what_a_socket_may_hold_and_no_more() {
    let (server, mut readers) = stalled_readers(1);
    let mut backend = server.backend();
    let mut behind = Vec::new();
    for round in 0..PUSHES {
        for number in [2 * round, 2 * round + 1] {
            assert_eq!(backend.push_text("group=slow&key=state", &numbered(number)).queued, 1);
        }
        let value = number_of(readers[0].frame().unwrap().text());
        behind.push(2 * round + 1 - value);
    }
    let most = behind.iter().max().unwrap();
    // Each message that waits in the kernel stands for the two values of a round.
    assert!(*most <= 2 * FEW, "behind by {most} values, at the end by {}", behind.last().unwrap());
}

#[test]
fn an_urgent_message_overtakes_nearly_all_that_a_stalled_reader_has_not_been_sent() {
    let (server, mut readers) = stalled_readers(1);
    let mut backend = server.backend();
    for number in 0..PUSHES {
        assert_eq!(backend.push_text("group=slow", &numbered(number)).queued, 1);
    }
    assert_eq!(backend.push_text("group=slow&class=urgent", "urgent").queued, 1);
    let mut texts = std::iter::from_fn(|| readers[0].frame()).map(|frame| frame.text().to_owned());
    let before =
        texts.by_ref().take_while(|text| text != "urgent").map(|text| number_of(&text)).collect::<Vec<_>>();
    assert!(before.len() <= FEW, "{} messages came first", before.len());
    let behind = texts.take(PUSHES - before.len()).map(|text| number_of(&text));
    assert!(before.iter().copied().chain(behind).eq(0..PUSHES), "nothing is lost, and the rest is in order");
}

/// The setting by its name: the smaller it is, the less is out of reach.
#[test]
fn socket_unsent_bytes_bounds_what_is_written_to_a_reader_who_does_not_read() {
    let written = |unsent_bytes: usize| {
        let config = format!("[limits]\nsocket_unsent_bytes = {unsent_bytes}\noutbox_messages = 100_000\n");
        let server = ServerProcess::start(&["--reactors", "2"], &config);
        let _reader = Raw::narrow_player(server.client, "/ws?group=slow");
        let mut backend = server.backend();
        for number in 0..PUSHES {
            assert_eq!(backend.push_text("group=slow&key=state", &numbered(number)).queued, 1);
        }
        let totals = backend.stats();
        // The newest, and one that is partly on the wire.
        assert!((1..=2).contains(&totals["outbox_messages"].as_u64().unwrap()), "{totals:#}");
        totals["deliveries"]["written"].as_u64().unwrap() as usize
    };
    let (small, large) = (written(16 << 10), written(1 << 20));
    // What is unsent, what the reader's window takes, and a write that has begun below the mark.
    assert!(small <= 16 + 64, "{small} written with 16 KiB unsent");
    assert!(small < large, "{small} written with 16 KiB unsent, {large} with 1 MiB");
}
