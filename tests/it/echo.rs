//! The echo, whatever the size of its messages and however little of them the client's socket takes at once.

use crate::raw::{BINARY, PING, PONG, Raw, TEXT, masked, upgrade};
use crate::support::*;

#[test]
fn every_message_comes_back_as_it_was_however_little_the_socket_takes() {
    let server = TestServer::start(|config| {
        config.echo = true;
        config.reactors = Some(1);
        config.limits.outbox_bytes = 64 * 1024 * 1024;
    });
    let mut backend = server.backend();
    let mut client = Raw::connect_narrow(server.client);
    client.send(upgrade("/echo", ""));
    assert_eq!(client.answer().status, 101);
    // The only reactor has read what was sent before, by itself, when it answers this.
    let mut is_waiting = || backend.stats()["outbox_bytes"] != 0;
    let mut sent = Vec::new();
    let mut send = |length: usize| {
        let number = sent.len();
        let first = if number.is_multiple_of(2) { TEXT } else { BINARY };
        let payload: Vec<u8> = (0..length).map(|at| b'a' + ((at + number) % 26) as u8).collect();
        client.send(masked(first, &payload));
        sent.push((first, payload));
        is_waiting()
    };
    while !send(20_000) {}
    for length in [0, 7, 2_047, 2_048, 3_000, 20_000, 65_535, 65_536, 200_000].repeat(3) {
        assert!(send(length), "nobody has read");
    }
    for (number, (first, payload)) in sent.iter().enumerate() {
        let frame = client.frame().unwrap();
        assert_eq!((frame.first, frame.payload.len()), (*first, payload.len()), "message {number}");
        assert!(frame.payload == *payload, "message {number}");
    }
}

#[test]
fn a_large_message_among_small_frames_is_answered_whole_and_in_its_place() {
    let server = TestServer::start(|config| config.echo = true);
    let mut client = Raw::connect(server.client);
    client.send(upgrade("/echo", ""));
    assert_eq!(client.answer().status, 101);
    let large = vec![b'l'; 30_000];
    let frames =
        [(PING, &b"ping"[..]), (TEXT, b"before"), (BINARY, &large), (TEXT, b"behind"), (PING, b"last")];
    // The large one as the last of a write, and with something behind it.
    for count in 3..=frames.len() {
        let sent = &frames[..count];
        client.send(sent.iter().flat_map(|(first, payload)| masked(*first, payload)).collect::<Vec<u8>>());
        let answers: Vec<_> = sent.iter().map(|_| client.frame().unwrap()).collect();
        let of_kind = |is_pong: bool| answers.iter().filter(move |frame| (frame.first == PONG) == is_pong);
        let messages: Vec<_> = of_kind(false).map(|frame| (frame.first, &frame.payload[..])).collect();
        let expected: Vec<_> = sent.iter().filter(|(first, _)| *first != PING).copied().collect();
        assert!(messages == expected, "{count} frames");
        let pongs = of_kind(true).map(|frame| frame.text());
        let pings = sent.iter().filter(|(first, _)| *first == PING);
        assert!(pongs.eq(pings.map(|(_, payload)| std::str::from_utf8(payload).unwrap())));
    }
}
