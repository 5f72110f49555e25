//! A live session goes on under a new token.

use super::Core;
use crate::auth::AuthError;
use crate::connection::Flag;
use crate::dispatch::{CommandError, ErrorCode, SessionEnd};
use crate::timer::Clock;
use std::fmt;

/// Why a session does not go on under a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewError {
    /// The token does not hold.
    Auth(AuthError),
    /// It is of another user than the session.
    OtherUser,
    /// No session is there, or players are taken at their word.
    NotRenewable,
}

impl fmt::Display for RenewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(error) => error.fmt(f),
            Self::OtherUser => f.write_str("the token is of another user than the session"),
            Self::NotRenewable => f.write_str("players are taken at their word here: no token is looked at"),
        }
    }
}

impl From<RenewError> for CommandError {
    /// For a backend, which made the token: it may know what is wrong with it. Its own key is not in question.
    fn from(error: RenewError) -> Self {
        let code = match &error {
            RenewError::Auth(error) if error.is_over_soon() => ErrorCode::Overloaded,
            _ => ErrorCode::BadRequest,
        };
        Self::new(code, format!("the session is not renewed: {error}"))
    }
}

impl Core {
    /// Whether the player in `slot` has agreed on gannet's own messages.
    pub fn speaks_own(&self, slot: u32) -> bool {
        self.connections.slot(slot).is_some_and(|connection| connection.flags.has(Flag::SpeaksOwn))
    }

    /// Whether the client in `slot` may have a token checked now; it counts as checked then. To check one takes a tenth of a
    /// millisecond, in which no other session of the reactor is heard.
    pub fn may_renew(&mut self, slot: u32) -> bool {
        let interval_ms = self.rules.settings.config.auth.renew_interval.as_millis() as u64;
        let now_ms = self.now.ms;
        let Some(connection) = self.connections.slot_mut(slot) else { return false };
        let extras = connection.extras();
        let may = now_ms >= extras.renewable_ms;
        if may {
            extras.renewable_ms = now_ms.saturating_add(interval_ms);
        }
        may
    }

    /// The session in `slot` ends at this time from now on: when that is, in milliseconds since the Unix epoch.
    pub fn renew_until(&mut self, slot: u32, end: SessionEnd) -> u64 {
        let now_unix_ms = Clock::wall_unix_ms();
        let expires_unix_ms = end.at(now_unix_ms);
        self.expire_at(slot, expires_unix_ms, now_unix_ms);
        self.arm(slot);
        self.metrics().renewed.add(1);
        expires_unix_ms
    }

    /// The session in `slot` ends when `token` does, from now on: when that is, in milliseconds since the Unix epoch. Its
    /// groups and tags stay as they are.
    ///
    /// # Errors
    /// [`RenewError`]; the session stays as it is then.
    pub fn renew(&mut self, slot: u32, token: &[u8]) -> Result<u64, RenewError> {
        let app = self.hub.app_of(slot).ok_or(RenewError::NotRenewable)?;
        if self.rules.auth.takes_words() {
            return Err(RenewError::NotRenewable);
        }
        let now_unix_ms = Clock::wall_unix_ms();
        let proven = self.rules.auth.token(app, token, now_unix_ms).map_err(|error| {
            self.metrics().auth_failures.of(error.reason()).add(1);
            RenewError::Auth(error)
        })?;
        if self.hub.user_of(slot) != Some(&proven.user) {
            return Err(RenewError::OtherUser);
        }
        let expires_unix_ms = proven.expires_unix_ms.ok_or(RenewError::NotRenewable)?;
        self.put_claims(slot, proven.claims);
        if self.rules.resume_rules.token_ends_session(app) {
            self.expire_at(slot, expires_unix_ms, now_unix_ms);
            self.arm(slot);
        }
        self.metrics().renewed.add(1);
        Ok(expires_unix_ms)
    }
}
