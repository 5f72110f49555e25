//! A request that gets an error instead of what it asked for. Knows nothing of how the answer is written.

use crate::dispatch::{CommandError, ErrorCode};
use crate::metrics::RefusalReason;
use crate::protocol::handshake::UpgradeError;
use crate::session::{AppId, Name};

/// Why a request was refused, and what the answer must say beside its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error: its code gives the status ([`ErrorCode::status`]).
    pub error: CommandError,
    /// The value of `Allow`, which a 405 must have (RFC 9110 §15.5.6).
    pub allow: Option<String>,
}

impl Refusal {
    /// 404: nothing is at `path`.
    pub fn unknown_path(path: &str, known: &str) -> Self {
        let path = crate::dispatch::Quoted(path);
        CommandError::new(ErrorCode::NotFound, format!("there is nothing at {path}; {known}")).into()
    }

    /// 405: the path is known, but not with this method.
    pub fn method_not_allowed(method: &str, allow: impl Into<String>) -> Self {
        let (method, allow) = (crate::dispatch::Quoted(method), allow.into());
        let message = format!("{method} is not a method of this path; it takes {allow}");
        Self { error: CommandError::new(ErrorCode::MethodNotAllowed, message), allow: Some(allow) }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Self { error, allow: None }
    }
}

/// A request that is not let in.
pub struct Refused {
    /// The status of the answer.
    pub status: u16,
    /// The code of the answer's error.
    pub code: ErrorCode,
    /// What it is counted under.
    pub reason: RefusalReason,
    /// The sentence of the answer.
    pub message: Box<str>,
    /// The value of `Allow`, which a 405 must have.
    pub allow: Option<String>,
    /// The app that it was for, where that was known.
    pub app: Option<AppId>,
    /// When to come again, in seconds, where its code does not say so.
    pub retry_after_s: Option<u64>,
    /// The user who has all the sessions that it may have: they are asked whether they are still there.
    pub full_user: Option<Name>,
}

impl Refused {
    /// With the status of this code, counted under this reason.
    pub fn new(code: ErrorCode, reason: RefusalReason, message: impl ToString) -> Self {
        Self {
            status: code.status(),
            code,
            reason,
            message: message.to_string().into(),
            allow: None,
            app: None,
            retry_after_s: None,
            full_user: None,
        }
    }

    /// With this code, counted under the reason that goes with it.
    pub fn because(code: ErrorCode, message: impl ToString) -> Self {
        Self::new(code, code.row().reason, message)
    }

    /// With this status, which HTTP or an upgrade asks for.
    pub fn status(status: u16, message: impl ToString) -> Self {
        let (code, reason) = ErrorCode::of_status(status);
        Self { status, ..Self::new(code, reason, message) }
    }

    /// The same, of a request for `app`.
    pub fn in_app(self, app: AppId) -> Self {
        Self { app: Some(app), ..self }
    }

    /// Whoever asks is banned: for why, and for how long from now.
    pub fn banned(reason: &str, left_ms: Option<u64>) -> Self {
        let message = if reason.is_empty() { "banned".to_owned() } else { format!("banned: {reason}") };
        let retry_after_s = left_ms.map(|ms| ms.div_ceil(1_000));
        Self { retry_after_s, ..Self::because(ErrorCode::Forbidden, message) }
    }

    /// The server stops.
    pub fn draining() -> Self {
        Self::because(ErrorCode::Draining, "the server is going away: connect again, to another one")
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { allow: refusal.allow, ..refusal.error.into() }
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        Self::because(error.code, error.message)
    }
}

impl From<UpgradeError> for Refused {
    fn from(error: UpgradeError) -> Self {
        Self::status(error.status(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::ERRORS;
    use crate::http::{BodyError, HeadError, TargetError};

    /// A status without a row would be told as what its class is, and counted as malformed.
    #[test]
    fn every_status_that_http_or_an_upgrade_asks_for_has_its_row() {
        let heads = [
            HeadError::Malformed,
            HeadError::BareLineFeed,
            HeadError::BadTarget,
            HeadError::BadHost,
            HeadError::BadFraming,
            HeadError::UnsupportedCoding,
            HeadError::UnknownExpectation,
            HeadError::TargetTooLong,
            HeadError::TooLarge,
            HeadError::TooManyHeaders,
            HeadError::UnsupportedVersion,
        ];
        let bodies = [BodyError::TooLarge, BodyError::BadChunk, BodyError::TooMuchFraming];
        let upgrades = [UpgradeError::Method, UpgradeError::UnsupportedVersion, UpgradeError::Key];
        let statuses =
            heads.iter().map(|error| error.status()).chain(bodies.iter().map(|error| error.status()));
        let statuses = statuses.chain(upgrades.iter().map(|error| error.status()));
        for status in statuses.chain([TargetError::BadEscape.status(), 408, 417, 421]) {
            let has = |row: &&crate::dispatch::ErrorRow| {
                row.status == status || row.further.iter().any(|(further, _)| *further == status)
            };
            assert_eq!(ERRORS.iter().filter(has).count(), 1, "{status}");
        }
    }

    #[test]
    fn a_refusal_is_counted_under_the_reason_of_its_row_unless_it_names_another() {
        let refused = Refused::status(431, "");
        assert_eq!(
            (refused.status, refused.code, refused.reason),
            (431, ErrorCode::PayloadTooLarge, RefusalReason::HeadTooLarge)
        );
        let refused = Refused::draining();
        assert_eq!(
            (refused.status, refused.code, refused.reason),
            (503, ErrorCode::Draining, RefusalReason::Draining)
        );
        let refused = Refused::new(ErrorCode::RateLimited, RefusalReason::User, "");
        assert_eq!((refused.status, refused.reason), (429, RefusalReason::User));
    }
}
