//! What a connection has to remember between two reads: a cut-off header, a cut-off frame, a message in fragments. An
//! idle connection has none of it.

use super::frame::{FrameHeader, MAX_HEADER, OpCode, Role};
use super::utf8::TextAssembly;
use super::{Event, Input, ProtocolError};

/// A message's buffer is at most so many times what has come of it: what a peer only announces costs no memory.
const GROWTH: usize = 4;

/// Everything begun and not complete; dropped as soon as nothing is.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) header: PartialHeader,
    /// The frame whose payload is still coming.
    pub(super) frame: Option<Frame>,
    /// The payload so far of the control frame in `frame`.
    pub(super) control: Vec<u8>,
    /// The message whose last frame is not complete.
    pub(super) message: Option<Message>,
}

impl Partial {
    pub(super) fn is_empty(&self) -> bool {
        self.header.length == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// What it takes, itself and all that it owns.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.control.capacity() + self.message.as_ref().map_or(0, Message::capacity)
    }

    /// Goes on with the header whose start was kept, byte by byte.
    pub(super) fn continue_header(
        &mut self,
        input: &mut Input<'_>,
        sender: Role,
    ) -> Result<Option<FrameHeader>, ProtocolError> {
        while let [byte] = *input.take(1) {
            self.header.push(byte);
            if let Some((header, _)) = FrameHeader::parse(self.header.as_slice(), sender)? {
                self.header = PartialHeader::default();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Keeps the start of a header.
    pub(super) fn keep_header(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.header.push(byte));
    }

    pub(super) fn has_header(&self) -> bool {
        self.header.length > 0
    }
}

#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    /// Less than [`MAX_HEADER`] between calls: that many bytes are always a header or an error.
    length: u8,
}

impl PartialHeader {
    /// The start of a header; `None` where that many bytes are more than one.
    #[cfg(feature = "server")]
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        (start.len() < MAX_HEADER).then(|| {
            let mut header = Self::default();
            start.iter().for_each(|&byte| header.push(byte));
            header
        })
    }

    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.length)] = byte;
        self.length += 1;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A frame whose header is read and whose payload is coming.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) fin: bool,
    pub(super) opcode: OpCode,
    /// As it applies to the next byte of the payload.
    pub(super) key: Option<[u8; 4]>,
    /// RSV1 on the first frame of a message: it is compressed, RFC 7692 §6.1.
    pub(super) is_compressed: bool,
    /// Bytes of the payload that are still to come.
    pub(super) remaining: usize,
}

/// A message that comes in pieces.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: Body,
    /// Frames so far.
    pub(super) fragments: u32,
    /// What the body becomes when it is inflated; until then it is binary.
    pub(super) compressed: Option<OpCode>,
}

#[derive(Debug)]
pub(super) enum Body {
    Text(TextAssembly),
    Binary(Vec<u8>),
}

impl Message {
    pub(super) fn new(opcode: OpCode) -> Self {
        let body = match opcode {
            OpCode::Text => Body::Text(TextAssembly::default()),
            _ => Body::Binary(Vec::new()),
        };
        Self { body, fragments: 1, compressed: None }
    }

    /// A message that is kept as it comes, to be inflated when it is whole.
    pub(super) fn new_compressed(opcode: OpCode) -> Self {
        Self { body: Body::Binary(Vec::new()), fragments: 1, compressed: Some(opcode) }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) => bytes.len(),
        }
    }

    /// The payload, of a binary or compressed message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.body {
            Body::Text(_) => Vec::new(),
            Body::Binary(bytes) => bytes,
        }
    }

    fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Takes the next `piece` of a frame; after it `remaining` bytes of the frame are to come.
    ///
    /// The buffer grows with what has come, never with what was only announced; but it does not grow beyond the end
    /// of the last frame.
    pub(super) fn push(&mut self, piece: &[u8], remaining: usize, fin: bool) -> Result<(), ProtocolError> {
        if fin && self.capacity() < self.len() + piece.len() {
            let came = self.len() + piece.len();
            let additional = (came * GROWTH - self.len()).min(piece.len() + remaining);
            match &mut self.body {
                Body::Text(text) => text.reserve_exact(additional),
                Body::Binary(bytes) => bytes.reserve_exact(additional),
            }
        }
        match &mut self.body {
            Body::Text(text) => text.push(piece)?,
            Body::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }

    /// The message as an event, when its last frame is complete.
    pub(super) fn finish(self) -> Result<Event<'static>, ProtocolError> {
        Ok(match self.body {
            Body::Text(text) => Event::Text(text.finish()?.into()),
            Body::Binary(bytes) => Event::Binary(bytes.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_came_not_with_what_was_announced() {
        for opcode in [OpCode::Text, OpCode::Binary] {
            let mut message = Message::new(opcode);
            let announced = 1 << 40;
            for came in (1000..100_000).step_by(1000) {
                message.push(&[b'x'; 1000], announced - came, true).unwrap();
                assert!(message.capacity() <= GROWTH * came);
            }
        }
    }

    #[test]
    fn a_message_of_one_frame_ends_in_a_buffer_of_its_size() {
        let mut message = Message::new(OpCode::Binary);
        for piece in 1..=7 {
            message.push(&[0; 1000], 7000 - piece * 1000, true).unwrap();
        }
        assert_eq!(message.capacity(), 7000);
    }
}
