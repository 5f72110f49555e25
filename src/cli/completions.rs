//! `gannet completions`: what a shell needs to complete commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::CliError;
use super::output;

/// Print a script by which a shell completes commands and flags
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs `gannet completions`; `program` is all of the program.
pub fn run(args: &CompletionsArgs, mut program: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "gannet", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
