//! (in progress)

/// The kinds of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpCode {
    /// Text.
    Text,
    /// Binary.
    Binary,
}

/// A whole unmasked frame.
pub fn encode_frame(_opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    payload.to_vec()
}
