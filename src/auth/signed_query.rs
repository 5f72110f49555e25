//! The signed query: who somebody is, in parameters that its game's backend signed, good once and for a short time.

use super::{AuthError, Keys};
use crate::session::Name;

/// Bytes of HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;

/// `app`, `user`, `timestamp`, `nonce` and `signature`, decoded. The signature is hex HMAC-SHA256 over the others in this
/// order with a line feed between them; none of them can hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedQuery<'a> {
    /// The app.
    pub app: &'a str,
    /// The user.
    pub user: &'a str,
    /// When it was signed, in seconds since the Unix epoch.
    pub timestamp: &'a str,
    /// Any name; used once.
    pub nonce: &'a str,
    /// 64 hex digits.
    pub signature: &'a str,
}

impl SignedQuery<'_> {
    /// The user, if the signature is one of `keys` and was made within `window_ms` of `now_unix_ms`. Whether the nonce has
    /// been used is not looked at.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn verify(&self, keys: &Keys, now_unix_ms: u64, window_ms: u64) -> Result<Name, AuthError> {
        let signature = from_hex(self.signature).ok_or(AuthError::Signature)?;
        if !keys.verify_mac(self.message().as_bytes(), &signature) {
            return Err(AuthError::Signature);
        }
        Name::check(self.nonce).map_err(|error| AuthError::Name { claim: "nonce", error })?;
        let user = Name::new(self.user).map_err(|error| AuthError::Name { claim: "user", error })?;
        let off_ms = self.signed_unix_ms()?.abs_diff(now_unix_ms);
        if off_ms > window_ms {
            return Err(AuthError::Skewed { off_ms });
        }
        Ok(user)
    }

    /// When it was signed, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`AuthError::Timestamp`].
    pub fn signed_unix_ms(&self) -> Result<u64, AuthError> {
        let digits = self.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: u64 = self.timestamp.parse().ok().filter(|_| digits).ok_or(AuthError::Timestamp)?;
        seconds.checked_mul(1000).ok_or(AuthError::Timestamp)
    }

    /// What is signed.
    pub(super) fn message(&self) -> String {
        [self.app, self.user, self.timestamp, self.nonce].join("\n")
    }
}

fn from_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    if text.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}
