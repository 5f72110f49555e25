//! The protocol version and AEAD of a session, and what they fix: lengths, hash, limits.

use ring::{aead, hkdf};

/// Plaintext of one record, at most (RFC 8446 §5.1, RFC 5246 §6.2.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;

/// Records under one key of AES-GCM, at most; rustls has the same bound. RFC 8446 §5.5 allows 2^24.5 full records.
const GCM_RECORDS: u64 = 1 << 24;

/// No sequence number reaches its largest value (RFC 8446 §5.3, RFC 5246 §6.1): the rest is room for alerts, which are
/// always sent.
pub const MAX_SEQUENCE: u64 = u64::MAX - 0xffff;

/// The version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The cipher of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aead {
    /// RFC 5116 §5.1; in TLS 1.2, RFC 5288.
    Aes128Gcm,
    /// RFC 5116 §5.2; in TLS 1.2, RFC 5288.
    Aes256Gcm,
    /// RFC 8439; in TLS 1.2, RFC 7905.
    ChaCha20Poly1305,
}

/// A version with a cipher. How keys were agreed on and signed makes no difference after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The version.
    pub version: Version,
    /// The cipher.
    pub aead: Aead,
}

impl Suite {
    /// The cipher in ring.
    pub fn algorithm(self) -> &'static aead::Algorithm {
        match self.aead {
            Aead::Aes128Gcm => &aead::AES_128_GCM,
            Aead::Aes256Gcm => &aead::AES_256_GCM,
            Aead::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    /// The hash of the key schedule of TLS 1.3 (RFC 8446 §B.4).
    pub fn hash(self) -> hkdf::Algorithm {
        match self.aead {
            Aead::Aes256Gcm => hkdf::HKDF_SHA384,
            Aead::Aes128Gcm | Aead::ChaCha20Poly1305 => hkdf::HKDF_SHA256,
        }
    }

    /// Bytes of a traffic secret of TLS 1.3: those of its hash.
    pub fn secret_bytes(self) -> usize {
        match self.aead {
            Aead::Aes256Gcm => 48,
            Aead::Aes128Gcm | Aead::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of the nonce that each record carries before its ciphertext: AES-GCM in TLS 1.2 (RFC 5288 §3).
    pub fn explicit_nonce_bytes(self) -> usize {
        match (self.version, self.aead) {
            (Version::Tls12, Aead::Aes128Gcm | Aead::Aes256Gcm) => 8,
            _ => 0,
        }
    }

    /// The length that a record's header may say (RFC 8446 §5.2, RFC 5246 §6.2.3).
    pub fn max_body(self) -> usize {
        match self.version {
            Version::Tls12 => MAX_PLAINTEXT + 2048,
            Version::Tls13 => MAX_PLAINTEXT + 256,
        }
    }

    /// Records that may be sent under one key.
    pub fn max_records(self) -> u64 {
        match self.aead {
            Aead::Aes128Gcm | Aead::Aes256Gcm => GCM_RECORDS,
            Aead::ChaCha20Poly1305 => MAX_SEQUENCE,
        }
    }
}
