//! The header of a record, and the content types.

use super::refusal::Refusal;
use super::suite::{Suite, Version};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 5;

/// ContentType of RFC 8446 §5.1 and RFC 5246 §6.2.1.
pub const ALERT: u8 = 21;
/// See [`ALERT`].
pub const HANDSHAKE: u8 = 22;
/// See [`ALERT`].
pub const APPLICATION_DATA: u8 = 23;

/// TLSCiphertext's version, in both versions (RFC 8446 §5.2, RFC 5246 §6.2.3).
pub const RECORD_VERSION: [u8; 2] = [3, 3];

/// A header that this session may get.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// Reads the header at the front of `bytes`; `None` if it has not come whole.
    ///
    /// # Errors
    /// A record that no peer of this session may send: it is refused before its body has come.
    pub fn read(suite: Suite, bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let Some(bytes) = bytes.first_chunk() else { return Ok(None) };
        let header = Self { bytes: *bytes };
        // change_cipher_spec is a part of handshakes (RFC 8446 §5, RFC 5246 §7.1), and every other record of TLS 1.3 is
        // application_data outside (RFC 8446 §5.2).
        let expected = match suite.version {
            Version::Tls13 => header.kind() == APPLICATION_DATA,
            Version::Tls12 => matches!(header.kind(), ALERT | HANDSHAKE | APPLICATION_DATA),
        };
        if !expected {
            return Err(Refusal::RecordType(header.kind()));
        }
        if bytes[1..3] != RECORD_VERSION {
            return Err(Refusal::RecordVersion);
        }
        if header.body_bytes() > suite.max_body() {
            return Err(Refusal::Overflow);
        }
        Ok(Some(header))
    }

    /// The content type outside.
    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    /// Bytes that follow the header.
    pub fn body_bytes(&self) -> usize {
        usize::from(u16::from_be_bytes([self.bytes[3], self.bytes[4]]))
    }

    /// As it came.
    pub fn as_bytes(&self) -> &[u8; HEADER_BYTES] {
        &self.bytes
    }
}

/// How many bytes the record, or the header, at the front of `bytes` lacks.
pub fn missing_bytes(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<HEADER_BYTES>() {
        None => HEADER_BYTES - bytes.len(),
        Some(header) => {
            let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
            (HEADER_BYTES + body).saturating_sub(bytes.len())
        }
    }
}
