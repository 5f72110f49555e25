//! Why somebody is not believed. For the log and for whoever checks a token by hand, never for the answer to a client.

use crate::metrics::AuthFailure;
use crate::session::InvalidName;
use std::fmt;

/// Why a token or a signed query proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// Neither a token nor a signed query was shown.
    Missing,
    /// The token is longer than what is looked at.
    TooLong,
    /// Not three parts of base64url without padding (RFC 7515 §3.1).
    NotAToken,
    /// The header is not one JSON object without doubled names, asks for an extension (RFC 7515 §4.1.11), or is of another
    /// type than a token's.
    Header,
    /// Signed with an algorithm that is not spoken here or for which the app has no key, or with none.
    Algorithm,
    /// No key of the app made this signature.
    Signature,
    /// The app has no key that is called what the token says (`kid`).
    UnknownKey,
    /// The key that the token names is for another algorithm.
    OtherKey,
    /// The keys that could have made the signature have not been fetched yet.
    NoKeys,
    /// The payload is not one JSON object without doubled names.
    Payload,
    /// A claim is missing or of the wrong type.
    Claim {
        /// Which.
        claim: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A claim or a parameter holds a name that is none.
    Name {
        /// Which.
        claim: &'static str,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// A claim names more than a session may have.
    TooMany {
        /// Which.
        claim: &'static str,
        /// How many it may name.
        most: usize,
    },
    /// The claims that the app keeps are longer than a session may have.
    ClaimsTooLong {
        /// How long they may be, in bytes as JSON.
        most: usize,
    },
    /// Made for another app.
    OtherApp,
    /// `exp` has passed.
    Expired {
        /// How long ago.
        ago_ms: u64,
    },
    /// `nbf` has not come.
    NotYetValid {
        /// How long until then.
        in_ms: u64,
    },
    /// The timestamp is no number of seconds.
    Timestamp,
    /// The timestamp is too far from now.
    Skewed {
        /// How far.
        off_ms: u64,
    },
    /// The nonce has been used.
    Replayed,
    /// No room to remember another nonce.
    NoncesFull,
}

impl AuthError {
    /// Whether it is no fault of what was shown, so that the same may hold a moment later.
    pub fn is_over_soon(&self) -> bool {
        matches!(self, Self::NoKeys | Self::NoncesFull)
    }

    /// What it is counted as.
    pub fn reason(&self) -> AuthFailure {
        match self {
            Self::Missing => AuthFailure::Missing,
            Self::TooLong | Self::NotAToken | Self::Header | Self::Payload => AuthFailure::Malformed,
            Self::Algorithm => AuthFailure::Algorithm,
            Self::Signature => AuthFailure::Signature,
            Self::UnknownKey => AuthFailure::UnknownKey,
            Self::OtherKey => AuthFailure::OtherKey,
            Self::NoKeys => AuthFailure::NoKeys,
            Self::Claim { .. }
            | Self::Name { .. }
            | Self::TooMany { .. }
            | Self::ClaimsTooLong { .. }
            | Self::Timestamp => AuthFailure::Claims,
            Self::OtherApp => AuthFailure::App,
            Self::Expired { .. } => AuthFailure::Expired,
            Self::NotYetValid { .. } => AuthFailure::NotYetValid,
            Self::Skewed { .. } => AuthFailure::Skewed,
            Self::Replayed => AuthFailure::Replayed,
            Self::NoncesFull => AuthFailure::NoncesFull,
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is neither a token nor a signed query"),
            Self::TooLong => f.write_str("the token is too long: shorten it, or raise auth.max_token_bytes"),
            Self::NotAToken => f.write_str(
                "it is no token: three parts of base64url without padding, with dots between them",
            ),
            Self::Header => f.write_str("the token's header is not one JSON object without doubled names, or has \"crit\" or another \"typ\" than JWT"),
            Self::Algorithm => f.write_str(
                "the token is not signed with HS256, RS256, ES256 or EdDSA, or the app has no key for that",
            ),
            Self::Signature => f.write_str("no key of the app made this signature"),
            Self::UnknownKey => f.write_str("the app has no key with the kid that the token names"),
            Self::OtherKey => f.write_str("the key that the token names is for another algorithm"),
            Self::NoKeys => f.write_str("the keys of the app have not been fetched yet"),
            Self::Payload => f.write_str("the token's payload is not one JSON object without doubled names"),
            Self::Claim { claim, expected } => write!(f, "{claim} must be there and be {expected}"),
            Self::Name { claim, error } => write!(f, "{claim}: {error}"),
            Self::TooMany { claim, most } => write!(f, "{claim} names more than {most}"),
            Self::ClaimsTooLong { most } => {
                write!(f, "the claims that the app keeps are longer than limits.session_claims_bytes, {most}")
            }
            Self::OtherApp => f.write_str("it was made for another app"),
            Self::Expired { ago_ms } => write!(f, "it expired {} s ago", ago_ms.div_ceil(1000)),
            Self::NotYetValid { in_ms } => {
                write!(f, "it is not valid for another {} s", in_ms.div_ceil(1000))
            }
            Self::Timestamp => f.write_str("timestamp must be a number of seconds since the Unix epoch"),
            Self::Skewed { off_ms } => {
                write!(f, "its timestamp is {} s off, or from before the server's start", off_ms / 1000)
            }
            Self::Replayed => f.write_str("its nonce has been used"),
            Self::NoncesFull => {
                f.write_str("as many nonces are remembered as auth.max_nonces allows: raise it")
            }
        }
    }
}

impl std::error::Error for AuthError {}
