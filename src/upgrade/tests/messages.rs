//! Messages, and what versions may do to each other.

use super::{COUNTS, framed, hello, mark_of, marked, pair, receiving};
use crate::upgrade::frame::HEADER;
use crate::upgrade::message::{Ack, Batch, End, FIRST_NOTE, Listeners, MAX_MESSAGE, Message, Refused};
use crate::upgrade::{Cause, Fault, Formats, Hello, PROTOCOL, Ready, Totals};
use minicbor::Encoder;
use std::os::fd::AsFd;

fn ready() -> Ready {
    Ready {
        version: "0.2.0".to_owned(),
        formats: hello().formats,
        reactors: 2,
        notes: vec!["fewer".to_owned()],
    }
}

fn all() -> Vec<Message> {
    let totals = Totals { batches: 1, descriptors: 2, bytes: u64::MAX };
    vec![
        Message::Hello(hello()),
        Message::Ready(ready()),
        Message::Refused(Refused::new("no")),
        Message::Bye,
        Message::Listeners(Listeners { labels: vec!["clients".to_owned()] }),
        Message::Token,
        Message::Batch(Batch { part: 3, bytes: 70_000 }),
        Message::Ack(Ack { descriptors: 253, bytes: 0 }),
        Message::End(End { totals, counts: COUNTS }),
        Message::Taken(COUNTS),
        Message::Serving,
    ]
}

/// A message with this number, a body with one field that is not known, and an element behind it.
fn from_the_future(number: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.array(3).unwrap().u32(number).unwrap();
    encoder.map(1).unwrap().u32(99).unwrap().array(2).unwrap().str("new").unwrap().bytes(&[1; 300]).unwrap();
    encoder.begin_map().unwrap().end().unwrap();
    encoder.into_writer()
}

#[test]
fn every_message_is_read_as_it_was_written() {
    for (number, message) in all().into_iter().enumerate() {
        let bytes = message.encode();
        assert_eq!(&bytes[..2], [0x82, number as u8], "an array of two, and the number");
        assert_eq!(Message::decode(&bytes), Ok(Some(message)));
    }
}

#[test]
fn no_prefix_of_a_message_is_one() {
    for message in all() {
        let bytes = message.encode();
        for end in 0..bytes.len() {
            assert!(Message::decode(&bytes[..end]).is_err(), "{message:?} cut at {end}");
        }
        assert!(Message::decode(&[&bytes[..], &[0]].concat()).is_err(), "{message:?} with a byte behind it");
    }
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    assert_eq!(Message::decode(&from_the_future(3)), Ok(Some(Message::Bye)));
    assert_eq!(Message::decode(&from_the_future(FIRST_NOTE)), Ok(None));
    assert_eq!(Message::decode(&from_the_future(u32::MAX)), Ok(None));
    let unknown = Message::decode(&from_the_future(FIRST_NOTE - 1)).unwrap_err();
    assert_eq!(unknown.to_string(), "message 127 is unknown");
}

#[test]
fn a_note_is_skipped_with_its_descriptors() {
    let note = from_the_future(FIRST_NOTE);
    let mut bytes = [(note.len() as u32).to_le_bytes(), 1u32.to_le_bytes()].concat();
    bytes.extend(note);
    bytes.extend(framed(&Message::Taken(COUNTS), 0));
    let (mut line, _far) = receiving(&bytes, &[marked("note")]);
    assert_eq!(line.receive_taken().unwrap(), COUNTS);
}

#[test]
fn a_hello_of_another_protocol_is_refused() {
    for protocol in [0, PROTOCOL + 1, u32::MAX] {
        let message = Message::Hello(Hello { protocol, ..hello() });
        let (mut line, _far) = receiving(&framed(&message, 0), &[]);
        let fault = line.receive_hello().unwrap_err();
        assert!(matches!(fault.cause, Cause::Version(_)));
        assert_eq!(
            fault.to_string(),
            format!("the old process speaks version {protocol} of the protocol, not 1")
        );
    }
}

#[test]
fn formats_say_who_can_read_whom() {
    let formats = |written, oldest_read, oldest_reader| Formats { written, oldest_read, oldest_reader };
    let reader = formats(5, 3, 4);
    for (theirs, can_read) in [
        (formats(5, 1, 1), true),
        (formats(3, 1, 1), true),
        (formats(2, 1, 1), false),
        (formats(6, 4, 5), true),
        (formats(9, 4, 3), true),
        (formats(6, 6, 6), false),
        // What a process writes, one that writes the same can read.
        (formats(5, 5, 6), true),
    ] {
        assert_eq!(reader.can_read(&theirs).is_ok(), can_read, "{theirs:?}");
    }
    assert_eq!(
        reader.can_read(&formats(2, 1, 1)).unwrap_err(),
        "writes state format 2, and the oldest that can be read is 3"
    );
}

#[test]
fn two_processes_say_hello_and_hand_over_listeners() {
    let (mut old, mut new) = pair();
    old.send_hello(&hello()).unwrap();
    assert_eq!(new.receive_hello().unwrap(), hello());
    new.send_ready(&ready()).unwrap();
    assert_eq!(old.receive_ready().unwrap(), ready());
    let [clients, backends] = ["clients", "backends"].map(marked);
    old.send_listeners(&[("clients", clients.as_fd()), ("backends", backends.as_fd())]).unwrap();
    let listeners = new.receive_listeners().unwrap().unwrap();
    for ((label, listener), name) in listeners.iter().zip(["clients", "backends"]) {
        assert_eq!((&label[..], mark_of(listener)), (name, name.to_owned()));
    }
    new.send_taken(COUNTS).unwrap();
    assert_eq!(old.receive_taken().unwrap(), COUNTS);
    new.send_serving().unwrap();
    old.receive_serving().unwrap();
}

#[test]
fn a_trial_ends_with_a_bye() {
    let (mut old, mut new) = pair();
    old.send_bye().unwrap();
    assert!(new.receive_listeners().unwrap().is_none());
}

#[test]
fn a_refusal_says_why_even_if_the_other_process_still_sends() {
    let (mut old, mut new) = pair();
    new.refuse("the configuration is invalid").unwrap();
    drop(new);
    old.set_step("sending");
    let fault = loop {
        if let Err(fault) = old.send_hello(&hello()) {
            break fault;
        }
    };
    assert_eq!(fault.to_string(), "sending: the new process refused: the configuration is invalid");
}

#[test]
fn a_long_reason_is_cut_between_two_characters() {
    let (mut old, mut new) = pair();
    new.refuse(&"é€".repeat(50_000)).unwrap();
    let Fault { cause: Cause::Refused(why), .. } = old.receive_ready().unwrap_err() else { panic!() };
    assert_eq!(why.len(), 4_095);
    assert!("é€".repeat(1_000).starts_with(&why));
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let (mut old, _new) = pair();
    let fault = old.send_hello(&Hello { node: "n".repeat(MAX_MESSAGE), ..hello() }).unwrap_err();
    assert!(matches!(fault.cause, Cause::TooLarge { most: 65_536, .. }));
}

#[test]
fn a_message_out_of_order_is_named() {
    let (mut old, mut new) = pair();
    new.send_serving().unwrap();
    assert_eq!(
        old.receive_taken().unwrap_err().to_string(),
        "the new process sent serving, which has no place here"
    );
}

#[test]
fn the_longest_message_is_read() {
    let empty = framed(&Message::Hello(Hello { node: String::new(), ..hello() }), 0).len() - HEADER;
    // Its length is written in two bytes more than that of the empty one.
    let longest = Hello { node: "n".repeat(MAX_MESSAGE - empty - 2), ..hello() };
    let bytes = framed(&Message::Hello(longest.clone()), 0);
    assert_eq!(bytes.len(), HEADER + MAX_MESSAGE);
    let (mut line, _far) = receiving(&bytes, &[]);
    assert_eq!(line.receive_hello().unwrap(), longest);
}
