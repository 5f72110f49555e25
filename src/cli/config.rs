//! `gannet config`: checks a configuration file, and prints the default one.

use std::path::PathBuf;

use clap::Subcommand;

use super::error::CliError;
use super::output;
use crate::config::Config;

/// Check a configuration file, or print the default one.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether a server would start with this file, and if not, what to change
    Check {
        /// Configuration file
        file: PathBuf,
    },
    /// Print the default configuration, every key with its meaning
    Default,
}

/// Runs `gannet config`.
pub fn run(command: ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            Config::load(&file)?.validate().map_err(|error| error.in_file(&file))?;
            output::print(&format!("{}: ok", file.display()))
        }
        ConfigCommand::Default => output::print(Config::default_toml()),
    }
}
