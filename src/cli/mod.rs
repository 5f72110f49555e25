//! The `gannet` program: a file a subcommand. Turns arguments into calls, and outcomes into text and an exit code:
//! 0 done, 1 the server refused or something failed, 2 the arguments make no sense, 3 `health` got no answer. What the server does is not here.

mod address;
mod backend;
mod ban;
mod banner;
mod bench;
mod cert;
mod cluster;
mod completions;
mod config;
mod connect;
mod drain;
mod duration;
mod error;
mod event_stream;
mod health;
mod heap;
mod http_client;
mod input;
mod key;
mod kick;
mod list;
mod log;
mod man;
mod manager;
mod notify;
mod output;
mod page;
mod program;
mod push;
mod reaper;
mod record;
mod reload;
mod serve;
mod sets;
mod shown;
mod signals;
mod stats;
mod status;
mod table;
mod token;
mod top;
mod upgrade;
mod whom;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use error::CliError;

/// Of every command; docs/cli.md has them too.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed, or the server refused: standard error says why and what to change
  2    the arguments are not valid
  3    of `health`: no answer
  128+ of `serve`: ended at once by a second signal";

/// A WebSocket push server for games.
#[derive(Debug, Parser)]
#[command(name = "gannet", version, max_term_width = 100, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    #[command(subcommand)]
    Cert(cert::CertCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Connect(connect::ConnectArgs),
    Push(push::PushArgs),
    Kick(kick::KickArgs),
    Ban(ban::BanArgs),
    Unban(ban::UnbanArgs),
    Bans(ban::BansArgs),
    Join(sets::JoinArgs),
    Leave(sets::LeaveArgs),
    /// Give sessions a tag
    Tag(sets::TagArgs),
    /// Take a tag from sessions
    Untag(sets::TagArgs),
    /// Have sessions be in exactly these groups, of those that begin with a prefix
    SetGroups(sets::SetArgs),
    /// Have sessions have exactly these tags, of those that begin with a prefix
    SetTags(sets::SetArgs),
    #[command(visible_alias = "list")]
    Sessions(list::SessionsArgs),
    Count(list::CountArgs),
    /// Print the users who have sessions, in the order of their names, page by page, and how many each has
    Users(list::NamesArgs),
    /// Print the groups that have members, in the order of their names, page by page, and how many each has
    Groups(list::NamesArgs),
    Apps(list::AppsArgs),
    Record(record::RecordArgs),
    Drain(drain::DrainArgs),
    Reload(reload::ReloadArgs),
    Stats(stats::StatsArgs),
    Top(top::TopArgs),
    Health(health::HealthArgs),
    Status(status::StatusArgs),
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    Upgrade(upgrade::UpgradeArgs),
    #[command(subcommand)]
    Token(token::TokenCommand),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // Before the arguments are read: the memory for that would stay with a process that only waits. The worker reads them.
    if reaper::is_wanted() {
        return ended(serve::run_as_first());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Nothing better can be done about a terminal that is gone.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Bench(command) => bench::run(&command),
        Command::Cert(command) => cert::run(command),
        Command::Config(command) => config::run(command),
        Command::Connect(args) => connect::run(&args),
        Command::Push(args) => push::run(args),
        Command::Kick(args) => kick::run(&args),
        Command::Ban(args) => ban::ban(&args),
        Command::Unban(args) => ban::unban(&args),
        Command::Bans(args) => ban::bans(&args),
        Command::Join(args) => sets::join(&args),
        Command::Leave(args) => sets::leave(&args),
        Command::Tag(args) => sets::tag(&args),
        Command::Untag(args) => sets::untag(&args),
        Command::SetGroups(args) => sets::groups(&args),
        Command::SetTags(args) => sets::tags(&args),
        Command::Sessions(args) => list::sessions(&args),
        Command::Count(args) => list::count(&args),
        Command::Users(args) => list::users(&args),
        Command::Groups(args) => list::groups(&args),
        Command::Apps(args) => list::apps(&args),
        Command::Record(args) => record::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Cluster(command) => cluster::run(&command),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Token(command) => token::run(command),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
    };
    ended(outcome)
}

fn ended(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gannet: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_defined() {
        Cli::command().debug_assert();
    }
}
