//! A player's token inside the server.

use std::fmt;

/// A token as it was shown. Whoever has one is its user: no log shows it.
///
/// ```
/// use gannet::dispatch::Token;
/// assert_eq!(format!("{:?}", Token::new("a.b.c")), "Token(5 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// As it was shown, for another node; not for anything that somebody reads.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its bytes; not for anything that somebody reads.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}
