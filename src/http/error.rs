//! What can be wrong with a request, by cause, and the status that says so.

use std::fmt;

/// Why a request's head is refused. The connection cannot be used any further: where the next request begins is unknown.
///
/// ```
/// use gannet::http::{HeadError, HeadLimits, Request};
/// let error = Request::parse(b"GET / HTTP/1.1\r\n\r\n", &HeadLimits::default()).unwrap_err();
/// assert_eq!((error, error.status()), (HeadError::BadHost, 400));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Not the grammar of RFC 9112: 400.
    Malformed,
    /// A line feed without its carriage return (RFC 9112 §2.2 lets a server refuse it): 400.
    BareLineFeed,
    /// The target is neither a path, `*`, nor an absolute `http` URI (RFC 9112 §3.2): 400.
    BadTarget,
    /// No `Host` in HTTP/1.1, more than one, or one that is no host (RFC 9112 §3.2): 400.
    BadHost,
    /// `Content-Length` and `Transfer-Encoding` together, several that differ, or not a number (RFC 9112 §6.3): 400.
    BadFraming,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1): 501.
    UnsupportedCoding,
    /// `Expect` asks for something other than `100-continue` (RFC 9110 §10.1.1): 417.
    UnknownExpectation,
    /// The target is longer than its limit: 414.
    TargetTooLong,
    /// The head is longer than its limit: 431.
    TooLarge,
    /// More header fields than the limit: 431.
    TooManyHeaders,
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    UnsupportedVersion,
}

impl HeadError {
    /// The status code of the refusal.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::BareLineFeed | Self::BadTarget | Self::BadHost | Self::BadFraming => 400,
            Self::TargetTooLong => 414,
            Self::UnknownExpectation => 417,
            Self::TooLarge | Self::TooManyHeaders => 431,
            Self::UnsupportedCoding => 501,
            Self::UnsupportedVersion => 505,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "this is not an HTTP/1.1 request: send a request line, fields and an empty line"
            }
            Self::BareLineFeed => "a line ends with a bare line feed: end every line with CR LF",
            Self::BadTarget => "the request target must be a path, such as /ws, or an absolute http URI",
            Self::BadHost => "a request needs exactly one Host field with a host in it",
            Self::BadFraming => {
                "the length of the body is ambiguous: send one Content-Length or Transfer-Encoding: chunked"
            }
            Self::UnsupportedCoding => "the only transfer coding understood here is chunked",
            Self::UnknownExpectation => "the only expectation met here is 100-continue: leave Expect out",
            Self::TargetTooLong => "the request target is too long: shorten the query",
            Self::TooLarge => "the request head is too large: send fewer or shorter fields",
            Self::TooManyHeaders => "the request has too many header fields: send fewer",
            Self::UnsupportedVersion => "speak HTTP/1.1 here",
        })
    }
}

impl std::error::Error for HeadError {}

/// Why a request's body is refused. The connection cannot be used any further.
///
/// ```
/// use gannet::http::{BodyError, BodyFraming, BodyReader};
/// let error = BodyReader::new(BodyFraming::Length(1000), 999).unwrap_err();
/// assert_eq!((error, error.status()), (BodyError::TooLarge, 413));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than the limit, as announced or as they came: 413.
    TooLarge,
    /// Not the chunked coding of RFC 9112 §7.1: 400.
    BadChunk,
    /// Chunk extensions or trailer fields beyond their bounds: 400.
    TooMuchFraming,
}

impl BodyError {
    /// The status code of the refusal.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::BadChunk | Self::TooMuchFraming => 400,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is too large: send it in smaller parts",
            Self::BadChunk => "the chunked coding of the body is broken: check sizes and line ends",
            Self::TooMuchFraming => {
                "the body has too many chunk extensions or trailer fields: leave them out"
            }
        })
    }
}

impl std::error::Error for BodyError {}

/// Why a part of a request target cannot be decoded: 400.
///
/// ```
/// use gannet::http::{Query, TargetError};
/// assert_eq!(Query::new("user=%zz").next(), Some(Err(TargetError::BadEscape)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetError {
    /// A `%` that two hex digits do not follow (RFC 3986 §2.1).
    BadEscape,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
}

impl TargetError {
    /// The status code of the refusal.
    pub const fn status(self) -> u16 {
        400
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadEscape => "a % in the target needs two hex digits after it: write % itself as %25",
            Self::NotUtf8 => "the target must be UTF-8 once its %XX escapes are decoded",
        })
    }
}

impl std::error::Error for TargetError {}
