//! The decoder gives the same events, error and answers however the input is split, and keeps to its limits.

use gannet::protocol::Event;

use super::choices::{Choices, pieces};
use super::endpoint::{LIMITS, client, receive, server};

/// A byte for the role, the sizes of the pieces, the wire.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let new = if choices.byte().is_multiple_of(2) { server } else { client };
    let sizes = choices.sizes();
    let wire = choices.rest();

    let mut whole_socket = new(LIMITS);
    let mut split_socket = new(LIMITS);
    let whole = receive(&mut whole_socket, &[wire]);
    let split = receive(&mut split_socket, &pieces(wire, &sizes));
    assert_eq!(whole, split);
    assert_eq!(whole_socket.is_closed(), split_socket.is_closed());
    assert_eq!(whole_socket.has_partial(), split_socket.has_partial());
    assert_eq!(whole_socket.end_of_input(), split_socket.end_of_input());

    for event in &whole.events {
        let (length, limit) = match event {
            Event::Text(text) => (text.len(), LIMITS.max_message_bytes),
            Event::Binary(bytes) => (bytes.len(), LIMITS.max_message_bytes),
            Event::Ping(bytes) | Event::Pong(bytes) => (bytes.len(), 125),
            Event::Close(close) => (close.as_ref().map_or(0, |close| close.reason.len()), 123),
        };
        assert!(length <= limit);
    }
}
