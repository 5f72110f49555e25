//! Why a command failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::http_client::ClientError;
use crate::auth::AuthError;
use crate::config::ConfigError;

/// Why a command failed; its exit code is [`CliError::exit_code`].
#[derive(Debug)]
pub enum CliError {
    /// The configuration, or the flags over it.
    Config(ConfigError),
    /// No answer from a running server.
    Client(ClientError),
    /// The running server answered no.
    Refused {
        /// The answer's status.
        status: u16,
        /// The code of the answer's error, if it has one.
        code: Option<String>,
        /// What the answer says to do.
        message: Option<String>,
    },
    /// An error of one command alone. The enum and its conversion are in the file of the command, so that this file imports
    /// none of them.
    Command(Box<dyn std::error::Error + Send + Sync>),
    /// The same, with an exit code of its own.
    Coded {
        /// The exit code.
        code: u8,
        /// What is wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no secret to sign or to verify with.
    NoSecret,
    /// The system gives no random numbers.
    Randomness(getrandom::Error),
    /// A token or a signed query proves nothing.
    NotBelieved(AuthError),
    /// A path that cannot be written into a request: it is not UTF-8, or empty.
    Path(PathBuf),
    /// The message could not be read from standard input.
    Input(io::Error),
    /// The result could not be printed.
    Output(io::Error),
}

impl CliError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        if let Self::Coded { code, .. } = self { *code } else { 1 }
    }

    /// An error that ends the process with `code`.
    pub fn coded(code: u8, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Coded { code, error: Box::new(error) }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Refused { status, code, message } => {
                write!(f, "the server refused: {status}")?;
                code.iter().try_for_each(|code| write!(f, " {code}"))?;
                message.iter().try_for_each(|message| write!(f, ": {message}"))
            }
            Self::Command(error) | Self::Coded { error, .. } => error.fmt(f),
            Self::NoSecret => f.write_str(
                "there is no secret: name a file that holds one with --secret-file, or put it into GANNET_SECRET",
            ),
            Self::Randomness(error) => write!(f, "the system gives no random numbers: {error}"),
            Self::NotBelieved(error) => write!(f, "refused: {error}"),
            Self::Path(path) => {
                write!(f, "{path:?} is no path that a request can name: use one of UTF-8")
            }
            Self::Input(error) => write!(f, "cannot read the message from standard input: {error}"),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl std::error::Error for CliError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Client(error) => Some(error),
            Self::Command(error) | Self::Coded { error, .. } => Some(error.as_ref()),
            Self::Refused { .. } | Self::NoSecret | Self::Path(_) => None,
            Self::Randomness(error) => Some(error),
            Self::NotBelieved(error) => Some(error),
            Self::Input(error) | Self::Output(error) => Some(error),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}
