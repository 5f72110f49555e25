//! A request that gets an error instead of what it asked for. Knows nothing of how the answer is written.

use crate::dispatch::{CommandError, ErrorCode};
use crate::metrics::RefusalReason;
use crate::protocol::handshake::UpgradeError;

/// Why a request was refused, and what the answer must say beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error: its code gives the status ([`ErrorCode::status`]).
    pub error: CommandError,
    /// The value of `Allow`, which a 405 must have (RFC 9110 §15.5.6).
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// 404: nothing is at `path`.
    pub fn unknown_path(path: &str, known: &str) -> Self {
        let path = super::fields::Quoted(path);
        CommandError::new(ErrorCode::NotFound, format!("there is nothing at {path}; {known}")).into()
    }

    /// 405: the path is known, but not with this method.
    pub fn method_not_allowed(method: &str, allow: &'static str) -> Self {
        let method = super::fields::Quoted(method);
        let message = format!("{method} is not a method of this path; it takes {allow}");
        Self { error: CommandError::new(ErrorCode::MethodNotAllowed, message), allow: Some(allow) }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Self { error, allow: None }
    }
}

/// A request that is not let in.
pub struct Refused {
    /// The status of the answer.
    pub status: u16,
    /// What it is counted under.
    pub reason: RefusalReason,
    /// The sentence of the answer.
    pub message: Box<str>,
    /// The value of `Allow`, which a 405 must have.
    pub allow: Option<&'static str>,
}

impl Refused {
    /// With this status and message, counted under this reason.
    pub fn new(status: u16, reason: RefusalReason, message: impl ToString) -> Self {
        Self { status, reason, message: message.to_string().into(), allow: None }
    }

    /// With this status and message, counted under the reason that goes with the status.
    pub fn status(status: u16, message: impl ToString) -> Self {
        Self::new(status, reason_for(status), message)
    }

    /// The code of the answer's error.
    pub fn code(&self) -> ErrorCode {
        match (self.status, self.reason) {
            (401, _) => ErrorCode::Unauthorized,
            (403, _) => ErrorCode::Forbidden,
            (404, _) => ErrorCode::NotFound,
            (405, _) => ErrorCode::MethodNotAllowed,
            (414 | 431, _) => ErrorCode::PayloadTooLarge,
            (429, _) => ErrorCode::RateLimited,
            (_, RefusalReason::Draining) => ErrorCode::Draining,
            (503, _) => ErrorCode::Overloaded,
            _ => ErrorCode::BadRequest,
        }
    }

    /// The server stops.
    pub fn draining() -> Self {
        Self::new(503, RefusalReason::Draining, "the server is going away: connect again, to another one")
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { allow: refusal.allow, ..Self::status(refusal.error.code.status(), refusal.error.message) }
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        Self::status(error.code.status(), error.message)
    }
}

impl From<UpgradeError> for Refused {
    fn from(error: UpgradeError) -> Self {
        Self::status(error.status(), error)
    }
}

fn reason_for(status: u16) -> RefusalReason {
    match status {
        401 => RefusalReason::Unauthorized,
        403 => RefusalReason::Forbidden,
        404 => RefusalReason::NotFound,
        405 => RefusalReason::Method,
        408 => RefusalReason::HeadTimeout,
        414 => RefusalReason::TargetTooLong,
        426 => RefusalReason::Version,
        431 => RefusalReason::HeadTooLarge,
        _ => RefusalReason::Malformed,
    }
}
