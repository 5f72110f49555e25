//! Responses out of the bytes of a connection: the client's side of HTTP.

use super::buffer::{Buffer, clear_body};
use super::fields::field_lines;
use super::framing::FramingFields;
use super::{BodyError, BodyFraming, BodyReader, HeadError, HeadLimits, Headers, MessageLimits};
use std::fmt;
use std::mem::MaybeUninit;

/// Reads the responses of one connection, in order: bytes in; heads, bodies, errors out. It does no I/O, and how the bytes
/// were split makes no difference. Interim responses (RFC 9110 §15.2) are passed over, but for 101, which is the last one.
///
/// A response is given twice, its head as soon as that is whole, and then as a whole.
///
/// ```
/// use gannet::http::{MessageLimits, ResponseProgress, ResponseReader};
/// let limits = MessageLimits::default();
/// let mut reader = ResponseReader::default();
/// reader.push(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
/// let ResponseProgress::Head(head) = reader.read("GET", &limits).unwrap() else { panic!() };
/// assert_eq!((head.status, head.header("content-length")), (200, Some(b"2".as_slice())));
/// let ResponseProgress::Whole(_, body) = reader.read("GET", &limits).unwrap() else { panic!() };
/// assert_eq!(body, b"hi");
/// reader.next_response();
/// assert_eq!(reader.read("GET", &limits), Ok(ResponseProgress::NeedsMore));
/// ```
#[derive(Debug, Default)]
pub struct ResponseReader {
    buffer: Buffer,
    stage: Stage,
    /// Of the body, what has been decoded. Empty before [`Stage::Body`].
    body: Vec<u8>,
    /// The server sends no more.
    has_ended: bool,
    /// Interim responses before this one.
    interim: usize,
}

/// How far the response has been read.
#[derive(Debug, Default)]
enum Stage {
    /// Its head is not whole.
    #[default]
    Head,
    /// Its head has been given.
    HeadGiven(Length),
    Body(BodyReader),
    /// The body ends with the connection.
    ToEnd,
    Whole,
    Failed(ResponseError),
}

/// How the length of a response's body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Framed(BodyFraming),
    ToEnd,
}

/// How far a [`ResponseReader`] has come.
///
/// ```
/// use gannet::http::{MessageLimits, ResponseError, ResponseReader};
/// let mut reader = ResponseReader::default();
/// reader.end();
/// assert_eq!(reader.read("GET", &MessageLimits::default()), Err(ResponseError::Truncated));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseProgress<'r> {
    /// More bytes are needed.
    NeedsMore,
    /// A head is whole. Given once a response.
    Head(ResponseHead<'r>),
    /// Head and body are whole; the body is the caller's to take. Given until [`ResponseReader::next_response`].
    Whole(ResponseHead<'r>, &'r mut Vec<u8>),
}

impl ResponseReader {
    /// More interim responses before one response are an attack.
    const MAX_INTERIM: usize = 32;

    /// Bytes have come. After an error they are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.buffer.push(bytes);
        }
    }

    /// The server has ended its side: a body that nothing else ends is whole (RFC 9112 §6.3), and what is not whole will
    /// never be.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// Reads on. `method` is that of the request: the answer to HEAD has no body, whatever its fields say.
    ///
    /// # Errors
    /// [`ResponseError`], from then on always the same.
    pub fn read(
        &mut self,
        method: &str,
        limits: &MessageLimits,
    ) -> Result<ResponseProgress<'_>, ResponseError> {
        match self.stage {
            Stage::Head => self.read_head(method, limits),
            Stage::Failed(error) => Err(error),
            Stage::Whole => self.whole(limits),
            Stage::HeadGiven(_) | Stage::Body(_) | Stage::ToEnd => self.read_body(limits),
        }
    }

    /// Goes on to the next response, if this one was given as a whole.
    pub fn next_response(&mut self) {
        if matches!(self.stage, Stage::Whole) {
            self.go_on();
            self.interim = 0;
        }
    }

    /// The bytes that have come and have not been read; behind a 101, those of the other protocol.
    pub fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// The bytes that it holds of messages that are not done with.
    pub fn held_bytes(&self) -> usize {
        self.buffer.message().len() + self.body.len()
    }

    fn go_on(&mut self) {
        self.stage = Stage::Head;
        self.buffer.next_message();
        clear_body(&mut self.body);
    }

    fn read_head(
        &mut self,
        method: &str,
        limits: &MessageLimits,
    ) -> Result<ResponseProgress<'_>, ResponseError> {
        let length = loop {
            if !begins_as_http(self.buffer.unread()) {
                return Err(fail(&mut self.stage, ResponseError::Malformed));
            }
            match self.buffer.scan(&limits.head) {
                Ok(true) => {}
                Ok(false) => return self.needs_more(),
                Err(error) => return Err(fail(&mut self.stage, error)),
            }
            let read = ResponseHead::parse(self.buffer.head(), &limits.head)
                .and_then(|head| Ok((head.status, head.length(method)?)));
            match read {
                Ok((100 | 102..=199, _)) if self.interim < Self::MAX_INTERIM => {
                    self.interim += 1;
                    self.go_on();
                }
                Ok((100 | 102..=199, _)) => return Err(fail(&mut self.stage, ResponseError::TooManyInterim)),
                Ok((_, length)) => break length,
                Err(error) => return Err(fail(&mut self.stage, error)),
            }
        };
        self.stage = Stage::HeadGiven(length);
        match ResponseHead::parse(self.buffer.head(), &limits.head) {
            Ok(head) => Ok(ResponseProgress::Head(head)),
            Err(error) => Err(fail(&mut self.stage, error)),
        }
    }

    fn read_body(&mut self, limits: &MessageLimits) -> Result<ResponseProgress<'_>, ResponseError> {
        if let Stage::HeadGiven(length) = self.stage {
            self.stage = match length {
                Length::ToEnd => Stage::ToEnd,
                Length::Framed(framing) => match BodyReader::new(framing, limits.max_body_bytes) {
                    Ok(reader) => Stage::Body(reader),
                    Err(error) => return Err(fail(&mut self.stage, error)),
                },
            };
        }
        let is_whole = match &mut self.stage {
            Stage::Body(reader) => match reader.read(self.buffer.unread(), &mut self.body) {
                Ok((taken, is_whole)) => {
                    self.buffer.take(taken);
                    is_whole
                }
                Err(error) => return Err(fail(&mut self.stage, error)),
            },
            _ => {
                let unread = self.buffer.unread();
                if unread.len() > limits.max_body_bytes.saturating_sub(self.body.len()) {
                    return Err(fail(&mut self.stage, BodyError::TooLarge));
                }
                self.body.extend_from_slice(unread);
                self.buffer.take(unread.len());
                self.has_ended
            }
        };
        if is_whole {
            self.stage = Stage::Whole;
            return self.whole(limits);
        }
        if matches!(self.stage, Stage::ToEnd) {
            self.buffer.compact();
            return Ok(ResponseProgress::NeedsMore);
        }
        self.needs_more()
    }

    fn needs_more(&mut self) -> Result<ResponseProgress<'_>, ResponseError> {
        if self.has_ended {
            return Err(fail(&mut self.stage, ResponseError::Truncated));
        }
        self.buffer.compact();
        Ok(ResponseProgress::NeedsMore)
    }

    /// The head is parsed anew instead of being kept: a [`ResponseHead`] borrows the bytes, which move as more come.
    fn whole(&mut self, limits: &MessageLimits) -> Result<ResponseProgress<'_>, ResponseError> {
        match ResponseHead::parse(self.buffer.head(), &limits.head) {
            Ok(head) => Ok(ResponseProgress::Whole(head, &mut self.body)),
            Err(error) => Err(fail(&mut self.stage, error)),
        }
    }
}

/// A response's head, borrowed from the buffer it was read into.
///
/// ```
/// use gannet::http::{MessageLimits, ResponseProgress, ResponseReader};
/// let mut reader = ResponseReader::default();
/// reader.push(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX: 1\r\nX: 2\r\n\r\n");
/// let Ok(ResponseProgress::Head(head)) = reader.read("GET", &MessageLimits::default()) else { panic!() };
/// assert_eq!(head.header_all("x").collect::<Vec<_>>(), [b"1", b"2"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead<'b> {
    /// The status code.
    pub status: u16,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub version_minor: u8,
    /// The field lines, each with its CR LF; all of them have passed httparse.
    fields: &'b [u8],
}

impl<'b> ResponseHead<'b> {
    /// Reads a head that a scanner has delimited.
    fn parse(head: &'b [u8], limits: &HeadLimits) -> Result<Self, ResponseError> {
        let mut slots = [const { MaybeUninit::uninit() }; HeadLimits::HEADERS_CEILING];
        let slots = &mut slots[..limits.max_headers.min(HeadLimits::HEADERS_CEILING)];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, head, slots)
            .map_err(|error| match error {
                httparse::Error::TooManyHeaders => ResponseError::HeadTooLarge,
                _ => ResponseError::Malformed,
            })?;
        match (status.is_complete(), parsed.code, parsed.version) {
            (true, Some(status @ 100..), Some(version_minor)) => {
                Ok(Self { status, version_minor, fields: field_lines(head) })
            }
            _ => Err(ResponseError::Malformed),
        }
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

    /// Whether the body ends before the connection does, in the answer to a request with this method. A head that was
    /// given has unambiguous fields.
    pub fn has_length(&self, method: &str) -> bool {
        self.length(method) != Ok(Length::ToEnd)
    }

    /// How long the body is (RFC 9112 §6.3).
    fn length(&self, method: &str) -> Result<Length, ResponseError> {
        let mut fields = FramingFields::default();
        for (name, value) in self.headers() {
            fields.take(name, value)?;
        }
        let framing = fields.framing(self.version_minor)?;
        let has_no_body = method == "HEAD" || matches!(self.status, 100..200 | 204 | 304);
        Ok(match framing {
            _ if has_no_body => Length::Framed(BodyFraming::None),
            BodyFraming::None => Length::ToEnd,
            framing => Length::Framed(framing),
        })
    }
}

/// Whether `bytes`, as far as they are there, are the beginning of a status line: another protocol is known at once, whether
/// it ever sends an empty line or not.
fn begins_as_http(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected)
}

fn fail(stage: &mut Stage, error: impl Into<ResponseError>) -> ResponseError {
    let error = error.into();
    *stage = Stage::Failed(error);
    error
}

/// Why the bytes of a connection cannot be read on as responses.
///
/// ```
/// use gannet::http::{MessageLimits, ResponseError, ResponseReader};
/// let mut reader = ResponseReader::default();
/// reader.push(b"SSH-2.0-OpenSSH_9.6\r\n");
/// assert_eq!(reader.read("GET", &MessageLimits::default()), Err(ResponseError::Malformed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not the grammar of RFC 9112 for a response of HTTP/1.0 or HTTP/1.1.
    Malformed,
    /// The head is longer than its limit, or has more fields.
    HeadTooLarge,
    /// More than 32 interim responses before one response.
    TooManyInterim,
    /// `Content-Length` and `Transfer-Encoding` together, several that differ, or not a number (RFC 9112 §6.3).
    BadFraming,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    UnsupportedCoding,
    /// More bytes of body than the limit, as announced or as they came.
    BodyTooLarge,
    /// Not the chunked coding of RFC 9112 §7.1, or chunk extensions and trailer fields beyond their bounds.
    BadChunk,
    /// The server ended its side before the response was whole.
    Truncated,
}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TargetTooLong | HeadError::TooLarge | HeadError::TooManyHeaders => Self::HeadTooLarge,
            HeadError::BadFraming => Self::BadFraming,
            HeadError::UnsupportedCoding => Self::UnsupportedCoding,
            HeadError::Malformed
            | HeadError::BareLineFeed
            | HeadError::BadTarget
            | HeadError::BadHost
            | HeadError::UnknownExpectation
            | HeadError::UnsupportedVersion => Self::Malformed,
        }
    }
}

impl From<BodyError> for ResponseError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::BadChunk | BodyError::TooMuchFraming => Self::BadChunk,
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the answer is not HTTP/1.1: is this the right port?",
            Self::HeadTooLarge => "the head of the response is too large",
            Self::TooManyInterim => "the server sends interim responses without end",
            Self::BadFraming => "the length of the response's body is ambiguous",
            Self::UnsupportedCoding => "the response has a transfer coding other than chunked",
            Self::BodyTooLarge => "the body of the response is too large",
            Self::BadChunk => "the chunked coding of the response's body is broken",
            Self::Truncated => "the server hung up before its response was whole",
        })
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MessageLimits = MessageLimits {
        head: HeadLimits { max_bytes: 100, max_headers: 3, max_target_bytes: 30 },
        max_body_bytes: 10,
    };

    /// The statuses and bodies of the answers to requests with `method`, then the error, if there is one.
    fn hear(method: &str, pieces: &[&[u8]], ends: bool) -> (Vec<(u16, String)>, Option<ResponseError>) {
        let (mut reader, mut heard) = (ResponseReader::default(), Vec::new());
        let end: &[u8] = &[];
        for (index, piece) in pieces.iter().chain([&end]).enumerate() {
            reader.push(piece);
            if ends && index == pieces.len() {
                reader.end();
            }
            loop {
                match reader.read(method, &LIMITS) {
                    Ok(ResponseProgress::NeedsMore) => break,
                    Ok(ResponseProgress::Head(_)) => {}
                    Ok(ResponseProgress::Whole(head, body)) => {
                        heard.push((head.status, body.escape_ascii().to_string()));
                        reader.next_response();
                    }
                    Err(error) => {
                        assert_eq!(reader.read(method, &LIMITS), Err(error), "it stays so");
                        return (heard, Some(error));
                    }
                }
            }
        }
        (heard, None)
    }

    #[test]
    fn responses_however_their_bytes_are_split() {
        use ResponseError::*;
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(100));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(40);
        type Expected<'a> = (&'a [(u16, &'a str)], Option<ResponseError>);
        let table: &[(&str, &str, Expected<'_>)] = &[
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 No Content\r\n\r\n",
                (&[(200, "hi"), (204, "")], None),
            ),
            (
                "GET",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
                (&[(200, "x")], None),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                (&[(200, "x")], None),
            ),
            (
                "HEAD",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 OK\r\n\r\n",
                (&[(200, ""), (304, "")], None),
            ),
            ("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", (&[(101, "")], None)),
            ("GET", "HTTP/1.1 200 OK\r\n\r\nto the end", (&[(200, "to the end")], Some(Truncated))),
            ("GET", "HTTP/1.1 200 OK\r\n\r\nbeyond the bound", (&[], Some(BodyTooLarge))),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", (&[], Some(BodyTooLarge))),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", (&[], Some(Truncated))),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", (&[], Some(BadFraming))),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                (&[], Some(BadFraming)),
            ),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", (&[], Some(UnsupportedCoding))),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", (&[], Some(BadChunk))),
            ("GET", "HTTP/1.1 200 OK\r\n folded\r\n\r\n", (&[], Some(Malformed))),
            ("GET", "HTTP/1.1 200 OK\nA: b\n\n", (&[], Some(Malformed))),
            ("GET", "HTTP/1.1 099 Less\r\n\r\n", (&[], Some(Malformed))),
            ("GET", "HTTP/2 200\r\n\r\n", (&[], Some(Malformed))),
            ("GET", "SSH-2.0-OpenSSH_9.6", (&[], Some(Malformed))),
            ("GET", "\r\nHTTP/1.1 200 OK\r\n\r\n", (&[], Some(Malformed))),
            ("GET", &long, (&[], Some(HeadTooLarge))),
            ("GET", "HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n", (&[], Some(HeadTooLarge))),
            ("GET", &interim, (&[], Some(TooManyInterim))),
            ("GET", "HTTP/1.1 200 O", (&[], Some(Truncated))),
        ];
        for (method, text, (answers, error)) in table {
            let answers: Vec<_> =
                answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
            for step in (1..=text.len()).chain([usize::MAX]) {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
                let heard = hear(method, &pieces, true);
                // Where the connection ends behind the last answer, the next one is cut.
                let expected = (answers.clone(), Some(error.unwrap_or(Truncated)));
                assert_eq!(heard, expected, "{text:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn what_is_behind_a_101_is_left_alone() {
        let mut reader = ResponseReader::default();
        reader.push(b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 2\r\n\r\n\x81\x02hi");
        assert!(
            matches!(reader.read("GET", &LIMITS), Ok(ResponseProgress::Head(head)) if head.status == 101)
        );
        assert!(
            matches!(reader.read("GET", &LIMITS), Ok(ResponseProgress::Whole(_, body)) if body.is_empty())
        );
        assert_eq!(reader.unread(), b"\x81\x02hi");
    }
}
