//! The responses of one connection: however their bytes are split, the same heads, bodies and errors; nothing beyond its
//! bound; the fields of a head are those that httparse sees; what the server's own writer makes is read back.

use crate::choices::{Choices, pieces};
use crate::http::{
    HeadLimits, MessageLimits, Response, ResponseError, ResponseHead, ResponseProgress, ResponseReader,
};

/// Bounds small enough to run into.
const LIMITS: MessageLimits = MessageLimits {
    head: HeadLimits { max_bytes: 400, max_headers: 6, max_target_bytes: 120 },
    max_body_bytes: 200,
};

/// The methods of the requests: a byte; the sizes of the pieces; then what the server sends before it ends.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let method = ["GET", "HEAD"][choices.below(2) as usize];
    let sizes = choices.sizes();
    let wire = choices.rest();
    let whole = receive(method, &[wire]);
    assert_eq!(whole, receive(method, &pieces(wire, &sizes)));
    assert_eq!(whole, receive(method, &pieces(wire, &[1])));
    check_written(method, wire, &sizes);
}

/// What came of the bytes of a connection: each response in words, its head first; and why they cannot be read on.
type Received = (Vec<String>, Option<ResponseError>);

fn receive(method: &str, pieces: &[&[u8]]) -> Received {
    let (mut reader, mut said, mut has_head) = (ResponseReader::default(), Vec::new(), false);
    for piece in pieces.iter().map(Some).chain([None]) {
        match piece {
            Some(piece) => reader.push(piece),
            None => reader.end(),
        }
        loop {
            match reader.read(method, &LIMITS) {
                Ok(ResponseProgress::NeedsMore) => break,
                Ok(ResponseProgress::Head(head)) => {
                    assert!(!has_head, "it is given once");
                    check_head(&head);
                    said.push(format!("{head:?}"));
                    has_head = true;
                }
                Ok(ResponseProgress::Whole(head, body)) => {
                    assert!(has_head, "it is given first");
                    assert_eq!(said.last(), Some(&format!("{head:?}")), "it is the same head");
                    assert!(body.len() <= LIMITS.max_body_bytes);
                    assert!(method != "HEAD" || body.is_empty());
                    said.push(format!("{body:?}"));
                    let is_switched = head.status == 101;
                    reader.next_response();
                    has_head = false;
                    if is_switched {
                        return (said, None);
                    }
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    assert_eq!(reader.read(method, &LIMITS), Err(error), "it stays so");
                    return (said, Some(error));
                }
            }
        }
        assert!(reader.held_bytes() <= LIMITS.head.max_bytes + LIMITS.max_body_bytes);
    }
    (said, None)
}

/// A final status or 101, and fields that can be told apart.
fn check_head(head: &ResponseHead<'_>) {
    assert!(head.status == 101 || head.status >= 200);
    assert!(head.headers().count() <= LIMITS.head.max_headers);
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
}

/// What the server writes with this body is read as it was meant.
fn check_written(method: &str, body: &[u8], sizes: &[usize]) {
    let body = &body[..body.len().min(LIMITS.max_body_bytes)];
    let mut wire = Vec::new();
    Response::new(200, "text/plain", body.to_vec()).write(true, method == "HEAD", None, &mut wire);
    let (said, error) = receive(method, &pieces(&wire, sizes));
    let expected = if method == "HEAD" { &[] } else { body };
    assert_eq!((said.get(1), error), (Some(&format!("{expected:?}")), Some(ResponseError::Truncated)));
}
