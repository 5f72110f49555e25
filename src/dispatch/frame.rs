//! A message as it goes on the wire, made once for all who get it.

use crate::protocol::{DeflateEngine, OpCode, encode_frame};
use std::fmt;
use std::sync::Arc;

/// A whole unmasked frame, header and payload, shared by every outbox on every core.
#[derive(Clone)]
pub struct EncodedFrame(Arc<[u8]>);

impl EncodedFrame {
    /// A text message in one frame.
    pub fn text(payload: &str) -> Self {
        Self(share(OpCode::Text, payload.as_bytes()))
    }

    /// A binary message in one frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self(share(OpCode::Binary, payload))
    }

    /// The same message compressed, where that is shorter.
    pub(crate) fn deflated(&self, engine: &DeflateEngine) -> Option<Self> {
        let (kind, payload) = self.parts();
        engine.encode_frame(kind, payload).map(|bytes| Self(bytes.into()))
    }

    fn parts(&self) -> (OpCode, &[u8]) {
        // As `encode_frame` wrote it (RFC 6455 §5.2): FIN and opcode, then a length of one, three or nine bytes.
        let header = match self.0[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        let opcode = if self.0[0] & 0x0f == 1 { OpCode::Text } else { OpCode::Binary };
        (opcode, &self.0[header..])
    }

    /// The bytes for the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Header and payload, in bytes.
    pub fn wire_len(&self) -> usize {
        self.0.len()
    }
}

/// The frame in the one allocation that is shared; a long one is made beside it first.
fn share(opcode: OpCode, payload: &[u8]) -> Arc<[u8]> {
    /// The longest payload whose length is one byte (RFC 6455 §5.2).
    const SHORT: usize = 125;
    let mut frame = [0; 2 + SHORT];
    match frame.get_mut(2..2 + payload.len()) {
        Some(place) => {
            place.copy_from_slice(payload);
            frame[0] = 0x80 | opcode as u8;
            frame[1] = payload.len() as u8;
            frame[..2 + payload.len()].into()
        }
        None => encode_frame(opcode, payload).into(),
    }
}

impl fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedFrame({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_protocol_core() {
        for length in [0, 1, 2, 124, 125, 126, 127, 128, 65_535, 65_536] {
            let text = "x".repeat(length);
            assert_eq!(EncodedFrame::text(&text).as_bytes(), encode_frame(OpCode::Text, text.as_bytes()));
            let binary = EncodedFrame::binary(text.as_bytes());
            assert_eq!(binary.as_bytes(), encode_frame(OpCode::Binary, text.as_bytes()));
            assert_eq!(binary.parts(), (OpCode::Binary, text.as_bytes()));
        }
    }
}
