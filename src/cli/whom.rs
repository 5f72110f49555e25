//! Whom a command is about: sessions, or users with all of their sessions.

use clap::Args;

use super::backend::Target;
use crate::session::SessionId;

/// One session, or all of one user.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Session id, 16 hex digits
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// All sessions of this user
    #[arg(long)]
    user: Option<String>,
}

impl Whose {
    /// The path of the session or the user.
    pub fn target(&self) -> Target {
        match (&self.session, &self.user) {
            (Some(session), _) => Target::new("/v1/sessions").segment(&session.to_string()),
            (None, user) => Target::new("/v1/users").segment(user.as_deref().unwrap_or_default()),
        }
    }
}

/// Some sessions, or all of some users.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// Session id, 16 hex digits; several times for several
    #[arg(long, value_name = "ID")]
    session: Vec<SessionId>,
    /// All sessions of this user; several times for several
    #[arg(long)]
    user: Vec<String>,
}

impl Whom {
    /// Adds them to the query of a target.
    pub fn add_to(&self, target: &mut Target) {
        target.pairs("session", self.session.iter().map(SessionId::to_string));
        target.pairs("user", &self.user);
    }
}
