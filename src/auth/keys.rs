//! What the tokens of one app are checked with: its secrets as keys of HMAC-SHA256 (RFC 2104), worked out once, and public
//! keys.

use super::jwks::refuse_doubled;
use super::{Algorithm, AuthError, JwksLimits, KeyError, KeySet, PublicKey, RemoteKeys};
use crate::config::{AppConfig, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;

/// The first secret signs; all that is here verifies, each what it is for.
#[derive(Clone, Default)]
pub struct Keys {
    secrets: Vec<Hmac<Sha256>>,
    /// No two have the same kid.
    public: Vec<PublicKey>,
    /// Further ones, which are fetched.
    remote: Option<Arc<RemoteKeys>>,
    /// How many public keys are tried for a token that names none.
    most_tried: usize,
}

/// What is known of a signature before it is checked: what the header of a token says (RFC 7515 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub kid: Option<&'a str>,
}

impl Keys {
    /// A key of each secret, and no public ones.
    pub fn of_secrets(secrets: &[Secret]) -> Self {
        let key = |secret: &Secret| {
            Hmac::new_from_slice(secret.expose().as_bytes())
                .expect("HMAC takes keys of every length (RFC 2104 §3)")
        };
        Self { secrets: secrets.iter().map(key).collect(), ..Self::default() }
    }

    /// All that a configuration names for one app.
    ///
    /// # Errors
    /// The key of the configuration that is wrong, and why.
    pub fn new(
        app: &AppConfig,
        limits: &JwksLimits,
        most_tried: usize,
        remote: Option<Arc<RemoteKeys>>,
    ) -> Result<Self, (&'static str, KeyError)> {
        let mut keys = Self { most_tried, remote, ..Self::of_secrets(&app.secrets) };
        for configured in &app.public_keys {
            let key = PublicKey::from_pem(configured.pem(), configured.kid.as_deref());
            let key = key.and_then(|key| match (configured.algorithm.name(), key.algorithm().name()) {
                (said, is) if said != is => Err(KeyError::Algorithm { said, is }),
                _ => Ok(key),
            });
            keys.add(key.map_err(|error| ("public_keys", error))?).map_err(|error| ("public_keys", error))?;
        }
        if let Some(text) = &app.jwks {
            let set = KeySet::parse(text.as_bytes(), limits).map_err(|error| ("jwks", error))?;
            set.keys.into_iter().try_for_each(|key| keys.add(key)).map_err(|error| ("jwks", error))?;
        }
        Ok(keys)
    }

    fn add(&mut self, key: PublicKey) -> Result<(), KeyError> {
        refuse_doubled(&self.public, &key)?;
        self.public.push(key);
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.public.is_empty() && self.remote.is_none()
    }

    /// The public keys that the configuration holds.
    pub fn public(&self) -> &[PublicKey] {
        &self.public
    }

    /// The keys that are fetched.
    pub fn remote(&self) -> Option<&RemoteKeys> {
        self.remote.as_deref()
    }

    /// The signature of `message` by the first secret; `None` where there is none.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 32]> {
        let key = self.secrets.first()?;
        Some(key.clone().chain_update(message).finalize().into_bytes().into())
    }

    /// Whether one of the secrets made `signature` of `message`. The time it takes depends on neither: every secret is tried,
    /// and each comparison looks at every byte.
    pub fn verify_mac(&self, message: &[u8], signature: &[u8]) -> bool {
        let made = |key: &Hmac<Sha256>| key.clone().chain_update(message).verify_slice(signature).is_ok();
        self.secrets.iter().map(made).fold(false, |any, made| any | made)
    }

    /// Whether a key that serves the algorithm made `signature` of `message`. The kind of a key says what it serves: a public
    /// key is never a secret of HMAC, nor one kind of public key another (RFC 8725 §3.1).
    ///
    /// # Errors
    /// [`AuthError::Signature`], [`AuthError::UnknownKey`], [`AuthError::OtherKey`], [`AuthError::Algorithm`] where no public
    /// key serves it, and [`AuthError::NoKeys`] where one may that has not been fetched yet.
    pub fn verify(&self, signed: Signed<'_>, message: &[u8], signature: &[u8]) -> Result<(), AuthError> {
        let made = |key: &PublicKey| key.verify(message, signature);
        let verified = match signed {
            // Secrets have no names: a `kid` concerns none of them.
            Signed { algorithm: Algorithm::Hs256, .. } => self.verify_mac(message, signature),
            Signed { algorithm, kid: Some(kid) } => {
                let called = |key: &&PublicKey| key.kid() == Some(kid);
                let by = |key: &PublicKey| match key.algorithm() == algorithm {
                    true => Ok(made(key)),
                    false => Err(AuthError::OtherKey),
                };
                match self.public.iter().find(called) {
                    Some(key) => by(key)?,
                    None => by(self.fetched()?.keys.iter().find(called).ok_or_else(|| self.unknown())?)?,
                }
            }
            Signed { algorithm, kid: None } => {
                let fetched = self.fetched();
                let further = fetched.as_deref().map_or(&[][..], |set| &set.keys);
                let all = self.public.iter().chain(further);
                let mut fit = all.filter(|key| key.algorithm() == algorithm).peekable();
                let serves = fit.peek().is_some();
                match (fit.take(self.most_tried).any(made), &fetched) {
                    (true, _) => true,
                    (false, Err(AuthError::NoKeys)) => return Err(AuthError::NoKeys),
                    (false, _) if self.remote.is_some() || serves => {
                        self.unknown();
                        false
                    }
                    (false, _) => return Err(AuthError::Algorithm),
                }
            }
        };
        if verified { Ok(()) } else { Err(AuthError::Signature) }
    }

    /// What has been fetched.
    fn fetched(&self) -> Result<Arc<KeySet>, AuthError> {
        let remote = self.remote.as_ref().ok_or(AuthError::UnknownKey)?;
        remote.keys().ok_or(AuthError::NoKeys)
    }

    /// A key is not there: its issuer may have made it since the last fetch.
    fn unknown(&self) -> AuthError {
        if let Some(remote) = &self.remote {
            remote.want();
        }
        AuthError::UnknownKey
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} secrets, {:?})", self.secrets.len(), self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231 §4.3.
        let keys = Keys::of_secrets(&[Secret::new("Jefe")]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let signature = keys.sign(b"what do ya want for nothing?").unwrap();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        assert!(keys.verify_mac(b"what do ya want for nothing?", &signature));
    }

    #[test]
    fn the_first_signs_and_all_verify() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let (before, both) =
            (Keys::of_secrets(std::slice::from_ref(&old)), Keys::of_secrets(&[new.clone(), old]));
        let after = Keys::of_secrets(&[new]);
        let (by_old, by_new) = (before.sign(b"m").unwrap(), both.sign(b"m").unwrap());
        assert_eq!(after.sign(b"m"), Some(by_new));
        assert!(both.verify_mac(b"m", &by_old) && both.verify_mac(b"m", &by_new));
        assert!(!before.verify_mac(b"m", &by_new) && !after.verify_mac(b"m", &by_old));
        for signature in [&by_new[..31], &[], &[0; 32], &[by_new.as_slice(), &[0]].concat()] {
            assert!(!both.verify_mac(b"m", signature));
        }
        assert!(!both.verify_mac(b"n", &by_new));
        assert_eq!(
            (Keys::of_secrets(&[]).sign(b"m"), Keys::of_secrets(&[]).verify_mac(b"m", &by_new)),
            (None, false)
        );
    }
}
