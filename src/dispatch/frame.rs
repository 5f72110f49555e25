//! A message as it goes on the wire, made once for all who get it.

use super::mark::MARK;
use crate::protocol::{DeflateEngine, FrameHeader, OpCode, Role, encode_frame};
use crate::upgrade::InvalidState;
use std::fmt;
use std::sync::Arc;

/// A whole unmasked frame, header and payload, shared by every outbox on every core.
///
/// ```
/// use gannet::dispatch::EncodedFrame;
/// assert_eq!(EncodedFrame::text("hi").as_bytes(), b"\x81\x02hi");
/// ```
#[derive(Clone)]
pub struct EncodedFrame(Shared);

/// The bytes of a frame: short ones in the one allocation that is shared, long ones where they were made, since to copy a
/// megabyte to memory that is touched for the first time takes a turn's time and more.
#[derive(Clone)]
enum Shared {
    Copied(Arc<[u8]>),
    Kept(Arc<Vec<u8>>),
}

const _: () = assert!(size_of::<EncodedFrame>() == size_of::<Arc<[u8]>>());

impl EncodedFrame {
    /// A text message in one frame.
    pub fn text(payload: &str) -> Self {
        Self(share(OpCode::Text, payload.as_bytes()))
    }

    /// A binary message in one frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self(share(OpCode::Binary, payload))
    }

    /// The message `payload`, which is known to be text where `opcode` says so. A long one is made where it lies, and taken.
    pub(crate) fn of_body(opcode: OpCode, payload: &mut Vec<u8>) -> Self {
        /// From so many bytes on.
        const LONG: usize = 16 * 1024;
        Self(match payload.len() {
            LONG.. => keep(opcode, std::mem::take(payload)),
            _ => share(opcode, payload),
        })
    }

    /// The same message compressed, where that is shorter.
    pub(crate) fn deflated(&self, engine: &DeflateEngine) -> Option<Self> {
        let (kind, payload) = self.parts();
        engine.encode_frame(kind, payload).map(|bytes| Self(Shared::Copied(bytes.into())))
    }

    /// Whether it is a text that begins with the mark of gannet's own messages.
    pub(crate) fn begins_with_mark(&self) -> bool {
        let (kind, payload) = self.parts();
        kind == OpCode::Text && payload.first() == Some(&(MARK as u8))
    }

    /// The same text as it goes to clients that tell gannet's own messages from the game's, where that is another one: it begins
    /// with the mark.
    pub(crate) fn marked(&self) -> Option<Self> {
        if !self.begins_with_mark() {
            return None;
        }
        let (kind, payload) = self.parts();
        let payload = [&[MARK as u8], payload].concat();
        Some(Self(Shared::Kept(Arc::new(encode_frame(kind, &payload)))))
    }

    /// A frame that came from another process, which had made it as one of these: plain or compressed.
    ///
    /// # Errors
    /// The bytes are not one whole frame of a text or binary message as a server sends it.
    pub(crate) fn of_wire(bytes: Vec<u8>) -> Result<Self, InvalidState> {
        let invalid = || InvalidState::new("a frame is none that a server sends");
        let (header, length) = FrameHeader::parse(&bytes, Role::Server).ok().flatten().ok_or_else(invalid)?;
        let is_message = matches!(header.opcode, OpCode::Text | OpCode::Binary) && header.fin;
        let payload = bytes.get(length..).unwrap_or_default();
        if !is_message || header.payload_length != payload.len() as u64 {
            return Err(invalid());
        }
        if header.opcode == OpCode::Text && !header.rsv1 && std::str::from_utf8(payload).is_err() {
            return Err(InvalidState::new("a text is not UTF-8"));
        }
        Ok(Self(Shared::Kept(Arc::new(bytes))))
    }

    /// Whether it is a text, and its payload.
    pub(crate) fn message(&self) -> (bool, &[u8]) {
        let (kind, payload) = self.parts();
        (kind == OpCode::Text, payload)
    }

    fn parts(&self) -> (OpCode, &[u8]) {
        // As `encode_frame` wrote it (RFC 6455 §5.2): FIN and opcode, then a length of one, three or nine bytes.
        let bytes = self.as_bytes();
        let header = match bytes[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        let opcode = if bytes[0] & 0x0f == 1 { OpCode::Text } else { OpCode::Binary };
        (opcode, &bytes[header..])
    }

    /// Whether it is a text message.
    pub fn is_text(&self) -> bool {
        self.parts().0 == OpCode::Text
    }

    /// The message, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        // It was text when it was made, and has been checked where it came from elsewhere.
        let (opcode, payload) = self.parts();
        std::str::from_utf8(payload).ok().filter(|_| opcode == OpCode::Text)
    }

    /// The message without the header of its frame.
    pub fn payload(&self) -> &[u8] {
        self.parts().1
    }

    /// The bytes for the wire.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Shared::Copied(bytes) => bytes,
            Shared::Kept(bytes) => bytes,
        }
    }

    /// Header and payload, in bytes.
    pub fn wire_len(&self) -> usize {
        self.as_bytes().len()
    }
}

impl PartialEq for EncodedFrame {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for EncodedFrame {}

fn share(opcode: OpCode, payload: &[u8]) -> Shared {
    /// The longest payload whose length is one byte (RFC 6455 §5.2).
    const SHORT: usize = 125;
    let mut frame = [0; 2 + SHORT];
    match frame.get_mut(2..2 + payload.len()) {
        Some(place) => {
            place.copy_from_slice(payload);
            frame[0] = 0x80 | opcode as u8;
            frame[1] = payload.len() as u8;
            Shared::Copied(frame[..2 + payload.len()].into())
        }
        None => Shared::Kept(Arc::new(encode_frame(opcode, payload))),
    }
}

/// Memory that has been touched moves faster than fresh memory is mapped.
fn keep(opcode: OpCode, payload: Vec<u8>) -> Shared {
    let mut header = Vec::new();
    FrameHeader::plain(opcode, payload.len()).encode(&mut header);
    let mut frame = payload;
    frame.splice(..0, header);
    frame.shrink_to_fit();
    Shared::Kept(Arc::new(frame))
}

impl fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedFrame({} bytes)", self.wire_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_with_the_mark_has_it_twice_for_clients_that_tell_them_apart() {
        for length in [1, 124, 125, 126, 65_535, 65_536] {
            let text = format!("{MARK}{}", "x".repeat(length));
            let marked = EncodedFrame::text(&text).marked().unwrap();
            assert_eq!(marked.as_bytes(), EncodedFrame::text(&format!("{MARK}{text}")).as_bytes());
            assert!(EncodedFrame::binary(text.as_bytes()).marked().is_none());
            assert!(EncodedFrame::text(&format!("x{text}")).marked().is_none());
        }
        assert!(EncodedFrame::text("").marked().is_none());
    }

    #[test]
    fn frames_are_those_of_the_protocol_core() {
        for length in [0, 1, 2, 124, 125, 126, 127, 128, 65_535, 65_536] {
            let text = "x".repeat(length);
            assert_eq!(EncodedFrame::text(&text).as_bytes(), encode_frame(OpCode::Text, text.as_bytes()));
            let binary = EncodedFrame::binary(text.as_bytes());
            assert_eq!(binary.as_bytes(), encode_frame(OpCode::Binary, text.as_bytes()));
            assert_eq!(binary.parts(), (OpCode::Binary, text.as_bytes()));
            for opcode in [OpCode::Text, OpCode::Binary] {
                let mut body = text.clone().into_bytes();
                let frame = EncodedFrame::of_body(opcode, &mut body);
                assert_eq!(frame.as_bytes(), encode_frame(opcode, text.as_bytes()));
            }
        }
    }
}
