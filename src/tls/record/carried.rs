//! How a record layer is carried to another process: keys, numbers, and what is counted. A field that is added to
//! [`RecordLayer`] does not compile until it is carried.

use super::handshake::{MAX_CLIENT_HELLO, MESSAGE_HEADER_BYTES, Partial};
use super::keys::Keys;
use super::layer::{
    MAX_EMPTY_RECORDS, MAX_KEY_UPDATES, MAX_RENEGOTIATIONS, MAX_WARNINGS, RecordLayer, Secrets, Tolerated,
};
use super::secret::TrafficSecret;
use super::suite::{Aead, MAX_SEQUENCE, Suite, Version};
use crate::upgrade::InvalidState;
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};
use std::fmt;
use zeroize::Zeroize;

/// Bytes that are zeroed when they are dropped, and that no log shows; a byte string in CBOR.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, if there are `N` of them.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.0.as_slice().try_into().ok()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl<C> Encode<C> for Secret {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Secret {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        d.bytes().map(Self::new)
    }
}

/// A record layer on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedRecords {
    /// ProtocolVersion: 0x0303 or 0x0304.
    #[n(0)]
    version: u16,
    /// 0 AES-128-GCM, 1 AES-256-GCM, 2 ChaCha20-Poly1305.
    #[n(1)]
    aead: u8,
    #[n(2)]
    receiving: CarriedKeys,
    #[n(3)]
    sending: CarriedKeys,
    /// Bytes of the header of a handshake message that have come.
    #[n(4)]
    message_header: u8,
    /// What they say of its length, or what is to come of its body.
    #[n(5)]
    message_body: u32,
    #[n(6)]
    empty_records: u8,
    #[n(7)]
    key_updates: u8,
    #[n(8)]
    warnings: u8,
    #[n(9)]
    renegotiations: u8,
    #[n(10)]
    owes_key_update: bool,
    #[n(11)]
    peer_closed: bool,
    #[n(12)]
    closed: bool,
}

/// The keys of one direction on their way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedKeys {
    /// TLS 1.3: the traffic secret. TLS 1.2: the key.
    #[n(0)]
    secret: Secret,
    /// TLS 1.2 alone: the initialization vector.
    #[n(1)]
    iv: Option<Secret>,
    #[n(2)]
    sequence: u64,
}

impl CarriedKeys {
    fn of(suite: Suite, keys: &Keys, secret: Option<&TrafficSecret>) -> Self {
        let Keys { key: _, iv, sequence } = keys;
        match secret {
            // Key and vector come from it.
            Some(secret) => {
                Self { secret: Secret::new(secret.as_slice(suite)), iv: None, sequence: *sequence }
            }
            None => {
                Self { secret: Secret::new(keys.key(suite)), iv: Some(Secret::new(iv)), sequence: *sequence }
            }
        }
    }

    fn restore(self, suite: Suite) -> Result<(Keys, Option<TrafficSecret>), InvalidState> {
        let Self { secret, iv, sequence } = self;
        if sequence > MAX_SEQUENCE {
            return Err(InvalidState::new("the number of a TLS record is too large"));
        }
        let invalid = || InvalidState::new("the keys of a TLS session are not those of its suite");
        match (suite.version, iv) {
            (Version::Tls13, None) => {
                let secret = TrafficSecret::new(suite, secret.as_slice()).ok_or_else(invalid)?;
                Ok((secret.keys(suite, sequence), Some(secret)))
            }
            (Version::Tls12, Some(iv)) => {
                let iv = iv.array().ok_or_else(invalid)?;
                let keys = Keys::new(suite, secret.as_slice(), iv, sequence).ok_or_else(invalid)?;
                Ok((keys, None))
            }
            _ => Err(invalid()),
        }
    }
}

impl CarriedRecords {
    /// What `layer` is now. Only one of the two may go on with it: two records under one number would give both away.
    pub fn of(layer: &RecordLayer) -> Self {
        let RecordLayer {
            suite,
            receiving,
            sending,
            secrets,
            partial: Partial { header, body },
            tolerated: Tolerated { empty_records, key_updates, warnings, renegotiations },
            owes_key_update,
            peer_closed,
            closed,
        } = layer;
        Self {
            version: match suite.version {
                Version::Tls12 => 0x0303,
                Version::Tls13 => 0x0304,
            },
            aead: match suite.aead {
                Aead::Aes128Gcm => 0,
                Aead::Aes256Gcm => 1,
                Aead::ChaCha20Poly1305 => 2,
            },
            receiving: CarriedKeys::of(*suite, receiving, secrets.as_ref().map(|both| &both.receiving)),
            sending: CarriedKeys::of(*suite, sending, secrets.as_ref().map(|both| &both.sending)),
            message_header: *header,
            message_body: *body,
            empty_records: *empty_records,
            key_updates: *key_updates,
            warnings: *warnings,
            renegotiations: *renegotiations,
            owes_key_update: *owes_key_update,
            peer_closed: *peer_closed,
            closed: *closed,
        }
    }

    /// The record layer that it was.
    ///
    /// # Errors
    /// A value that no record layer has.
    pub fn restore(self) -> Result<RecordLayer, InvalidState> {
        let version = match self.version {
            0x0303 => Version::Tls12,
            0x0304 => Version::Tls13,
            _ => return Err(InvalidState::new("a TLS session has an unknown version")),
        };
        let aead = match self.aead {
            0 => Aead::Aes128Gcm,
            1 => Aead::Aes256Gcm,
            2 => Aead::ChaCha20Poly1305,
            _ => return Err(InvalidState::new("a TLS session has an unknown cipher")),
        };
        let suite = Suite { version, aead };
        let partial = Partial { header: self.message_header, body: self.message_body };
        let tolerated = Tolerated {
            empty_records: self.empty_records,
            key_updates: self.key_updates,
            warnings: self.warnings,
            renegotiations: self.renegotiations,
        };
        if !is_possible(suite, partial) || !is_tolerated(tolerated) {
            return Err(InvalidState::new("a TLS session is in no state that there is"));
        }
        let (receiving, received) = self.receiving.restore(suite)?;
        let (sending, sent) = self.sending.restore(suite)?;
        let secrets = received.zip(sent).map(|(receiving, sending)| Secrets { receiving, sending });
        Ok(RecordLayer {
            suite,
            receiving,
            sending,
            secrets,
            partial,
            tolerated,
            owes_key_update: self.owes_key_update && version == Version::Tls13,
            peer_closed: self.peer_closed,
            closed: self.closed,
        })
    }
}

fn is_possible(suite: Suite, Partial { header, body }: Partial) -> bool {
    match (suite.version, header) {
        (_, 0) => body == 0,
        (_, MESSAGE_HEADER_BYTES) => match suite.version {
            Version::Tls12 => (1..=MAX_CLIENT_HELLO).contains(&body),
            Version::Tls13 => body == 1,
        },
        // As many bytes of the length as have come.
        (_, come) => come < MESSAGE_HEADER_BYTES && body < 1 << (8 * (u32::from(come) - 1)),
    }
}

fn is_tolerated(tolerated: Tolerated) -> bool {
    let Tolerated { empty_records, key_updates, warnings, renegotiations } = tolerated;
    empty_records <= MAX_EMPTY_RECORDS
        && key_updates <= MAX_KEY_UPDATES
        && warnings <= MAX_WARNINGS
        && renegotiations <= MAX_RENEGOTIATIONS
}
