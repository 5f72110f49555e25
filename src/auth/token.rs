//! Tokens: JSON Web Tokens (RFC 7519) in the compact form (RFC 7515 §7.1), signed with an [`Algorithm`] and with nothing
//! else, and read strictly: what two parsers could read in two ways is no token.

use super::object::object;
use super::{Algorithm, AuthError, Keys, Proven};
use crate::session::Name;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

/// What a NumericDate must be (RFC 7519 §2).
const NUMERIC_DATE: &str = "a number of seconds since the Unix epoch";

/// The bounds of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLimits {
    /// Its length.
    pub max_bytes: usize,
    /// How far the clock that made it may be off.
    pub leeway_ms: u64,
    /// Groups that it may name.
    pub max_groups: usize,
    /// Tags that it may name.
    pub max_tags: usize,
}

/// Who the bearer of `token` is in the app called `app`.
///
/// # Errors
/// [`AuthError`]. Nothing of the payload is looked at before the signature has been found good.
pub fn verify(
    token: &[u8],
    keys: &Keys,
    app: &str,
    now_unix_ms: u64,
    limits: &TokenLimits,
) -> Result<Proven, AuthError> {
    if token.len() > limits.max_bytes {
        return Err(AuthError::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(AuthError::NotAToken);
    };
    // It takes neither padding nor bits that are left over: each of the parts can be written in one way only.
    let decoded = |part: &[u8]| BASE64URL.decode(part).map_err(|_| AuthError::NotAToken);
    let (header_json, payload_json, signature) = (decoded(header)?, decoded(payload)?, decoded(signature)?);
    let algorithm = algorithm_of(&header_json)?;
    if !keys.verify(algorithm, &token[..header.len() + 1 + payload.len()], &signature) {
        return Err(AuthError::Signature);
    }
    Payload(object(&payload_json).ok_or(AuthError::Payload)?).prove(app, now_unix_ms, limits)
}

/// What the header says that the token is signed with. What else it says concerns neither the signature nor us (RFC 7515
/// §4), but for what it must not be.
fn algorithm_of(header_json: &[u8]) -> Result<Algorithm, AuthError> {
    let header = object(header_json).ok_or(AuthError::Header)?;
    // RFC 7515 §4.1.11: whoever does not understand what is critical must refuse, and nothing is understood here.
    if header.contains_key("crit") || !header.get("typ").is_none_or(is_jwt) {
        return Err(AuthError::Header);
    }
    header.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(AuthError::Algorithm)
}

/// Whether a `typ` says that it is a token (RFC 7519 §5.1), and not a signed text of another kind (RFC 8725 §3.11). It is a
/// media type, which has no case, and `application/` may be left out (RFC 7515 §4.1.9).
fn is_jwt(typ: &Value) -> bool {
    let is = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("application/jwt");
    typ.as_str().is_some_and(is)
}

/// The claims of a token whose signature is good.
struct Payload(Map<String, Value>);

impl Payload {
    fn prove(&self, app: &str, now_unix_ms: u64, limits: &TokenLimits) -> Result<Proven, AuthError> {
        let leeway_ms = limits.leeway_ms;
        let expires_unix_ms = self
            .time("exp")?
            .ok_or(AuthError::Claim { claim: "exp", expected: NUMERIC_DATE })?
            .saturating_add(leeway_ms);
        // RFC 7519 §4.1.4: "on or after which" it must not be accepted.
        if now_unix_ms >= expires_unix_ms {
            return Err(AuthError::Expired { ago_ms: now_unix_ms - expires_unix_ms });
        }
        if let Some(begins_unix_ms) = self.time("nbf")?
            && begins_unix_ms > now_unix_ms.saturating_add(leeway_ms)
        {
            return Err(AuthError::NotYetValid { in_ms: begins_unix_ms - now_unix_ms });
        }
        // When it was made says nothing about how long it holds, but it must be a time (RFC 7519 §4.1.6).
        self.time("iat")?;
        match self.0.get("app") {
            None => {}
            Some(Value::String(named)) if named == app => {}
            Some(Value::String(_)) => return Err(AuthError::OtherApp),
            Some(_) => return Err(AuthError::Claim { claim: "app", expected: "a text" }),
        }
        let user = match self.0.get("sub") {
            Some(Value::String(user)) => named("sub", user)?,
            _ => return Err(AuthError::Claim { claim: "sub", expected: "a text, the user" }),
        };
        let groups = self.names("groups", limits.max_groups)?;
        let tags = self.names("tags", limits.max_tags)?;
        Ok(Proven { user, groups, tags, expires_unix_ms: Some(expires_unix_ms) })
    }

    /// A NumericDate (RFC 7519 §2), which may have a fraction, in milliseconds.
    fn time(&self, claim: &'static str) -> Result<Option<u64>, AuthError> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::Number(seconds)) => {
                let fraction = || seconds.as_f64().map(|seconds| (seconds * 1000.0) as u64);
                let whole = seconds.as_u64().map(|seconds| seconds.saturating_mul(1000));
                Ok(Some(whole.or_else(fraction).unwrap_or(0)))
            }
            Some(_) => Err(AuthError::Claim { claim, expected: NUMERIC_DATE }),
        }
    }

    fn names(&self, claim: &'static str, most: usize) -> Result<Vec<Name>, AuthError> {
        let wrong = AuthError::Claim { claim, expected: "an array of texts" };
        let texts = match self.0.get(claim) {
            None => return Ok(Vec::new()),
            Some(Value::Array(texts)) => texts,
            Some(_) => return Err(wrong),
        };
        let mut names = Vec::new();
        for text in texts {
            let name = named(claim, text.as_str().ok_or(wrong.clone())?)?;
            if names.contains(&name) {
                continue;
            }
            if names.len() == most {
                return Err(AuthError::TooMany { claim, most });
            }
            names.push(name);
        }
        Ok(names)
    }
}

fn named(claim: &'static str, text: &str) -> Result<Name, AuthError> {
    Name::new(text).map_err(|error| AuthError::Name { claim, error })
}
