//! Tokens: JSON Web Tokens (RFC 7519) in the compact form (RFC 7515 §7.1), signed with an [`Algorithm`] and with nothing
//! else, and read strictly: what two parsers could read in two ways is no token.

use super::object::object;
use super::{Algorithm, AuthError, Keys, Proven, Signed};
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
    /// What is kept of its claims, in bytes.
    pub max_claims_bytes: usize,
}

/// What a token must say beside who its bearer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The app, where it names one.
    pub app: &'a str,
    /// `iss`, if it must be a certain one.
    pub issuer: Option<&'a str>,
    /// One of `aud`, if there must be a certain one.
    pub audience: Option<&'a str>,
    /// The claims that are kept.
    pub claims: &'a [String],
}

impl<'a> Expected<'a> {
    /// Of an app whose tokens may come from anybody who has its keys, for anybody.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn of_app(app: &'a str) -> Self {
        Self { app, issuer: None, audience: None, claims: &[] }
    }
}

/// Who the bearer of `token` is, as an app expects it.
///
/// # Errors
/// [`AuthError`]. Nothing of the payload is looked at before the signature has been found good.
pub fn verify(
    token: &[u8],
    keys: &Keys,
    expected: &Expected<'_>,
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
    let header_object = object(&header_json).ok_or(AuthError::Header)?;
    let signed = signed_with(&header_object)?;
    keys.verify(signed, &token[..header.len() + 1 + payload.len()], &signature)?;
    Payload(object(&payload_json).ok_or(AuthError::Payload)?).prove(expected, now_unix_ms, limits)
}

/// What the header says that the token is signed with. What else it says concerns neither the signature nor us (RFC 7515
/// §4), but for what it must not be; a key that it brings along (`jwk`, `jku`, `x5c`, `x5u`) is nobody's.
fn signed_with(header: &Map<String, Value>) -> Result<Signed<'_>, AuthError> {
    // RFC 7515 §4.1.11: whoever does not understand what is critical must refuse, and nothing is understood here.
    if header.contains_key("crit") || !header.get("typ").is_none_or(is_jwt) {
        return Err(AuthError::Header);
    }
    let kid = match header.get("kid") {
        None => None,
        // RFC 7515 §4.1.4.
        Some(kid) => Some(kid.as_str().ok_or(AuthError::Header)?),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    Ok(Signed { algorithm: algorithm.ok_or(AuthError::Algorithm)?, kid })
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
    fn prove(
        &self,
        expected: &Expected<'_>,
        now_unix_ms: u64,
        limits: &TokenLimits,
    ) -> Result<Proven, AuthError> {
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
            Some(Value::String(named)) if named == expected.app => {}
            Some(Value::String(_)) => return Err(AuthError::OtherApp),
            Some(_) => return Err(AuthError::Claim { claim: "app", expected: "a text" }),
        }
        self.check_parties(expected)?;
        let user = match self.0.get("sub") {
            Some(Value::String(user)) => named("sub", user)?,
            _ => return Err(AuthError::Claim { claim: "sub", expected: "a text, the user" }),
        };
        let groups = self.names("groups", limits.max_groups)?;
        let tags = self.names("tags", limits.max_tags)?;
        let claims = self.kept(expected.claims, limits.max_claims_bytes)?;
        Ok(Proven { user, groups, tags, expires_unix_ms: Some(expires_unix_ms), claims })
    }

    /// The claims of these names that are there.
    fn kept(&self, names: &[String], most: usize) -> Result<Option<Box<str>>, AuthError> {
        let kept = names.iter().filter_map(|name| Some((name.clone(), self.0.get(name)?.clone())));
        let kept: Map<String, Value> = kept.collect();
        if kept.is_empty() {
            return Ok(None);
        }
        let json = Value::Object(kept).to_string();
        match json.len() <= most {
            true => Ok(Some(json.into())),
            false => Err(AuthError::ClaimsTooLong { most }),
        }
    }

    /// Who has made it, and for whom, where the app expects somebody (RFC 7519 §4.1.1 and §4.1.3).
    fn check_parties(&self, expected: &Expected<'_>) -> Result<(), AuthError> {
        if expected.issuer.is_some_and(|issuer| self.0.get("iss").is_none_or(|iss| iss != issuer)) {
            return Err(AuthError::Claim { claim: "iss", expected: "the issuer of the app" });
        }
        let Some(audience) = expected.audience else { return Ok(()) };
        match self.0.get("aud") {
            Some(Value::String(one)) if one == audience => Ok(()),
            Some(Value::Array(all)) if all.iter().any(|one| one == audience) => Ok(()),
            _ => Err(AuthError::Claim {
                claim: "aud",
                expected: "the audience of the app, or an array with it",
            }),
        }
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
