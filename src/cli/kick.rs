//! `gannet kick`: closes one session, or all of a user's.

use clap::Args;

use super::backend::BackendArgs;
use super::error::CliError;
use super::output::Form;
use super::whom::Whose;

/// Close one session, or all of a user's.
#[derive(Debug, Args)]
pub struct KickArgs {
    #[command(flatten)]
    whose: Whose,
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
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs `gannet kick`.
pub fn run(args: &KickArgs) -> Result<(), CliError> {
    let mut target = args.whose.target();
    target.pairs("app", &args.app);
    target.pairs("code", args.code.map(|code| code.to_string()));
    target.pairs("reason", &args.reason);
    let answer = args.backend.call("DELETE", target.as_str(), None)?;
    if answer.is_empty() { Ok(()) } else { args.form.print(&answer) }
}
