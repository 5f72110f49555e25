//! The endpoint under test, as the tester meets it. It echoes every message.

use std::sync::Arc;

use gannet::protocol::{Event, Input, Limits, WebSocket};

use crate::case::Extension;

/// The limits that the endpoint under test must be given; the cases of group 9 reach them.
pub const LIMITS: Limits =
    Limits { max_frame_bytes: 16 << 20, max_message_bytes: 16 << 20, max_fragments: 100_000 };

/// What the endpoint under test leaves uncompressed, in bytes: short enough that most cases are compressed.
pub const MIN_COMPRESSED_BYTES: usize = 32;

/// A connection to an endpoint that echoes, after the upgrade.
pub trait Peer {
    /// Hands bytes to the endpoint. One that has ended ignores them.
    fn send(&mut self, bytes: &[u8]);

    /// What the endpoint writes next.
    fn receive(&mut self) -> Received;

    /// Whether it is known at once that nothing has come back.
    fn is_silent(&mut self) -> bool;
}

pub enum Received {
    Bytes(Vec<u8>),
    /// The endpoint has ended its stream.
    End,
    /// Nothing comes, though the connection is open.
    Nothing,
}

/// The core in memory, with an echo around it.
pub struct MemoryPeer {
    socket: WebSocket,
    out: Vec<u8>,
}

impl MemoryPeer {
    pub fn server(extension: Option<Extension>) -> Self {
        Self::new(with_extension(WebSocket::server(Arc::new(LIMITS)), extension))
    }

    pub fn client(extension: Option<Extension>) -> Self {
        let mut key = 0x9e37_79b9_u32;
        let next_key = move || {
            key = key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            key.to_be_bytes()
        };
        Self::new(with_extension(WebSocket::client(Arc::new(LIMITS), Box::new(next_key)), extension))
    }

    fn new(socket: WebSocket) -> Self {
        Self { socket, out: Vec::new() }
    }
}

fn with_extension(socket: WebSocket, extension: Option<Extension>) -> WebSocket {
    use gannet::protocol::{DeflateConfig, DeflateEngine};

    let Some(extension) = extension else { return socket };
    let config = DeflateConfig {
        server_no_context_takeover: !extension.takeover,
        client_no_context_takeover: !extension.takeover,
        min_bytes: MIN_COMPRESSED_BYTES,
        ..DeflateConfig::default()
    };
    let agreed = config.accept(&[extension.offer]).expect("the offer is one that the server accepts");
    assert_eq!(agreed.to_string(), extension.answer);
    socket.with_deflate(agreed, Arc::new(DeflateEngine::new(config)))
}

impl Peer for MemoryPeer {
    fn send(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Ok(Some(event)) = self.socket.receive(&mut input, &mut self.out) {
            let sent = match event {
                Event::Text(text) => self.socket.send_text(&text, &mut self.out),
                Event::Binary(bytes) => self.socket.send_binary(&bytes, &mut self.out),
                _ => Ok(()),
            };
            sent.expect("nothing but the tester closes the connection");
        }
    }

    fn receive(&mut self) -> Received {
        if !self.out.is_empty() {
            Received::Bytes(std::mem::take(&mut self.out))
        } else if self.socket.is_closed() {
            Received::End
        } else {
            Received::Nothing
        }
    }

    fn is_silent(&mut self) -> bool {
        self.out.is_empty() && !self.socket.is_closed()
    }
}
