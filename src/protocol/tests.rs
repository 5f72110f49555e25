//! The state machine as a whole: tables of inputs, each tried at every cut.

use std::sync::Arc;

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn small_limits() -> Arc<Limits> {
    Arc::new(Limits { max_frame_bytes: 300, max_message_bytes: 400, max_fragments: 4 })
}

fn server() -> WebSocket {
    WebSocket::server(small_limits())
}

fn client() -> WebSocket {
    WebSocket::client(small_limits(), Box::new(|| KEY))
}

/// A masked frame: `first` is the header's first byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4]));
    frame
}

type Frames = Vec<Vec<u8>>;

/// What a connection made of its input.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
    out: Vec<u8>,
}

/// Hands `pieces` over one after the other.
fn receive_all<'p>(socket: &mut WebSocket, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut outcome = Outcome { events: Vec::new(), error: None, out: Vec::new() };
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match socket.receive(&mut input, &mut outcome.out) {
                Ok(Some(event)) => outcome.events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => assert_eq!(outcome.error.replace(error), None, "an error is told once"),
            }
        }
        assert!(input.is_empty());
    }
    outcome
}

/// Checks that the cuts of the input do not matter, and returns what comes of it.
fn receive_at_every_cut(new: fn() -> WebSocket, bytes: &[u8]) -> Outcome {
    let whole = receive_all(&mut new(), [bytes]);
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(receive_all(&mut new(), [head, tail]), whole, "cut at {cut}");
    }
    assert_eq!(receive_all(&mut new(), bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(receive_all(&mut new(), bytes.chunks(3)), whole, "by threes");
    whole
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

#[test]
fn messages_come_out_whole_at_every_cut() {
    let cases: Vec<(Frames, Vec<Event<'static>>, Vec<u8>)> = vec![
        (vec![masked(0x81, b"Hello")], vec![text("Hello")], vec![]),
        (vec![masked(0x81, b"")], vec![text("")], vec![]),
        (vec![masked(0x82, &[0xff; 300])], vec![Event::Binary(vec![0xff; 300].into())], vec![]),
        (vec![masked(0x81, "ü".repeat(70).as_bytes())], vec![text(&"ü".repeat(70))], vec![]),
        (vec![masked(0x01, b"Hel"), masked(0x80, b"lo")], vec![text("Hello")], vec![]),
        (vec![masked(0x01, b""), masked(0x00, b""), masked(0x80, b"")], vec![text("")], vec![]),
        (vec![masked(0x01, b"\xf0\x9f"), masked(0x80, b"\x8e\xb2")], vec![text("🎲")], vec![]),
        (
            vec![masked(0x02, b"a"), masked(0x89, b"x"), masked(0x80, b"b")],
            vec![Event::Ping(b"x".into()), Event::Binary(b"ab".into())],
            b"\x8a\x01x".to_vec(),
        ),
        (
            vec![masked(0x89, &[7; 125]), masked(0x8a, b"p"), masked(0x81, b"t")],
            vec![Event::Ping(vec![7; 125].into()), Event::Pong(b"p".into()), text("t")],
            [&[0x8a, 125][..], &[7; 125]].concat(),
        ),
        (
            vec![masked(0x88, b"\x03\xe8bye"), masked(0x81, b"after")],
            vec![Event::Close(Some(CloseFrame { code: CloseCode::NORMAL, reason: "bye".into() }))],
            b"\x88\x02\x03\xe8".to_vec(),
        ),
        (vec![masked(0x88, b"")], vec![Event::Close(None)], b"\x88\x00".to_vec()),
        (
            vec![masked(0x01, b"never ended"), masked(0x88, b"")],
            vec![Event::Close(None)],
            b"\x88\x00".to_vec(),
        ),
    ];
    for (frames, events, out) in cases {
        let outcome = receive_at_every_cut(server, &frames.concat());
        assert_eq!(outcome, Outcome { events, error: None, out }, "{frames:x?}");
    }
}

#[test]
fn broken_rules_fail_the_connection_at_every_cut() {
    use ProtocolError::*;
    let cases: Vec<(Frames, ProtocolError)> = vec![
        (vec![masked(0xc1, b"")], ReservedBits),
        (vec![masked(0xc9, b"")], ReservedBits),
        (vec![masked(0xa1, b"")], ReservedBits),
        (vec![masked(0x83, b"")], ReservedOpCode(3)),
        (vec![masked(0x80, b"x")], UnexpectedContinuation),
        (vec![masked(0x00, b"x")], UnexpectedContinuation),
        (vec![masked(0x01, b"x"), masked(0x81, b"y")], InterruptedMessage),
        (vec![masked(0x01, b"x"), masked(0x02, b"y")], InterruptedMessage),
        (vec![masked(0x82, &[0; 301])], FrameTooBig),
        (vec![masked(0x02, &[0; 300]), masked(0x80, &[0; 101])], MessageTooBig),
        (
            vec![masked(0x02, b""); 1].into_iter().chain(vec![masked(0x00, b""); 4]).collect(),
            TooManyFragments,
        ),
        (vec![masked(0x81, b"\xff")], InvalidUtf8),
        (vec![masked(0x81, b"\xc3")], InvalidUtf8),
        (vec![masked(0x01, b"\xc3"), masked(0x80, b"")], InvalidUtf8),
        (vec![masked(0x88, b"x")], TruncatedCloseCode),
        (vec![masked(0x88, b"\x03\xed")], ForbiddenCloseCode(CloseCode::NO_STATUS)),
        (vec![masked(0x88, b"\x03\xe8\xff")], InvalidUtf8),
    ];
    for (mut frames, error) in cases {
        frames.insert(0, masked(0x81, b"before"));
        frames.push(masked(0x81, b"after"));
        let outcome = receive_at_every_cut(server, &frames.concat());
        let [high, low] = error.close_code().0.to_be_bytes();
        let out = vec![0x88, 2, high, low];
        assert_eq!(outcome, Outcome { events: vec![text("before")], error: Some(error), out }, "{frames:x?}");
    }
}

#[test]
fn bad_text_fails_in_mid_frame() {
    let frame = masked(0x81, b"abcd\xedxxxxxxxxxxxxx");
    let header = frame.len() - 18;
    let mut socket = server();
    assert_eq!(receive_all(&mut socket, [&frame[..header + 5]]).error, None);
    // §8.1: 0xed starts a character that "x" cannot continue.
    assert_eq!(
        receive_all(&mut socket, [&frame[header + 5..header + 6]]).error,
        Some(ProtocolError::InvalidUtf8)
    );
    assert!(!socket.has_partial());
}

#[test]
fn a_length_beyond_the_limit_fails_before_the_payload() {
    let frame = masked(0x82, &[0; 301]);
    assert_eq!(receive_all(&mut server(), [&frame[..8]]).error, Some(ProtocolError::FrameTooBig));
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(receive_all(&mut server(), [&huge[..]]).error, Some(ProtocolError::FrameTooBig));
}

#[test]
fn small_whole_messages_borrow_the_input() {
    let mut bytes = [masked(0x81, b"one"), masked(0x82, b"two"), masked(0x89, b"three")].concat();
    let mut input = Input::new(&mut bytes);
    let (mut socket, mut out) = (server(), Vec::new());
    let mut borrowed = 0;
    while let Some(event) = socket.receive(&mut input, &mut out).unwrap() {
        use std::borrow::Cow::Borrowed;
        assert!(matches!(
            event,
            Event::Text(Borrowed(_)) | Event::Binary(Borrowed(_)) | Event::Ping(Borrowed(_))
        ));
        borrowed += 1;
    }
    assert_eq!(borrowed, 3);
    assert!(!socket.has_partial());
}

#[test]
fn nothing_is_kept_when_nothing_has_begun() {
    let frames = [masked(0x01, b"a"), masked(0x89, b"p"), masked(0x80, b"b"), masked(0x81, b"c")].concat();
    let mut socket = server();
    for (index, byte) in frames.chunks(1).enumerate() {
        receive_all(&mut socket, [byte]);
        // The fragmented message ends with the third frame, 6 bytes of header and one of payload each.
        let is_between_messages = index + 1 == 21 || index + 1 == 28;
        assert_eq!(socket.has_partial(), !is_between_messages, "after byte {index}");
    }
}

#[test]
fn what_is_half_received_is_counted_until_it_is_whole() {
    const OF_PIECES: usize = 4;
    for (first, last) in [(0x01, 0x80), (0x02, 0x80), (0x82, 0)] {
        let mut socket = server();
        assert_eq!(socket.partial_bytes(), 0);
        let (start, ping, end) = (masked(first, &[b'x'; 200]), masked(0x89, b"12345678"), masked(last, b"y"));
        let (mut came, mut own) = (0, None);
        for (index, byte) in start.chunks(1).enumerate() {
            receive_all(&mut socket, [byte]);
            let held = socket.partial_bytes();
            // Itself alone, as long as the header comes.
            let own = *own.get_or_insert(held);
            came = (index + 1).saturating_sub(8);
            let is_whole = first == 0x82 && came == 200;
            assert_eq!(held > 0, !is_whole);
            assert!(
                is_whole || (own + came..=own + OF_PIECES * came.max(16)).contains(&held),
                "{held} for {came}"
            );
        }
        if last == 0 {
            continue;
        }
        let message = socket.partial_bytes();
        receive_all(&mut socket, [&ping[..13]]);
        assert!(
            socket.partial_bytes() >= message + 7,
            "a control frame's payload counts beside {came} bytes"
        );
        receive_all(&mut socket, [&ping[13..]]);
        assert_eq!(socket.partial_bytes(), message);
        receive_all(&mut socket, [&end[..]]);
        assert_eq!(socket.partial_bytes(), 0);
    }
}

#[test]
fn nothing_is_half_received_when_the_connection_is_over() {
    type End = fn(&mut WebSocket);
    let ends: [End; 3] = [
        |socket| _ = socket.end_of_input(),
        |socket| _ = receive_all(socket, [&masked(0x83, b"")[..]]),
        |socket| _ = receive_all(socket, [&masked(0x88, b"")[..]]),
    ];
    for end in ends {
        let mut socket = server();
        receive_all(&mut socket, [&masked(0x01, b"begun")[..]]);
        assert!(socket.partial_bytes() >= 5);
        end(&mut socket);
        assert!(socket.is_closed());
        assert_eq!(socket.partial_bytes(), 0);
    }
}

#[test]
fn the_closing_handshake_from_each_side() {
    let (mut client, mut server) = (client(), server());
    let mut to_server = Vec::new();
    client.close(Some(CloseCode(4001)), "kicked", &mut to_server).unwrap();
    assert!(!client.can_send() && client.can_receive() && client.is_closing());
    assert_eq!(client.close(None, "", &mut to_server), Err(SendError::Closed));
    assert_eq!(client.send_text("late", &mut to_server), Err(SendError::Closed));

    let outcome = receive_all(&mut server, [&to_server[..]]);
    let close = CloseFrame { code: CloseCode(4001), reason: "kicked".into() };
    assert_eq!(outcome.events, [Event::Close(Some(close))]);
    assert!(server.is_closed() && !server.can_send());
    assert_eq!(server.end_of_input(), Ending::Clean);

    let outcome = receive_all(&mut client, [&outcome.out[..]]);
    assert_eq!(outcome.events, [Event::Close(Some(CloseFrame { code: CloseCode(4001), reason: "".into() }))]);
    assert!(outcome.out.is_empty());
    assert_eq!(client.end_of_input(), Ending::Clean);
}

#[test]
fn both_sides_may_close_at_once() {
    let (mut client, mut server) = (client(), server());
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    client.close(None, "", &mut to_server).unwrap();
    server.close(Some(CloseCode::GOING_AWAY), "", &mut to_client).unwrap();
    assert!(receive_all(&mut server, [&to_server[..]]).out.is_empty());
    assert!(receive_all(&mut client, [&to_client[..]]).out.is_empty());
    assert!(server.is_closed() && client.is_closed());
}

#[test]
fn what_was_on_the_way_is_still_delivered_and_pings_answered_after_our_close() {
    let mut server = server();
    server.close(None, "", &mut Vec::new()).unwrap();
    let frames = [masked(0x81, b"crossed"), masked(0x89, b"p"), masked(0x88, b"")].concat();
    let outcome = receive_all(&mut server, [&frames[..]]);
    assert_eq!(outcome.events, [text("crossed"), Event::Ping(b"p".into()), Event::Close(None)]);
    assert_eq!(outcome.out, b"\x8a\x01p");
}

#[test]
fn an_error_after_our_close_sends_no_second_one() {
    let mut server = server();
    server.close(None, "", &mut Vec::new()).unwrap();
    let outcome = receive_all(&mut server, [&[0xff][..]]);
    assert_eq!((outcome.error, outcome.out), (Some(ProtocolError::ReservedBits), vec![]));
}

#[test]
fn an_end_without_a_close_is_abnormal() {
    for frames in [vec![], masked(0x81, b"x"), masked(0x81, b"x")[..3].to_vec(), vec![0xff]] {
        let mut socket = server();
        receive_all(&mut socket, [&frames[..]]);
        assert_eq!(socket.end_of_input(), Ending::Abnormal);
        assert!(socket.is_closed() && !socket.can_send() && !socket.has_partial());
    }
    let mut socket = server();
    socket.close(None, "", &mut Vec::new()).unwrap();
    assert_eq!(socket.end_of_input(), Ending::Abnormal);
}

#[test]
fn each_role_reads_what_the_other_sends() {
    let big = Limits::default();
    for length in [0, 1, 125, 126, 65535, 65536, 100_000] {
        let payload = "x".repeat(length);
        let mut client = WebSocket::client(Arc::new(big.clone()), Box::new(|| KEY));
        let mut server = WebSocket::server(Arc::new(big.clone()));
        for forth in [true, false] {
            let (from, to) = if forth { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let mut wire = Vec::new();
            from.send_text(&payload, &mut wire).unwrap();
            from.send_binary(payload.as_bytes(), &mut wire).unwrap();
            from.send_text_fragment(&payload, false, &mut wire).unwrap();
            from.ping(b"between", &mut wire).unwrap();
            from.send_text_fragment("!", true, &mut wire).unwrap();
            from.pong(b"", &mut wire).unwrap();
            let outcome = receive_all(to, wire.chunks(40_000));
            let binary = Event::Binary(payload.as_bytes().to_vec().into());
            let fragmented = text(&format!("{payload}!"));
            assert_eq!(
                outcome.events,
                [text(&payload), binary, Event::Ping(b"between".into()), fragmented, Event::Pong(b"".into())]
            );
        }
    }
}

#[test]
fn a_frame_encoded_for_all_is_what_a_server_sends() {
    for length in [0, 125, 126, 65535, 65536] {
        let payload = "y".repeat(length);
        let mut out = Vec::new();
        WebSocket::server(Default::default()).send_text(&payload, &mut out).unwrap();
        assert_eq!(encode_frame(OpCode::Text, payload.as_bytes()), out);
    }
}

#[test]
fn wrong_sends_are_refused_and_write_nothing() {
    let mut out = Vec::new();
    let mut socket = server();
    let too_long = "r".repeat(124);
    assert_eq!(socket.ping(&[0; 126], &mut out), Err(SendError::ControlTooLong));
    assert_eq!(socket.pong(&[0; 126], &mut out), Err(SendError::ControlTooLong));
    assert_eq!(socket.close(Some(CloseCode::NORMAL), &too_long, &mut out), Err(SendError::ReasonTooLong));
    assert_eq!(socket.close(None, "why", &mut out), Err(SendError::ReasonWithoutCode));
    let forbidden = SendError::ForbiddenCloseCode(CloseCode::ABNORMAL);
    assert_eq!(socket.close(Some(CloseCode::ABNORMAL), "", &mut out), Err(forbidden));
    assert!(out.is_empty() && socket.can_send());

    socket.send_text_fragment("a", false, &mut out).unwrap();
    assert!(!socket.can_send());
    out.clear();
    assert_eq!(socket.send_text("b", &mut out), Err(SendError::UnfinishedMessage));
    assert_eq!(socket.send_binary_fragment(b"b", true, &mut out), Err(SendError::UnfinishedMessage));
    assert!(out.is_empty());
    socket.send_text_fragment("", true, &mut out).unwrap();
    assert!(socket.can_send());
    assert_eq!(out, [0x80, 0]);
}

#[test]
fn a_reason_is_cut_to_the_whole_characters_that_fit_and_no_more() {
    for character in ["x", "ö", "€", "🦀"] {
        for start in 0..8 {
            for length in 0..=CloseFrame::MAX_REASON_BYTES + 8 {
                let reason = "x".repeat(start) + &character.repeat(length);
                let fitting = CloseFrame::fitting_reason(&reason);
                assert!(reason.starts_with(fitting) && fitting.len() <= CloseFrame::MAX_REASON_BYTES);
                let next = reason[fitting.len()..].chars().next().map_or(0, char::len_utf8);
                assert!(next == 0 || fitting.len() + next > CloseFrame::MAX_REASON_BYTES);
                let (mut socket, mut out) = (WebSocket::server(Arc::default()), Vec::new());
                assert_eq!(socket.close(Some(CloseCode::NORMAL), fitting, &mut out), Ok(()));
                assert_eq!(&out[4..], fitting.as_bytes());
            }
        }
    }
}
