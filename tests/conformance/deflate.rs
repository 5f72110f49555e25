//! The tester's own side of permessage-deflate, straight over zlib.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::case::Extension;

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The tester takes its context over wherever the answer does not forbid it.
pub struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// The tester's own messages refer to nothing before them.
    resets: bool,
    /// Nor may the endpoint's.
    expects_resets: bool,
}

impl Deflate {
    /// `is_server`: whether the endpoint under test is the server.
    pub fn new(extension: Extension, is_server: bool) -> Self {
        let server_resets = extension.answer.contains("server_no_context_takeover");
        let client_resets = extension.answer.contains("client_no_context_takeover");
        let bits = |name: &str| match extension.answer.split_once(name) {
            Some((_, value)) => value.chars().take_while(char::is_ascii_digit).collect::<String>(),
            None => "15".to_owned(),
        };
        let (server_bits, client_bits) = (bits("server_max_window_bits="), bits("client_max_window_bits="));
        let (own_bits, resets, expects_resets) = match is_server {
            true => (client_bits, client_resets, server_resets),
            false => (server_bits, server_resets, client_resets),
        };
        let own_bits: u8 = own_bits.parse().expect("digits");
        Self {
            // zlib has no smaller window than 9 bits: with 8 the tester sends stored blocks.
            compress: Compress::new_with_window_bits(
                if own_bits < 9 { Compression::none() } else { Compression::default() },
                false,
                own_bits.max(9),
            ),
            decompress: Decompress::new(false),
            resets,
            expects_resets,
        }
    }

    pub fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::with_capacity(payload.len() * 2 + 1000);
        self.compress.compress_vec(payload, &mut compressed, FlushCompress::Sync).expect("zlib takes all");
        if self.resets {
            self.compress.reset();
        }
        compressed.strip_suffix(&TAIL).expect("a flush ends so").to_vec()
    }

    pub fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut inflated = Vec::with_capacity(1 << 20);
        for input in [payload, &TAIL] {
            let status = self.decompress.decompress_vec(input, &mut inflated, FlushDecompress::Sync);
            status.map_err(|error| error.to_string())?;
        }
        if self.expects_resets {
            self.decompress.reset(false);
        }
        Ok(inflated)
    }
}
