//! Which fields say where a body ends, for requests and responses alike.

use super::fields::list_tokens;
use super::{BodyFraming, HeadError};

/// What `Content-Length` and `Transfer-Encoding` say together (RFC 9112 §6).
#[derive(Debug, Default)]
pub struct FramingFields {
    length: Option<u64>,
    /// The members of all `Transfer-Encoding` fields: how many, and how many of them are `chunked`.
    codings: usize,
    chunked: usize,
    ends_chunked: bool,
}

impl FramingFields {
    /// Takes note of a field; `false` if it is about something else.
    ///
    /// # Errors
    /// [`HeadError::BadFraming`] for a length that is not a number, or not the one of an earlier field.
    pub fn take(&mut self, name: &str, value: &[u8]) -> Result<bool, HeadError> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = parse_length(value).ok_or(HeadError::BadFraming)?;
            if self.length.replace(length).is_some_and(|earlier| earlier != length) {
                return Err(HeadError::BadFraming);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // An empty list names no coding, yet the field is there: it must not pass for "no body".
            self.codings += usize::from(list_tokens(value).next().is_none());
            for coding in list_tokens(value) {
                self.codings += 1;
                self.ends_chunked = coding.eq_ignore_ascii_case(b"chunked");
                self.chunked += usize::from(self.ends_chunked);
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// How the length of the body is known; [`BodyFraming::None`] when no field says it.
    ///
    /// # Errors
    /// [`HeadError::BadFraming`] and [`HeadError::UnsupportedCoding`].
    pub fn framing(&self, version_minor: u8) -> Result<BodyFraming, HeadError> {
        match (self.length, self.codings) {
            (None, 0) => Ok(BodyFraming::None),
            (Some(length), 0) => Ok(BodyFraming::Length(length)),
            // RFC 9112 §6.3: both is an attempt at smuggling; §6.1: HTTP/1.0 knows no transfer codings.
            (Some(_), _) => Err(HeadError::BadFraming),
            (None, _) if version_minor == 0 => Err(HeadError::BadFraming),
            (None, 1) if self.chunked == 1 => Ok(BodyFraming::Chunked),
            // RFC 9112 §6.1: `chunked` comes once, and last.
            (None, _) if self.chunked > 1 || (self.chunked == 1 && !self.ends_chunked) => {
                Err(HeadError::BadFraming)
            }
            (None, _) => Err(HeadError::UnsupportedCoding),
        }
    }
}

/// 1*DIGIT (RFC 9110 §8.6). A number beyond 64 bits is as good as the largest one: it is too large anyway.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = value.iter().map(|digit| u64::from(digit - b'0'));
    Some(digits.fold(0u64, |length, digit| length.saturating_mul(10).saturating_add(digit)))
}
