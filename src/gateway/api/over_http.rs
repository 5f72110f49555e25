//! Sessions over plain HTTP: their paths, what pages of other origins are told of the answers (the CORS protocol of the WHATWG
//! Fetch standard, §3.3), and the head of an event stream. Knows nothing of who is let in.

use super::params;
use super::refusal::Refusal;
use crate::dispatch::Apps;
use crate::http::{HttpDate, Request, Response};
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
    /// What a page may do there: these methods.
    Preflight(&'static str),
}

/// Whether `path` is about sessions over plain HTTP, and the app that it names, if there is such an app.
pub fn http_path(path: &str, apps: &Apps) -> Option<Option<AppId>> {
    let segments = params::segments(path).ok()?;
    let (first, rest) = segments.split_first()?;
    PATHS.contains(&&**first).then(|| apps.find(rest.first()?).ok())
}

const PATHS: [&str; 1] = ["sse"];

/// What `request` asks for, where it is about a session over plain HTTP: `None` for every other path.
///
/// # Errors
/// [`Refusal`]: 404 for an app that is not there, 405 for another method.
pub fn http_route(request: &Request<'_>, apps: &Apps) -> Result<Option<HttpRoute>, Refusal> {
    let segments = params::segments(request.path)?;
    let app = match segments.as_slice() {
        [sse] if sse == "sse" => None,
        [sse, app] if sse == "sse" => Some(apps.find(app)?),
        _ => return Ok(None),
    };
    const METHODS: &str = "GET, OPTIONS";
    match request.method {
        "GET" => Ok(Some(HttpRoute::Stream(app))),
        "OPTIONS" => Ok(Some(HttpRoute::Preflight(METHODS))),
        method => Err(Refusal::method_not_allowed(method, METHODS)),
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
            ("GET /ws", None),
            ("GET /", None),
            ("GET /sse/chess/1", None),
        ] {
            assert_eq!(route(line), Ok(expected), "{line}");
        }
        for (line, code, allow) in [
            ("POST /sse", ErrorCode::MethodNotAllowed, Some("GET, OPTIONS")),
            ("HEAD /sse", ErrorCode::MethodNotAllowed, Some("GET, OPTIONS")),
            ("GET /sse/poker", ErrorCode::NotFound, None),
            ("GET /sse/%ff", ErrorCode::BadRequest, None),
        ] {
            let refusal = route(line).unwrap_err();
            assert_eq!((refusal.error.code, refusal.allow.as_deref()), (code, allow), "{line}");
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
