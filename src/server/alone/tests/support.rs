//! Clients of a reactor that is turned by hand.

use super::super::{Alone, alone};
use crate::config::{BackendKey, Config, Secret};
use crate::core::Port;
use crate::dispatch::Right;
use crate::session::SessionId;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

pub const KEY: &str = "a-key-that-may-do-everything";

/// A server of small bounds, so that turns end in the middle of everything.
pub fn small(change: impl FnOnce(&mut Config)) -> Alone {
    let mut config = Config::default();
    let limits = &mut config.limits;
    (limits.max_pipelined, limits.max_receipts) = (3, 4);
    (limits.turn_envelopes, limits.turn_deliveries, limits.turn_listed) = (2, 2, 1);
    (limits.turn_writes, limits.turn_bytes, limits.turn_read_bytes) = (3, 1024, 1024);
    (limits.outbox_bytes, limits.max_push_bytes) = (64 * 1024, 32 * 1024);
    let key = |name: &str, key: &str, may: &[Right]| BackendKey {
        name: name.to_owned(),
        key: Some(Secret::new(key)),
        key_file: None,
        may: may.to_vec(),
        apps: Vec::new(),
    };
    config.backend.keys = vec![key("all", KEY, &[Right::All])];
    change(&mut config);
    alone(config)
}

/// A client, what it sends, and what it has received.
pub struct Client {
    pub id: SessionId,
    pub stream: UnixStream,
    pub wire: Vec<u8>,
    pub sent: usize,
    /// It shuts down its side when all is sent.
    pub ends: bool,
    pub received: Vec<u8>,
}

impl Client {
    pub fn new(alone: &mut Alone, port: Port, wire: Vec<u8>) -> Self {
        let (id, stream) = alone.connect(port);
        Self { id, stream, wire, sent: 0, ends: false, received: Vec::new() }
    }

    pub fn send(&mut self, most: usize) {
        let end = self.wire.len().min(self.sent.saturating_add(most));
        if self.sent < end {
            match self.stream.write(&self.wire[self.sent..end]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The server has closed: nothing more is taken.
                Err(_) => self.sent = self.wire.len(),
            }
        }
        if self.ends && self.sent == self.wire.len() {
            self.ends = false;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    pub fn receive(&mut self, most: usize) {
        let mut buffer = vec![0; most];
        match self.stream.read(&mut buffer) {
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What it received, in pieces: HTTP without the dates, and messages. The replies of a link come as their commands are
    /// done, in no order.
    pub fn heard(&self) -> Vec<String> {
        let mut heard = self.in_order();
        let http = heard.iter().take_while(|piece| piece.ends_with("\r\n")).count();
        if heard[..http].iter().any(|line| line.contains("gannet.link")) {
            heard[http..].sort();
        }
        heard
    }

    /// The same in the order in which it came.
    pub fn in_order(&self) -> Vec<String> {
        let http_end = match find(&self.received, b"Upgrade: websocket\r\n") {
            Some(at) => at + find(&self.received[at..], b"\r\n\r\n").expect("a whole head") + 4,
            None => self.received.len(),
        };
        let (http, frames) = self.received.split_at(http_end);
        let http = String::from_utf8(http.to_vec()).unwrap();
        let lines = http.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: "));
        let mut heard: Vec<String> = lines.map(Into::into).collect();
        heard.extend(messages(frames));
        heard
    }
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The frames of a server: what kind each is, and its payload.
pub fn messages(mut frames: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while let [first, length, rest @ ..] = frames {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(*length), rest),
        };
        let (payload, rest) = rest.split_at(length);
        messages.push(format!("{first:x} {}", payload.escape_ascii()));
        frames = rest;
    }
    messages
}

/// Sends and receives all, until nothing comes any more.
pub fn finish(alone: &mut Alone, clients: &mut [Client]) {
    for _ in 0..10_000 {
        let before: Vec<_> = clients.iter().map(|client| (client.sent, client.received.len())).collect();
        for client in &mut *clients {
            client.send(usize::MAX);
        }
        alone.run();
        for client in &mut *clients {
            client.receive(1 << 16);
        }
        if clients.iter().map(|client| (client.sent, client.received.len())).eq(before) {
            return;
        }
    }
    panic!("it does not come to an end");
}

pub fn request(line: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

pub fn with_length(line: &str, body: &[u8]) -> Vec<u8> {
    request(line, &format!("Content-Length: {}\r\n", body.len()), body)
}

/// A player of this name, whose upgrade request is sent.
pub fn player(alone: &mut Alone, user: &str) -> Client {
    let wire = format!(
        "GET /ws?user={user} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    Client::new(alone, Port::Client, wire.into_bytes())
}

pub fn link_request(form: &str) -> Vec<u8> {
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {form}\r\n"
    );
    request("GET /v1/link", &fields, b"")
}

/// A frame of a client whose mask is zero.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

pub fn text_frame(text: &str) -> Vec<u8> {
    frame(1, text.as_bytes())
}

/// The first difference alone is shown: there is much.
pub fn assert_same(heard: &[Vec<String>], expected: &[Vec<String>], when: &str) {
    for (client, (heard, expected)) in heard.iter().zip(expected).enumerate() {
        for (piece, expected) in heard.iter().zip(expected) {
            assert_eq!(piece, expected, "{client} in {when}");
        }
        assert_eq!(heard.len(), expected.len(), "{client} in {when}");
    }
}
