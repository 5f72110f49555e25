//! A text that no log, error or page may show.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// A key or a password: shown as `***` wherever it is printed, and compared in constant time.
///
/// ```
/// use gannet::config::Secret;
/// let key = Secret::new("open sesame");
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// assert!(key.matches(b"open sesame"));
/// assert!(!key.matches(b"open"));
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub(super) const SHOWN: &str = "***";

    /// Why [`Self::SHOWN`] is not taken for a secret.
    pub(super) const NOT_SHOWN: &str = "*** stands for a secret where one is shown: write the secret itself";

    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never show it in a log, an error or a page.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this secret. The time it takes tells nothing but the length.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::SHOWN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of another type would show the value: a key of digits without its quotes is still a key.
        let text = String::deserialize(deserializer);
        match text.map_err(|_| D::Error::custom("write it as text, in quotes"))? {
            // A configuration that was printed has it in place of every secret: all would have the same one.
            shown if shown == Self::SHOWN => Err(D::Error::custom(Self::NOT_SHOWN)),
            text => Ok(Self(text)),
        }
    }
}
