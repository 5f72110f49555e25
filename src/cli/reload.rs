//! `gannet reload`: has a running server read its configuration again.

use clap::Args;

use super::backend::BackendArgs;
use super::error::CliError;
use super::output;

/// Have a running server read its configuration again: all of it or nothing, and no player is dropped.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs `gannet reload`.
pub fn run(args: &ReloadArgs) -> Result<(), CliError> {
    output::print(&args.backend.call("POST", "/v1/admin/reload", None)?)
}
