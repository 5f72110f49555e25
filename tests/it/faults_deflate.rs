//! A push that several reactors compress at the same moment: each session gets the message itself, compressed or not.

use crate::raw::{Raw, upgrade};
use crate::support::*;
use flate2::{Decompress, FlushDecompress};
use std::collections::BTreeSet;
use std::thread;
use tungstenite::Message;

/// Text and binary messages as they are, and with RSV1: compressed (RFC 7692 §6).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const COMPRESSED: u8 = 0x40;

const LARGEST: usize = 1_000_000;
const PUBLISHERS: usize = 2;
const ROUNDS: usize = 6;

/// A player who has agreed on compression.
pub struct Deflated {
    raw: Raw,
    worker: u8,
}

impl Deflated {
    pub fn connect(ports: Ports) -> Self {
        let mut raw = Raw::connect(ports.client);
        raw.send(upgrade("/ws?group=g", "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        let answer = raw.answer();
        assert_eq!(answer.status, 101);
        assert!(answer.header("sec-websocket-extensions").unwrap().contains("server_no_context_takeover"));
        let welcome: serde_json::Value = serde_json::from_slice(&raw.frame().unwrap().payload).unwrap();
        let id: gannet::session::SessionId = welcome["session"].as_str().unwrap().parse().unwrap();
        Self { raw, worker: id.worker() }
    }

    /// The next message, and whether it came compressed.
    pub fn recv(&mut self) -> (Message, bool) {
        let frame = self.raw.frame().unwrap();
        let compressed = frame.first & COMPRESSED != 0;
        let payload = if compressed { inflated(&frame.payload) } else { frame.payload };
        let message = match frame.first & !COMPRESSED {
            TEXT => Message::text(String::from_utf8(payload).unwrap()),
            BINARY => Message::binary(payload),
            other => panic!("a frame that begins with {other:#x}"),
        };
        (message, compressed)
    }
}

/// RFC 7692 §7.2.2, without a context from the message before.
fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::with_capacity(LARGEST + 1_000);
    let mut decompress = Decompress::new(false);
    for input in [payload, &[0x00, 0x00, 0xff, 0xff]] {
        let before = decompress.total_in();
        decompress.decompress_vec(input, &mut inflated, FlushDecompress::Sync).unwrap();
        assert_eq!(decompress.total_in() - before, input.len() as u64);
    }
    inflated
}

/// What a publisher pushes in a round: large and small, compressible and not, text and binary.
fn pushed(publisher: usize, round: usize) -> Message {
    let name = format!("{publisher} {round} ");
    let mut random = Random::new((publisher * ROUNDS + round) as u64);
    match round % 3 {
        0 => Message::text(name + &"the same again and again ".repeat(LARGEST / 25)),
        1 => {
            let bytes = (0..300_000).map(|_| random.bits() as u8);
            Message::binary(name.into_bytes().into_iter().chain(bytes).collect::<Vec<u8>>())
        }
        _ => Message::text(name + "short"),
    }
}

/// Receives everything that the publishers push, each in its order. How many messages came compressed.
fn recv_all(mut recv: impl FnMut() -> (Message, bool)) -> usize {
    let mut rounds = [0; PUBLISHERS];
    let mut compressed = 0;
    while rounds != [ROUNDS; PUBLISHERS] {
        let (message, is_compressed) = recv();
        let publisher = match &message {
            Message::Text(text) => text.as_bytes()[0],
            Message::Binary(bytes) => bytes[0],
            other => panic!("{other:?} was not pushed"),
        };
        let publisher = usize::from(publisher - b'0');
        let round = rounds[publisher];
        assert!(
            message == pushed(publisher, round),
            "message {round} of publisher {publisher} came otherwise"
        );
        rounds[publisher] += 1;
        compressed += usize::from(is_compressed);
    }
    compressed
}

#[test]
fn a_large_push_to_both_reactors_is_the_same_message_to_everybody() {
    let server = TestServer::start(|config| {
        config.reactors = Some(2);
        config.deflate.enabled = true;
        config.limits.outbox_bytes = 64 << 20;
    });
    let mut deflated: Vec<Deflated> = (0..6).map(|_| Deflated::connect(*server)).collect();
    assert_eq!(BTreeSet::from_iter(deflated.iter().map(|one| one.worker)), BTreeSet::from([0, 1]));
    let mut plain: Vec<Player> = (0..6).map(|_| server.player("group=g")).collect();
    assert_eq!(BTreeSet::from_iter(plain.iter().map(|one| one.id.worker())), BTreeSet::from([0, 1]));
    let everybody = (deflated.len() + plain.len()) as u32;

    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut backend = server.backend();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let receipt = backend.push("group=g&receipt=written", &pushed(publisher, round));
                    assert_eq!((receipt.matched, receipt.written), (everybody, Some(everybody)));
                }
            });
        }
        for one in &mut plain {
            scope.spawn(|| recv_all(|| (one.recv(), false)));
        }
        let receiving: Vec<_> =
            deflated.iter_mut().map(|one| scope.spawn(|| recv_all(|| one.recv()))).collect();
        let compressed = receiving.into_iter().map(|one| one.join().unwrap()).sum::<usize>();
        assert!(compressed > 0, "nothing came compressed");
    });
}
