//! The Close frame's payload: a code and a reason, RFC 6455 §5.5.1 and §7.4. It knows nothing of the handshake.

use std::borrow::Cow;
use std::fmt;

use super::ProtocolError;
use super::frame::MAX_CONTROL_PAYLOAD;
use super::utf8;

/// A close code, RFC 6455 §7.4.
///
/// ```
/// use gannet::protocol::CloseCode;
/// assert!(CloseCode::NORMAL.is_allowed_on_wire());
/// assert!(CloseCode(4003).is_allowed_on_wire());
/// assert!(!CloseCode::NO_STATUS.is_allowed_on_wire());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that the endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: never on the wire; stands for a Close without a code.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: never on the wire; stands for a connection that ended without a Close.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit the type of the message, such as bad UTF-8 in text.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: the message violates a policy of the endpoint.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client expected an extension that the server did not negotiate.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded, try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from upstream (IANA registry).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Whether the code may stand in a Close frame, RFC 6455 §7.4.1 and §7.4.2: 1000–1003, 1007–1014, 3000–4999.
    pub const fn is_allowed_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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

    #[test]
    fn codes_on_the_wire_are_those_of_the_table() {
        let allowed: Vec<u16> = (0..=u16::MAX).filter(|&code| CloseCode(code).is_allowed_on_wire()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(allowed, expected);
    }

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
}
