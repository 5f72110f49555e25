//! Batches, live and parked.

use super::{COUNTS, ROOM, borrowed, hello, mark_of, marked, pair};
use crate::upgrade::{MAX_DESCRIPTORS, Parking, Sink, Source, Totals, Unparked};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

fn many(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|number| marked(&number.to_string())).collect()
}

/// A state that is long, and unlike those of other parts.
fn state(part: u32) -> Vec<u8> {
    (0..part * 50_021).map(|at| (at ^ at >> 8 ^ part) as u8).collect()
}

/// Sends descriptors in batches, and part 0 twice.
fn send(sink: &mut Sink, descriptors: &[OwnedFd]) {
    for (part, some) in descriptors.chunks(MAX_DESCRIPTORS).enumerate() {
        sink.batch(part as u32, &borrowed(some), &state(part as u32)).unwrap();
    }
    sink.batch(0, &[], b"shared").unwrap();
    sink.end(COUNTS).unwrap();
}

fn check(source: &mut Source, count: usize) {
    let mut marks = Vec::new();
    for part in 0..count.div_ceil(MAX_DESCRIPTORS) as u32 {
        let batch = source.next().unwrap().unwrap();
        assert_eq!((batch.part, batch.state), (part, state(part)));
        marks.extend(batch.descriptors.iter().map(mark_of));
    }
    let last = source.next().unwrap().unwrap();
    assert_eq!((last.part, last.descriptors.len(), &last.state[..]), (0, 0, &b"shared"[..]));
    assert_eq!(source.counts(), None);
    assert!(source.next().unwrap().is_none());
    assert!(source.next().unwrap().is_none());
    assert_eq!(source.counts(), Some(COUNTS));
    assert_eq!(marks, (0..count).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_live_stream_carries_descriptors_and_states() {
    let (old, new) = pair();
    let sender = thread::spawn(move || {
        let mut sink = Sink::live(old);
        send(&mut sink, &many(600));
        let totals = sink.totals();
        assert_eq!(sink.line().unwrap().receive_taken().unwrap(), COUNTS);
        totals
    });
    let mut source = Source::live(new, ROOM);
    check(&mut source, 600);
    source.line().unwrap().send_taken(COUNTS).unwrap();
    let totals = sender.join().unwrap();
    assert_eq!(totals, source.totals());
    assert_eq!(totals, Totals { batches: 4, descriptors: 600, bytes: 3 * 50_021 + 6 });
}

#[test]
fn a_parked_stream_waits_for_its_reader() {
    let [clients, backends] = ["clients", "backends"].map(marked);
    let listeners = [("clients", clients.as_fd()), ("backends", backends.as_fd())];
    let mut sink = Sink::parked(Parking::new(&hello(), &listeners).unwrap());
    send(&mut sink, &many(600));
    let stored = sink.into_parked().unwrap();
    drop((clients, backends));

    let Unparked { hello: read, listeners, unparking } = Unparked::read(stored).unwrap();
    assert_eq!(read, hello());
    let labels: Vec<_> = listeners.iter().map(|(label, listener)| (&label[..], mark_of(listener))).collect();
    assert_eq!(labels, [("clients", "clients".to_owned()), ("backends", "backends".to_owned())]);
    check(&mut Source::parked(unparking, ROOM), 600);
}
