//! Making what the rest of this room checks: tokens and signatures, for `gannet token`. A game's backend makes its own.

use super::{Keys, SignedQuery};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::Serialize;

/// The header of the tokens that are made here.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What a token that is made here says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims<'a> {
    /// The user.
    pub sub: &'a str,
    /// The app.
    pub app: &'a str,
    /// The end, in seconds since the Unix epoch.
    pub exp: u64,
    /// The groups to join.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub groups: &'a [String],
    /// The tags to have.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub tags: &'a [String],
}

/// A token that says `claims`, signed with the first of `keys`; `None` where there is no key.
pub fn mint(claims: &Claims<'_>, keys: &Keys) -> Option<String> {
    // Texts and numbers: nothing that JSON cannot hold.
    let payload = serde_json::to_vec(claims).ok()?;
    let mut token = BASE64URL.encode(HEADER);
    token.push('.');
    BASE64URL.encode_string(payload, &mut token);
    let signature = keys.sign(token.as_bytes())?;
    token.push('.');
    BASE64URL.encode_string(signature, &mut token);
    Some(token)
}

impl SignedQuery<'_> {
    /// The signature that belongs to the other parameters, in hex; `None` where `keys` has no key.
    pub fn sign(&self, keys: &Keys) -> Option<String> {
        let signature = keys.sign(self.message().as_bytes())?;
        Some(signature.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
