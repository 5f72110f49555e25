//! Requests out of the bytes of a connection.

use super::buffer::{Buffer, clear_body};
use super::{BodyError, BodyFraming, BodyReader, HeadError, MessageLimits, Request};
use std::fmt;

/// Reads the requests of one connection, in order: bytes in; heads, bodies, errors out. It does no I/O, and how the bytes
/// were split makes no difference.
///
/// A request is given twice: its head as soon as that is whole and before any of its body is decoded, so that it can be
/// refused for who asks, and then as a whole.
///
/// ```
/// use gannet::http::{MessageLimits, RequestProgress, RequestReader};
/// let limits = MessageLimits { max_body_bytes: 100, ..MessageLimits::default() };
/// let mut reader = RequestReader::default();
/// reader.push(b"POST /v1/push?all=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /");
/// let RequestProgress::Head(head) = reader.read(&limits).unwrap() else { panic!() };
/// assert_eq!(head.path, "/v1/push");
/// let RequestProgress::Whole(head, body) = reader.read(&limits).unwrap() else { panic!() };
/// assert_eq!((head.query, body.as_slice()), (Some("all=1"), b"hi".as_slice()));
/// reader.next_request();
/// assert_eq!(reader.read(&limits), Ok(RequestProgress::NeedsMore));
/// assert_eq!(reader.unread(), b"GET /");
/// ```
#[derive(Debug, Default)]
pub struct RequestReader {
    pub(super) buffer: Buffer,
    pub(super) stage: Stage,
    /// Of the body, what has been decoded. Empty before [`Stage::Body`].
    pub(super) body: Vec<u8>,
}

/// How far the request has been read.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Its head is not whole.
    #[default]
    Head,
    /// Its head has been given.
    HeadGiven {
        framing: BodyFraming,
        /// The client waits to be told to send the body.
        waits: bool,
    },
    Body(BodyReader),
    Whole,
    Failed(RequestError),
}

/// How far a [`RequestReader`] has come.
///
/// ```
/// use gannet::http::{MessageLimits, RequestProgress, RequestReader};
/// let progress = RequestReader::default().read(&MessageLimits::default()).map(|_| ());
/// assert!(progress.is_ok(), "nothing has come, and nothing is wrong");
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum RequestProgress<'r> {
    /// More bytes are needed.
    NeedsMore,
    /// More bytes are needed, and the client sends them when it has been told [`CONTINUE`](super::CONTINUE) (RFC 9110
    /// §10.1.1). Given once a request.
    ExpectsContinue,
    /// A head is whole. Given once a request.
    Head(Request<'r>),
    /// Head and body are whole; the body is the caller's to take. Given until [`RequestReader::next_request`].
    Whole(Request<'r>, &'r mut Vec<u8>),
}

impl RequestReader {
    /// Bytes have come. After an error they are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.buffer.push(bytes);
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// [`RequestError`], from then on always the same: where the next request begins is unknown.
    pub fn read(&mut self, limits: &MessageLimits) -> Result<RequestProgress<'_>, RequestError> {
        match self.stage {
            Stage::Head => self.read_head(limits),
            Stage::Failed(error) => Err(error),
            Stage::Whole => self.whole(limits),
            Stage::HeadGiven { .. } | Stage::Body(_) => self.read_body(limits),
        }
    }

    /// Goes on to the next request, if this one was given as a whole.
    pub fn next_request(&mut self) {
        if matches!(self.stage, Stage::Whole) {
            self.stage = Stage::Head;
            self.buffer.next_message();
            clear_body(&mut self.body);
        }
    }

    /// Whether no part of a request has come that is not done with. The empty line that may stand in front of one (RFC 9112
    /// §2.2) is no part: a client may end its body with a line break that belongs to nothing.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.stage, Stage::Head) && b"\r\n".starts_with(self.buffer.unread())
    }

    /// Whether a part of a head has come, and not all of it.
    pub fn is_in_head(&self) -> bool {
        matches!(self.stage, Stage::Head) && !self.is_between_requests()
    }

    /// Whether there are bytes that have not been read, or a request that is not done with.
    pub fn has_more(&self) -> bool {
        !matches!(self.stage, Stage::Head) || !self.buffer.unread().is_empty()
    }

    /// Whether the request that is being read, or could not be read, has the method HEAD: its answer has no body.
    pub fn is_head(&self) -> bool {
        let message = self.buffer.message();
        message.strip_prefix(b"\r\n").unwrap_or(message).starts_with(b"HEAD ")
    }

    /// The bytes that have come and have not been read.
    pub fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// What has come behind the request that was given as a whole: the bytes of another protocol, after an upgrade.
    pub fn into_unread(self) -> Vec<u8> {
        self.buffer.into_unread()
    }

    /// The bytes that it holds of messages that are not done with.
    pub fn held_bytes(&self) -> usize {
        self.buffer.message().len() + self.body.len()
    }

    fn read_head(&mut self, limits: &MessageLimits) -> Result<RequestProgress<'_>, RequestError> {
        match self.buffer.scan(&limits.head) {
            Ok(true) => {}
            Ok(false) => {
                self.buffer.compact();
                return Ok(RequestProgress::NeedsMore);
            }
            Err(error) => return Err(fail(&mut self.stage, error)),
        }
        match Request::parse_delimited(self.buffer.head(), &limits.head) {
            Ok(request) => {
                self.stage = Stage::HeadGiven { framing: request.body(), waits: request.expects_continue() };
                Ok(RequestProgress::Head(request))
            }
            Err(error) => Err(fail(&mut self.stage, error)),
        }
    }

    fn read_body(&mut self, limits: &MessageLimits) -> Result<RequestProgress<'_>, RequestError> {
        let mut waits = false;
        if let Stage::HeadGiven { framing, waits: expects } = self.stage {
            waits = expects && self.buffer.unread().is_empty();
            match BodyReader::new(framing, limits.max_body_bytes) {
                Ok(reader) => self.stage = Stage::Body(reader),
                Err(error) => return Err(fail(&mut self.stage, error)),
            }
        }
        let Stage::Body(reader) = &mut self.stage else { return Ok(RequestProgress::NeedsMore) };
        match reader.read(self.buffer.unread(), &mut self.body) {
            Ok((taken, is_whole)) => {
                self.buffer.take(taken);
                if is_whole {
                    self.stage = Stage::Whole;
                    return self.whole(limits);
                }
                self.buffer.compact();
                Ok(if waits { RequestProgress::ExpectsContinue } else { RequestProgress::NeedsMore })
            }
            Err(error) => Err(fail(&mut self.stage, error)),
        }
    }

    /// The head is parsed anew instead of being kept: a [`Request`] borrows the bytes, which move as more come.
    fn whole(&mut self, limits: &MessageLimits) -> Result<RequestProgress<'_>, RequestError> {
        match Request::parse_delimited(self.buffer.head(), &limits.head) {
            Ok(request) => Ok(RequestProgress::Whole(request, &mut self.body)),
            Err(error) => Err(fail(&mut self.stage, error)),
        }
    }
}

fn fail(stage: &mut Stage, error: impl Into<RequestError>) -> RequestError {
    let error = error.into();
    *stage = Stage::Failed(error);
    error
}

/// Why the bytes of a connection cannot be read on as requests.
///
/// ```
/// use gannet::http::{HeadError, MessageLimits, RequestError, RequestReader};
/// let mut reader = RequestReader::default();
/// reader.push(b"GET / HTTP/1.1\r\n\r\n");
/// let error = reader.read(&MessageLimits::default()).unwrap_err();
/// assert_eq!((error, error.status()), (RequestError::Head(HeadError::BadHost), 400));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// The head is refused.
    Head(HeadError),
    /// The body is refused.
    Body(BodyError),
}

impl RequestError {
    /// The status code of the refusal.
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(error) => error.status(),
            Self::Body(error) => error.status(),
        }
    }
}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Head(error) => Some(error),
            Self::Body(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    const LIMITS: MessageLimits = MessageLimits {
        head: HeadLimits { max_bytes: 200, max_headers: 4, max_target_bytes: 60 },
        max_body_bytes: 8,
    };

    /// What a door hears: heads, whole requests with their bodies, the moments when it has to say 100, an error.
    fn hear(pieces: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut heard) = (RequestReader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            loop {
                match reader.read(&LIMITS) {
                    Ok(RequestProgress::NeedsMore) => break,
                    Ok(RequestProgress::ExpectsContinue) => heard.push("100".to_owned()),
                    Ok(RequestProgress::Head(head)) => heard.push(head.target.to_owned()),
                    Ok(RequestProgress::Whole(head, body)) => {
                        heard.push(format!("{} {}", head.method, body.escape_ascii()));
                        reader.next_request();
                    }
                    Err(error) => {
                        assert_eq!(reader.read(&LIMITS), Err(error), "it stays so");
                        heard.push(error.status().to_string());
                        return heard;
                    }
                }
            }
        }
        heard
    }

    #[test]
    fn requests_however_their_bytes_are_split() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (
                "GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
                &["/a", "GET ", "/b", "GET "],
            ),
            (
                "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.1\r\nHost: a\r\n\r\n",
                &["/a", "PUT abc", "/b", "PUT "],
            ),
            (
                "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
                &["/a", "PUT a", "/b", "GET "],
            ),
            ("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", &["/a", "413"]),
            ("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", &["/a", "413"]),
            ("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", &["/a", "400"]),
            ("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b\r\n\r\n", &["/a", "GET ", "400"]),
            ("GET / HTTP/1.1\r\n\r\n", &["400"]),
        ];
        for (text, expected) in table {
            for step in (1..=text.len()).chain([usize::MAX]) {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
                assert_eq!(hear(&pieces), *expected, "{text:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_client_that_waits_is_told_once_and_only_where_the_body_is_welcome() {
        let head = |length: usize| {
            let fields = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
            format!("PUT /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
        };
        assert_eq!(hear(&[&head(2), b"a", b"b"]), ["/a", "100", "PUT ab"]);
        assert_eq!(hear(&[&[&head(2)[..], b"a"].concat(), b"b"]), ["/a", "PUT ab"]);
        assert_eq!(hear(&[&head(0)]), ["/a", "PUT "]);
        assert_eq!(hear(&[&head(9)]), ["/a", "413"]);
    }

    #[test]
    fn between_requests_is_where_nothing_of_one_has_come() {
        let mut reader = RequestReader::default();
        assert!(reader.is_between_requests() && !reader.has_more());
        for (piece, is_between) in
            [("\r", true), ("\n", true), ("GET", false), (" / HTTP/1.1\r\nHost: a\r\n\r\n", false)]
        {
            reader.push(piece.as_bytes());
            while let Ok(RequestProgress::Head(_)) = reader.read(&LIMITS) {}
            assert_eq!(reader.is_between_requests(), is_between, "{piece:?}");
            assert!(reader.has_more());
        }
        reader.next_request();
        assert!(reader.is_between_requests() && !reader.has_more());
        assert_eq!(reader.into_unread(), b"");
    }

    #[test]
    fn whether_it_is_a_head_request_is_known_even_where_it_cannot_be_read() {
        for (text, is_head) in
            [("HEAD / HTTP/3\r\n\r\n", true), ("\r\nHEAD /", true), ("GET /", false), ("HEA", false)]
        {
            let mut reader = RequestReader::default();
            reader.push(text.as_bytes());
            let _ = reader.read(&LIMITS);
            assert_eq!(reader.is_head(), is_head, "{text:?}");
        }
    }

    #[test]
    fn what_is_done_with_is_not_kept() {
        let mut reader = RequestReader::default();
        let request = b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        reader.push(request);
        while !matches!(reader.read(&LIMITS), Ok(RequestProgress::NeedsMore)) {}
        for _ in 0..8 {
            reader.push(b"1;extension\r\nx\r\n");
            assert_eq!(reader.read(&LIMITS), Ok(RequestProgress::NeedsMore));
        }
        assert_eq!(reader.held_bytes(), request.len() + 8);
        reader.push(b"0\r\n\r\n");
        assert!(matches!(reader.read(&LIMITS), Ok(RequestProgress::Whole(_, body)) if body == b"xxxxxxxx"));
        reader.next_request();
        assert_eq!(reader.read(&LIMITS), Ok(RequestProgress::NeedsMore));
        assert_eq!(reader.held_bytes(), 0);
    }
}
