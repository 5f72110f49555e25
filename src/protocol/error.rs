//! What the peer did wrong, what the caller did wrong, and the one place where a wrong becomes a close code.

use std::fmt;

use super::{CloseCode, InvalidUtf8};

/// What the peer did wrong. The connection is failed (RFC 6455 §7.1.7): a Close frame with
/// [`close_code`](Self::close_code) is already in the output.
///
/// ```
/// use gannet::protocol::{CloseCode, ProtocolError};
/// assert_eq!(ProtocolError::InvalidUtf8.close_code(), CloseCode::INVALID_DATA);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 set where no extension gives it a meaning, §5.2.
    ReservedBits,
    /// An opcode that the standard keeps for later, §5.2.
    ReservedOpCode(u8),
    /// A control frame without FIN, §5.5.
    FragmentedControl,
    /// A control frame with a payload of more than 125 bytes, §5.5.
    ControlTooLong,
    /// A frame from a client that is not masked, §5.1.
    UnmaskedFromClient,
    /// A frame from a server that is masked, §5.1.
    MaskedFromServer,
    /// A payload length not written in the fewest bytes, §5.2.
    NonMinimalLength,
    /// A 64-bit payload length with the most significant bit set, §5.2.
    LengthOutOfRange,
    /// A continuation without a message to continue, §5.4.
    UnexpectedContinuation,
    /// A new message before the last one was complete, §5.4.
    InterruptedMessage,
    /// A frame beyond [`Limits::max_frame_bytes`](super::Limits::max_frame_bytes), §10.4.
    FrameTooBig,
    /// A message beyond [`Limits::max_message_bytes`](super::Limits::max_message_bytes), §10.4.
    MessageTooBig,
    /// A message in more frames than [`Limits::max_fragments`](super::Limits::max_fragments), §10.4.
    TooManyFragments,
    /// Text, or a close reason, that is not UTF-8, §8.1.
    InvalidUtf8,
    /// A compressed message that cannot be inflated, RFC 7692 §7.2.2.
    InvalidDeflate,
    /// A Close frame with a payload of one byte, §5.5.1.
    TruncatedCloseCode,
    /// A Close frame with a code that may not be on the wire, §7.4.
    ForbiddenCloseCode(CloseCode),
}

impl ProtocolError {
    /// The code that the Close frame to the peer carries, RFC 6455 §7.4.1.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::TOO_BIG,
            // Not too big, but more work than the endpoint is willing to do.
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ReservedBits => "a reserved bit is set without an extension that defines it",
            Self::ReservedOpCode(code) => return write!(f, "opcode {code:#x} is reserved"),
            Self::FragmentedControl => "a control frame must not be fragmented",
            Self::ControlTooLong => "a control frame carries at most 125 bytes",
            Self::UnmaskedFromClient => "a client must mask its frames",
            Self::MaskedFromServer => "a server must not mask its frames",
            Self::NonMinimalLength => "the payload length is not in its shortest form",
            Self::LengthOutOfRange => "the payload length has its top bit set",
            Self::UnexpectedContinuation => "there is no message to continue",
            Self::InterruptedMessage => "a message began before the last one was complete",
            Self::FrameTooBig => "the frame is beyond the limit",
            Self::MessageTooBig => "the message is beyond the limit",
            Self::TooManyFragments => "the message has too many fragments",
            Self::InvalidUtf8 => "the text is not UTF-8",
            Self::InvalidDeflate => "the compressed message cannot be inflated",
            Self::TruncatedCloseCode => "a close code has two bytes",
            Self::ForbiddenCloseCode(code) => return write!(f, "close code {code} must not be sent"),
        };
        f.write_str(text)
    }
}

impl std::error::Error for ProtocolError {}

/// Why a frame was not sent; nothing was written to the output.
///
/// ```
/// use gannet::protocol::{SendError, WebSocket};
/// let mut socket = WebSocket::server(Default::default());
/// assert_eq!(socket.ping(&[0; 126], &mut Vec::new()), Err(SendError::ControlTooLong));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A Close was sent or the connection has failed: nothing may follow, RFC 6455 §5.5.1.
    Closed,
    /// A control frame's payload has at most 125 bytes, §5.5.
    ControlTooLong,
    /// The message that was begun in parts must be ended first, §5.4.
    UnfinishedMessage,
    /// The code may not be on the wire, §7.4.
    ForbiddenCloseCode(CloseCode),
    /// The reason has more than [`CloseFrame::MAX_REASON_BYTES`](super::CloseFrame::MAX_REASON_BYTES) bytes.
    ReasonTooLong,
    /// A reason needs a code, §5.5.1.
    ReasonWithoutCode,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closing: send nothing more on it"),
            Self::ControlTooLong => f.write_str("give a ping or pong at most 125 bytes"),
            Self::UnfinishedMessage => f.write_str("end the message that was begun in parts first"),
            Self::ForbiddenCloseCode(code) => {
                write!(f, "close code {code} must not be sent: use 1000–1003, 1007–1014 or 3000–4999")
            }
            Self::ReasonTooLong => f.write_str("shorten the close reason to 123 bytes"),
            Self::ReasonWithoutCode => f.write_str("give a close code along with the reason"),
        }
    }
}

impl std::error::Error for SendError {}
