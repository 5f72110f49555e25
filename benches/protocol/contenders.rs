//! The same work by the core and by tungstenite: read a wire to its end, look at every message.

use std::io::{self, Read, Write};

use gannet::protocol::{Event, Input, Limits, WebSocket};
use tungstenite::protocol::{Role, WebSocketConfig};

/// What a read from the socket gives at most, in bytes.
pub const READ_BYTES: usize = 64 * 1024;

const MAX_BYTES: usize = 4 << 20;

/// A stream that gives the wire, and swallows what is written.
pub struct Wire<'w>(pub &'w [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(READ_BYTES);
        self.0.read(&mut buffer[..length])
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn gannet_server() -> WebSocket {
    let limits = Limits { max_frame_bytes: MAX_BYTES, max_message_bytes: MAX_BYTES, ..Limits::default() };
    WebSocket::server(limits.into())
}

pub fn gannet_decode(wire: &[u8], buffer: &mut [u8]) -> u64 {
    let mut socket = gannet_server();
    let mut stream = Wire(wire);
    let mut out = Vec::new();
    let mut sum = 0;
    loop {
        let length = stream.read(buffer).expect("memory does not fail");
        if length == 0 {
            return sum;
        }
        let mut input = Input::new(&mut buffer[..length]);
        while let Some(event) = socket.receive(&mut input, &mut out).expect("the wire is valid") {
            sum += match event {
                Event::Text(text) => text.len() as u64,
                Event::Binary(bytes) => bytes.len() as u64,
                _ => 0,
            };
        }
    }
}

pub fn tungstenite_decode(wire: &[u8]) -> u64 {
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let mut socket = tungstenite::WebSocket::from_raw_socket(Wire(wire), Role::Server, Some(config));
    let mut sum = 0;
    while let Ok(message) = socket.read() {
        sum += message.len() as u64;
    }
    sum
}

/// Encodes `count` binary messages, a write each read's worth.
pub fn gannet_encode(payload: &[u8], count: usize, out: &mut Vec<u8>) -> u64 {
    let mut socket = gannet_server();
    let mut sum = 0;
    for _ in 0..count {
        socket.send_binary(payload, out).expect("it is open");
        if out.len() >= READ_BYTES {
            sum += out.len() as u64;
            out.clear();
        }
    }
    sum + out.len() as u64
}

pub fn tungstenite_encode(payload: &tungstenite::Bytes, count: usize) -> u64 {
    let config = WebSocketConfig::default().write_buffer_size(READ_BYTES);
    let mut socket = tungstenite::WebSocket::from_raw_socket(Wire(&[]), Role::Server, Some(config));
    for _ in 0..count {
        socket.write(tungstenite::Message::Binary(payload.clone())).expect("it is open");
    }
    count as u64
}
