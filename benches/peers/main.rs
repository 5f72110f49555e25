//! The core beside tungstenite and fastwebsockets on the same wires, in one run:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`, with the path of an SVG file for a plot of it.

#[path = "../protocol/contenders.rs"]
mod contenders;
#[path = "../protocol/harness.rs"]
mod harness;
mod plot;
#[path = "../protocol/streams.rs"]
mod streams;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use contenders::{READ_BYTES, gannet_decode, gannet_encode, tungstenite_decode, tungstenite_encode};
use fastwebsockets::{Frame, Payload, Role, WebSocket};
use harness::{Work, measure, print_header, print_row};
use plot::Row;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const NAMES: [&str; 3] = ["gannet", "tungstenite", "fastwebsockets"];

/// What each run goes over, in bytes.
const RUN_BYTES: usize = 2 << 20;

fn main() -> io::Result<()> {
    let mut rows = Vec::new();
    print_header("decode, masked: ns a frame", &NAMES);
    let count = 20_000;
    rows.push(decode("2 to 125 bytes, text and binary", &streams::mixed_small_frames(count), count));
    for (kind, first) in [("binary", 0x82), ("text", 0x81)] {
        for size in [16, 125, 1024, 64 << 10, 1 << 20] {
            let count = (RUN_BYTES / (size + 64)).max(4);
            let wire = streams::equal_frames(first, size, count);
            rows.push(decode(&format!("{size} bytes, {kind}"), &wire, count));
        }
    }
    print_header("encode, binary: ns a frame", &NAMES);
    for size in [16, 125, 1024, 64 << 10, 1 << 20] {
        encode(size, (RUN_BYTES / (size + 64)).max(4));
    }
    match std::env::args().nth(1) {
        Some(path) => {
            std::fs::write(path, plot::svg("Decoding masked frames: ns a frame", "ns", &NAMES, &rows))
        }
        None => Ok(()),
    }
}

fn decode(about: &str, wire: &[u8], count: usize) -> Row {
    let mut buffer = vec![0; READ_BYTES];
    let mut contenders: [(&str, Work<'_>); 3] = [
        (NAMES[0], Box::new(|| gannet_decode(wire, &mut buffer))),
        (NAMES[1], Box::new(|| tungstenite_decode(wire))),
        (NAMES[2], Box::new(|| fastwebsockets_decode(wire))),
    ];
    let sums: Vec<u64> = contenders.iter_mut().map(|(_, work)| work()).collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "all do the same work: {sums:?}");
    report(about, &mut contenders, count)
}

fn encode(size: usize, count: usize) {
    let payload = vec![b'x'; size];
    let shared = tungstenite::Bytes::from(payload.clone());
    let mut out = Vec::with_capacity(2 * READ_BYTES);
    let mut contenders: [(&str, Work<'_>); 3] = [
        (NAMES[0], Box::new(|| gannet_encode(&payload, count, &mut out))),
        (NAMES[1], Box::new(|| tungstenite_encode(&shared, count))),
        (NAMES[2], Box::new(|| fastwebsockets_encode(&payload, count))),
    ];
    report(&format!("{size} bytes"), &mut contenders, count);
}

fn report(about: &str, contenders: &mut [(&'static str, Work<'_>)], count: usize) -> Row {
    let figures: Vec<f64> = measure(contenders).into_iter().map(|time| time / count as f64).collect();
    print_row(about, &figures, "ns");
    Row { about: about.to_owned(), figures }
}

/// A future that never has to wait, since all is in memory.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("memory is always ready"),
    }
}

fn fastwebsockets_decode(wire: &[u8]) -> u64 {
    finish(async {
        let mut socket = WebSocket::after_handshake(AsyncWire(wire), Role::Server);
        let mut sum = 0;
        while let Ok(frame) = socket.read_frame().await {
            sum += frame.payload.len() as u64;
        }
        sum
    })
}

fn fastwebsockets_encode(payload: &[u8], count: usize) -> u64 {
    finish(async {
        let mut socket = WebSocket::after_handshake(AsyncWire(&[]), Role::Server);
        for _ in 0..count {
            socket.write_frame(Frame::binary(Payload::Borrowed(payload))).await.expect("it is open");
        }
        count as u64
    })
}

/// A stream that gives the wire, and swallows what is written.
struct AsyncWire<'w>(&'w [u8]);

impl AsyncRead for AsyncWire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = buffer.remaining().min(self.0.len()).min(READ_BYTES);
        let (head, rest) = self.0.split_at(length);
        buffer.put_slice(head);
        self.0 = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AsyncWire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
