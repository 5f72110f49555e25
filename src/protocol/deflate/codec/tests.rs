//! The examples of RFC 7692 §7.2.3, and messages through two ends in memory.

use super::*;
use crate::protocol::{CloseCode, Event, Input, WebSocket};

fn config(takeover: bool, min_bytes: usize) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        min_bytes,
        ..DeflateConfig::default()
    }
}

fn pair(config: &DeflateConfig, limits: Limits) -> (WebSocket, WebSocket) {
    let agreed = config.accept(&[&config.offer()]).unwrap();
    let engine = Arc::new(DeflateEngine::new(config.clone()));
    let limits = Arc::new(limits);
    let server = WebSocket::server(Arc::clone(&limits)).with_deflate(agreed, Arc::clone(&engine));
    let client = WebSocket::client(limits, Box::new(|| [1, 2, 3, 4])).with_deflate(agreed, engine);
    (server, client)
}

/// Bytes that no compressor makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn receive(socket: &mut WebSocket, bytes: &[u8], piece: usize) -> Result<Vec<Event<'static>>, ProtocolError> {
    let (mut events, mut out) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(event) = socket.receive(&mut input, &mut out)? {
            events.push(event.into_owned());
        }
    }
    Ok(events)
}

fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

#[test]
fn the_examples_of_the_standard() {
    let hello: &[u8] = &[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let cases: &[(&str, &[u8])] = &[
        ("§7.2.3.1: one frame", hello),
        ("§7.2.3.1: two frames", &[0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00]),
        (
            "§7.2.3.3: a block without compression",
            &[0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        ),
        ("§7.2.3.4: a final block", &[0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        (
            "§7.2.3.5: two blocks in one message",
            &[0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ),
    ];
    for takeover in [false, true] {
        for (about, frames) in cases {
            for piece in 1..=frames.len() {
                let (_, mut client) = pair(&config(takeover, 0), Limits::default());
                assert_eq!(receive(&mut client, frames, piece), Ok(vec![text("Hello")]), "{about}");
            }
        }
    }
    // §7.2.3.2: the second message refers to the first one, when the context is taken over.
    let frames = [hello, &[0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00]].concat();
    let (_, mut client) = pair(&config(true, 0), Limits::default());
    assert_eq!(receive(&mut client, &frames, 100), Ok(vec![text("Hello"), text("Hello")]));
    let (_, mut client) = pair(&config(false, 0), Limits::default());
    assert_eq!(receive(&mut client, &frames, 100), Err(ProtocolError::InvalidDeflate));
    // §7.2.3.6: an empty message.
    let (_, mut client) = pair(&config(false, 0), Limits::default());
    assert_eq!(receive(&mut client, &[0xc1, 0x01, 0x00], 1), Ok(vec![text("")]));
}

#[test]
fn messages_survive_in_both_directions() {
    let words = "state of the world 0123456789 ";
    let noise = noise(70_000);
    for takeover in [false, true] {
        for bits in [8, 9, 12, 15] {
            let config = DeflateConfig {
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                ..config(takeover, 20)
            };
            let (mut server, mut client) = pair(&config, Limits::default());
            for piece in [1 << 20, 1000] {
                for (from_server, length) in [(true, 10), (false, 10), (true, 60_000), (false, 60_000)] {
                    let (from, to) = match from_server {
                        true => (&mut server, &mut client),
                        false => (&mut client, &mut server),
                    };
                    let sent: String = words.chars().cycle().take(length).collect();
                    let mut wire = Vec::new();
                    from.send_text(&sent, &mut wire).unwrap();
                    from.send_binary(&noise, &mut wire).unwrap();
                    from.send_text_fragment("plain", false, &mut wire).unwrap();
                    from.ping(b"between", &mut wire).unwrap();
                    from.send_text_fragment(" fragments", true, &mut wire).unwrap();
                    let compressed = wire[0] & 0x40 != 0;
                    assert_eq!(compressed, length > 20 && bits > 8);
                    let binary = Event::Binary(noise.clone().into());
                    let ping = Event::Ping(b"between".into());
                    let expected = vec![text(&sent), binary, ping, text("plain fragments")];
                    assert!(receive(to, &wire, piece) == Ok(expected), "{bits} bits, {length} bytes");
                }
            }
        }
    }
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let limits = Limits { max_message_bytes: 100_000, ..Limits::default() };
    let zeros = vec![0; 8 << 20];
    let mut deflater = Deflater::new(9, 15);
    let bomb = deflater.compress(&zeros).unwrap();
    assert!(bomb.len() < limits.max_message_bytes);
    for opcode in [OpCode::Text, OpCode::Binary] {
        let mut frame = Vec::new();
        let payload_length = bomb.len() as u64;
        FrameHeader { fin: true, rsv1: true, opcode, payload_length, mask: None }.encode(&mut frame);
        frame.extend_from_slice(&bomb);
        let (_, mut client) = pair(&config(false, 0), limits.clone());
        let error = receive(&mut client, &frame, 10_000).unwrap_err();
        assert_eq!((error, error.close_code()), (ProtocolError::MessageTooBig, CloseCode::TOO_BIG));
    }
}

#[test]
fn the_payload_of_an_event_is_as_long_as_its_message_not_as_what_came_for_it() {
    let (mut server, mut client) = pair(&config(false, 1), Limits::default());
    assert!(server.deflates() && client.deflates());
    let (message, mut wire) = (vec![7; 100_000], Vec::new());
    client.send_binary(&message, &mut wire).unwrap();
    assert!(wire.len() < 1_000);
    for piece in [wire.len(), 10] {
        assert_eq!(receive(&mut server, &wire, piece), Ok(vec![Event::Binary(message.clone().into())]));
    }
    receive(&mut server, &wire[..wire.len() - 1], 10).unwrap();
    let held = server.partial_bytes();
    assert!((wire.len() - 20..10 * wire.len()).contains(&held), "{held}: what came, not what it inflates to");
}

#[test]
fn a_message_at_the_limit_passes_compressed_or_not() {
    let noise = noise(100_000);
    let limits = Limits { max_message_bytes: noise.len(), max_frame_bytes: noise.len(), max_fragments: 4 };
    let mut deflater = Deflater::new(1, 15);
    let compressed = deflater.compress(&noise).unwrap();
    assert!(compressed.len() > noise.len());
    let mut frame = Vec::new();
    let payload_length = compressed.len() as u64;
    FrameHeader { fin: true, rsv1: true, opcode: OpCode::Binary, payload_length, mask: None }
        .encode(&mut frame);
    frame.extend_from_slice(&compressed);
    let (_, mut client) = pair(&config(false, 0), limits);
    assert!(receive(&mut client, &frame, 1 << 20) == Ok(vec![Event::Binary(noise.into())]));
}

#[test]
fn what_cannot_be_inflated_is_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("a reserved block type", &[0xc2, 0x02, 0x07, 0x00]),
        ("a stored block whose lengths disagree", &[0xc2, 0x05, 0x00, 0x05, 0x00, 0x05, 0x00]),
        ("a distance before the start", &[0xc2, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00]),
        ("cut off within a block", &[0xc2, 0x04, 0xf2, 0x48, 0xcd, 0xc9]),
        ("cut off within a stored block", &[0xc2, 0x08, 0x00, 0x09, 0x00, 0xf6, 0xff, 0x48, 0x65, 0x6c]),
        ("nothing at all", &[0xc2, 0x00]),
    ];
    let config = config(false, 0);
    let agreed = config.accept(&[&config.offer()]).unwrap();
    let engine = Arc::new(DeflateEngine::new(config));
    let client = || {
        let client = WebSocket::client(Default::default(), Box::new(|| [1, 2, 3, 4]));
        client.with_deflate(agreed, Arc::clone(&engine))
    };
    for (about, frame) in cases {
        assert_eq!(receive(&mut client(), frame, 1), Err(ProtocolError::InvalidDeflate), "{about}");
        // The engine is as good as new for the next one.
        let good = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(receive(&mut client(), &good, 1), Ok(vec![text("Hello")]), "after {about}");
    }
}

#[test]
fn inflated_text_must_be_utf8() {
    let compressed = Deflater::new(1, 15).compress(b"Hello \xff").unwrap();
    let frame = [&[0xc1, compressed.len() as u8][..], &compressed].concat();
    let (_, mut client) = pair(&config(false, 0), Limits::default());
    assert_eq!(receive(&mut client, &frame, 1), Err(ProtocolError::InvalidUtf8));
}

#[test]
fn rsv1_stands_only_on_the_first_frame_of_a_message() {
    let cases: &[&[u8]] = &[&[0xc9, 0], &[0xca, 0], &[0xc8, 0], &[0x01, 0, 0xc0, 0], &[0x41, 0, 0x40, 0]];
    for frames in cases {
        let (_, mut client) = pair(&config(false, 0), Limits::default());
        assert_eq!(receive(&mut client, frames, 1), Err(ProtocolError::ReservedBits), "{frames:02x?}");
    }
}

#[test]
fn a_frame_compressed_once_serves_all() {
    let config = config(false, 100);
    let engine = Arc::new(DeflateEngine::new(config.clone()));
    let body = "the same for all ".repeat(50);
    let frame = engine.encode_frame(OpCode::Text, body.as_bytes()).unwrap();
    assert!(frame.len() < body.len() / 4);
    for _ in 0..3 {
        let (server, mut client) = pair(&config, Limits::default());
        assert!(server.takes_shared_deflate() && !client.takes_shared_deflate());
        assert_eq!(receive(&mut client, &frame, 7), Ok(vec![text(&body)]));
    }
    assert_eq!(engine.encode_frame(OpCode::Text, &body.as_bytes()[..99]), None);
    let (server, _) = pair(&self::config(true, 0), Limits::default());
    assert!(!server.takes_shared_deflate());
    assert!(!WebSocket::server(Default::default()).takes_shared_deflate());
}
