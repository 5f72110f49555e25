//! The state machine in any order of inputs, sends, close and end of input: its answers to the named questions hold,
//! and what it sends is always what its peer may read.

use gannet::protocol::{CloseCode, Ending, Event, Role, SendError, WebSocket};

use super::choices::Choices;
use super::endpoint::{LIMITS, client, receive, server};

/// A byte for the role, then operations: a byte for which, a byte for the length, the payload.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = match choices.byte() % 2 {
        0 => World::new(server(LIMITS), client(Default::default())),
        _ => World::new(client(LIMITS), server(Default::default())),
    };
    while !choices.is_empty() {
        let operation = choices.byte();
        let length = usize::from(choices.byte());
        let payload = choices.bytes(length);
        world.step(operation, payload);
    }
    world.end();
}

struct World {
    socket: WebSocket,
    /// Reads all that the socket sends.
    peer: WebSocket,
    /// The kind of the message in fragments that is being sent.
    sending: Option<u8>,
    sent_close: bool,
    received_close: bool,
    failed: bool,
    ended: bool,
}

impl World {
    fn new(socket: WebSocket, peer: WebSocket) -> Self {
        Self {
            socket,
            peer,
            sending: None,
            sent_close: false,
            received_close: false,
            failed: false,
            ended: false,
        }
    }

    fn step(&mut self, operation: u8, payload: &[u8]) {
        let mut out = Vec::new();
        let text = String::from_utf8_lossy(payload);
        let is_open = !(self.sent_close || self.received_close || self.failed || self.ended);
        let refusal = match operation % 10 {
            0..=2 => {
                self.receive(payload);
                return self.check();
            }
            3 => {
                let sent = self.socket.send_text(&text, &mut out);
                self.expect_message(sent, is_open, None, true)
            }
            4 => {
                let sent = self.socket.send_binary(payload, &mut out);
                self.expect_message(sent, is_open, None, true)
            }
            5 | 6 => {
                let (kind, fin) = (operation % 10, operation & 0x80 != 0);
                let sent = match kind {
                    5 => self.socket.send_text_fragment(&text, fin, &mut out),
                    _ => self.socket.send_binary_fragment(payload, fin, &mut out),
                };
                self.expect_message(sent, is_open, Some(kind), fin)
            }
            7 => {
                let sent = self.socket.ping(payload, &mut out);
                expect_control(sent, is_open, payload)
            }
            8 => {
                let code = payload.first_chunk().map(|code| CloseCode(u16::from_be_bytes(*code)));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                let closed = self.socket.close(code, &reason, &mut out);
                let is_valid =
                    is_open && reason.len() <= 123 && code.is_none_or(CloseCode::is_allowed_on_wire);
                assert_eq!(closed.is_ok(), is_valid, "{closed:?}");
                self.sent_close |= is_valid;
                closed.is_err()
            }
            _ if operation & 0x80 != 0 => {
                let ending = self.socket.end_of_input();
                let is_clean = self.received_close && !self.failed;
                assert_eq!(ending == Ending::Clean, is_clean);
                self.ended = true;
                false
            }
            _ => {
                let sent = self.socket.pong(payload, &mut out);
                expect_control(sent, is_open, payload)
            }
        };
        assert!(!refusal || out.is_empty(), "a refusal writes nothing");
        self.deliver(&out);
        self.check();
    }

    fn receive(&mut self, bytes: &[u8]) {
        let could_receive = self.socket.can_receive();
        let outcome = receive(&mut self.socket, &[bytes]);
        assert!(could_receive || (outcome.events.is_empty() && outcome.error.is_none()));
        let closes = outcome.events.iter().filter(|event| matches!(event, Event::Close(_))).count();
        assert!(closes <= 1);
        if closes == 1 {
            assert!(matches!(outcome.events.last(), Some(Event::Close(_))), "the last event");
            self.received_close = true;
        }
        self.failed |= outcome.error.is_some();
        self.deliver(&outcome.out);
    }

    /// What was sent is a valid stream: messages, whole; after a Close nothing but Pongs.
    fn deliver(&mut self, out: &[u8]) {
        if self.peer.is_closed() {
            let mut rest = out;
            while let [first, length, ..] = rest {
                assert_eq!(*first, 0x8a, "after a Close there are only Pongs");
                let key = if self.socket.role() == Role::Client { 4 } else { 0 };
                rest = &rest[2 + key + usize::from(length & 0x7f)..];
            }
            return;
        }
        let outcome = receive(&mut self.peer, &[out]);
        assert_eq!(outcome.error, None, "what is sent is valid");
    }

    /// Checks the verdict on a message or a fragment; whether it was refused.
    fn expect_message(
        &mut self,
        sent: Result<(), SendError>,
        is_open: bool,
        fragment: Option<u8>,
        fin: bool,
    ) -> bool {
        let expected = if !is_open {
            Err(SendError::Closed)
        } else if self.sending.is_some() && self.sending != fragment {
            Err(SendError::UnfinishedMessage)
        } else {
            Ok(())
        };
        assert_eq!(sent, expected);
        if sent.is_ok() {
            self.sending = fragment.filter(|_| !fin);
        }
        sent.is_err()
    }

    fn check(&self) {
        let is_over = self.received_close || self.failed || self.ended;
        assert_eq!(self.socket.can_receive(), !is_over);
        assert_eq!(self.socket.is_closed(), is_over);
        assert_eq!(self.socket.can_send(), !is_over && !self.sent_close && self.sending.is_none());
        assert_eq!(self.socket.is_closing(), !is_over && self.sent_close);
        assert!(!is_over || !self.socket.has_partial());
    }

    fn end(mut self) {
        let is_clean = self.received_close && !self.failed;
        assert_eq!(self.socket.end_of_input() == Ending::Clean, is_clean);
        assert!(self.socket.is_closed());
        assert_eq!(self.peer.is_closed(), self.sent_close || self.received_close || self.failed);
    }
}

fn expect_control(sent: Result<(), SendError>, is_open: bool, payload: &[u8]) -> bool {
    let expected = match is_open {
        false => Err(SendError::Closed),
        true if payload.len() > 125 => Err(SendError::ControlTooLong),
        true => Ok(()),
    };
    assert_eq!(sent, expected);
    sent.is_err()
}
