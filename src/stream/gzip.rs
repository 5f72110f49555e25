//! gzip (RFC 1952) out of blocks of deflate (RFC 1951) that were made before: a stream costs the eight bytes of its trailer and
//! no compressor, and what goes to many is compressed once for all. Each block begins and ends at a byte, and refers to nothing
//! before it.
//!
//! The checksum of what is shared is worked out once too: that of a stream goes on from it by one multiplication of
//! polynomials, as zlib's `crc32_combine` does, however long it is.

use minicbor::{Decode, Encode};

/// The polynomial of CRC-32, the least significant bit first (RFC 1952 §8).
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The polynomial x⁰ in that order.
const ONE: u32 = 1 << 31;

/// The most bytes of a stored block (RFC 1951 §3.2.4).
const MAX_STORED: usize = 0xffff;

/// What a byte makes of a checksum, by how many bytes follow it in a word of eight.
const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut followed = 1;
    while followed < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[followed - 1][byte];
            tables[followed][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        followed += 1;
    }
    tables
};

/// x to the power of 2ⁿ, by n.
const POWERS: [u32; 32] = {
    let mut powers = [1 << 30; 32];
    let mut n = 1;
    while n < 32 {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product of two polynomials modulo the one of CRC-32.
const fn multiply(one: u32, other: u32) -> u32 {
    let (mut bit, mut other, mut product) = (ONE, other, 0);
    while bit != 0 {
        if one & bit != 0 {
            product ^= other;
        }
        bit >>= 1;
        other = if other & 1 == 1 { (other >> 1) ^ POLYNOMIAL } else { other >> 1 };
    }
    product
}

/// x to the power of eight times `bytes`: what so many further bytes multiply a checksum by.
fn shift_by(bytes: u32) -> u32 {
    let (mut n, mut left, mut product) = (3, bytes, ONE);
    while left > 0 {
        if left & 1 == 1 {
            product = multiply(POWERS[n % 32], product);
        }
        left >>= 1;
        n += 1;
    }
    product
}

fn crc_of(from: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_word = |crc: u32, word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word) ^ u64::from(crc);
        (0..8).fold(0, |crc, place| crc ^ TABLES[7 - place][usize::from((word >> (8 * place)) as u8)])
    };
    let of_byte = |crc: u32, byte: &u8| TABLES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !rest.iter().fold(words.iter().fold(!from, of_word), of_byte)
}

/// What the trailer of a stream has to know of a piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    crc: u32,
    /// Modulo 2³², as in the trailer.
    length: u32,
    /// See [`shift_by`].
    shift: u32,
}

impl Sum {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let length = bytes.len() as u32;
        Self { crc: crc_of(0, bytes), length, shift: shift_by(length) }
    }
}

/// A stream: what has been put into it, as the trailer says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Gzip {
    #[n(0)]
    crc: u32,
    #[n(1)]
    length: u32,
}

impl Gzip {
    /// What a stream begins with (RFC 1952 §2.3): no name, no time, of an unknown system.
    pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

    /// Appends `bytes` as they are, in blocks that are not compressed.
    pub fn store(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.add_bytes(bytes);
        stored(bytes, out);
    }

    /// The same for what `put` appends.
    pub fn store_with(&mut self, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        let begin = out.len();
        out.extend_from_slice(&stored_header(0));
        let from = out.len();
        put(out);
        match u16::try_from(out.len() - from) {
            Ok(length) if length > 0 => {
                out[begin..from].copy_from_slice(&stored_header(length));
                self.add_bytes(&out[from..]);
            }
            // Nothing, or more than one block has.
            _ => {
                let bytes = out.split_off(from);
                out.truncate(begin);
                self.store(&bytes, out);
            }
        }
    }

    /// The same for bytes whose sum is known.
    pub fn store_shared(&mut self, bytes: &[u8], sum: &Sum, out: &mut Vec<u8>) {
        debug_assert_eq!(sum.length, bytes.len() as u32, "it is the sum of these bytes");
        self.add(sum);
        stored(bytes, out);
    }

    /// Appends a block that was compressed from bytes with this sum. It ends at a byte and refers to nothing before it.
    pub fn append(&mut self, block: &[u8], sum: &Sum, out: &mut Vec<u8>) {
        self.add(sum);
        out.extend_from_slice(block);
    }

    /// The same, where the bytes are at hand.
    pub fn append_block(&mut self, block: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
        self.append(block, &Sum::of(bytes), out);
    }

    /// Appends the end of the stream: an empty last block, and the trailer.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.crc = crc_of(self.crc, bytes);
        self.length = self.length.wrapping_add(bytes.len() as u32);
    }

    fn add(&mut self, sum: &Sum) {
        self.crc = multiply(sum.shift, self.crc) ^ sum.crc;
        self.length = self.length.wrapping_add(sum.length);
    }
}

fn stored(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(MAX_STORED) {
        out.extend_from_slice(&stored_header(piece.len() as u16));
        out.extend_from_slice(piece);
    }
}

/// What a block of so many bytes that are not compressed begins with, where it begins at a byte.
fn stored_header(length: u16) -> [u8; 5] {
    let ([low, high], [not_low, not_high]) = (length.to_le_bytes(), (!length).to_le_bytes());
    [0, low, high, not_low, not_high]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::random_bytes;
    use crate::protocol::{DeflateConfig, DeflateEngine};
    use flate2::Crc;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn oracle(bytes: &[u8]) -> u32 {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn checksums_are_those_of_flate2_also_put_together() {
        for (seed, length) in [(1, 0), (2, 1), (3, 3), (4, 4), (5, 255), (6, 256), (7, 5_000), (8, 70_000)] {
            let bytes = random_bytes(seed, length);
            assert_eq!(Sum::of(&bytes).crc, oracle(&bytes));
            for cut in [0, length / 3, length / 2, length] {
                let mut gzip = Gzip::default();
                gzip.store(&bytes[..cut], &mut Vec::new());
                gzip.append(&[], &Sum::of(&bytes[cut..]), &mut Vec::new());
                assert_eq!((gzip.crc, gzip.length), (oracle(&bytes), length as u32), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_stream_of_pieces_in_every_form_is_what_a_decoder_reads_piece_by_piece() {
        let engine = DeflateEngine::new(DeflateConfig::default());
        let pieces: Vec<Vec<u8>> = (0..60)
            .map(|seed| match seed % 3 {
                0 => random_bytes(seed, seed as usize * 40),
                1 => b"lorem ipsum ".repeat(seed as usize * 20),
                _ => format!("id: t:{seed}\n").into_bytes(),
            })
            .chain([random_bytes(99, 200_000), b"x".repeat(200_000)])
            .collect();
        let (mut gzip, mut wire, mut compressed) = (Gzip::default(), Gzip::HEADER.to_vec(), 0);
        let mut plain = Vec::new();
        for piece in &pieces {
            let sum = Sum::of(piece);
            match engine.encode_block(piece) {
                Some(block) => {
                    compressed += 1;
                    gzip.append(&block, &sum, &mut wire);
                }
                None if piece.len() % 2 == 0 => gzip.store_shared(piece, &sum, &mut wire),
                None => gzip.store(piece, &mut wire),
            }
            plain.extend_from_slice(piece);
            // What has been sent can be read before anything else comes.
            let mut read = Vec::new();
            let cut = GzDecoder::new(&*wire).read_to_end(&mut read);
            assert!(cut.is_err(), "the stream has not ended");
            assert_eq!(read, plain);
        }
        assert!(compressed > 10 && wire.len() < plain.len());
        gzip.end(&mut wire);
        let (mut read, mut rest) = (Vec::new(), &*wire);
        flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut read).unwrap();
        assert!(read == plain && rest.is_empty());
    }

    #[test]
    fn what_is_put_in_place_is_stored_as_bytes_at_hand_are() {
        for length in [0, 1, 60, 0xffff, 0x1_0000, 200_000] {
            let bytes = random_bytes(1, length);
            let (mut one, mut other) = (Gzip::default(), Gzip::default());
            let (mut wire, mut expected) = (b"before".to_vec(), b"before".to_vec());
            one.store_with(&mut wire, |out| out.extend_from_slice(&bytes));
            other.store(&bytes, &mut expected);
            assert!(one == other && wire == expected, "{length}");
        }
    }

    #[test]
    fn a_wrong_trailer_would_be_seen() {
        let mut gzip = Gzip::default();
        let mut wire = Gzip::HEADER.to_vec();
        gzip.store(b"abc", &mut wire);
        gzip.append(&[], &Sum::of(b"never sent"), &mut wire);
        gzip.end(&mut wire);
        assert!(GzDecoder::new(&*wire).read_to_end(&mut Vec::new()).is_err());
    }
}
