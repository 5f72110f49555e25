//! The traffic secrets of TLS 1.3, from which keys come (RFC 8446 §7).

use super::keys::{Keys, MAX_KEY_BYTES};
use super::suite::Suite;
use ring::aead::NONCE_LEN;
use ring::hkdf::{KeyType, Prk};
use zeroize::{Zeroize, Zeroizing};

const MAX_SECRET_BYTES: usize = 48;

/// The secret of one direction. It is zeroed when it is dropped.
pub struct TrafficSecret {
    /// The hash's length of it is used; the rest is zero.
    bytes: [u8; MAX_SECRET_BYTES],
}

impl TrafficSecret {
    /// `None` if it has another length than the suite's.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != suite.secret_bytes() {
            return None;
        }
        let mut secret = Self { bytes: [0; MAX_SECRET_BYTES] };
        secret.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(secret)
    }

    /// Its bytes.
    pub fn as_slice(&self, suite: Suite) -> &[u8] {
        &self.bytes[..suite.secret_bytes()]
    }

    /// The keys that come from it (RFC 8446 §7.3), with `sequence` records behind them.
    pub fn keys(&self, suite: Suite, sequence: u64) -> Keys {
        let mut key = Zeroizing::new([0; MAX_KEY_BYTES]);
        let key = &mut key[..suite.algorithm().key_len()];
        let mut iv = [0; NONCE_LEN];
        self.expand(suite, b"key", key);
        self.expand(suite, b"iv", &mut iv);
        Keys::new(suite, key, iv, sequence).expect("the key has the suite's length")
    }

    /// Becomes the next generation's (RFC 8446 §7.2).
    pub fn update(&mut self, suite: Suite) {
        let mut next = Zeroizing::new([0; MAX_SECRET_BYTES]);
        self.expand(suite, b"traffic upd", &mut next[..suite.secret_bytes()]);
        self.bytes = *next;
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
    fn expand(&self, suite: Suite, label: &[u8], out: &mut [u8]) {
        const PREFIX: &[u8] = b"tls13 ";
        let length = (out.len() as u16).to_be_bytes();
        let label_bytes = [(PREFIX.len() + label.len()) as u8];
        let info = [&length[..], &label_bytes, PREFIX, label, &[0]];
        Prk::new_less_safe(suite.hash(), self.as_slice(suite))
            .expand(&info, Bytes(out.len()))
            .and_then(|expanded| expanded.fill(out))
            .expect("HKDF gives 255 times the hash's length");
    }
}

impl Drop for TrafficSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// So many bytes are wanted of HKDF.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}
