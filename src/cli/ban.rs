//! `gannet ban`, `gannet unban`, `gannet bans`: who is kept out.

use std::time::Duration;

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::duration::duration;
use super::error::CliError;
use super::output::Form;
use super::page::PageArgs;

const PATH: &str = "/v1/bans";

/// Close the sessions of a user or an address, and let no new ones in.
#[derive(Debug, Args)]
pub struct BanArgs {
    #[command(flatten)]
    whom: Whom,
    /// App that it is about [default: default]
    #[arg(long)]
    app: Option<String>,
    /// How long it holds, such as 10m or 12h [default: until it is taken back]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Option<Duration>,
    /// Close reason that the clients see, at most 123 bytes
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Take a ban back.
#[derive(Debug, Args)]
pub struct UnbanArgs {
    #[command(flatten)]
    whom: Whom,
    /// App that it is about [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Print the bans that hold, page by page.
#[derive(Debug, Args)]
pub struct BansArgs {
    /// App that they are about [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The user
    #[arg(long)]
    user: Option<String>,
    /// The address, or a network such as 192.0.2.0/24
    #[arg(long)]
    address: Option<String>,
}

impl Whom {
    fn target(&self, app: Option<&String>) -> Target {
        let mut target = Target::new(PATH);
        target.pairs("user", &self.user);
        target.pairs("address", &self.address);
        target.pairs("app", app);
        target
    }
}

/// Runs `gannet ban`.
pub fn ban(args: &BanArgs) -> Result<(), CliError> {
    let mut target = args.whom.target(args.app.as_ref());
    target.pairs("for_ms", args.lasts.map(|lasts| lasts.as_millis().to_string()));
    target.pairs("reason", &args.reason);
    args.form.print(&args.backend.call("POST", target.as_str(), None)?)
}

/// Runs `gannet unban`.
pub fn unban(args: &UnbanArgs) -> Result<(), CliError> {
    let target = args.whom.target(args.app.as_ref());
    args.form.print(&args.backend.call("DELETE", target.as_str(), None)?)
}

/// Runs `gannet bans`.
pub fn bans(args: &BansArgs) -> Result<(), CliError> {
    let mut target = Target::new(PATH);
    target.pairs("app", &args.app);
    args.page.add_to(&mut target);
    args.form.print(&args.backend.call("GET", target.as_str(), None)?)
}
