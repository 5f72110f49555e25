//! `gannet set-groups`, `gannet set-tags`: what sessions are in, or have, afterwards.

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output;
use crate::session::SessionId;

/// Names that sessions have afterwards.
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    whose: Whose,
    /// App that they are of [default: default]
    #[arg(long)]
    app: Option<String>,
    /// Leave those that do not begin so as they are
    #[arg(long)]
    prefix: Option<String>,
    /// The names; none empties the set
    names: Vec<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// Session id, 16 hex digits
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// All sessions of this user
    #[arg(long)]
    user: Option<String>,
}

/// Runs `gannet set-groups`.
pub fn groups(args: &SetArgs) -> Result<(), CliError> {
    args.set("groups")
}

/// Runs `gannet set-tags`.
pub fn tags(args: &SetArgs) -> Result<(), CliError> {
    args.set("tags")
}

impl SetArgs {
    fn set(&self, what: &str) -> Result<(), CliError> {
        let target = match (&self.whose.session, &self.whose.user) {
            (Some(session), _) => Target::new("/v1/sessions").segment(&session.to_string()),
            (None, user) => Target::new("/v1/users").segment(user.as_deref().unwrap_or_default()),
        };
        let mut target = target.segment(what);
        match self.names.is_empty() {
            true => target.pairs(what, [""]),
            false => target.pairs(what, &self.names),
        }
        target.pairs("prefix", &self.prefix);
        target.pairs("app", &self.app);
        output::print(&self.backend.call("PUT", target.as_str(), None)?)
    }
}
