//! The fields of a head that has been parsed, and the lists in their values.

/// The header fields of a [`Request`](super::Request) or a [`ResponseHead`](super::ResponseHead) as `(name, value)`; the name as it was sent.
///
/// ```
/// use gannet::http::{HeadLimits, Request};
/// let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
/// let request = Request::parse(head, &HeadLimits::default()).unwrap();
/// let names: Vec<&str> = request.headers().map(|(name, _)| name).collect();
/// assert_eq!(names, ["Host", "X"]);
/// ```
#[derive(Debug, Clone)]
pub struct Headers<'b> {
    rest: &'b [u8],
}

impl<'b> Headers<'b> {
    /// Of field lines that have passed httparse, each with its CR LF.
    pub(super) fn of_lines(lines: &'b [u8]) -> Self {
        Self { rest: lines }
    }
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line_end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(line_end + 1);
        self.rest = rest;
        let colon = memchr::memchr(b':', line)?;
        let name = str::from_utf8(&line[..colon]).ok()?;
        Some((name, line[colon + 1..].trim_ascii()))
    }
}

/// The members of a comma-separated list such as `Connection`, without empty ones (RFC 9110 §5.6.1).
///
/// ```
/// let tokens: Vec<&[u8]> = gannet::http::list_tokens(b"keep-alive, ,Upgrade").collect();
/// assert_eq!(tokens, [b"keep-alive".as_slice(), b"Upgrade"]);
/// ```
pub fn list_tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether `text` is a token (RFC 9110 §5.6.2): the name of a method, a field, a subprotocol.
///
/// ```
/// use gannet::http::is_token;
/// assert!(is_token("chess.v2") && !is_token("chess v2") && !is_token(""));
/// ```
pub fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The field lines of a head, without the first line and the empty one at the end.
pub(super) fn field_lines(head: &[u8]) -> &[u8] {
    let after_request_line = memchr::memchr(b'\n', head).map_or(head.len(), |line_end| line_end + 1);
    head[after_request_line..].strip_suffix(b"\r\n").unwrap_or_default()
}
