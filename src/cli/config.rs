//! `gannet config`: checks a configuration file, and prints the default one.

use std::path::PathBuf;

use clap::Subcommand;

use super::error::CliError;
use super::input::input;
use super::log::Running;
use super::output;
use super::serve::ServeError;
use crate::Server;
use crate::config::Config;

/// Check a configuration file, or print the default one.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether a server would start with this file, and if not, what to change
    Check {
        /// Configuration file; - is standard input
        file: PathBuf,
    },
    /// Print the default configuration, every key with its meaning
    Default,
}

/// Runs `gannet config`.
pub fn run(command: ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            let file = input(&file);
            let config = Config::load(file)?;
            config.validate().map_err(|error| error.in_file(file))?;
            // What a start would find besides.
            Server::check(&config).map_err(ServeError::Bind)?;
            Running::check(&config.log).map_err(|error| ServeError::log(&config.log, error))?;
            output::print(&format!("{}: ok", file.display()))
        }
        ConfigCommand::Default => output::print(Config::default_toml()),
    }
}
