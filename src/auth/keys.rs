//! The secrets of one app as keys of HMAC-SHA256 (RFC 2104), worked out once.

use super::Algorithm;
use crate::config::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The first key signs, all verify.
#[derive(Clone)]
pub struct Keys(Vec<Hmac<Sha256>>);

impl Keys {
    /// A key of each secret.
    pub fn new(secrets: &[Secret]) -> Self {
        let key = |secret: &Secret| {
            Hmac::new_from_slice(secret.expose().as_bytes())
                .expect("HMAC takes keys of every length (RFC 2104 §3)")
        };
        Self(secrets.iter().map(key).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The signature of `message` by the first key; `None` where there is none.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 32]> {
        let key = self.0.first()?;
        Some(key.clone().chain_update(message).finalize().into_bytes().into())
    }

    /// Whether one of the keys of `algorithm` made `signature` of `message`. The time it takes depends on neither: every key
    /// is tried, and each comparison looks at every byte.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let made = |key: &Hmac<Sha256>| key.clone().chain_update(message).verify_slice(signature).is_ok();
        match algorithm {
            Algorithm::Hs256 => self.0.iter().map(made).fold(false, |any, made| any | made),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HS256: Algorithm = Algorithm::Hs256;

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231 §4.3.
        let keys = Keys::new(&[Secret::new("Jefe")]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let signature = keys.sign(b"what do ya want for nothing?").unwrap();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        assert!(keys.verify(HS256, b"what do ya want for nothing?", &signature));
    }

    #[test]
    fn the_first_signs_and_all_verify() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let (before, both) = (Keys::new(std::slice::from_ref(&old)), Keys::new(&[new.clone(), old]));
        let after = Keys::new(&[new]);
        let (by_old, by_new) = (before.sign(b"m").unwrap(), both.sign(b"m").unwrap());
        assert_eq!(after.sign(b"m"), Some(by_new));
        assert!(both.verify(HS256, b"m", &by_old) && both.verify(HS256, b"m", &by_new));
        assert!(!before.verify(HS256, b"m", &by_new) && !after.verify(HS256, b"m", &by_old));
        for signature in [&by_new[..31], &[], &[0; 32], &[by_new.as_slice(), &[0]].concat()] {
            assert!(!both.verify(HS256, b"m", signature));
        }
        assert!(!both.verify(HS256, b"n", &by_new));
        assert_eq!((Keys::new(&[]).sign(b"m"), Keys::new(&[]).verify(HS256, b"m", &by_new)), (None, false));
    }
}
