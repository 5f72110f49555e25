//! The key of one direction: it seals and opens single records.
//!
//! ring's own form of a key takes 544 bytes and 0.12 µs to make from the 16 or 32 bytes kept here, so it is made for each
//! record: an idle session keeps the small one, and after a fan-out to thousands the large ones would not be in the cache.

use super::header::{APPLICATION_DATA, HEADER_BYTES, Header, RECORD_VERSION};
use super::refusal::Refusal;
use super::suite::{MAX_PLAINTEXT, MAX_SEQUENCE, Suite, Version};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

/// The longest key.
pub const MAX_KEY_BYTES: usize = 32;

/// The tag behind every ciphertext; all three AEADs have one of this length.
const TAG_BYTES: usize = 16;

/// See the module. What is secret is zeroed when it is dropped.
pub struct Keys {
    /// The algorithm's length of it is used; the rest is zero.
    pub(super) key: [u8; MAX_KEY_BYTES],
    pub(super) iv: [u8; NONCE_LEN],
    /// Of the next record; at most [`MAX_SEQUENCE`] and the alerts behind it.
    pub(super) sequence: u64,
}

impl Keys {
    /// `None` if the key has another length than the suite's.
    pub fn new(suite: Suite, key: &[u8], iv: [u8; NONCE_LEN], sequence: u64) -> Option<Self> {
        if key.len() != suite.algorithm().key_len() {
            return None;
        }
        let mut keys = Self { key: [0; MAX_KEY_BYTES], iv, sequence };
        keys.key[..key.len()].copy_from_slice(key);
        Some(keys)
    }

    /// The number of the next record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The key's bytes.
    pub fn key(&self, suite: Suite) -> &[u8] {
        &self.key[..suite.algorithm().key_len()]
    }

    /// Whether key and vector are the same, whatever has been done with them.
    pub fn are_those_of(&self, other: &Self) -> bool {
        (self.key, self.iv) == (other.key, other.iv)
    }

    /// Appends a record to `out`: `write` appends its content, which is at most [`MAX_PLAINTEXT`] bytes.
    ///
    /// The caller sees to it that the key has not sealed as many records as it may: with the last sequence number the
    /// next nonce would be one that was used.
    pub fn seal(&mut self, suite: Suite, kind: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        let nonce = self.nonce();
        let explicit = suite.explicit_nonce_bytes();
        let content_at = start + HEADER_BYTES + explicit;
        out.extend_from_slice(&[kind, RECORD_VERSION[0], RECORD_VERSION[1], 0, 0]);
        out.extend_from_slice(&nonce[NONCE_LEN - explicit..]);
        write(out);
        let content_bytes = out.len() - content_at;
        if suite.version == Version::Tls13 {
            // TLSInnerPlaintext: the content, its type, no padding (RFC 8446 §5.2).
            out.push(kind);
            out[start] = APPLICATION_DATA;
        }
        let body_bytes = (out.len() - start - HEADER_BYTES + TAG_BYTES) as u16;
        out[start + 3..start + HEADER_BYTES].copy_from_slice(&body_bytes.to_be_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&out[start..start + HEADER_BYTES]);
        let data = AdditionalData::new(suite, self.sequence, &header, content_bytes);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .cipher(suite)
            .seal_in_place_separate_tag(nonce, Aad::from(data.as_slice()), &mut out[content_at..])
            .expect("an AEAD takes more than a record");
        out.extend_from_slice(tag.as_ref());
        self.sequence += 1;
    }

    /// Opens the record that ends `bytes`: its header is at `at`, and what lies before that may be overwritten. The
    /// content is at the front afterwards: its type and its length.
    ///
    /// # Errors
    /// It is not the next record of this key, or longer than it may be.
    pub fn open(
        &mut self,
        suite: Suite,
        header: Header,
        bytes: &mut [u8],
        at: usize,
    ) -> Result<(u8, usize), Refusal> {
        if self.sequence > MAX_SEQUENCE {
            return Err(Refusal::Exhausted);
        }
        let explicit = suite.explicit_nonce_bytes();
        let ciphertext = at + HEADER_BYTES + explicit;
        let overhead = explicit + TAG_BYTES;
        let content_bytes = header.body_bytes().checked_sub(overhead).ok_or(Refusal::BadMac)?;
        let mut nonce = self.nonce();
        // What is not explicit is a salt (RFC 5288 §3).
        nonce[NONCE_LEN - explicit..].copy_from_slice(&bytes[ciphertext - explicit..ciphertext]);
        let data = AdditionalData::new(suite, self.sequence, header.as_bytes(), content_bytes);
        let opened = self
            .cipher(suite)
            .open_within(Nonce::assume_unique_for_key(nonce), Aad::from(data.as_slice()), bytes, ciphertext..)
            .map_err(|_| Refusal::BadMac)?;
        self.sequence += 1;
        let (kind, length) = match suite.version {
            Version::Tls12 => (header.kind(), opened.len()),
            Version::Tls13 => {
                // Type and padding count: 2^14 + 1 bytes in all (RFC 8446 §5.4).
                if opened.len() > MAX_PLAINTEXT + 1 {
                    return Err(Refusal::Overflow);
                }
                let last = opened.iter().rposition(|byte| *byte != 0).ok_or(Refusal::NoContentType)?;
                (opened[last], last)
            }
        };
        if length > MAX_PLAINTEXT {
            return Err(Refusal::Overflow);
        }
        Ok((kind, length))
    }

    fn cipher(&self, suite: Suite) -> LessSafeKey {
        LessSafeKey::new(
            UnboundKey::new(suite.algorithm(), self.key(suite)).expect("the key has the algorithm's length"),
        )
    }

    /// The vector XOR the sequence number (RFC 8446 §5.3, RFC 7905 §2). For AES-GCM in TLS 1.2 that is the salt, and an
    /// explicit part that no two records share (RFC 5288 §3).
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        nonce
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
    }
}

/// What a tag covers besides the ciphertext.
struct AdditionalData {
    bytes: [u8; 13],
    length: usize,
}

impl AdditionalData {
    /// The header (RFC 8446 §5.2), or the sequence number, the type, the version and the length of the content (RFC 5246
    /// §6.2.3.3).
    fn new(suite: Suite, sequence: u64, header: &[u8; HEADER_BYTES], content_bytes: usize) -> Self {
        let mut bytes = [0; 13];
        let length = match suite.version {
            Version::Tls13 => {
                bytes[..HEADER_BYTES].copy_from_slice(header);
                HEADER_BYTES
            }
            Version::Tls12 => {
                bytes[..8].copy_from_slice(&sequence.to_be_bytes());
                bytes[8..11].copy_from_slice(&header[..3]);
                bytes[11..].copy_from_slice(&(content_bytes as u16).to_be_bytes());
                13
            }
        };
        Self { bytes, length }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
