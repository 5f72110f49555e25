//! Frame headers, RFC 6455 §5.2: read with every check that needs no memory of earlier frames, and written. It
//! knows nothing of messages.

use super::ProtocolError;

/// The longest payload of a control frame, in bytes, RFC 6455 §5.5.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest frame header, in bytes.
pub(crate) const MAX_HEADER: usize = 14;

/// The payload length fits the header's second byte up to here, and 16 bits up to `u16::MAX`.
const MAX_SHORT_LENGTH: u64 = 125;

/// Which end of the connection.
///
/// ```
/// use gannet::protocol::{Role, WebSocket};
/// assert_eq!(WebSocket::server(Default::default()).role(), Role::Server);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Sends unmasked.
    Server,
}

/// What a frame is, RFC 6455 §5.2.
///
/// ```
/// use gannet::protocol::OpCode;
/// assert!(OpCode::Ping.is_control() && !OpCode::Text.is_control());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// More of the message that an earlier frame began.
    Continuation = 0x0,
    /// Text, UTF-8.
    Text = 0x1,
    /// Binary.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// To be answered by a Pong with the same payload.
    Ping = 0x9,
    /// The answer to a Ping, or a one-way sign of life.
    Pong = 0xa,
}

impl OpCode {
    /// Close, Ping and Pong: never fragmented, at most [`MAX_CONTROL_PAYLOAD`] bytes, allowed between fragments.
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    pub(crate) const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

/// A frame's header.
///
/// ```
/// use gannet::protocol::{FrameHeader, OpCode, Role};
/// let header = FrameHeader { fin: true, rsv1: false, opcode: OpCode::Text, payload_length: 5, mask: None };
/// let mut bytes = Vec::new();
/// header.encode(&mut bytes);
/// assert_eq!(bytes, [0x81, 5]);
/// assert_eq!(FrameHeader::parse(&bytes, Role::Server), Ok(Some((header, 2))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// The first reserved bit: the message is compressed, RFC 7692 §6.
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: OpCode,
    /// In bytes.
    pub payload_length: u64,
    /// The key that the payload is masked with.
    pub mask: Option<[u8; 4]>,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`, sent by `sender`; with its length in bytes. `None`: more bytes are
    /// needed. A byte that is wrong is refused as soon as it is there.
    ///
    /// RSV1 is passed on, since its meaning depends on the extension.
    ///
    /// # Errors
    /// Everything wrong in the header itself.
    #[inline]
    pub fn parse(bytes: &[u8], sender: Role) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        // §5.2: RSV2 and RSV3 must be 0, no extension that we know defines them.
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = match OpCode::from_nibble(first & 0x0f) {
            Some(opcode) => opcode,
            None => return Err(ProtocolError::ReservedOpCode(first & 0x0f)),
        };
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControl);
        }
        let [second, rest @ ..] = rest else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match sender {
            Role::Client if !masked => return Err(ProtocolError::UnmaskedFromClient),
            Role::Server if masked => return Err(ProtocolError::MaskedFromServer),
            _ => {}
        }
        let short_length = second & 0x7f;
        if opcode.is_control() && usize::from(short_length) > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((payload_length, rest)) = parse_length(short_length, rest)? else { return Ok(None) };
        let (mask, rest) = match rest.split_first_chunk() {
            _ if !masked => (None, rest),
            Some((key, rest)) => (Some(*key), rest),
            None => return Ok(None),
        };
        let header = Self { fin, rsv1: first & 0x40 != 0, opcode, payload_length, mask };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header to `out`.
    ///
    /// The length is written in its shortest form; a length of 2^63 or more does not exist in memory.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8;
        let masked = u8::from(self.mask.is_some()) << 7;
        let length = self.payload_length;
        // One extend a case: the lengths are constants then.
        if length <= MAX_SHORT_LENGTH {
            out.extend_from_slice(&[first, masked | length as u8]);
        } else if let Ok(length) = u16::try_from(length) {
            let [high, low] = length.to_be_bytes();
            out.extend_from_slice(&[first, masked | 126, high, low]);
        } else {
            out.extend_from_slice(&[first, masked | 127]);
            out.extend_from_slice(&length.to_be_bytes());
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }

    /// The header of a message in one frame that is neither masked nor compressed, of `payload_length` bytes.
    pub(crate) const fn plain(opcode: OpCode, payload_length: usize) -> Self {
        Self { fin: true, rsv1: false, opcode, payload_length: payload_length as u64, mask: None }
    }

    /// The header's own length, in bytes.
    pub const fn encoded_length(&self) -> usize {
        let length = match self.payload_length {
            0..=MAX_SHORT_LENGTH => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        if self.mask.is_some() { length + 4 } else { length }
    }
}

/// The payload length that `short` announces or `bytes` hold, and what follows it.
#[inline]
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    match short {
        126 => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*length));
            if length <= MAX_SHORT_LENGTH {
                return Err(ProtocolError::NonMinimalLength);
            }
            Ok(Some((length, rest)))
        }
        127 => {
            let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(*length);
            if length >> 63 != 0 {
                return Err(ProtocolError::LengthOutOfRange);
            }
            if length <= u64::from(u16::MAX) {
                return Err(ProtocolError::NonMinimalLength);
            }
            Ok(Some((length, rest)))
        }
        short => Ok(Some((u64::from(short), bytes))),
    }
}

/// A whole final unmasked frame, as a server sends it: made once, it serves every connection of a broadcast.
///
/// ```
/// use gannet::protocol::{OpCode, encode_frame};
/// assert_eq!(encode_frame(OpCode::Text, b"Hello"), b"\x81\x05Hello");
/// ```
pub fn encode_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader::plain(opcode, payload.len());
    let mut frame = Vec::with_capacity(header.encoded_length() + payload.len());
    header.encode(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_encoding_and_parsing() {
        let lengths = [0, 1, 124, 125, 126, 127, 0xfffe, 0xffff, 0x10000, u64::from(u32::MAX), (1 << 63) - 1];
        let opcodes = [OpCode::Continuation, OpCode::Text, OpCode::Binary];
        for payload_length in lengths {
            for opcode in opcodes {
                for mask in [None, Some([1, 2, 3, 4])] {
                    for (fin, rsv1) in [(true, false), (false, false), (true, true)] {
                        let header = FrameHeader { fin, rsv1, opcode, payload_length, mask };
                        let sender = if mask.is_some() { Role::Client } else { Role::Server };
                        let mut bytes = Vec::new();
                        header.encode(&mut bytes);
                        assert_eq!(bytes.len(), header.encoded_length());
                        assert_eq!(FrameHeader::parse(&bytes, sender), Ok(Some((header, bytes.len()))));
                        for cut in 0..bytes.len() {
                            assert_eq!(FrameHeader::parse(&bytes[..cut], sender), Ok(None));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_headers_are_refused_at_their_first_wrong_byte() {
        use ProtocolError::*;
        let cases: &[(&[u8], Role, ProtocolError)] = &[
            (&[0xa1], Role::Client, ReservedBits),
            (&[0x91], Role::Client, ReservedBits),
            (&[0x83], Role::Client, ReservedOpCode(3)),
            (&[0x87], Role::Client, ReservedOpCode(7)),
            (&[0x8b], Role::Client, ReservedOpCode(0xb)),
            (&[0x8f], Role::Client, ReservedOpCode(0xf)),
            (&[0x08], Role::Client, FragmentedControl),
            (&[0x09], Role::Client, FragmentedControl),
            (&[0x0a], Role::Client, FragmentedControl),
            (&[0x81, 0x00], Role::Client, UnmaskedFromClient),
            (&[0x81, 0x80], Role::Server, MaskedFromServer),
            (&[0x89, 0xfe], Role::Client, ControlTooLong),
            (&[0x88, 0xff], Role::Client, ControlTooLong),
            (&[0x8a, 0x7e], Role::Server, ControlTooLong),
            (&[0x81, 126, 0, 125], Role::Server, NonMinimalLength),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Role::Server, NonMinimalLength),
            (&[0x81, 127, 0x80, 0, 0, 0, 0, 1, 0, 0], Role::Server, LengthOutOfRange),
        ];
        for (bytes, sender, error) in cases {
            assert_eq!(FrameHeader::parse(bytes, *sender), Err(*error), "{bytes:x?}");
            assert_eq!(FrameHeader::parse(&bytes[..bytes.len() - 1], *sender), Ok(None), "{bytes:x?}");
        }
    }

    #[test]
    fn a_frame_is_allocated_exactly() {
        for length in [0, 125, 126, 0xffff, 0x10000] {
            let frame = encode_frame(OpCode::Binary, &vec![7; length]);
            assert_eq!(frame.len(), frame.capacity());
        }
    }
}
