//! `gannet kick`: closes one session, or all of a user's.

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output;
use crate::session::SessionId;

/// Close one session, or all of a user's.
#[derive(Debug, Args)]
pub struct KickArgs {
    #[command(flatten)]
    whom: Whom,
    /// App that the user belongs to [default: default]
    #[arg(long)]
    app: Option<String>,
    /// Close code that the client sees [default: 4001]
    #[arg(long)]
    code: Option<u16>,
    /// Close reason that the client sees, at most 123 bytes
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// Session id, 16 hex digits
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// All sessions of this user
    #[arg(long)]
    user: Option<String>,
}

/// Runs `gannet kick`.
pub fn run(args: &KickArgs) -> Result<(), CliError> {
    let mut target = match (&args.whom.session, &args.whom.user) {
        (Some(session), _) => Target::new("/v1/sessions").segment(&session.to_string()),
        (None, user) => Target::new("/v1/users").segment(user.as_deref().unwrap_or_default()),
    };
    target.pairs("app", &args.app);
    target.pairs("code", args.code.map(|code| code.to_string()));
    target.pairs("reason", &args.reason);
    let answer = args.backend.call("DELETE", target.as_str(), None)?;
    if answer.is_empty() { Ok(()) } else { output::print(&answer) }
}
