//! An event that many streams get: made once for all of them, its sum and its compressed form on first use.

use super::event::text_or_binary;
use super::gzip::{Gzip, Sum};
use crate::protocol::DeflateEngine;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most bytes in which a compressed event ends without having anything of it: the end of its block, 15 bits at most, and the
/// empty block that fills the last byte, three bits, up to seven and four bytes (RFC 1951 §3.2.4, §3.2.7).
const FLUSH_BYTES: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct SharedEvent {
    bytes: Box<[u8]>,
    sum: OnceLock<Sum>,
    /// Set by who compresses it, which alone fills `block`.
    claimed: AtomicBool,
    /// Inside, `None` where compressed it is no shorter.
    block: OnceLock<Option<Box<[u8]>>>,
}

impl SharedEvent {
    /// The event of a message.
    pub fn new(is_text: bool, payload: &[u8]) -> Self {
        let mut bytes = Vec::new();
        text_or_binary(is_text, payload, &mut bytes);
        Self {
            bytes: bytes.into(),
            sum: OnceLock::new(),
            claimed: AtomicBool::new(false),
            block: OnceLock::new(),
        }
    }

    /// The event as it is, without its `id:` line.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that it takes.
    pub fn memory(&self) -> usize {
        let block = self.block.get().and_then(Option::as_ref).map_or(0, |block| block.len());
        size_of::<Self>() + self.bytes.len() + block
    }

    /// Appends the event to a stream of gzip: compressed, where `engine` is there and it pays. Who finds another thread
    /// compressing it does not wait: any part of a stream may be stored. Returns without how many of the last bytes a client may
    /// have read the event already.
    pub fn append_to(&self, gzip: &mut Gzip, engine: Option<&DeflateEngine>, out: &mut Vec<u8>) -> usize {
        let sum = self.sum.get_or_init(|| Sum::of(&self.bytes));
        match engine.and_then(|engine| self.block(engine)) {
            Some(block) => {
                gzip.append(block, sum, out);
                FLUSH_BYTES.min(block.len())
            }
            None => {
                gzip.store_shared(&self.bytes, sum, out);
                0
            }
        }
    }

    fn block(&self, engine: &DeflateEngine) -> Option<&[u8]> {
        // `OnceLock` publishes the bytes; the claim itself orders nothing.
        if !self.claimed.load(Ordering::Relaxed) && !self.claimed.swap(true, Ordering::Relaxed) {
            let filled = self.block.set(engine.encode_block(&self.bytes).map(Vec::into_boxed_slice));
            debug_assert!(filled.is_ok(), "only the claimant fills it");
        }
        self.block.get()?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::DeflateConfig;
    use std::io::Read;

    #[test]
    fn all_streams_get_the_same_event_whoever_compresses_it() {
        let engine = DeflateEngine::new(DeflateConfig::default());
        let text = "lorem ipsum\n".repeat(100);
        for payload in ["short", &text] {
            let event = SharedEvent::new(true, payload.as_bytes());
            let before = event.memory();
            std::thread::scope(|scope| {
                for stream in 0..4 {
                    let (event, engine) = (&event, &engine);
                    scope.spawn(move || {
                        let (mut gzip, mut wire) = (Gzip::default(), Gzip::HEADER.to_vec());
                        for _ in 0..3 {
                            event.append_to(&mut gzip, (stream > 0).then_some(engine), &mut wire);
                        }
                        gzip.end(&mut wire);
                        let mut read = Vec::new();
                        flate2::read::GzDecoder::new(&*wire).read_to_end(&mut read).unwrap();
                        assert_eq!(read, event.bytes().repeat(3));
                    });
                }
            });
            assert_eq!(event.memory() > before, payload.len() > 100);
        }
    }
}
