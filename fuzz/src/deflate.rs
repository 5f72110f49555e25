//! permessage-deflate: what is compressed comes out as it was, and no payload inflates beyond the limit.

use std::sync::Arc;

use gannet::protocol::{DeflateConfig, DeflateEngine, Event, FrameHeader, OpCode, WebSocket};

use super::choices::{Choices, pieces};
use super::endpoint::{LIMITS, client, receive, server};

/// A byte for the takeover and the direction, one for the windows, the sizes of the pieces; then a byte for the number
/// of messages to send, and bytes that are taken for them, for a compressed payload and for an offer.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (flags, windows) = (choices.byte(), choices.byte());
    let config = DeflateConfig {
        server_no_context_takeover: flags & 1 == 0,
        client_no_context_takeover: flags & 2 == 0,
        server_max_window_bits: 8 + windows % 8,
        client_max_window_bits: 8 + windows / 8 % 8,
        level: flags >> 4,
        min_bytes: usize::from(flags >> 3 & 1) * 40,
    };
    let sizes = choices.sizes();
    let count = usize::from(choices.byte() % 8);
    let rest = choices.rest();
    round_trip(&config, flags & 4 == 0, rest, count, &sizes);
    inflate(&config, rest, &sizes);
    negotiate(&config, rest);
}

fn pair(config: &DeflateConfig) -> (WebSocket, WebSocket) {
    let agreed = config.accept(&[&config.offer()]).expect("the offer is its own");
    assert_eq!(config.agree(&agreed.to_string()), Ok(agreed));
    let engine = Arc::new(DeflateEngine::new(config.clone()));
    let server = server(Default::default()).with_deflate(agreed, Arc::clone(&engine));
    (server, client(Default::default()).with_deflate(agreed, engine))
}

fn round_trip(config: &DeflateConfig, from_server: bool, bytes: &[u8], count: usize, sizes: &[usize]) {
    let (server, client) = pair(config);
    let (mut from, mut to) = if from_server { (server, client) } else { (client, server) };
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    let shared = DeflateEngine::new(config.clone());
    for number in 0..count {
        let message = &bytes[bytes.len() * number / count..];
        from.send_binary(message, &mut wire).unwrap();
        expected.push(Event::Binary(message.to_vec().into()));
        let text = String::from_utf8_lossy(message).into_owned();
        from.send_text(&text, &mut wire).unwrap();
        expected.push(Event::Text(text.into()));
        if from.takes_shared_deflate()
            && let Some(frame) = shared.encode_frame(OpCode::Binary, message)
        {
            wire.extend_from_slice(&frame);
            expected.push(Event::Binary(message.to_vec().into()));
        }
    }
    let outcome = receive(&mut to, &pieces(&wire, sizes));
    assert_eq!(outcome.error, None);
    assert!(outcome.events == expected);
}

fn inflate(config: &DeflateConfig, payload: &[u8], sizes: &[usize]) {
    let payload_length = payload.len() as u64;
    let mut wire = Vec::new();
    for opcode in [OpCode::Binary, OpCode::Text] {
        FrameHeader { fin: true, rsv1: true, opcode, payload_length, mask: None }.encode(&mut wire);
        wire.extend_from_slice(payload);
    }
    let agreed = config.accept(&[&config.offer()]).expect("the offer is its own");
    let engine = Arc::new(DeflateEngine::new(config.clone()));
    let new = || client(LIMITS).with_deflate(agreed, Arc::clone(&engine));
    let whole = receive(&mut new(), &[&wire]);
    let split = receive(&mut new(), &pieces(&wire, sizes));
    assert_eq!(whole, split);
    for event in &whole.events {
        let (Event::Binary(_) | Event::Text(_)) = event else { panic!("{event:?}") };
        let length = match event {
            Event::Binary(bytes) => bytes.len(),
            Event::Text(text) => text.len(),
            _ => 0,
        };
        assert!(length <= LIMITS.max_message_bytes);
    }
}

fn negotiate(config: &DeflateConfig, offer: &[u8]) {
    let Ok(offer) = std::str::from_utf8(offer) else { return };
    for offers in [vec![offer], offer.split('\n').collect()] {
        if let Some(agreed) = config.accept(&offers) {
            assert!(agreed.server_max_window_bits <= config.server_max_window_bits);
            assert!(agreed.server_no_context_takeover || !config.server_no_context_takeover);
            let answer = agreed.to_string();
            assert_eq!(config.accept(&[&answer]).map(|again| again.to_string()), Some(answer));
        }
    }
    if let Ok(agreed) = config.agree(offer) {
        assert!(agreed.server_max_window_bits <= config.server_max_window_bits);
    }
}
