//! The codes of Close frames, RFC 6455 §7.4. It knows nothing of the frames.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_on_the_wire_are_those_of_the_table() {
        let allowed: Vec<u16> = (0..=u16::MAX).filter(|&code| CloseCode(code).is_allowed_on_wire()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(allowed, expected);
    }
}
