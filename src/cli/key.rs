//! The key of the backend port, for the commands that show one: from a file or the environment, never from the command line,
//! which everybody on the machine can read in the list of processes.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, Error};

use super::error::CliError;
use super::http_client::checked_key;
use crate::config::{Secret, read_key_file};

/// Where the key stands when no file is named.
const KEY_VARIABLE: &str = "GANNET_KEY";

/// Where the key is.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// File with the key of the backend port; - is standard input [default: the key in GANNET_KEY]
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    refused: RefusedKey,
    /// What was read: standard input can be read once.
    #[arg(skip)]
    read: OnceLock<Option<Secret>>,
}

/// `--key`, which once took the key itself.
#[derive(Debug, Clone, Args)]
pub struct RefusedKey {
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    key: Option<NoKey>,
}

impl KeyArgs {
    /// The key, if there is one.
    ///
    /// # Errors
    /// [`CliError::Config`] when the file cannot be read.
    pub fn secret(&self) -> Result<Option<&Secret>, CliError> {
        if let Some(read) = self.read.get() {
            return Ok(read.as_ref());
        }
        let secret = match &self.key_file {
            Some(path) => {
                let path = if path.as_os_str() == "-" { Path::new("/dev/stdin") } else { path };
                Some(Secret::new(read_key_file("the key file", path)?.trim_end_matches(['\r', '\n'])))
            }
            None => env::var_os(KEY_VARIABLE).map(|key| Secret::new(key.to_string_lossy())),
        };
        Ok(self.read.get_or_init(|| secret).as_ref())
    }

    /// The key, fit for a header field.
    ///
    /// # Errors
    /// Those of [`KeyArgs::secret`]; [`CliError::Client`] when no field could carry it.
    pub fn fit(&self) -> Result<Option<&str>, CliError> {
        self.secret()?.map(checked_key).transpose().map_err(CliError::Client)
    }
}

/// A value that nothing can be.
#[derive(Debug, Clone)]
enum NoKey {}

impl ValueParserFactory for NoKey {
    type Parser = NoKeyParser;

    fn value_parser() -> NoKeyParser {
        NoKeyParser
    }
}

#[derive(Clone)]
struct NoKeyParser;

impl TypedValueParser for NoKeyParser {
    type Value = NoKey;

    /// The error does not repeat the key.
    fn parse_ref(&self, command: &Command, _: Option<&Arg>, _: &OsStr) -> Result<NoKey, Error> {
        let message = "a key on the command line can be read by everybody on the machine: set GANNET_KEY, or write \
                       it into a file that --key-file names (gannet serve: backend.key_file in the configuration)\n";
        Err(Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
    }
}
