//! The core's speed, beside `memcpy` and tungstenite: `cargo bench --bench protocol`.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml` adds fastwebsockets.

mod contenders;
mod harness;
mod streams;

use std::hint::black_box;

use contenders::*;
use gannet::protocol::{FrameHeader, OpCode, Role, TextAssembly, apply_mask};
use harness::{Work, measure, print_header, print_row};

/// What each run goes over, in bytes.
const RUN_BYTES: usize = 2 << 20;

fn main() {
    // `cargo test --benches` only looks whether it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    bytes_a_second();
    mixed_frames();
    parts_of_a_frame();
    decode();
    encode();
}

fn bytes_a_second() {
    print_header("GB/s", &["memcpy", "unmask", "UTF-8, ASCII", "UTF-8, mixed"]);
    for size in [125, 1024, 64 << 10, 1 << 20] {
        let rounds = RUN_BYTES / size;
        let ascii = vec![b'a'; size];
        let mixed: Vec<u8> = "grüße, κόσμε ".bytes().cycle().take(size).collect();
        let mixed = &mixed[..mixed.len() - unfinished(&mixed)];
        let (mut copy, mut masked) = (vec![0; size], ascii.clone());
        let mut contenders: [(&str, Work<'_>); 4] = [
            (
                "memcpy",
                Box::new(|| repeat(rounds, || black_box(&mut copy[..]).copy_from_slice(black_box(&ascii)))),
            ),
            ("unmask", Box::new(|| repeat(rounds, || apply_mask(black_box(&mut masked), [1, 2, 3, 4], 0)))),
            ("ascii", Box::new(|| repeat(rounds, || check(&ascii)))),
            ("mixed", Box::new(|| repeat(rounds, || check(mixed)))),
        ];
        let gigabytes = |time: f64| (rounds * size) as f64 / time;
        let figures: Vec<f64> = measure(&mut contenders).into_iter().map(gigabytes).collect();
        print_row(&format!("{size} bytes"), &figures, "");
    }
}

/// The text check alone, as it is done on a whole message.
fn check(text: &[u8]) {
    let valid = if text.len() < 64 {
        std::str::from_utf8(black_box(text)).is_ok()
    } else {
        simdutf8::basic::from_utf8(black_box(text)).is_ok()
    };
    assert!(valid);
}

fn unfinished(text: &[u8]) -> usize {
    let mut assembly = TextAssembly::default();
    assembly.push(text).expect("it is the start of a text");
    std::str::from_utf8(text).map_or_else(|error| text.len() - error.valid_up_to(), |_| 0)
}

fn repeat(rounds: usize, mut work: impl FnMut()) -> u64 {
    (0..rounds).for_each(|_| work());
    rounds as u64
}

fn mixed_frames() {
    let count = 20_000;
    let wire = streams::mixed_small_frames(count);
    let mut buffer = vec![0; READ_BYTES];
    print_header("ns a frame", &["gannet", "tungstenite"]);
    let mut contenders: [(&str, Work<'_>); 2] = [
        ("gannet", Box::new(|| gannet_decode(&wire, &mut buffer))),
        ("tungstenite", Box::new(|| tungstenite_decode(&wire))),
    ];
    let figures: Vec<f64> = measure(&mut contenders).into_iter().map(|time| time / count as f64).collect();
    print_row("mixed small frames, masked", &figures, "ns");
}

/// Where the time of a small frame goes: the same frames, a part of the work at a time.
fn parts_of_a_frame() {
    let count = 20_000;
    let wire = streams::mixed_small_frames(count);
    let mut frames = Vec::new();
    let mut rest = &wire[..];
    while let Ok(Some((header, length))) = FrameHeader::parse(rest, Role::Client) {
        let start = wire.len() - rest.len() + length;
        frames.push((header.opcode, start..start + header.payload_length as usize));
        rest = &wire[frames[frames.len() - 1].1.end..];
    }
    let mut plain = wire.clone();
    frames.iter().for_each(|(_, payload)| apply_mask(&mut plain[payload.clone()], streams::KEY, 0));
    let texts = frames.iter().filter(|(opcode, _)| *opcode == OpCode::Text);
    let (mut read, mut masked, mut buffer) = (wire.clone(), wire.clone(), vec![0; READ_BYTES]);
    print_header("ns a frame", &["all of it", "reading", "unmasking", "UTF-8, two in three frames"]);
    let mut contenders: [(&str, Work<'_>); 4] = [
        ("all", Box::new(|| gannet_decode(&wire, &mut buffer))),
        (
            "read",
            Box::new(|| {
                read.copy_from_slice(&wire);
                1
            }),
        ),
        (
            "unmask",
            Box::new(|| {
                frames.iter().for_each(|(_, range)| apply_mask(&mut masked[range.clone()], streams::KEY, 0));
                1
            }),
        ),
        (
            "UTF-8",
            Box::new(|| {
                texts.clone().for_each(|(_, range)| check(&plain[range.clone()]));
                1
            }),
        ),
    ];
    let figures: Vec<f64> = measure(&mut contenders).into_iter().map(|time| time / count as f64).collect();
    print_row("mixed small frames, masked", &figures, "ns");
}

fn decode() {
    for (name, first) in [("binary", 0x82), ("text", 0x81)] {
        print_header(&format!("decode, masked, {name}"), &["gannet", "tungstenite"]);
        for size in [16, 125, 1024, 64 << 10, 1 << 20] {
            let count = (RUN_BYTES / (size + 64)).max(8);
            let wire = streams::equal_frames(first, size, count);
            let mut buffer = vec![0; READ_BYTES];
            let mut contenders: [(&str, Work<'_>); 2] = [
                ("gannet", Box::new(|| gannet_decode(&wire, &mut buffer))),
                ("tungstenite", Box::new(|| tungstenite_decode(&wire))),
            ];
            let figures: Vec<f64> =
                measure(&mut contenders).into_iter().map(|time| time / count as f64).collect();
            print_row(&format!("{size} bytes"), &figures, "ns");
        }
    }
}

fn encode() {
    print_header("encode, unmasked, binary", &["gannet", "tungstenite"]);
    for size in [16, 125, 1024, 64 << 10, 1 << 20] {
        let count = (RUN_BYTES / (size + 64)).max(8);
        let payload = vec![b'x'; size];
        let shared = tungstenite::Bytes::from(payload.clone());
        let mut out = Vec::with_capacity(2 * READ_BYTES);
        let mut contenders: [(&str, Work<'_>); 2] = [
            ("gannet", Box::new(|| gannet_encode(&payload, count, &mut out))),
            ("tungstenite", Box::new(|| tungstenite_encode(&shared, count))),
        ];
        let figures: Vec<f64> =
            measure(&mut contenders).into_iter().map(|time| time / count as f64).collect();
        print_row(&format!("{size} bytes"), &figures, "ns");
    }
}
