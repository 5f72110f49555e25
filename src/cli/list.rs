//! `gannet sessions`, `gannet count`, `gannet users`, `gannet groups`, `gannet apps`: what is there.

use clap::Args;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output::Form;
use super::page::PageArgs;

/// Print the sessions of a user, a group or a tag, or of the app, page by page.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    #[command(flatten)]
    by: By,
    /// Only those whose clients do not keep up
    #[arg(long)]
    behind: bool,
    /// App that they are of [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Print how many sessions a user, a group or a tag has, or the app, and of how many users.
#[derive(Debug, Args)]
pub struct CountArgs {
    #[command(flatten)]
    by: By,
    /// App that they are of [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Whose sessions; without, all of the app.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct By {
    /// Sessions of this user
    #[arg(long)]
    user: Option<String>,
    /// Sessions in this group
    #[arg(long)]
    group: Option<String>,
    /// Sessions with this tag
    #[arg(long)]
    tag: Option<String>,
}

/// Names of an app.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// App that they are of [default: default]
    #[arg(long)]
    app: Option<String>,
    #[command(flatten)]
    names: Names,
}

/// Print the apps that the key may name, in the order of their names, page by page, and how many sessions each has.
#[derive(Debug, Args)]
pub struct AppsArgs {
    #[command(flatten)]
    names: Names,
}

#[derive(Debug, Args)]
struct Names {
    /// Only names that begin so
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    backend: BackendArgs,
}

impl By {
    fn target(&self, path: &str, app: Option<&String>) -> Target {
        let mut target = Target::new(path);
        for (name, value) in [("user", &self.user), ("group", &self.group), ("tag", &self.tag)] {
            target.pairs(name, value);
        }
        target.pairs("app", app);
        target
    }
}

impl Names {
    fn print(&self, path: &str, app: Option<&String>) -> Result<(), CliError> {
        let mut target = Target::new(path);
        target.pairs("app", app);
        target.pairs("prefix", &self.prefix);
        self.page.add_to(&mut target);
        self.form.print(&self.backend.call("GET", target.as_str(), None)?)
    }
}

/// Runs `gannet sessions`.
pub fn sessions(args: &SessionsArgs) -> Result<(), CliError> {
    let mut target = args.by.target("/v1/sessions", args.app.as_ref());
    target.pairs("behind", args.behind.then_some("1"));
    args.page.add_to(&mut target);
    args.form.print(&args.backend.call("GET", target.as_str(), None)?)
}

/// Runs `gannet count`.
pub fn count(args: &CountArgs) -> Result<(), CliError> {
    let target = args.by.target("/v1/count", args.app.as_ref());
    args.form.print(&args.backend.call("GET", target.as_str(), None)?)
}

/// Runs `gannet users`.
pub fn users(args: &NamesArgs) -> Result<(), CliError> {
    args.names.print("/v1/users", args.app.as_ref())
}

/// Runs `gannet groups`.
pub fn groups(args: &NamesArgs) -> Result<(), CliError> {
    args.names.print("/v1/groups", args.app.as_ref())
}

/// Runs `gannet apps`.
pub fn apps(args: &AppsArgs) -> Result<(), CliError> {
    args.names.print("/v1/apps", None)
}
