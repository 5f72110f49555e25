//! What compressing a push costs, and what it saves, by level and size: it is compressed once for all who get it.
//!
//! `cargo bench --bench deflate`: game states as JSON, of which the numbers differ. The best of rounds in which the levels take
//! turns: whatever disturbs one makes it slower.

use gannet::protocol::{DeflateConfig, DeflateEngine, OpCode, encode_frame};
use std::fmt::Write;
use std::time::Instant;

const SIZES: [usize; 3] = [512, 2_048, 16_384];
const LEVELS: [u8; 5] = [1, 2, 4, 6, 9];
const ROUNDS: usize = 15;
const BYTES_A_ROUND: usize = 256 * 1024;

fn main() {
    let engines: Vec<DeflateEngine> = LEVELS
        .iter()
        .map(|&level| DeflateEngine::new(DeflateConfig { level, ..DeflateConfig::default() }))
        .collect();
    println!(
        "| message | level | bytes on the wire | saved | µs to compress |\n| --- | --- | --- | --- | --- |"
    );
    for size in SIZES {
        let messages: Vec<String> =
            (0..BYTES_A_ROUND / size).map(|number| state(number as u64 + 1, size)).collect();
        let plain: usize =
            messages.iter().map(|text| encode_frame(OpCode::Text, text.as_bytes()).len()).sum();
        let mut times = vec![Vec::new(); LEVELS.len()];
        let mut wire = vec![0; LEVELS.len()];
        for _ in 0..ROUNDS {
            for (index, engine) in engines.iter().enumerate() {
                let start = Instant::now();
                let lengths = messages.iter().map(|text| compressed(engine, text));
                wire[index] = lengths.sum();
                times[index].push(start.elapsed().as_secs_f64() * 1e6 / messages.len() as f64);
            }
        }
        for (index, level) in LEVELS.iter().enumerate() {
            times[index].sort_by(f64::total_cmp);
            let (bytes, us) = (wire[index] / messages.len(), times[index][0]);
            let saved = 100.0 - 100.0 * wire[index] as f64 / plain as f64;
            println!("| {size} bytes | {level} | {bytes} | {saved:.0} % | {us:.1} |");
        }
    }
}

fn compressed(engine: &DeflateEngine, text: &str) -> usize {
    let frame = engine.encode_frame(OpCode::Text, text.as_bytes());
    frame.map_or_else(|| encode_frame(OpCode::Text, text.as_bytes()).len(), |frame| frame.len())
}

/// A state of so many bytes: players, where they are and what they do.
fn state(seed: u64, bytes: usize) -> String {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = |bound: u64| {
        // Marsaglia's xorshift.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut text = format!(r#"{{"type":"state","tick":{seed},"players":["#);
    while text.len() < bytes {
        let (id, x, y, health) = (next(1_000), next(100_000), next(100_000), next(101));
        let action = ["idle", "walk", "run", "jump", "attack"][next(5) as usize];
        // A String takes everything.
        let _ = write!(text, r#"{{"id":{id},"x":{x},"y":{y},"health":{health},"action":"{action}"}},"#);
    }
    text.truncate(bytes);
    text
}
