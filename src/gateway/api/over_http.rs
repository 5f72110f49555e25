//! Sessions over plain HTTP: their paths, what pages of other origins are told of the answers (the CORS protocol of the WHATWG
//! Fetch standard, §3.3), and the head of an event stream. Knows nothing of who is let in.

use super::params;
use super::refusal::{Refusal, Refused};
use crate::dispatch::{Apps, CommandError};
use crate::http::{HttpDate, Request, Response};
use crate::ops::bounds::{self, bad_request};
use crate::ops::field::once;
use crate::session::AppId;

/// Seconds for which a browser remembers what a preflight was told: two hours, the most that Chromium keeps.
const PREFLIGHT_S: &str = "7200";

/// The fields of a request that a page may set: its token, the type of what it sends, and where an event stream goes on.
const ALLOWED_FIELDS: &str = "Authorization, Content-Type, Last-Event-ID";

/// What a request to one of these paths asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpRoute {
    /// An event stream, of a session of the app that the path names, if it names one.
    Stream(Option<AppId>),
    /// A poll, the same.
    Poll(Option<AppId>),
    /// The client of a session says something.
    Say,
    /// The client of a session leaves.
    Leave,
    /// What a page may do there: these methods.
    Preflight(&'static str),
}

/// Of which app something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfApp {
    /// The one that the path names, or the one that is meant where it names none that there is.
    Named(AppId),
    /// The path does not say it: a ticket does.
    Any,
}

/// Whether `path` is about sessions over plain HTTP, and of which app.
pub fn http_path(path: &str, apps: &Apps) -> Option<OfApp> {
    let segments = params::segments(path).ok()?;
    let (first, rest) = segments.split_first()?;
    match &**first {
        "sse" | "poll" => {
            let named = rest.first().and_then(|name| apps.find(name).ok());
            Some(OfApp::Named(named.unwrap_or(Apps::DEFAULT)))
        }
        "send" | "session" => Some(OfApp::Any),
        _ => None,
    }
}

/// What `request` asks for, where it is about a session over plain HTTP: `None` for every other path.
///
/// # Errors
/// [`Refusal`]: 404 for an app that is not there, 405 for another method.
pub fn http_route(request: &Request<'_>, apps: &Apps) -> Result<Option<HttpRoute>, Refusal> {
    let segments = params::segments(request.path)?;
    let mut segments = segments.iter().map(|segment| &**segment);
    let (first, second, None) = (segments.next(), segments.next(), segments.next()) else { return Ok(None) };
    let app = || second.map(|name| apps.find(name)).transpose();
    let (route, method, methods) = match (first, second) {
        (Some("sse"), _) => (HttpRoute::Stream(app()?), "GET", "GET, OPTIONS"),
        (Some("poll"), _) => (HttpRoute::Poll(app()?), "GET", "GET, OPTIONS"),
        (Some("send"), None) => (HttpRoute::Say, "POST", "POST, OPTIONS"),
        (Some("session"), None) => (HttpRoute::Leave, "DELETE", "DELETE, OPTIONS"),
        _ => return Ok(None),
    };
    match request.method {
        asked if asked == method => Ok(Some(route)),
        "OPTIONS" => Ok(Some(HttpRoute::Preflight(methods))),
        other => Err(Refusal::method_not_allowed(other, methods)),
    }
}

/// How long a poll waits, and the rest of its query. `bounds` are the time where none is asked for and the longest, in
/// milliseconds.
///
/// # Errors
/// 400 for a time that is none, too long or given twice.
pub fn wait_ms(query: Option<&str>, bounds: (u64, u64)) -> Result<(u64, String), CommandError> {
    let (mut wait, mut rest) = (None, String::new());
    let (default_ms, most_ms) = bounds;
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        match part.strip_prefix("wait_ms=") {
            Some(value) => once(&mut wait, "wait_ms", value)?,
            None if rest.is_empty() => rest.push_str(part),
            None => rest.extend(["&", part]),
        }
    }
    let wait_ms = wait.map(|value: &str| bounds::number("wait_ms", value)).transpose()?.unwrap_or(default_ms);
    match wait_ms <= most_ms {
        true => Ok((wait_ms, rest)),
        false => Err(bad_request(format!("wait_ms is at most {most_ms} (timeouts.max_poll_wait_ms)"))),
    }
}

/// Whether what a client says is text or bytes, by the type that it names.
///
/// # Errors
/// 415 for another type.
pub fn is_text(request: &Request<'_>) -> Result<bool, Refused> {
    let named = request.header("content-type").map(|value| {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        value[..end].trim_ascii()
    });
    let is = |name: &str| named.is_some_and(|named| named.eq_ignore_ascii_case(name.as_bytes()));
    match named {
        _ if is("text/plain") || is("application/json") => Ok(true),
        _ if is("application/octet-stream") => Ok(false),
        _ => Err(Refused::status(
            415,
            "say what it is: Content-Type: text/plain or application/json for text, application/octet-stream for bytes",
        )),
    }
}

/// What a page is told of an answer: whether it may read it. Caches keep one answer for each origin.
///
/// Cookies and other credentials that a browser adds by itself mean nothing here, so that they are not asked for
/// (`Access-Control-Allow-Credentials`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// The origin of the page, if its app lets it.
    origin: Option<Box<str>>,
}

impl Cors {
    /// For the page that has sent `request`, if `is_allowed` says of its origin that it may.
    pub fn of(request: &Request<'_>, is_allowed: impl FnOnce(&[u8]) -> bool) -> Self {
        let mut origins = request.header_all("origin");
        let (Some(origin), None) = (origins.next(), origins.next()) else { return Self::default() };
        let text =
            str::from_utf8(origin).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        Self { origin: text.filter(|_| is_allowed(origin)).map(Into::into) }
    }

    /// For the page of this origin, which may.
    pub fn allowing(origin: Option<Box<str>>) -> Self {
        Self { origin }
    }

    /// The origin of the page, if it may.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The fields of an answer, each as name and value.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let allowed = self.origin.as_deref().into_iter();
        let allowed = allowed.flat_map(|origin| {
            [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "Retry-After")]
        });
        [("Vary", "Origin")].into_iter().chain(allowed)
    }

    /// `response` with these fields.
    pub fn add_to(&self, response: Response) -> Response {
        self.fields().fold(response, |response, (name, value)| response.with_header(name, value.to_owned()))
    }

    /// The answer to a preflight: what a page may do there (§3.3.3). One whose origin is not allowed learns so from the field
    /// that is missing.
    pub fn preflight(&self, methods: &'static str) -> Response {
        let response = self.add_to(Response::empty(204).with_header("Allow", methods));
        match self.origin {
            None => response,
            Some(_) => response
                .with_header("Access-Control-Allow-Methods", methods)
                .with_header("Access-Control-Allow-Headers", ALLOWED_FIELDS)
                .with_header("Access-Control-Max-Age", PREFLIGHT_S),
        }
    }
}

/// Appends the head of an event stream. It ends with the connection (RFC 9112 §6.3), which HTTP/1.0 knows too: proxies that
/// speak nothing else are not troubled by chunks.
pub fn stream_head(is_compressed: bool, cors: &Cors, date: HttpDate, out: &mut Vec<u8>) {
    // nginx hands on what comes at once where it is told so, whatever its configuration says of buffers.
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n\
          X-Accel-Buffering: no\r\nConnection: close\r\nVary: Accept-Encoding\r\n",
    );
    let encoding = is_compressed.then_some(("Content-Encoding", "gzip"));
    for (name, value) in [("Date", date.as_str())].into_iter().chain(encoding).chain(cors.fields()) {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::ErrorCode;
    use crate::http::HeadLimits;

    fn ask<R>(line: &str, fields: &str, look: impl FnOnce(&Request<'_>) -> R) -> R {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        look(&Request::parse(head.as_bytes(), &HeadLimits::default()).expect(line))
    }

    fn route(line: &str) -> Result<Option<HttpRoute>, Refusal> {
        let apps = Apps::new(["chess"]).unwrap();
        ask(line, "", |request| http_route(request, &apps))
    }

    #[test]
    fn paths_and_methods() {
        for (line, expected) in [
            ("GET /sse", Some(HttpRoute::Stream(None))),
            ("GET /sse?user=ada", Some(HttpRoute::Stream(None))),
            ("GET /sse/chess", Some(HttpRoute::Stream(Some(AppId(1))))),
            ("OPTIONS /sse/chess", Some(HttpRoute::Preflight("GET, OPTIONS"))),
            ("GET /poll", Some(HttpRoute::Poll(None))),
            ("GET /poll/chess?resume=a", Some(HttpRoute::Poll(Some(AppId(1))))),
            ("POST /send?resume=a", Some(HttpRoute::Say)),
            ("OPTIONS /send?resume=a", Some(HttpRoute::Preflight("POST, OPTIONS"))),
            ("DELETE /session?resume=a", Some(HttpRoute::Leave)),
            ("POST /send/chess", None),
            ("GET /ws", None),
            ("GET /", None),
            ("GET /sse/chess/1", None),
        ] {
            assert_eq!(route(line), Ok(expected), "{line}");
        }
        for (line, code, allow) in [
            ("POST /sse", ErrorCode::MethodNotAllowed, Some("GET, OPTIONS")),
            ("HEAD /sse", ErrorCode::MethodNotAllowed, Some("GET, OPTIONS")),
            ("GET /send", ErrorCode::MethodNotAllowed, Some("POST, OPTIONS")),
            ("POST /session", ErrorCode::MethodNotAllowed, Some("DELETE, OPTIONS")),
            ("GET /sse/poker", ErrorCode::NotFound, None),
            ("GET /sse/%ff", ErrorCode::BadRequest, None),
        ] {
            let refusal = route(line).unwrap_err();
            assert_eq!((refusal.error.code, refusal.allow.as_deref()), (code, allow), "{line}");
        }
    }

    #[test]
    fn how_long_a_poll_waits_is_taken_out_of_its_query() {
        let wait = |query: &str| wait_ms(Some(query), (25_000, 60_000));
        for (query, ms, rest) in [
            ("", 25_000, ""),
            ("wait_ms=0", 0, ""),
            ("user=a&wait_ms=60000&tag=b&", 60_000, "user=a&tag=b"),
            ("xwait_ms=1", 25_000, "xwait_ms=1"),
        ] {
            assert_eq!(wait(query), Ok((ms, rest.to_owned())), "{query}");
        }
        for query in ["wait_ms=", "wait_ms=-1", "wait_ms=60001", "wait_ms=1&wait_ms=1", "wait_ms=1s"] {
            assert_eq!(wait(query).unwrap_err().code, ErrorCode::BadRequest, "{query}");
        }
    }

    #[test]
    fn what_a_client_says_has_a_type() {
        let kind = |fields: &str| ask("POST /send", fields, |request| is_text(request).ok());
        for (fields, expected) in [
            ("Content-Type: text/plain\r\n", Some(true)),
            ("Content-Type: text/plain;charset=UTF-8\r\n", Some(true)),
            ("content-type: Application/JSON\r\n", Some(true)),
            ("Content-Type: application/octet-stream\r\n", Some(false)),
            ("Content-Type: text/html\r\n", None),
            ("", None),
        ] {
            assert_eq!(kind(fields), expected, "{fields}");
        }
    }

    #[test]
    fn a_page_is_told_what_it_may_do_if_its_origin_may() {
        let written = |response: Response| {
            let mut out = Vec::new();
            response.write(true, false, None, &mut out);
            String::from_utf8(out).unwrap()
        };
        let cors =
            |fields: &str, allows: bool| ask("GET /sse", fields, |request| Cors::of(request, |_| allows));
        let allowed = cors("Origin: https://a.example\r\n", true);
        let answer = written(allowed.preflight("GET, OPTIONS"));
        for field in [
            "Access-Control-Allow-Origin: https://a.example\r\n",
            "Access-Control-Allow-Methods: GET, OPTIONS\r\n",
            "Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n",
            "Access-Control-Max-Age: 7200\r\n",
            "Vary: Origin\r\n",
        ] {
            assert!(answer.contains(field), "{answer}");
        }
        for none in [
            cors("Origin: https://a.example\r\n", false),
            cors("", true),
            cors("Origin: https://a.example\r\nOrigin: https://b.example\r\n", true),
            cors("Origin: a b\r\n", true),
        ] {
            let answer = written(none.preflight("GET, OPTIONS"));
            assert!(!answer.contains("Access-Control") && answer.contains("Vary: Origin\r\n"), "{answer}");
        }
        let refusal = written(allowed.add_to(Response::empty(429)));
        assert!(refusal.contains("Access-Control-Expose-Headers: Retry-After\r\n"), "{refusal}");
        assert!(!answer.contains("Credentials"));
    }

    #[test]
    fn the_head_of_a_stream_has_no_length_and_keeps_proxies_from_gathering() {
        for is_compressed in [false, true] {
            let mut head = Vec::new();
            stream_head(is_compressed, &Cors::default(), HttpDate::from_unix_seconds(0), &mut head);
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut slots);
            assert_eq!(response.parse(&head), Ok(httparse::Status::Complete(head.len())));
            let field = |name: &str| {
                let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                found.map(|header| str::from_utf8(header.value).unwrap())
            };
            assert_eq!(response.code, Some(200));
            assert_eq!(field("content-type"), Some("text/event-stream"));
            assert_eq!((field("content-length"), field("transfer-encoding")), (None, None));
            assert_eq!((field("connection"), field("x-accel-buffering")), (Some("close"), Some("no")));
            assert_eq!(field("content-encoding"), is_compressed.then_some("gzip"));
        }
    }
}
