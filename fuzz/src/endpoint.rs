//! The core, driven to the end of an input.

use std::sync::Arc;

use gannet::protocol::{Event, Input, Limits, ProtocolError, WebSocket};

/// Small, so that inputs reach them.
pub const LIMITS: Limits = Limits { max_frame_bytes: 600, max_message_bytes: 900, max_fragments: 12 };

pub fn server(limits: Limits) -> WebSocket {
    WebSocket::server(Arc::new(limits))
}

pub fn client(limits: Limits) -> WebSocket {
    let mut key = [0_u8; 4];
    let next_key = move || {
        key = key.map(|byte| byte.wrapping_mul(5).wrapping_add(3));
        key
    };
    WebSocket::client(Arc::new(limits), Box::new(next_key))
}

/// What came of an input.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub events: Vec<Event<'static>>,
    pub error: Option<ProtocolError>,
    pub out: Vec<u8>,
}

/// Hands `pieces` over, one after the other.
pub fn receive(socket: &mut WebSocket, pieces: &[&[u8]]) -> Outcome {
    let mut outcome = Outcome::default();
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
        assert!(input.is_empty(), "all input is used");
        assert!(socket.can_receive() || !socket.has_partial(), "nothing is kept after the end");
    }
    outcome
}
