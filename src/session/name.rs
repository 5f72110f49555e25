//! The names that backends give: users, groups, tags and apps.

use smol_str::SmolStr;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// A user, group, tag or app name: 1 to 128 bytes of UTF-8 without control characters; cheap to clone. One of
/// up to 23 bytes costs no allocation.
///
/// ```
/// use gannet::session::Name;
/// assert_eq!(Name::new("guild:7").unwrap().as_str(), "guild:7");
/// assert!(Name::new("").is_err());
/// assert!(Name::new("a\nb").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SmolStr);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Checks `text` and takes a copy of it.
    ///
    /// # Errors
    /// [`InvalidName`] when it is empty, longer than [`Name::MAX_BYTES`] or has a control character.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        Self::check(text)?;
        Ok(Self(SmolStr::new(text)))
    }

    /// Checks `text` without copying it.
    ///
    /// # Errors
    /// As [`Name::new`].
    pub fn check(text: &str) -> Result<(), InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::ControlCharacter);
        }
        Ok(())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a [`Name`].
///
/// ```
/// use gannet::session::{InvalidName, Name};
/// assert_eq!(Name::new("a\nb"), Err(InvalidName::ControlCharacter));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidName {
    /// No byte at all.
    Empty,
    /// More than [`Name::MAX_BYTES`] bytes.
    TooLong,
    /// A control character, such as a line break.
    ControlCharacter,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name needs at least one byte"),
            Self::TooLong => write!(f, "a name has at most {} bytes", Name::MAX_BYTES),
            Self::ControlCharacter => f.write_str("a name has no control characters"),
        }
    }
}

impl std::error::Error for InvalidName {}

/// An app's place in the table of apps that the configuration made: names are looked up once, at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        assert!(Name::new(&"x".repeat(128)).is_ok());
        assert_eq!(Name::new(&"x".repeat(129)), Err(InvalidName::TooLong));
        assert_eq!(Name::new(""), Err(InvalidName::Empty));
        for bad in ["\0", "a\u{7f}", "\u{85}", "tab\t"] {
            assert_eq!(Name::new(bad), Err(InvalidName::ControlCharacter), "{bad:?}");
        }
        assert!(Name::new("großes Spiel 🎲").is_ok());
    }
}
