//! Streams that are cut, lie about themselves, or are larger than their bounds.

use super::{COUNTS, PATIENCE, ROOM, borrowed, framed, hello, marked, pair, receiving};
use crate::upgrade::frame::HEADER;
use crate::upgrade::message::{Ack, Batch, End, Message};
use crate::upgrade::{
    Cause, Counts, Line, MAX_DESCRIPTORS, Parking, Peer, Sink, Source, Totals, Unparked, socket,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

const STATE: &[u8] = b"two players";

/// A stream of one batch with two descriptors.
fn small_stream(totals: Totals, counts: Counts) -> Vec<u8> {
    let batch = Message::Batch(Batch { part: 5, bytes: STATE.len() as u64 });
    [framed(&batch, 2), STATE.to_vec(), framed(&Message::End(End { totals, counts }), 0)].concat()
}

fn small_totals() -> Totals {
    Totals { batches: 1, descriptors: 2, bytes: STATE.len() as u64 }
}

/// How many batches come out of a live stream, and what is wrong with it.
fn read(bytes: &[u8], descriptors: &[OwnedFd], max_bytes: u64) -> (usize, Result<(), Cause>) {
    let (line, _far) = receiving(bytes, descriptors);
    let mut source = Source::live(line, max_bytes);
    let mut batches = 0;
    loop {
        match source.next() {
            Ok(Some(_)) => batches += 1,
            Ok(None) => return (batches, Ok(())),
            Err(fault) => return (batches, Err(fault.cause)),
        }
    }
}

#[test]
fn a_stream_that_is_cut_at_any_byte_is_lost() {
    let two = [marked("one"), marked("two")];
    let whole = small_stream(small_totals(), COUNTS);
    assert!(matches!(read(&whole, &two, ROOM), (1, Ok(()))));
    let batch = whole.len() - framed(&Message::End(End { totals: small_totals(), counts: COUNTS }), 0).len();
    for end in 0..whole.len() {
        let (batches, result) = read(&whole[..end], &two, ROOM);
        assert!(matches!(result, Err(Cause::Lost)), "cut at {end}: {result:?}");
        assert_eq!(batches, usize::from(end >= batch), "cut at {end}");
    }
}

#[test]
fn a_parked_stream_that_is_cut_at_any_byte_is_lost() {
    let parking = Parking::new(&hello(), &[]).unwrap();
    let mut sink = Sink::parked(parking);
    sink.batch(5, &[], STATE).unwrap();
    sink.end(COUNTS).unwrap();
    let stored = sink.into_parked().unwrap();
    let (mut bytes, mut memory) = (vec![0; 4096], Vec::new());
    let mut length = 0;
    while let Ok(count @ 1..) = socket::receive(stored.as_fd(), &mut bytes[length..], &mut memory) {
        length += count;
    }
    for end in 0..=length {
        let (reading, writing) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let sent =
            socket::send(writing.as_fd(), &[IoSlice::new(&bytes[..end])], &borrowed(&memory)[..end.min(1)]);
        assert_eq!(sent, Ok(end));
        let result = Unparked::read(reading).and_then(|Unparked { unparking, .. }| {
            let mut source = Source::parked(unparking, ROOM);
            while source.next()?.is_some() {}
            Ok(())
        });
        match result {
            Ok(()) => assert_eq!(end, length),
            Err(fault) => assert!(end < length && fault.is_lost(), "cut at {end}: {fault}"),
        }
    }
}

#[test]
fn counts_that_differ_are_seen() {
    let two = [marked("one"), marked("two")];
    let right = small_totals();
    for (wrong, what) in [
        (Totals { batches: 2, ..right }, "batches"),
        (Totals { descriptors: 1, ..right }, "descriptors"),
        (Totals { bytes: 0, ..right }, "bytes of state"),
    ] {
        let (_, result) = read(&small_stream(wrong, COUNTS), &two, ROOM);
        assert!(matches!(result, Err(Cause::Counts { what: seen, .. }) if seen == what), "{result:?}");
    }
}

#[test]
fn an_acknowledgement_of_something_else_is_seen() {
    for (descriptors, bytes) in [(1, 0), (0, 1)] {
        let (old, mut new) = pair();
        let mut sink = Sink::live(old);
        sink.batch(0, &[], &[]).unwrap();
        new.send(&Message::Ack(Ack { descriptors, bytes }), &[]).unwrap();
        let fault = sink.end(COUNTS).unwrap_err();
        assert!(matches!(fault.cause, Cause::Counts { sent: 0, arrived: 1, .. }), "{fault}");
    }
}

#[test]
fn descriptors_that_are_missing_or_too_many_are_seen() {
    let files: Vec<_> = ["one", "two", "three"].map(marked).into();
    let whole = small_stream(small_totals(), COUNTS);
    for count in [0, 1, 3] {
        let (_, result) = read(&whole, &files[..count], ROOM);
        let arrived = count as u64;
        assert!(matches!(result, Err(Cause::Descriptors { announced: 2, arrived: seen }) if seen == arrived));
    }
}

#[test]
fn descriptors_in_the_middle_of_a_state_are_seen() {
    let (near, far) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let batch = framed(&Message::Batch(Batch { part: 0, bytes: 4 }), 0);
    socket::send(far.as_fd(), &[IoSlice::new(&batch)], &[]).unwrap();
    socket::send(far.as_fd(), &[IoSlice::new(b"some")], &[far.as_fd()]).unwrap();
    let mut line = Line::new(near, Peer::Old);
    line.set_deadline(Instant::now() + PATIENCE);
    let fault = Source::live(line, ROOM).next().unwrap_err();
    assert!(matches!(fault.cause, Cause::Descriptors { announced: 0, arrived: 1 }), "{fault}");
}

#[test]
fn a_message_with_descriptors_that_it_cannot_have_is_refused() {
    for (message, count) in [(Message::Taken(COUNTS), 1), (Message::Token, 0), (Message::Hello(hello()), 2)] {
        let files: Vec<_> = (0..count).map(|_| marked("stray")).collect();
        let (mut line, _far) = receiving(&framed(&message, count), &files);
        assert!(matches!(line.receive().map(drop).unwrap_err().cause, Cause::Invalid(_)), "{message:?}");
    }
}

#[test]
fn lengths_beyond_their_bounds_are_refused_before_they_are_read() {
    for (length, descriptors, what) in [
        ((64 << 10) + 1, 0, "65537 bytes of a message are more than 65536"),
        (u32::MAX, 0, "4294967295 bytes of a message are more than 65536"),
        (0, MAX_DESCRIPTORS as u32 + 1, "254 descriptors of a message are more than 253"),
    ] {
        let header: [u32; HEADER / 4] = [length, descriptors];
        let (mut line, _far) = receiving(&header.map(u32::to_le_bytes).concat(), &[]);
        assert_eq!(line.receive().map(drop).unwrap_err().to_string(), what);
    }
}

#[test]
fn more_state_than_is_allowed_is_refused_before_it_is_read() {
    let two = [marked("one"), marked("two")];
    let room = STATE.len() as u64;
    let whole = small_stream(small_totals(), COUNTS);
    assert!(matches!(read(&whole, &two, room), (1, Ok(()))));
    assert!(matches!(read(&whole, &two, room - 1), (0, Err(Cause::TooLarge { .. }))));

    let batch = |bytes| framed(&Message::Batch(Batch { part: 0, bytes }), 0);
    assert!(matches!(read(&batch(u64::MAX), &[], ROOM), (0, Err(Cause::TooLarge { .. }))));
    // The bound is on all batches together.
    let both = [batch(1), vec![0], batch(u64::MAX)].concat();
    assert!(matches!(read(&both, &[], ROOM), (1, Err(Cause::TooLarge { size: u64::MAX, .. }))));
}

#[test]
fn a_state_that_was_announced_and_does_not_come_takes_no_memory() {
    let announced = framed(&Message::Batch(Batch { part: 0, bytes: u64::MAX }), 0);
    assert!(matches!(read(&announced, &[], u64::MAX), (0, Err(Cause::Lost))));
}

#[test]
fn a_batch_of_too_many_descriptors_is_not_sent() {
    let (old, _new) = pair();
    let file = marked("one");
    let fault = Sink::live(old).batch(0, &[file.as_fd(); MAX_DESCRIPTORS + 1], &[]).unwrap_err();
    assert!(matches!(fault.cause, Cause::TooLarge { size: 254, most: 253, .. }));
}

#[test]
fn a_full_store_is_said_to_be_full() {
    let file = marked("one");
    let mut sink = Sink::parked(Parking::new(&hello(), &[]).unwrap());
    let fault = loop {
        if let Err(fault) = sink.batch(0, &[file.as_fd()], &[]) {
            break fault;
        }
    };
    assert!(matches!(fault.cause, Cause::Full), "{fault}");
}

#[test]
fn a_parked_state_that_can_be_changed_is_refused() {
    let mut sink = Sink::parked(Parking::new(&hello(), &[]).unwrap());
    sink.batch(0, &[], STATE).unwrap();
    // It was not ended, hence not sealed.
    let fault = Unparked::read(sink.into_parked().unwrap()).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "what the store of descriptors sent cannot be read: the state is not sealed"
    );
}
