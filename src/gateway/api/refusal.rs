//! A request that gets an error instead of what it asked for. Knows nothing of how the answer is written.

use crate::dispatch::{CommandError, ErrorCode};

/// Why a request was refused, and what the answer must say beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error: its code gives the status ([`ErrorCode::status`]).
    pub error: CommandError,
    /// The value of `Allow`, which a 405 must have (RFC 9110 §15.5.6).
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// 404: nothing is at `path`.
    pub fn unknown_path(path: &str, known: &str) -> Self {
        let path = super::fields::Quoted(path);
        CommandError::new(ErrorCode::NotFound, format!("there is nothing at {path}; {known}")).into()
    }

    /// 405: the path is known, but not with this method.
    pub fn method_not_allowed(method: &str, allow: &'static str) -> Self {
        let method = super::fields::Quoted(method);
        let message = format!("{method} is not a method of this path; it takes {allow}");
        Self { error: CommandError::new(ErrorCode::MethodNotAllowed, message), allow: Some(allow) }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Self { error, allow: None }
    }
}
