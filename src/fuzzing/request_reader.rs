//! The requests of one connection: however their bytes are split, the same heads, bodies and errors; nothing beyond its
//! bound; the fields of a head are those that httparse sees.

use crate::choices::{Choices, pieces};
use crate::http::{
    BodyFraming, HeadLimits, MessageLimits, Request, RequestError, RequestProgress, RequestReader,
};

/// Bounds small enough to run into.
const LIMITS: MessageLimits = MessageLimits {
    head: HeadLimits { max_bytes: 400, max_headers: 6, max_target_bytes: 120 },
    max_body_bytes: 200,
};

/// The sizes of the pieces, then what the client sends.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let wire = choices.rest();
    let say = |request: &Request<'_>, body: &mut Vec<u8>| format!("{request:?} {body:?}");
    let whole = receive(&[wire], say);
    assert_eq!(whole, receive(&pieces(wire, &sizes), say));
    assert_eq!(whole, receive(&pieces(wire, &[1]), say));
}

/// What came of the bytes of a connection.
#[derive(Debug, PartialEq)]
pub struct Received {
    /// What was said of each request, its head first.
    said: Vec<String>,
    /// Whether it is between requests, how many bytes it holds, whether the request is a HEAD; or why the bytes cannot be
    /// read on.
    end: Result<(bool, usize, bool), RequestError>,
}

/// Reads `pieces` as a door does, and has `ask` say something of each whole request.
pub fn receive(pieces: &[&[u8]], mut ask: impl FnMut(&Request<'_>, &mut Vec<u8>) -> String) -> Received {
    let (mut reader, mut said, mut wire) = (RequestReader::default(), Vec::new(), Vec::new());
    // Where in `wire` the request begins, and whether its head was given.
    let (mut start, mut has_head) = (0, false);
    for piece in pieces {
        reader.push(piece);
        wire.extend_from_slice(piece);
        loop {
            match reader.read(&LIMITS) {
                Ok(RequestProgress::NeedsMore | RequestProgress::ExpectsContinue) => break,
                Ok(RequestProgress::Head(head)) => {
                    assert!(!has_head, "it is given once");
                    let given = format!("{head:?}");
                    let head = &wire[start..wire.len() - reader.unread().len()];
                    let request = Request::parse(head, &LIMITS.head).expect("it was given");
                    assert_eq!(given, format!("{request:?}"));
                    check_fields(head, &request);
                    said.push(given);
                    has_head = true;
                }
                Ok(RequestProgress::Whole(head, body)) => {
                    assert!(has_head, "it is given first");
                    assert!(body.len() <= LIMITS.max_body_bytes);
                    assert_eq!(said.last(), Some(&format!("{head:?}")), "it is the same head");
                    said.push(ask(&head, body));
                    reader.next_request();
                    (start, has_head) = (wire.len() - reader.unread().len(), false);
                }
                Err(error) => {
                    assert!((400..=505).contains(&error.status()) && !error.to_string().is_empty());
                    assert_eq!(reader.read(&LIMITS), Err(error), "it stays so");
                    return Received { said, end: Err(error) };
                }
            }
        }
        assert!(reader.held_bytes() <= LIMITS.head.max_bytes + LIMITS.max_body_bytes);
    }
    Received { said, end: Ok((reader.is_between_requests(), reader.held_bytes(), reader.is_head())) }
}

/// No two framings, no second host, and every field as httparse sees it.
fn check_fields(head: &[u8], request: &Request<'_>) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let mut slots = [httparse::EMPTY_HEADER; LIMITS.head.max_headers];
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
