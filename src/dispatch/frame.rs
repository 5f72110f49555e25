//! A message as it goes on the wire, made once for all who get it.

use crate::protocol::{OpCode, encode_frame};
use std::fmt;
use std::sync::Arc;

/// Text or binary: the two kinds of message (RFC 6455 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// A whole unmasked frame, header and payload, shared by every outbox on every core.
#[derive(Clone)]
pub struct EncodedFrame(Arc<[u8]>);

impl EncodedFrame {
    /// A text message in one frame.
    pub fn text(payload: &str) -> Self {
        Self::new(MessageKind::Text, payload.as_bytes())
    }

    /// A binary message in one frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self::new(MessageKind::Binary, payload)
    }

    /// A message in one frame; of a text message the payload is UTF-8.
    pub(crate) fn new(kind: MessageKind, payload: &[u8]) -> Self {
        let opcode = match kind {
            MessageKind::Text => OpCode::Text,
            MessageKind::Binary => OpCode::Binary,
        };
        Self(encode_frame(opcode, payload).into())
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
