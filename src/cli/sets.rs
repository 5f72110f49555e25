//! `gannet join`, `gannet leave`, `gannet tag`, `gannet untag`, `gannet set-groups`, `gannet set-tags`: what sessions are in, and have.

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output::Form;
use super::whom::{Whom, Whose};

/// Have sessions join groups.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The groups
    #[arg(required = true)]
    groups: Vec<String>,
    /// The users join, with all sessions that they will have
    #[arg(long)]
    sticky: bool,
    /// Send each so many of the last pushes that the group, a single one, remembers
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    #[command(flatten)]
    about: About,
}

/// Have sessions leave groups.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// The groups
    #[arg(required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    about: About,
}

/// A tag that sessions get, or lose.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// The tag
    tag: String,
    #[command(flatten)]
    about: About,
}

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
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Args)]
struct About {
    #[command(flatten)]
    whom: Whom,
    /// App that they are of [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

impl About {
    fn change(&self, method: &str, mut target: Target) -> Result<(), CliError> {
        self.whom.add_to(&mut target);
        target.pairs("app", &self.app);
        self.form.print(&self.backend.call(method, target.as_str(), None)?)
    }
}

/// The members of groups: those of a single one have what it remembers.
fn members(groups: &[String]) -> Target {
    match groups {
        [group] => Target::new("/v1/groups").segment(group).segment("members"),
        several => {
            let mut target = Target::new("/v1/members");
            target.pairs("group", several);
            target
        }
    }
}

/// Runs `gannet join`.
pub fn join(args: &JoinArgs) -> Result<(), CliError> {
    let mut target = members(&args.groups);
    target.pairs("last", args.last.map(|last| last.to_string()));
    target.pairs("sticky", args.sticky.then_some("1"));
    args.about.change("POST", target)
}

/// Runs `gannet leave`.
pub fn leave(args: &LeaveArgs) -> Result<(), CliError> {
    args.about.change("DELETE", members(&args.groups))
}

/// Runs `gannet tag`.
pub fn tag(args: &TagArgs) -> Result<(), CliError> {
    args.change("POST")
}

/// Runs `gannet untag`.
pub fn untag(args: &TagArgs) -> Result<(), CliError> {
    args.change("DELETE")
}

impl TagArgs {
    fn change(&self, method: &str) -> Result<(), CliError> {
        self.about.change(method, Target::new("/v1/tags").segment(&self.tag).segment("sessions"))
    }
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
        let mut target = self.whose.target().segment(what);
        match self.names.is_empty() {
            true => target.pairs(what, [""]),
            false => target.pairs(what, &self.names),
        }
        target.pairs("prefix", &self.prefix);
        target.pairs("app", &self.app);
        self.form.print(&self.backend.call("PUT", target.as_str(), None)?)
    }
}
