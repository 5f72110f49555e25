//! An answer, and the bytes it becomes.

use super::HttpDate;
use std::borrow::Cow;

/// What to send a client that waits with its body (RFC 9110 §10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const JSON: &str = "application/json";

/// An answer to a request, whole.
///
/// ```
/// use gannet::http::Response;
/// let mut out = Vec::new();
/// Response::text(200, "alive\n").with_header("Server", "gannet").write(true, false, None, &mut out);
/// assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n"));
/// assert!(out.ends_with(b"\r\n\r\nalive\n"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    /// Empty: none is sent.
    content_type: &'static str,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer with this status and body.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// JSON, which no cache keeps (`Cache-Control: no-store`).
    pub fn json(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, JSON, into_bytes(body.into()))
    }

    /// Plain text in UTF-8.
    pub fn text(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", into_bytes(body.into()))
    }

    /// Nothing but a status.
    pub fn empty(status: u16) -> Self {
        Self::new(status, "", Vec::new())
    }

    /// The same with one more header field. A control character in `value` becomes a space: it would end the field, or
    /// the head.
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let mut value = value.into();
        if value.contains(|char: char| char.is_ascii_control()) {
            value = value.replace(|char: char| char.is_ascii_control(), " ").into();
        }
        self.headers.push((name, value));
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Appends the answer to `out`. With `head_only`, the answer to HEAD, the body is left out and its length still
    /// told. Without `keep_alive` it says `Connection: close`; closing is the caller's. A `date` is sent by all who have a
    /// clock (RFC 9110 §6.6.1).
    pub fn write(&self, keep_alive: bool, head_only: bool, date: Option<HttpDate>, out: &mut Vec<u8>) {
        let has_body = may_have_body(self.status);
        out.reserve(224 + self.body.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(usize::from(self.status), out);
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        if has_body {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(self.body.len(), out);
            out.extend_from_slice(b"\r\n");
            if !self.content_type.is_empty() {
                push_field("Content-Type", self.content_type, out);
            }
        }
        if self.content_type == JSON {
            push_field("Cache-Control", "no-store", out);
        }
        if self.status >= 200 {
            if let Some(date) = date {
                push_field("Date", date.as_str(), out);
            }
            // HTTP/1.1 keeps connections without being told; HTTP/1.0 must be told (RFC 9112 §9.3). A field that is for this
            // connection only is named (RFC 9110 §7.6.1, §7.8).
            let offers_upgrade = self.headers.iter().any(|(name, _)| *name == "Upgrade");
            let options = match (keep_alive, offers_upgrade) {
                (true, false) => "keep-alive",
                (true, true) => "keep-alive, Upgrade",
                (false, false) => "close",
                (false, true) => "close, Upgrade",
            };
            push_field("Connection", options, out);
        }
        for (name, value) in &self.headers {
            push_field(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        if has_body && !head_only {
            out.extend_from_slice(&self.body);
        }
    }
}

fn into_bytes(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// RFC 9112 §6.3: 1xx, 204 and 304 end with their head, and (RFC 9110 §8.6) 1xx and 204 name no length.
fn may_have_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

fn push_field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn push_decimal(mut number: usize, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// The reason phrase of the codes that are sent here; clients ignore it (RFC 9112 §4).
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: &Response, keep_alive: bool, head_only: bool) -> String {
        let mut out = Vec::new();
        response.write(keep_alive, head_only, None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_byte_by_byte() {
        let response = Response::json(200, "{}").with_header("X", "1");
        assert_eq!(
            written(&response, true, false),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\nX: 1\r\n\r\n{}"
        );
        assert_eq!(
            written(&Response::text(503, "full"), false, true),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\
             Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_has_no_body() {
        assert_eq!(
            written(&Response::empty(404), true, false),
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
        );
        assert_eq!(
            written(&Response::empty(204), true, false),
            "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
        );
        let upgrade = Response::empty(101).with_header("Connection", "Upgrade");
        assert_eq!(
            written(&upgrade, true, false),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn what_is_for_the_connection_only_is_named() {
        let response = Response::empty(426).with_header("Upgrade", "websocket");
        let mut out = Vec::new();
        response.write(false, false, Some(HttpDate::from_unix_seconds(784_111_777)), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
    }

    #[test]
    fn a_value_cannot_start_a_field_of_its_own() {
        let response = Response::empty(404).with_header("X", String::from("a\r\nSet-Cookie: b"));
        assert!(written(&response, true, false).contains("X: a  Set-Cookie: b\r\n\r\n"));
    }

    #[test]
    fn httparse_reads_every_answer() {
        for status in 100..600 {
            for size in [0, 1, 9, 10, 99, 100, 12_345] {
                let response = Response::text(status, "x".repeat(size));
                let text = written(&response, size % 2 == 0, false);
                let mut slots = [httparse::EMPTY_HEADER; 8];
                let mut oracle = httparse::Response::new(&mut slots);
                let head_len = oracle.parse(text.as_bytes()).unwrap().unwrap();
                assert_eq!(oracle.code, Some(status));
                let told = oracle.headers.iter().find(|header| header.name == "Content-Length");
                if may_have_body(status) {
                    assert_eq!(told.map(|header| header.value), Some(size.to_string().as_bytes()));
                    assert_eq!(text.len() - head_len, size);
                } else {
                    assert!(told.is_none());
                    assert_eq!(text.len(), head_len);
                }
            }
        }
    }
}
