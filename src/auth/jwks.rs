//! Sets of public keys as an issuer publishes them (RFC 7517 §5). Bytes in, keys out. A key that can check no token is
//! passed over; a document that cannot be read in one way only is none.

use super::object::object;
use super::{Algorithm, KeyError, PublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use log::debug;
use serde_json::{Map, Value};

/// The bounds of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JwksLimits {
    /// Bytes of the document.
    pub max_bytes: usize,
    /// Keys in it, those that are passed over among them.
    pub max_keys: usize,
}

/// The keys of a document that can check tokens: one at least, no two with the same `kid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// In the order of the document.
    pub keys: Vec<PublicKey>,
    /// How many were passed over.
    pub skipped: usize,
}

impl KeySet {
    /// Reads a document.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(json: &[u8], limits: &JwksLimits) -> Result<Self, KeyError> {
        if json.len() > limits.max_bytes {
            return Err(KeyError::TooLong(limits.max_bytes));
        }
        let document = object(json).ok_or(KeyError::NotJwks)?;
        let Some(Value::Array(entries)) = document.get("keys") else { return Err(KeyError::NotJwks) };
        if entries.len() > limits.max_keys {
            return Err(KeyError::TooMany(limits.max_keys));
        }
        let mut set = Self { keys: Vec::new(), skipped: 0 };
        for (index, entry) in entries.iter().enumerate() {
            let Value::Object(jwk) = entry else { return Err(KeyError::NotJwks) };
            match usable(jwk) {
                Ok(key) => set.add(key)?,
                // RFC 7517 §5: keys that are not understood are to be ignored.
                Err(why) => {
                    debug!("key {} of a JWK set is passed over: {why}", index + 1);
                    set.skipped += 1;
                }
            }
        }
        if set.keys.is_empty() { Err(KeyError::NoneUsable(entries.len())) } else { Ok(set) }
    }

    fn add(&mut self, key: PublicKey) -> Result<(), KeyError> {
        refuse_doubled(&self.keys, &key)?;
        self.keys.push(key);
        Ok(())
    }
}

/// A token that names a `kid` means one key.
pub(super) fn refuse_doubled(keys: &[PublicKey], new: &PublicKey) -> Result<(), KeyError> {
    match new.kid() {
        Some(kid) if keys.iter().any(|key| key.kid() == Some(kid)) => Err(KeyError::Doubled(kid.into())),
        _ => Ok(()),
    }
}

/// The key of a JWK, if it can check tokens.
fn usable(jwk: &Map<String, Value>) -> Result<PublicKey, &'static str> {
    let text =
        |name: &str| jwk.get(name).map(|value| value.as_str().ok_or("a member is no text")).transpose();
    let bytes = |name: &str| {
        let encoded = text(name)?.ok_or("a number is missing")?;
        BASE64URL.decode(encoded).map_err(|_| "a number is not base64url")
    };
    // RFC 7517 §4.2 and §4.3.
    if text("use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("it is not for signatures");
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
        Some(_) => return Err("it is not for checking signatures"),
    }
    // RFC 7518 §6.2.2 and §6.3.2, RFC 8037 §2: who has published its private half signs for everybody.
    if jwk.contains_key("d") {
        return Err("its private half is there");
    }
    let curve = text("crv")?;
    let key = match (text("kty")?, curve) {
        (Some("RSA"), _) => PublicKey::rsa(&bytes("n")?, &bytes("e")?),
        (Some("EC"), Some("P-256")) => PublicKey::p256_at(&bytes("x")?, &bytes("y")?),
        (Some("OKP"), Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?),
        (Some("oct"), _) => return Err("it is a secret"),
        _ => return Err("its kty or crv is another one"),
    };
    let key = key.map_err(|_| "its numbers are those of no such key")?;
    // RFC 7517 §4.4: the algorithm that it is for, where one is named.
    match text("alg")?.map(Algorithm::named) {
        Some(algorithm) if algorithm != Some(key.algorithm()) => Err("it is for another algorithm"),
        _ => Ok(key.called(text("kid")?)),
    }
}
