//! Why a command was refused.

use crate::metrics::RefusalReason;
use crate::protocol::CloseCode;
use std::fmt;

/// The error codes of the API.
///
/// ```
/// use gannet::dispatch::ErrorCode;
/// let code = ErrorCode::UnknownSession;
/// assert_eq!((code.as_str(), code.status()), ("unknown_session", 404));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Malformed, or out of bounds.
    BadRequest,
    /// No key, or a wrong one.
    Unauthorized,
    /// Known, but not allowed.
    Forbidden,
    /// No such path or app.
    NotFound,
    /// No such session.
    UnknownSession,
    /// The path has other methods.
    MethodNotAllowed,
    /// A body or message beyond its limit.
    PayloadTooLarge,
    /// Too many in too short a time.
    RateLimited,
    /// A queue is full: try again later.
    Overloaded,
    /// The server is going away.
    Draining,
    /// What is asked for cannot be done as things stand: a configuration that makes no sense.
    Conflict,
}

/// What goes with an error code wherever it is told.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The code.
    pub code: ErrorCode,
    /// Its name in JSON.
    pub name: &'static str,
    /// Its number in the binary link.
    pub number: u8,
    /// The HTTP status that goes with it (RFC 9110 §15).
    pub status: u16,
    /// What a refusal with that status is counted under on the client port.
    pub reason: RefusalReason,
    /// The code of the Close where a WebSocket ends for it (RFC 6455 §7.4).
    pub close: CloseCode,
    /// `Retry-After` of its answers, in seconds: RFC 9110 §10.2.3 has it for what is over after a while.
    pub retry_after_s: Option<u16>,
    /// Other statuses that have this code, each with its reason.
    pub further: &'static [(u16, RefusalReason)],
}

/// One row for each code, in the order of [`ErrorCode`].
pub static ERRORS: [ErrorRow; 11] = {
    use ErrorCode as Code;
    use RefusalReason as Reason;
    const fn row(code: Code, name: &'static str, number: u8, status: u16, reason: Reason) -> ErrorRow {
        let (close, retry_after_s, further) = (CloseCode::POLICY_VIOLATION, None, &[] as &[_]);
        ErrorRow { code, name, number, status, reason, close, retry_after_s, further }
    }
    [
        ErrorRow {
            further: &[
                (408, Reason::HeadTimeout),
                (415, Reason::Malformed),
                (417, Reason::Malformed),
                (421, Reason::Malformed),
                (426, Reason::Version),
                (501, Reason::Malformed),
                (505, Reason::Malformed),
            ],
            ..row(Code::BadRequest, "bad_request", 1, 400, Reason::Malformed)
        },
        row(Code::Unauthorized, "unauthorized", 2, 401, Reason::Unauthorized),
        row(Code::Forbidden, "forbidden", 3, 403, Reason::Forbidden),
        row(Code::NotFound, "not_found", 4, 404, Reason::NotFound),
        row(Code::UnknownSession, "unknown_session", 5, 404, Reason::NotFound),
        row(Code::MethodNotAllowed, "method_not_allowed", 6, 405, Reason::Method),
        ErrorRow {
            close: CloseCode::TOO_BIG,
            further: &[(414, Reason::TargetTooLong), (431, Reason::HeadTooLarge)],
            ..row(Code::PayloadTooLarge, "payload_too_large", 7, 413, Reason::Malformed)
        },
        ErrorRow {
            close: CloseCode::TRY_AGAIN_LATER,
            retry_after_s: Some(1),
            ..row(Code::RateLimited, "rate_limited", 8, 429, Reason::Rate)
        },
        ErrorRow {
            close: CloseCode::TRY_AGAIN_LATER,
            retry_after_s: Some(5),
            ..row(Code::Overloaded, "overloaded", 9, 503, Reason::Full)
        },
        ErrorRow {
            close: CloseCode::GOING_AWAY,
            retry_after_s: Some(5),
            ..row(Code::Draining, "draining", 10, 503, Reason::Draining)
        },
        row(Code::Conflict, "conflict", 11, 409, Reason::Malformed),
    ]
};

impl ErrorCode {
    /// The code as the API writes it.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status that goes with it (RFC 9110 §15).
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// All that goes with it.
    pub(crate) fn row(self) -> &'static ErrorRow {
        &ERRORS[self as usize]
    }

    /// The code with this number in the binary link.
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        ERRORS.iter().find(|row| row.number == number).map(|row| row.code)
    }

    /// What a status means that HTTP itself, or an upgrade, asks for. One without a row is what its class is
    /// (RFC 9110 §15): a test holds those that are given out against the rows.
    pub(crate) fn of_status(status: u16) -> (Self, RefusalReason) {
        let row = ERRORS.iter().find(|row| row.status == status);
        let further = || {
            let all =
                ERRORS.iter().flat_map(|row| row.further.iter().map(move |further| (row.code, *further)));
            all.map(|(code, (status, reason))| (status, (code, reason)))
                .find(|(further, _)| *further == status)
        };
        row.map(|row| (row.code, row.reason))
            .or_else(|| further().map(|(_, what)| what))
            .unwrap_or((Self::BadRequest, RefusalReason::Malformed))
    }
}

/// Why a command was refused.
///
/// ```
/// use gannet::dispatch::{CommandError, ErrorCode};
/// let error = CommandError::new(ErrorCode::RateLimited, "wait a second");
/// assert_eq!(error.to_string(), "rate_limited: wait a second");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: one sentence that says what to do.
    pub message: Box<str>,
}

impl CommandError {
    /// An error with its sentence.
    pub fn new(code: ErrorCode, message: impl Into<Box<str>>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_stand_in_the_order_of_the_codes_and_their_numbers_count_from_1() {
        for (index, row) in ERRORS.iter().enumerate() {
            assert_eq!((row.code as usize, usize::from(row.number)), (index, index + 1), "{row:?}");
            assert_eq!(row.code.row(), row);
            assert_eq!(ErrorCode::numbered(row.number), Some(row.code));
            assert!(row.close.is_allowed_on_wire());
        }
        assert_eq!([ErrorCode::numbered(0), ErrorCode::numbered(12)], [None, None]);
    }

    #[test]
    fn a_refusal_that_is_over_after_a_while_says_when_to_try_again() {
        for row in &ERRORS {
            assert_eq!(row.retry_after_s.is_some(), matches!(row.status, 429 | 503), "{row:?}");
        }
    }

    #[test]
    fn no_further_status_is_that_of_another_code() {
        let further = || ERRORS.iter().flat_map(|row| row.further);
        for (status, reason) in further() {
            assert!(ERRORS.iter().all(|row| row.status != *status), "{status}");
            assert_eq!(further().filter(|(other, _)| other == status).count(), 1, "{status}");
            assert_eq!(ErrorCode::of_status(*status).1, *reason);
        }
    }
}
