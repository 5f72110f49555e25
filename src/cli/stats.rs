//! `gannet stats`: the counters of a running server.

use clap::Args;
use serde_json::Value;

use super::backend::BackendArgs;
use super::error::CliError;
use super::output;

/// Print the counters of a running server as JSON.
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs `gannet stats`.
pub fn run(args: &StatsArgs) -> Result<(), CliError> {
    let answer = args.backend.call("GET", "/v1/stats", None)?;
    match serde_json::from_str::<Value>(&answer) {
        Ok(stats) => output::print(&format!("{stats:#}")),
        Err(_) => output::print(&answer),
    }
}
