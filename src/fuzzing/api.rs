//! Requests to the backend port, from bytes to what they ask for: however they are split, the same; a body that is chunked
//! anew is the same body.

use super::apps;
use super::request_reader::receive;
use crate::choices::{Choices, pieces};
use crate::dispatch::{Apps, CommandLimits};
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::routes::{Routed, route};
use crate::http::{BodyFraming, BodyReader, Request};

/// The sizes of the pieces, then what the client sends.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let wire = choices.rest();
    let routes = Routes { apps: apps(), limits: CommandLimits::small() };
    let mut bodies = Vec::new();
    let whole = receive(&[wire], |request, body| {
        bodies.push(body.clone());
        routes.ask(request, body)
    });
    let split = receive(&pieces(wire, &sizes), |request, body| routes.ask(request, body));
    assert_eq!(whole, split);
    for body in &bodies {
        check_chunked(body, &sizes);
    }
}

/// What requests are asked of.
struct Routes {
    apps: Apps,
    limits: CommandLimits,
}

impl Routes {
    /// What a request asks for, in words.
    fn ask(&self, request: &Request<'_>, body: &mut Vec<u8>) -> String {
        let sent = body.clone();
        let routed = match route(request, body, &self.apps, &self.limits) {
            Ok(Routed::Batch { app, cursor, .. }) => format!("{app:?} {}", self.batch(cursor, &sent)),
            Ok(routed) => format!("{routed:?}"),
            Err(refusal) => {
                assert!(
                    (400..500).contains(&refusal.error.code.status()) && !refusal.error.message.is_empty()
                );
                format!("{refusal:?}")
            }
        };
        format!("{request:?} {sent:?} {routed}")
    }

    fn batch(&self, mut cursor: BatchCursor, body: &[u8]) -> String {
        let lines = std::iter::from_fn(|| cursor.next(body, &self.apps, &self.limits));
        format!("{:?}", lines.collect::<Vec<_>>())
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
