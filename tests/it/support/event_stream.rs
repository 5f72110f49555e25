//! An EventSource, as the WHATWG HTML standard has it (§9.2): a request, and the events of its answer, one at a time.

use super::{prepared, read_on};
use flate2::write::GzDecoder;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A stream that is open.
pub struct EventStream<S = TcpStream> {
    stream: S,
    /// Of its head: names in lower case.
    pub fields: Vec<(String, String)>,
    /// What has come of its body, decoded, and has not been taken.
    body: Vec<u8>,
    gzip: Option<GzDecoder<Vec<u8>>>,
    /// What has come and is not decoded, where a proxy sends chunks (RFC 9112 §7.1).
    chunks: Option<Vec<u8>>,
    /// Whether the last chunk has come.
    is_whole: bool,
    /// Bytes of the body as they came.
    pub wire_bytes: usize,
    /// Comments that have been read over.
    pub comments: usize,
    parser: Parser,
}

/// An event as a page gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamEvent {
    pub name: String,
    pub data: String,
    pub last_id: String,
}

impl StreamEvent {
    /// What it says, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Code and reason of the last event.
    pub fn close(&self) -> (u64, String) {
        assert_eq!(self.name, "close", "{self:?}");
        let json = self.json();
        (json["code"].as_u64().unwrap(), json["reason"].as_str().unwrap().to_owned())
    }
}

/// The buffers of §9.2.6.
#[derive(Default)]
struct Parser {
    data: String,
    name: String,
    last_id: String,
}

/// What a stream says next.
enum Line {
    Event(StreamEvent),
    Comment,
    Nothing,
}

impl Parser {
    fn take(&mut self, line: &str) -> Line {
        if line.is_empty() {
            let (mut data, name) = (std::mem::take(&mut self.data), std::mem::take(&mut self.name));
            if data.is_empty() {
                return Line::Nothing;
            }
            data.truncate(data.len() - usize::from(data.ends_with('\n')));
            let name = if name.is_empty() { "message".to_owned() } else { name };
            return Line::Event(StreamEvent { name, data, last_id: self.last_id.clone() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Line::Comment,
            "event" => self.name = value.to_owned(),
            "data" => self.data.extend([value, "\n"]),
            "id" if !value.contains('\0') => self.last_id = value.to_owned(),
            _ => {}
        }
        Line::Nothing
    }
}

/// The request of an EventSource for `target` with these field lines.
pub fn stream_request(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{fields}\r\n")
}

impl EventStream {
    /// Asks for `target` with these field lines, and is let in.
    pub fn open(address: SocketAddr, target: &str, fields: &str) -> Self {
        Self::over(prepared(TcpStream::connect(address).unwrap()), &stream_request(target, fields))
    }

    /// The same, and takes the welcome.
    pub fn welcomed(address: SocketAddr, target: &str, fields: &str) -> (Self, Value) {
        let mut stream = Self::open(address, target, fields);
        let welcome = stream.next().unwrap();
        assert_eq!(welcome.name, "welcome", "{welcome:?}");
        let welcome = welcome.json();
        assert_eq!(welcome["type"], "welcome");
        (stream, welcome)
    }

    /// Vanishes.
    pub fn leave(self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}

impl<S: Read + Write> EventStream<S> {
    /// The answer to `request` over a stream that is connected and does not wait for ever.
    pub fn over(mut stream: S, request: &str) -> Self {
        stream.write_all(request.as_bytes()).unwrap();
        let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(head) = response.parse(&input).unwrap() {
                let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
                let fields: Vec<_> = response
                    .headers
                    .iter()
                    .map(|one| (one.name.to_ascii_lowercase(), text(one.value)))
                    .collect();
                let code = response.code;
                let rest = input.split_off(head);
                let mut this = Self {
                    stream,
                    fields,
                    body: Vec::new(),
                    gzip: None,
                    chunks: None,
                    is_whole: false,
                    wire_bytes: 0,
                    comments: 0,
                    parser: Parser::default(),
                };
                assert_eq!(code, Some(200), "{:?} {:?}", this.fields, String::from_utf8_lossy(&rest));
                assert_eq!(this.field("content-type"), Some("text/event-stream"));
                this.gzip = this.field("content-encoding").map(|coding| {
                    assert_eq!(coding, "gzip");
                    GzDecoder::new(Vec::new())
                });
                this.chunks = this.field("transfer-encoding").map(|_| Vec::new());
                this.take(&rest);
                return this;
            }
            let count = read_on(&mut stream, &mut chunk).unwrap();
            assert!(count > 0, "no answer: {:?}", String::from_utf8_lossy(&input));
            input.extend_from_slice(&chunk[..count]);
        }
    }

    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// The next event; `None` at the end, which for a compressed stream is the right one.
    pub fn next(&mut self) -> Option<StreamEvent> {
        loop {
            while let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.body.drain(..=end).collect();
                // The server ends its lines with a line feed alone.
                let line = std::str::from_utf8(&line[..end]).unwrap();
                assert!(!line.contains('\r'), "{line:?}");
                match self.parser.take(line) {
                    Line::Event(event) => return Some(event),
                    Line::Comment => self.comments += 1,
                    Line::Nothing => {}
                }
            }
            if !self.read() {
                assert!(self.body.is_empty(), "half a line: {:?}", String::from_utf8_lossy(&self.body));
                if let Some(gzip) = &mut self.gzip {
                    gzip.try_finish().unwrap();
                }
                return None;
            }
        }
    }

    /// The next message: its text, whatever form it came in.
    pub fn text(&mut self) -> String {
        let event = self.next().unwrap();
        match event.name.as_str() {
            "message" => event.data,
            "json" => serde_json::from_str(&event.data).unwrap(),
            _ => panic!("no text: {event:?}"),
        }
    }

    /// Reads until a comment has come.
    pub fn await_comment(&mut self) {
        let before = self.comments;
        while self.comments == before {
            while let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.body.drain(..=end).collect();
                match self.parser.take(std::str::from_utf8(&line[..end]).unwrap()) {
                    Line::Event(event) => panic!("an event: {event:?}"),
                    Line::Comment => self.comments += 1,
                    Line::Nothing => {}
                }
            }
            if self.comments == before {
                assert!(self.read(), "the stream has ended");
            }
        }
    }

    /// The code and reason of the last event, and then the end.
    pub fn closed(&mut self) -> (u64, String) {
        let close = self.next().expect("the event of the end").close();
        assert_eq!(self.next(), None);
        close
    }

    /// Whether there was more.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        if self.is_whole {
            return false;
        }
        match read_on(&mut self.stream, &mut chunk) {
            Ok(count) => {
                self.take(&chunk[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.body)),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.wire_bytes += bytes.len();
        let Some(mut chunks) = self.chunks.take() else { return self.take_body(bytes) };
        chunks.extend_from_slice(bytes);
        while let Some(line) = chunks.windows(2).position(|bytes| bytes == b"\r\n") {
            let size = std::str::from_utf8(&chunks[..line]).unwrap();
            let size =
                usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no size of a chunk: {size:?}"));
            let (begin, end) = (line + 2, line + 2 + size);
            if chunks.len() < end + 2 {
                break;
            }
            self.is_whole |= size == 0;
            self.take_body(&chunks[begin..end]);
            chunks.drain(..end + 2);
        }
        self.chunks = Some(chunks);
    }

    fn take_body(&mut self, bytes: &[u8]) {
        match &mut self.gzip {
            None => self.body.extend_from_slice(bytes),
            Some(gzip) => {
                gzip.write_all(bytes).unwrap();
                gzip.flush().unwrap();
                self.body.append(gzip.get_mut());
            }
        }
    }
}
