//! Why a command was refused.

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
}

impl ErrorCode {
    /// The code as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::UnknownSession => "unknown_session",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
        }
    }

    /// The HTTP status that goes with it (RFC 9110 §15).
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownSession => 404,
            Self::MethodNotAllowed => 405,
            Self::PayloadTooLarge => 413,
            Self::RateLimited => 429,
            Self::Overloaded | Self::Draining => 503,
        }
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
