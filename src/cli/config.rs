//! `gannet config`: checks and shows what a server would start with, and prints the default file and its schema.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::error::CliError;
use super::input::input;
use super::log::Running;
use super::output;
use super::serve::ServeError;
use crate::Server;
use crate::config::{Config, ConfigError, Environment};

/// Check or show a configuration, or print the default one or its schema.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether a server would start with this file and the variables of the environment, and if not, what to change
    Check {
        /// Configuration file; - is standard input [default: the variables alone]
        file: Option<PathBuf>,
    },
    /// Print what this file and the variables of the environment make together; secrets are shown as ***
    Show {
        /// Configuration file; - is standard input [default: the variables alone]
        file: Option<PathBuf>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the default configuration, every key with its meaning
    Default,
    /// Print the JSON Schema of the file, by which editors check it and complete its keys
    Schema,
}

/// Runs `gannet config`.
pub fn run(command: ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            let file = file.as_deref().map(input);
            let config = valid(file)?;
            // What a start would find besides.
            Server::check(&config).map_err(ServeError::Bind)?;
            Running::check(&config.log).map_err(|error| ServeError::log(&config.log, error))?;
            match file {
                Some(file) => output::print(&format!("{}: ok", file.display())),
                None => output::print("without a file: ok"),
            }
        }
        ConfigCommand::Show { file, json } => {
            let config = valid(file.as_deref().map(input))?;
            let text = match json {
                true => {
                    serde_json::to_string_pretty(&config).map_err(|error| CliError::Command(error.into()))
                }
                false => toml::to_string(&config).map_err(|error| CliError::Command(error.into())),
            };
            output::print(&text?)
        }
        ConfigCommand::Default => output::print(Config::default_toml()),
        ConfigCommand::Schema => output::print(&format!("{:#}", Config::json_schema())),
    }
}

/// The configuration of `file` and the environment, checked.
fn valid(file: Option<&Path>) -> Result<Config, ConfigError> {
    let config = Config::read(file, &Environment::of_process())?;
    config.validate().map_err(|error| match file {
        Some(file) => error.in_file(file),
        None => error,
    })?;
    Ok(config)
}
