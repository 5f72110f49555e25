//! The echo: a client's messages turned round, as one read brought them. Knows nothing of sockets and of who is there.

use crate::core::Reply;
use crate::protocol::{Event, FrameHeader, Input, OpCode, ProtocolError, WebSocket};
use std::borrow::Cow;

/// Payloads from so many bytes on are written from where they were read; smaller ones cost less to copy.
const LEFT_IN_PLACE: usize = 2048;

/// What one read comes to.
pub(super) struct Echo<'b> {
    /// Whether every message is to be charged before the next one is looked at.
    is_metered: bool,
    /// The payload of the last message, where it lies; its header ends the answer. Empty where the answer has it all.
    pub tail: &'b [u8],
}

impl<'b> Echo<'b> {
    pub fn new(is_metered: bool) -> Self {
        Self { is_metered, tail: &[] }
    }

    /// Answers the messages in `input`; the first event that is something else, or that is to be charged.
    pub fn receive(
        &mut self,
        websocket: &mut WebSocket,
        input: &mut Input<'b>,
        reply: &mut Reply,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        let Reply { control, messages: answer } = reply;
        loop {
            let received = websocket.receive(input, control);
            match &received {
                Ok(Some(Event::Text(Cow::Borrowed(text)))) if self.may_stay(text.len(), websocket, input) => {
                    self.leave(OpCode::Text, text.as_bytes(), answer);
                }
                Ok(Some(Event::Binary(Cow::Borrowed(bytes))))
                    if self.may_stay(bytes.len(), websocket, input) =>
                {
                    self.leave(OpCode::Binary, bytes, answer);
                }
                // The connection is open, so that only a Close sent meanwhile could refuse; then nothing more is owed.
                Ok(Some(Event::Text(text))) => _ = websocket.send_text(text, answer),
                Ok(Some(Event::Binary(bytes))) => _ = websocket.send_binary(bytes, answer),
                _ => return received,
            }
            if self.is_metered || answer.len() >= Reply::FULL {
                return received;
            }
        }
    }

    /// Whether a payload of `length` bytes may be written from where it lies: nothing comes behind it that could be answered.
    #[inline]
    fn may_stay(&self, length: usize, websocket: &WebSocket, input: &Input<'_>) -> bool {
        length >= LEFT_IN_PLACE && input.is_empty() && websocket.sends_plain() && !self.is_metered
    }

    #[cold]
    fn leave(&mut self, opcode: OpCode, payload: &'b [u8], answer: &mut Vec<u8>) {
        FrameHeader::plain(opcode, payload.len()).encode(answer);
        self.tail = payload;
    }
}
