//! The Close frame's payload: a code and a reason, RFC 6455 §5.5.1. It knows nothing of the handshake.

use std::borrow::Cow;

use super::frame::MAX_CONTROL_PAYLOAD;
use super::utf8;
use super::{CloseCode, ProtocolError};

/// What a Close frame with a payload says.
///
/// ```
/// use gannet::protocol::{CloseCode, CloseFrame};
/// let close = CloseFrame { code: CloseCode(4001), reason: "kicked".into() };
/// assert_eq!(CloseFrame::parse(b"\x0f\xa1kicked"), Ok(Some(close)));
/// assert_eq!(CloseFrame::parse(b""), Ok(None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame<'b> {
    /// Why.
    pub code: CloseCode,
    /// For the log, not for the user; may be empty. At most [`CloseFrame::MAX_REASON_BYTES`].
    pub reason: Cow<'b, str>,
}

impl<'b> CloseFrame<'b> {
    /// The longest reason, in bytes: a control frame's payload less the code.
    pub const MAX_REASON_BYTES: usize = MAX_CONTROL_PAYLOAD - 2;

    /// As much of the start of `reason` as a Close frame takes: at most [`CloseFrame::MAX_REASON_BYTES`], whole characters.
    ///
    /// ```
    /// use gannet::protocol::CloseFrame;
    /// assert_eq!(CloseFrame::fitting_reason("kicked"), "kicked");
    /// assert_eq!(CloseFrame::fitting_reason(&"ö".repeat(100)), "ö".repeat(61));
    /// ```
    pub fn fitting_reason(reason: &str) -> &str {
        let mut end = reason.len().min(Self::MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        &reason[..end]
    }

    /// Reads a Close frame's payload; an empty one says nothing.
    ///
    /// # Errors
    /// A payload of one byte, a code that may not be on the wire, a reason that is not UTF-8.
    pub fn parse(payload: &'b [u8]) -> Result<Option<Self>, ProtocolError> {
        match payload {
            [] => Ok(None),
            // §5.5.1: if there is a body, its first two bytes are the code.
            [_] => Err(ProtocolError::TruncatedCloseCode),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.is_allowed_on_wire() {
                    return Err(ProtocolError::ForbiddenCloseCode(code));
                }
                let reason = utf8::check(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
                Ok(Some(Self { code, reason: Cow::Borrowed(reason) }))
            }
        }
    }

    /// The same, owning its reason.
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::SendError;

    #[test]
    fn payloads() {
        assert_eq!(CloseFrame::parse(b"\x03"), Err(ProtocolError::TruncatedCloseCode));
        assert_eq!(
            CloseFrame::parse(b"\x03\xed"),
            Err(ProtocolError::ForbiddenCloseCode(CloseCode::NO_STATUS))
        );
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xc3"), Err(ProtocolError::InvalidUtf8));
        let close = CloseFrame { code: CloseCode::NORMAL, reason: "ü".into() };
        assert_eq!(CloseFrame::parse("\u{3}".as_bytes()), Err(ProtocolError::TruncatedCloseCode));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xc3\xbc"), Ok(Some(close)));
    }

    #[test]
    fn the_message_about_a_reason_that_is_too_long_says_how_long_it_may_be() {
        let message = SendError::ReasonTooLong.to_string();
        assert!(message.contains(&format!(" {} bytes", CloseFrame::MAX_REASON_BYTES)), "{message}");
    }
}
