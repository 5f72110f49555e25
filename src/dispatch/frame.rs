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
        Self(encode_frame(OpCode::Text, payload.as_bytes()).into())
    }

    /// A binary message in one frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self(encode_frame(OpCode::Binary, payload).into())
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

impl fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedFrame({} bytes)", self.0.len())
    }
}
