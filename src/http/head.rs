//! Where a head ends, found without looking at any byte twice.

use super::HeadError;

/// Room beside the target in a request line: a method of up to 32 bytes, two spaces, the version and CR LF.
const REQUEST_LINE_REST: usize = 32 + 2 + "HTTP/1.1\r\n".len();

/// The bounds of a request's head.
///
/// ```
/// use gannet::http::HeadLimits;
/// let limits = HeadLimits { max_headers: 32, ..HeadLimits::default() };
/// assert_eq!(limits.max_bytes, 16 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, in bytes, with its empty line. Default: 16 KiB.
    pub max_bytes: usize,
    /// Header fields, at most [`HeadLimits::HEADERS_CEILING`]. Default: 64.
    pub max_headers: usize,
    /// The request target, in bytes. Default: 8 KiB.
    pub max_target_bytes: usize,
}

impl HeadLimits {
    /// The most that `max_headers` can be; more counts as this many.
    pub const HEADERS_CEILING: usize = 256;
    /// The defaults.
    pub const DEFAULT: Self = Self { max_bytes: 16 * 1024, max_headers: 64, max_target_bytes: 8 * 1024 };
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The bounds of a message: its head, and its body once decoded.
///
/// ```
/// use gannet::http::MessageLimits;
/// assert_eq!(MessageLimits::default().max_body_bytes, 16 * 1024 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// The head. Of a response, `max_target_bytes` bounds the reason phrase.
    pub head: HeadLimits,
    /// The decoded body, in bytes. Default: 16 MiB.
    pub max_body_bytes: usize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { head: HeadLimits::default(), max_body_bytes: 16 * 1024 * 1024 }
    }
}

/// Finds the end of a head in a buffer that grows, and remembers how far it has looked.
///
/// ```
/// use gannet::http::{HeadLimits, HeadScanner};
/// let limits = HeadLimits::default();
/// let mut scanner = HeadScanner::default();
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nthe body";
/// assert_eq!(scanner.scan(&bytes[..20], &limits), Ok(None));
/// assert_eq!(scanner.scan(bytes, &limits), Ok(Some(27)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct HeadScanner {
    /// No line ends in `line_start..scanned`.
    scanned: usize,
    line_start: usize,
    /// Whole lines so far, the request line among them, without an empty one in front of it.
    lines: usize,
}

impl HeadScanner {
    /// Looks at what is new in `buf`, which begins where the head begins and only grows from call to call. Answers the
    /// length of the head once it is whole, and is then ready for the next head.
    ///
    /// One empty line in front of the request line is skipped and counts as part of the head (RFC 9112 §2.2).
    ///
    /// # Errors
    /// [`HeadError::TargetTooLong`], [`HeadError::TooLarge`] and [`HeadError::TooManyHeaders`] as soon as the bytes
    /// seen are past a limit, [`HeadError::BareLineFeed`] and [`HeadError::Malformed`] (two empty lines in front).
    /// How the bytes were split over the calls makes no difference.
    pub fn scan(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        while let Some(offset) = memchr::memchr(b'\n', buf.get(self.scanned..).unwrap_or_default()) {
            let line_end = self.scanned + offset;
            self.check_size(line_end + 1, limits)?;
            let Some((b'\r', line)) = buf[self.line_start..line_end].split_last() else {
                return Err(HeadError::BareLineFeed);
            };
            if !line.is_empty() {
                self.lines += 1;
                if self.lines > limits.max_headers.min(HeadLimits::HEADERS_CEILING) + 1 {
                    return Err(HeadError::TooManyHeaders);
                }
            } else if self.lines > 0 {
                *self = Self::default();
                return Ok(Some(line_end + 1));
            } else if self.line_start > 0 {
                return Err(HeadError::Malformed);
            }
            self.line_start = line_end + 1;
            self.scanned = self.line_start;
        }
        self.check_size(buf.len(), limits)?;
        self.scanned = buf.len();
        Ok(None)
    }

    fn check_size(&self, seen: usize, limits: &HeadLimits) -> Result<(), HeadError> {
        let rest = self.line_start + REQUEST_LINE_REST;
        let request_line_bound = limits.max_target_bytes.saturating_add(rest);
        if self.lines == 0 && seen > request_line_bound.min(limits.max_bytes) {
            return Err(HeadError::TargetTooLong);
        }
        if seen > limits.max_bytes {
            return Err(HeadError::TooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { max_bytes: 120, max_headers: 3, max_target_bytes: 20 };

    fn in_steps(bytes: &[u8], step: usize) -> Result<Option<usize>, HeadError> {
        let mut scanner = HeadScanner::default();
        for end in (step..bytes.len()).step_by(step) {
            match scanner.scan(&bytes[..end], &LIMITS) {
                Ok(None) => {}
                decided => return decided,
            }
        }
        scanner.scan(bytes, &LIMITS)
    }

    #[test]
    fn the_end_is_found_however_the_bytes_are_split() {
        let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(80));
        let endless_target = "G".repeat(200);
        let long_field = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(100));
        let endless_field = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(300));
        let late_bare = format!("GET / HTTP/1.1\r\nA: {}\nB: c\r\n\r\n", "x".repeat(110));
        let table: &[(&str, Result<Option<usize>, HeadError>)] = &[
            ("", Ok(None)),
            ("\r\n", Ok(None)),
            ("GET / HTTP/1.1\r\n\r\n", Ok(Some(18))),
            ("GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", Ok(Some(18))),
            ("\r\nGET / HTTP/1.1\r\n\r\n", Ok(Some(20))),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n\n\n", Ok(Some(27))),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r", Ok(None)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(HeadError::Malformed)),
            ("\nGET / HTTP/1.1\r\n\r\n", Err(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\nHost: a\n\n", Err(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Err(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", Ok(Some(36))),
            ("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n", Err(HeadError::TooManyHeaders)),
            (&long_target, Err(HeadError::TargetTooLong)),
            (&endless_target, Err(HeadError::TargetTooLong)),
            (&long_field, Err(HeadError::TooLarge)),
            (&endless_field, Err(HeadError::TooLarge)),
            (&late_bare, Err(HeadError::TooLarge)),
        ];
        for (text, expected) in table {
            for step in (1..=text.len()).chain([usize::MAX]) {
                assert_eq!(&in_steps(text.as_bytes(), step), expected, "{text:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn after_a_head_the_scanner_is_ready_for_the_next() {
        let bytes = b"GET /1 HTTP/1.1\r\n\r\nGET /22 HTTP/1.1\r\n\r\n";
        let mut scanner = HeadScanner::default();
        assert_eq!(scanner.scan(bytes, &LIMITS), Ok(Some(19)));
        assert_eq!(scanner.scan(&bytes[19..], &LIMITS), Ok(Some(20)));
    }

    #[test]
    fn a_buffer_that_shrinks_is_no_panic() {
        let mut scanner = HeadScanner::default();
        assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nA", &LIMITS), Ok(None));
        assert_eq!(scanner.scan(b"", &LIMITS), Ok(None));
    }
}
