//! What a reactor publishes while it asks whether everybody hears by another set of Redis servers, as far as it would go to another
//! server by that set. It has no number yet: it gets one of the server that it goes to, whichever that is in the end. Pure.

use std::collections::VecDeque;

/// See the module.
#[derive(Debug)]
pub struct Held {
    messages: VecDeque<HeldMessage>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

/// A message that waits for its server.
#[derive(Debug)]
pub struct HeldMessage {
    /// The server by the old set.
    pub server: usize,
    /// The server by the new one.
    pub next: usize,
    /// The channel.
    pub channel: Box<[u8]>,
    /// The header, without a number, and the body.
    pub message: Vec<u8>,
    /// Until when it is worth publishing, in milliseconds of the server's clock.
    pub deadline_ms: u64,
    /// Who waits for what becomes of it; 0 is nobody.
    pub number: u64,
}

impl Held {
    /// Nothing is held; so much is at the most.
    pub fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, max_messages, max_bytes }
    }

    /// Takes a message. Returns whether there was room for it.
    pub fn push(&mut self, message: HeldMessage) -> bool {
        let bytes = self.bytes + message.message.len();
        if self.messages.len() >= self.max_messages || bytes > self.max_bytes {
            return false;
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        true
    }

    /// All of them, in their order.
    pub fn into_messages(self) -> impl Iterator<Item = HeldMessage> {
        self.messages.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, bytes: usize) -> HeldMessage {
        let channel = b"c"[..].into();
        HeldMessage { server: 0, next: 1, channel, message: vec![0; bytes], deadline_ms: 0, number }
    }

    #[test]
    fn messages_come_out_as_they_went_in_and_are_bounded_in_number_and_bytes() {
        let mut held = Held::new(3, 100);
        assert!(held.push(message(1, 50)) && !held.push(message(2, 51)));
        assert!(held.push(message(3, 20)) && held.push(message(4, 20)) && !held.push(message(5, 1)));
        let numbers: Vec<u64> = held.into_messages().map(|message| message.number).collect();
        assert_eq!(numbers, [1, 3, 4]);
    }
}
