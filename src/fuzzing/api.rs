//! Requests to the backend port, from bytes to what they ask for: however they are split, the same; the fields of a head
//! are those that httparse sees; a body that is chunked anew is the same body.

use super::{apps, command_limits};
use crate::choices::{Choices, pieces};
use crate::dispatch::{Apps, CommandLimits};
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::routes::{Routed, route};
use crate::http::{BodyFraming, BodyReader, HeadLimits, HeadScanner, Request};

/// Bounds small enough to run into.
const HEAD_LIMITS: HeadLimits = HeadLimits { max_bytes: 400, max_headers: 6, max_target_bytes: 120 };
const MAX_BODY_BYTES: usize = 200;

/// The sizes of the pieces, then what the client sends.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let wire = choices.rest();
    let whole = receive(&[wire]);
    let split = receive(&pieces(wire, &sizes));
    assert_eq!(whole.heard, split.heard);
    assert_eq!(whole.reading.is_some(), split.reading.is_some());
    assert_eq!((&whole.input, &whole.body), (&split.input, &split.body));
    for body in &whole.bodies {
        check_chunked(body, &sizes);
    }
}

fn receive(pieces: &[&[u8]]) -> Reader {
    let mut reader = Reader::new();
    for piece in pieces {
        // Nothing is read after what could not be read.
        if !matches!(reader.heard.last(), Some(Heard::Refused(..))) {
            reader.input.extend_from_slice(piece);
            while reader.step() {}
        }
    }
    reader
}

/// What a connection hears.
#[derive(Debug, PartialEq)]
enum Heard {
    /// The request and what it asks for, in words.
    Request(String),
    /// Bytes that cannot be read on, and the status and sentence of the answer.
    Refused(u16, String),
}

/// The reading half of a backend connection.
struct Reader {
    apps: Apps,
    limits: CommandLimits,
    input: Vec<u8>,
    scanner: HeadScanner,
    /// The head that is whole, and the reader of its body.
    reading: Option<(Vec<u8>, BodyReader)>,
    body: Vec<u8>,
    bodies: Vec<Vec<u8>>,
    heard: Vec<Heard>,
}

impl Reader {
    fn new() -> Self {
        Self {
            apps: apps(),
            limits: command_limits(),
            input: Vec::new(),
            scanner: HeadScanner::default(),
            reading: None,
            body: Vec::new(),
            bodies: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Reads on; `false` when more bytes are needed.
    fn step(&mut self) -> bool {
        if self.reading.is_none() {
            let length = match self.scanner.scan(&self.input, &HEAD_LIMITS) {
                Ok(Some(length)) => length,
                Ok(None) => return false,
                Err(error) => return self.refuse(error.status(), error.to_string()),
            };
            let head: Vec<u8> = self.input.drain(..length).collect();
            let framing = match Request::parse(&head, &HEAD_LIMITS) {
                Ok(request) => request.body(),
                Err(error) => return self.refuse(error.status(), error.to_string()),
            };
            match BodyReader::new(framing, MAX_BODY_BYTES) {
                Ok(reader) => self.reading = Some((head, reader)),
                Err(error) => return self.refuse(error.status(), error.to_string()),
            }
        }
        let Some((head, reader)) = &mut self.reading else { return false };
        let (taken, whole) = match reader.read(&self.input, &mut self.body) {
            Ok(read) => read,
            Err(error) => return self.refuse(error.status(), error.to_string()),
        };
        assert!(self.body.len() <= MAX_BODY_BYTES && whole == reader.is_done());
        assert!(whole || taken == self.input.len());
        self.input.drain(..taken);
        if whole {
            let (head, body) = (std::mem::take(head), std::mem::take(&mut self.body));
            self.reading = None;
            self.handle(&head, &body);
            self.bodies.push(body);
        }
        whole
    }

    fn handle(&mut self, head: &[u8], body: &[u8]) {
        let request = Request::parse(head, &HEAD_LIMITS).expect("it was parsed before");
        check_fields(head, &request);
        let routed = match route(&request, &mut body.to_vec(), &self.apps, &self.limits) {
            Ok(Routed::Batch { app, cursor }) => format!("{app:?} {}", self.batch(cursor, body)),
            Ok(routed) => format!("{routed:?}"),
            Err(refusal) => {
                assert!(
                    (400..500).contains(&refusal.error.code.status()) && !refusal.error.message.is_empty()
                );
                format!("{refusal:?}")
            }
        };
        self.heard.push(Heard::Request(format!("{request:?} {body:?} {routed}")));
    }

    fn batch(&self, mut cursor: BatchCursor, body: &[u8]) -> String {
        let lines = std::iter::from_fn(|| cursor.next(body, &self.apps, &self.limits));
        format!("{:?}", lines.collect::<Vec<_>>())
    }

    fn refuse(&mut self, status: u16, sentence: String) -> bool {
        assert!((400..=505).contains(&status) && !sentence.is_empty());
        // How much of it had come depends on the split.
        (self.input, self.body) = (Vec::new(), Vec::new());
        self.heard.push(Heard::Refused(status, sentence));
        false
    }
}

/// No two framings, no second host, and every field as httparse sees it.
fn check_fields(head: &[u8], request: &Request<'_>) {
    let mut slots = [httparse::EMPTY_HEADER; HEAD_LIMITS.max_headers];
    let mut oracle = httparse::Request::new(&mut slots);
    let length = oracle.parse(head).expect("it is a request to httparse as well");
    assert_eq!(length, httparse::Status::Complete(head.len()));
    assert_eq!((oracle.method, oracle.path), (Some(request.method), Some(request.target)));
    assert!(request.headers().eq(oracle.headers.iter().map(|field| (field.name, field.value))));
    assert!(request.header_all("host").count() <= 1);
    let lengths = request.header_all("content-length").count();
    match request.body() {
        BodyFraming::None => assert_eq!((lengths, request.header("transfer-encoding")), (0, None)),
        BodyFraming::Length(_) => assert!(lengths > 0 && request.header("transfer-encoding").is_none()),
        BodyFraming::Chunked => assert!(lengths == 0 && request.version_minor == 1),
    }
}

/// A body in chunks of `sizes`, read in pieces of the same sizes, is the body.
fn check_chunked(body: &[u8], sizes: &[usize]) {
    let mut wire = Vec::new();
    for chunk in pieces(body, sizes) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let mut reader =
        BodyReader::new(BodyFraming::Chunked, body.len()).expect("a chunked body has no length yet");
    let mut decoded = Vec::new();
    for piece in pieces(&wire, sizes) {
        assert_eq!(reader.read(piece, &mut decoded).expect("it was encoded well").0, piece.len());
    }
    assert!(reader.is_done() && decoded == body);
}
