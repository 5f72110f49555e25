//! The `gannet` program: a file a subcommand. Turns arguments into calls, and outcomes into text and an exit code:
//! 0 done, 1 the server refused or something failed, 2 the arguments make no sense. What the server does is not here.

mod address;
mod backend;
mod banner;
mod bench;
mod cert;
mod config;
mod drain;
mod duration;
mod error;
mod heap;
mod http_client;
mod input;
mod key;
mod kick;
mod log;
mod manager;
mod notify;
mod output;
mod program;
mod push;
mod reaper;
mod reload;
mod serve;
mod signals;
mod stats;
mod status;
mod token;
mod upgrade;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A WebSocket push server for games.
#[derive(Debug, Parser)]
#[command(name = "gannet", version, max_term_width = 100)]
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
    Push(push::PushArgs),
    Kick(kick::KickArgs),
    Drain(drain::DrainArgs),
    Reload(reload::ReloadArgs),
    Stats(stats::StatsArgs),
    Status(status::StatusArgs),
    Upgrade(upgrade::UpgradeArgs),
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
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
        Command::Push(args) => push::run(args),
        Command::Kick(args) => kick::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Token(command) => token::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gannet: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_defined() {
        Cli::command().debug_assert();
    }
}
