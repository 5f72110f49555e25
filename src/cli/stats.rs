//! `gannet stats`: the counters of a running server.

use clap::Args;
use serde_json::Value;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output;

/// Print the counters of a running server as JSON.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Only what is counted of this app [default: all of the server]
    #[arg(long)]
    app: Option<String>,
    /// Print it in one line, as the server does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs `gannet stats`.
pub fn run(args: &StatsArgs) -> Result<(), CliError> {
    let mut target = Target::new(if args.app.is_some() { "/v1/apps/stats" } else { "/v1/stats" });
    target.pairs("app", &args.app);
    let answer = args.backend.call("GET", target.as_str(), None)?;
    match serde_json::from_str::<Value>(&answer) {
        Ok(stats) if !args.json => output::print(&format!("{stats:#}")),
        _ => output::print(&answer),
    }
}
