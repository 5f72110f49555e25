//! `gannet drain`: empties a running server evenly, says how far it is, calls it off.

use std::time::Duration;

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::duration::up_to_a_day;
use super::error::CliError;
use super::output::Form;

const PATH: &str = "/v1/admin/drain";

/// Empty a running server evenly: new players are refused, sessions are closed one after the other.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// How long it takes, such as 60s or 1m30s, a day at most [default: timeouts.shutdown_ms of the server]
    #[arg(long, value_name = "TIME", value_parser = up_to_a_day)]
    over: Option<Duration>,
    /// Where the players are to go, in the reason of their Close: a URL of ws:// or wss://
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Say how far it is
    #[arg(long, conflicts_with_all = ["over", "to", "off"])]
    status: bool,
    /// Call it off: the sessions that are still open stay
    #[arg(long, conflicts_with_all = ["over", "to"])]
    off: bool,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs `gannet drain`.
pub fn run(args: &DrainArgs) -> Result<(), CliError> {
    let mut target = Target::new(PATH);
    let method = match (args.status, args.off) {
        (true, _) => "GET",
        (_, true) => "DELETE",
        (false, false) => {
            target.pairs("over_ms", args.over.map(|over| over.as_millis().to_string()));
            target.pairs("to", &args.to);
            "POST"
        }
    };
    args.form.print(&args.backend.call(method, target.as_str(), None)?)
}
