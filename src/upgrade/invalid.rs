//! Why a state that came from another process cannot be taken.

use std::borrow::Cow;
use std::fmt;

/// What is wrong with a state, in a few words: nothing of it is taken then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidState(Cow<'static, str>);

impl InvalidState {
    /// A state of which `what` is wrong.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidState {}
