//! A request's head, read and checked.

use std::mem::MaybeUninit;

use super::fields::{Headers, field_lines, list_tokens};
use super::framing::FramingFields;
use super::request_target::{Target, is_host};
use super::{BodyFraming, HeadError, HeadLimits, HeadScanner};

/// A request's head, borrowed from the buffer it was read into. What makes requests ambiguous is refused while parsing,
/// so that whoever holds a `Request` need not remember to ask.
///
/// ```
/// use gannet::http::{BodyFraming, HeadLimits, Request};
/// let head = b"POST /v1/push?user=ada HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n";
/// let request = Request::parse(head, &HeadLimits::default()).unwrap();
/// assert_eq!((request.method, request.path, request.query), ("POST", "/v1/push", Some("user=ada")));
/// assert_eq!(request.header("content-length"), Some(b"2".as_slice()));
/// assert_eq!(request.body(), BodyFraming::Length(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'b> {
    /// The method, case-sensitive.
    pub method: &'b str,
    /// The target as it was sent.
    pub target: &'b str,
    /// The target's path, not decoded: it begins with `/`, or is `*` (RFC 9112 §3.2.4).
    pub path: &'b str,
    /// The target's query, not decoded, without its `?`.
    pub query: Option<&'b str>,
    /// The host, with a port where there is one, that the client means to speak to: `Host`, or that of a target in absolute
    /// form, which overrules it (RFC 9112 §3.2.2). HTTP/1.0 may name none.
    pub host: Option<&'b str>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub version_minor: u8,
    /// The field lines, each with its CR LF; all of them have passed httparse.
    fields: &'b [u8],
    framing: BodyFraming,
    keep_alive: bool,
    expects_continue: bool,
}

impl<'b> Request<'b> {
    /// Reads a head as [`HeadScanner::scan`] delimits it.
    ///
    /// # Errors
    /// [`HeadError`]; also for what a lenient parser lets through: bare line feeds, folded lines, white space before a
    /// colon, a missing or second `Host`, `Content-Length` beside `Transfer-Encoding`.
    pub fn parse(head: &'b [u8], limits: &HeadLimits) -> Result<Self, HeadError> {
        if HeadScanner::default().scan(head, limits)? != Some(head.len()) {
            return Err(HeadError::Malformed);
        }
        Self::parse_delimited(head, limits)
    }

    /// As [`Request::parse`], for a head that a [`HeadScanner`] has just delimited.
    pub(super) fn parse_delimited(head: &'b [u8], limits: &HeadLimits) -> Result<Self, HeadError> {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        let mut slots = [const { MaybeUninit::uninit() }; HeadLimits::HEADERS_CEILING];
        let slots = &mut slots[..limits.max_headers.min(HeadLimits::HEADERS_CEILING)];
        let mut parsed = httparse::Request::new(&mut []);
        let status =
            parsed.parse_with_uninit_headers(head, slots).map_err(|error| head_error(error, head))?;
        let (true, Some(method), Some(target), Some(version_minor)) =
            (status.is_complete(), parsed.method, parsed.path, parsed.version)
        else {
            return Err(HeadError::Malformed);
        };
        if target.len() > limits.max_target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        let Target { authority, path, query } = Target::split(method, target)?;
        let fields = field_lines(head);
        let meaning = Meaning::read(fields, version_minor)?;
        Ok(Self {
            method,
            target,
            path,
            query,
            host: authority.or(meaning.host),
            version_minor,
            fields,
            framing: meaning.framing.framing(version_minor)?,
            keep_alive: !meaning.close && (version_minor == 1 || meaning.keep_alive),
            expects_continue: meaning.expects_continue && version_minor == 1,
        })
    }

    /// The first value of the header `name`, whatever its case, without the white space around it.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.header_all(name).next()
    }

    /// All values of the header `name`, in order.
    pub fn header_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.headers().filter(move |(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All header fields, in order.
    pub fn headers(&self) -> Headers<'b> {
        Headers::of_lines(self.fields)
    }

    /// Whether the connection outlives the answer (RFC 9112 §9.3): in HTTP/1.1 unless `Connection: close`, in HTTP/1.0
    /// only with `Connection: keep-alive`.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// How the length of the body is known (RFC 9112 §6.3).
    pub fn body(&self) -> BodyFraming {
        self.framing
    }

    /// Whether there is a body that is not known to be empty.
    pub fn has_body(&self) -> bool {
        !matches!(self.framing, BodyFraming::None | BodyFraming::Length(0))
    }

    /// Whether the client waits for [`CONTINUE`](super::CONTINUE) before it sends the body (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }
}

fn head_error(error: httparse::Error, head: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version if names_http(head) => HeadError::UnsupportedVersion,
        _ => HeadError::Malformed,
    }
}

/// Whether the third word of the request line is `HTTP/`, a digit, a dot, a digit (RFC 9112 §2.3).
fn names_http(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// What the fields say about the message itself, gathered in one pass.
#[derive(Default)]
struct Meaning<'b> {
    host: Option<&'b str>,
    framing: FramingFields,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    /// Something else than that.
    expects_more: bool,
}

impl<'b> Meaning<'b> {
    fn read(fields: &'b [u8], version_minor: u8) -> Result<Self, HeadError> {
        let mut meaning = Self::default();
        for (name, value) in Headers::of_lines(fields) {
            meaning.take(name, value)?;
        }
        // RFC 9112 §3.2: HTTP/1.1 without Host is refused; HTTP/1.0 did not have it.
        if meaning.host.is_none() && version_minor == 1 {
            return Err(HeadError::BadHost);
        }
        // RFC 9110 §10.1.1: HTTP/1.0 has no expectations.
        if meaning.expects_more && version_minor == 1 {
            return Err(HeadError::UnknownExpectation);
        }
        Ok(meaning)
    }

    fn take(&mut self, name: &str, value: &'b [u8]) -> Result<(), HeadError> {
        if name.eq_ignore_ascii_case("host") {
            if self.host.is_some() || !is_host(value) {
                return Err(HeadError::BadHost);
            }
            // A host is ASCII.
            self.host = Some(str::from_utf8(value).unwrap_or_default());
        } else if name.eq_ignore_ascii_case("connection") {
            for option in list_tokens(value) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case("expect") {
            for expectation in list_tokens(value) {
                let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= is_continue;
                self.expects_more |= !is_continue;
            }
        } else {
            self.framing.take(name, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request<'_>, HeadError> {
        Request::parse(head.as_bytes(), &HeadLimits::default())
    }

    /// A request of HTTP/1.1 with a host and these field lines.
    fn with_fields(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn a_head_is_taken_apart() {
        let request =
            parse("\r\nGET /ws/app?user=a%20b HTTP/1.1\r\nhOST: x:9000\r\nA:1\r\na: \t 2 \r\nB:\r\n\r\n")
                .unwrap();
        assert_eq!(
            (request.method, request.target, request.path, request.query, request.version_minor),
            ("GET", "/ws/app?user=a%20b", "/ws/app", Some("user=a%20b"), 1)
        );
        assert_eq!(request.header("Host"), Some(b"x:9000".as_slice()));
        assert_eq!(request.header_all("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(request.header("b"), Some(b"".as_slice()));
        assert_eq!(request.header("c"), None);
        assert_eq!(request.headers().count(), 4);
    }

    #[test]
    fn the_host_of_an_absolute_target_overrules_the_field() {
        assert_eq!(parse("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n").unwrap().host, Some("a:1"));
        assert_eq!(parse("GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().host, Some("b:1"));
        assert_eq!(parse("GET http://b:1/ HTTP/1.1\r\n\r\n").map(|_| ()), Err(HeadError::BadHost));
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n").unwrap().host, None);
    }

    #[test]
    fn what_is_refused_and_how() {
        let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8 * 1024));
        let many = with_fields(&"a: b\r\n".repeat(64));
        let large = with_fields(&format!("a: {}\r\n", "b".repeat(16 * 1024)));
        let table: &[(&str, HeadError, u16)] = &[
            ("", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb: c\n\r\n", HeadError::BareLineFeed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb: c\rd: e\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb: c\r\n folded\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb c: d\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n: d\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nb: c\0d\r\n\r\n", HeadError::Malformed, 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET /\r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HeadError::Malformed, 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", HeadError::UnsupportedVersion, 505),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", HeadError::UnsupportedVersion, 505),
            ("GET / HTTP/1.1\r\n\r\n", HeadError::BadHost, 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HeadError::BadHost, 400),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HeadError::BadHost, 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HeadError::BadHost, 400),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HeadError::BadHost, 400),
            (&long_target, HeadError::TargetTooLong, 414),
            (&many, HeadError::TooManyHeaders, 431),
            (&large, HeadError::TooLarge, 431),
        ];
        for (head, error, status) in table {
            assert_eq!(parse(head).map(|_| ()), Err(*error), "{head:?}");
            assert_eq!(error.status(), *status);
            assert!(!error.to_string().is_empty());
        }
        assert!(Request::parse(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", &HeadLimits::default()).is_err());
    }

    #[test]
    fn how_long_the_body_is() {
        use BodyFraming::{Chunked, Length};
        let table: &[(&str, Result<BodyFraming, HeadError>)] = &[
            ("", Ok(BodyFraming::None)),
            ("Content-Length: 0\r\n", Ok(Length(0))),
            ("content-length: 0042\r\n", Ok(Length(42))),
            ("Content-Length: 7\r\nContent-Length: 7\r\n", Ok(Length(7))),
            ("Content-Length: 18446744073709551616\r\n", Ok(Length(u64::MAX))),
            ("Content-Length: 7\r\nContent-Length: 8\r\n", Err(HeadError::BadFraming)),
            ("Content-Length: 7, 7\r\n", Err(HeadError::BadFraming)),
            ("Content-Length: +7\r\n", Err(HeadError::BadFraming)),
            ("Content-Length: -7\r\n", Err(HeadError::BadFraming)),
            ("Content-Length: 0x7\r\n", Err(HeadError::BadFraming)),
            ("Content-Length:\r\n", Err(HeadError::BadFraming)),
            ("Transfer-Encoding: chunked\r\n", Ok(Chunked)),
            ("Transfer-Encoding: CHUNKED\r\n", Ok(Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Err(HeadError::BadFraming)),
            ("Content-Length: 7\r\nTransfer-Encoding: gzip\r\n", Err(HeadError::BadFraming)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(HeadError::BadFraming)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::BadFraming)),
            ("Transfer-Encoding: chunked, gzip\r\n", Err(HeadError::BadFraming)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::UnsupportedCoding)),
            ("Transfer-Encoding: identity\r\n", Err(HeadError::UnsupportedCoding)),
            ("Transfer-Encoding: xchunked\r\n", Err(HeadError::UnsupportedCoding)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(HeadError::UnsupportedCoding)),
            ("Transfer-Encoding:\r\n", Err(HeadError::UnsupportedCoding)),
            ("Transfer-Encoding:\r\nContent-Length: 7\r\n", Err(HeadError::BadFraming)),
        ];
        for (fields, expected) in table {
            let head = with_fields(fields);
            assert_eq!(&parse(&head).map(|request| request.body()), expected, "{fields:?}");
        }
        assert_eq!(
            parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").map(|_| ()),
            Err(HeadError::BadFraming)
        );
    }

    #[test]
    fn when_the_connection_is_kept() {
        for (version, fields, kept) in [
            (1, "", true),
            (1, "Connection: close\r\n", false),
            (1, "Connection: Upgrade, CLOSE\r\n", false),
            (1, "Connection: keep-alive\r\nConnection: close\r\n", false),
            (1, "Connection: closed\r\n", true),
            (0, "", false),
            (0, "Connection: Keep-Alive\r\n", true),
            (0, "Connection: keep-alive, close\r\n", false),
        ] {
            let head = format!("GET / HTTP/1.{version}\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(parse(&head).unwrap().keep_alive(), kept, "{head:?}");
        }
    }

    #[test]
    fn a_client_that_waits_for_100() {
        assert!(parse(&with_fields("Expect: 100-Continue\r\n")).unwrap().expects_continue());
        assert!(!parse(&with_fields("")).unwrap().expects_continue());
        assert!(!parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().expects_continue());
        for (expectation, version_minor, error) in [
            ("100-continue, 100-Continue", 1, None),
            ("", 1, None),
            ("202-accepted", 1, Some(HeadError::UnknownExpectation)),
            ("100-continue, x", 1, Some(HeadError::UnknownExpectation)),
            ("x", 0, None),
        ] {
            let head = format!("POST / HTTP/1.{version_minor}\r\nHost: a\r\nExpect: {expectation}\r\n\r\n");
            assert_eq!(parse(&head).err(), error, "{expectation}");
        }
    }

    #[test]
    fn the_headers_are_those_that_httparse_sees() {
        let head = with_fields("A:\r\nb: \t x:y \t \r\nContent-Length: 3\r\nA: \u{00fc}, z\r\n");
        let mut slots = [httparse::EMPTY_HEADER; 16];
        let mut oracle = httparse::Request::new(&mut slots);
        oracle.parse(head.as_bytes()).unwrap();
        let expected: Vec<_> = oracle.headers.iter().map(|header| (header.name, header.value)).collect();
        assert_eq!(parse(&head).unwrap().headers().collect::<Vec<_>>(), expected);
    }
}
