//! A frame as a record shows it, and the frames in bytes that a server sends.

use crate::protocol::{FrameHeader, OpCode, Role};

/// What is recorded of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is; `None` of bytes that are no frame.
    pub opcode: Option<OpCode>,
    /// Whether it is the last of its message.
    pub fin: bool,
    /// Whether its payload is compressed.
    pub compressed: bool,
    /// The length of its payload.
    pub bytes: u64,
    /// The first bytes of that.
    pub head: Box<[u8]>,
}

impl Frame {
    /// The frame with this header, whose payload begins with `head`.
    pub fn new(header: &FrameHeader, head: &[u8]) -> Self {
        let FrameHeader { fin, rsv1, opcode, payload_length, mask: _ } = *header;
        Self { opcode: Some(opcode), fin, compressed: rsv1, bytes: payload_length, head: head.into() }
    }

    /// A message that goes in no frame.
    pub fn of_message(is_text: bool, payload: &[u8], head: usize) -> Self {
        let opcode = if is_text { OpCode::Text } else { OpCode::Binary };
        Self {
            opcode: Some(opcode),
            fin: true,
            compressed: false,
            bytes: payload.len() as u64,
            head: beginning(payload, head),
        }
    }

    /// Bytes that are no frame.
    pub fn none(bytes: &[u8], head: usize) -> Self {
        Self {
            opcode: None,
            fin: true,
            compressed: false,
            bytes: bytes.len() as u64,
            head: beginning(bytes, head),
        }
    }
}

/// The first bytes of a payload.
fn beginning(payload: &[u8], head: usize) -> Box<[u8]> {
    payload[..payload.len().min(head)].into()
}

/// A frame, and where it ends among the bytes in which it is.
#[derive(Debug, PartialEq, Eq)]
pub struct FrameEnd {
    pub frame: Frame,
    pub end: usize,
}

/// The whole frames in `bytes`, which a server sends: they may begin with the head of the answer to the upgrade. Of each the first
/// `head` bytes of its payload.
pub fn frames_of(bytes: &[u8], head: usize) -> impl Iterator<Item = FrameEnd> {
    let mut at = head_of_answer(bytes);
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let (header, length) = FrameHeader::parse(rest, Role::Server).ok()??;
        let payload_length = usize::try_from(header.payload_length).ok()?;
        let payload = rest.get(length..length.checked_add(payload_length)?)?;
        at += length + payload_length;
        Some(FrameEnd { frame: Frame::new(&header, &beginning(payload, head)), end: at })
    })
}

/// The length of an HTTP head, where there is one.
fn head_of_answer(bytes: &[u8]) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    // No frame begins so: an `H` would be a Close that is compressed and has no FIN (RFC 6455 §5.2, §5.5).
    match bytes.starts_with(b"HTTP/") {
        true => {
            let end = bytes.windows(END.len()).position(|window| window == END);
            end.map_or(bytes.len(), |at| at + END.len())
        }
        false => 0,
    }
}
