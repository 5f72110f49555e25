//! What one role sends, the other receives, however it is split.

use gannet::protocol::{Event, OpCode, encode_frame};

use super::choices::{Choices, pieces};
use super::endpoint::{client, receive, server};

/// No further message is sent when the wire has so many bytes: it may be read a byte at a time.
const ENOUGH_BYTES: usize = 50_000;

/// A byte for the direction, the sizes of the pieces, then messages: a byte for the kind, two for the length.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (mut from, mut to) = match choices.byte() % 2 {
        0 => (server(Default::default()), client(Default::default())),
        _ => (client(Default::default()), server(Default::default())),
    };
    let sizes = choices.sizes();
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    while !choices.is_empty() && wire.len() < ENOUGH_BYTES {
        let kind = choices.byte();
        let length = usize::from(u16::from_le_bytes([choices.byte(), choices.byte()]));
        // A few bytes stand for many, so that long messages cost little input.
        let pattern = choices.bytes(usize::from(kind >> 4));
        let payload: Vec<u8> = pattern.iter().chain(b"~").copied().cycle().take(length).collect();
        let text = String::from_utf8_lossy(&payload).into_owned();
        let control = &payload[..length.min(125)];
        let sent = match kind % 6 {
            0 => {
                expected.push(Event::Text(text.clone().into()));
                from.send_text(&text, &mut wire)
            }
            1 => {
                expected.push(Event::Binary(payload.clone().into()));
                from.send_binary(&payload, &mut wire)
            }
            2 => {
                expected.push(Event::Ping(control.to_vec().into()));
                from.ping(control, &mut wire)
            }
            3 => {
                expected.push(Event::Pong(control.to_vec().into()));
                from.pong(control, &mut wire)
            }
            4 => {
                let fragments = pieces(&payload, &[length / 3 + 1]);
                expected.push(Event::Binary(payload.clone().into()));
                for fragment in &fragments {
                    from.send_binary_fragment(fragment, false, &mut wire).unwrap();
                }
                from.send_binary_fragment(b"", true, &mut wire)
            }
            _ => {
                expected.push(Event::Text(format!("{text}{text}").into()));
                from.send_text_fragment(&text, false, &mut wire).unwrap();
                from.send_text_fragment(&text, true, &mut wire)
            }
        };
        sent.expect("nothing is wrong with it");
    }
    let outcome = receive(&mut to, &pieces(&wire, &sizes));
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.events, expected);
    assert!(!to.has_partial());

    let frame = encode_frame(OpCode::Binary, data);
    let received = receive(&mut client(Default::default()), &pieces(&frame, &sizes));
    assert_eq!(received.events, [Event::Binary(data.to_vec().into())]);
}
