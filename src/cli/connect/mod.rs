//! `gannet connect`: a client to play with, on a terminal or in a pipe.
//!
//! ```text
//! input (editor, streams, signals) → line → course → wire (client, resume) → event → screen
//! ```

mod course;
mod event;
mod input;
mod line;
mod wire;

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::up_to_a_day;
use super::error::CliError;
use crate::client::{ClientConfig, ClientError, Trust};
use crate::config::read_key_file;
use crate::protocol::DeflateConfig;
use crate::protocol::handshake::ResponseError;
use course::{Course, Manner};
use input::Restored;
use wire::SUBPROTOCOL;

/// Where the token stands when no file is named.
const TOKEN_VARIABLE: &str = "GANNET_TOKEN";
/// For connecting, and for each write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What a server may send in one message.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Connect as a player: lines that are entered are sent, and what comes is printed with its time
#[derive(Debug, Args)]
#[command(after_long_help = line::HELP)]
pub struct ConnectArgs {
    /// WebSocket URL, such as ws://127.0.0.1:9000/ws?user=ada
    url: String,
    /// Subprotocol to offer; may be repeated [default: gannet.v1, which turns gannet's own messages on, or none where that is refused]
    #[arg(long, value_name = "NAME", conflicts_with = "plain")]
    subprotocol: Vec<String>,
    /// Offer no subprotocol
    #[arg(long)]
    plain: bool,
    /// Header of the request, as "NAME: VALUE"; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
    /// File with the player's token, which is shown as a bearer [default: the token in GANNET_TOKEN, if it is set]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Offer compressed messages (permessage-deflate)
    #[arg(long)]
    deflate: bool,
    /// Do not come back for the session when the connection is lost
    #[arg(long)]
    no_resume: bool,
    /// How long to stay for what comes when the input has ended
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = up_to_a_day)]
    wait: Duration,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
    /// With wss://: take the certificates in this PEM file, and those that they have signed
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_tls")]
    ca: Option<PathBuf>,
    /// With wss://: take any certificate
    #[arg(long)]
    insecure_tls: bool,
}

/// Why a client ended that was not told to.
#[derive(Debug)]
pub enum ConnectError {
    /// It never was connected.
    Open(ClientError),
    /// The server has ended the connection; how.
    Ended(String),
    /// The lines cannot be read, or the system does not let it wait.
    System(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "cannot connect: {error}"),
            Self::Ended(how) => write!(f, "the connection has ended: {how}"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::System(error) => Some(error),
            Self::Ended(_) => None,
        }
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        Self::Command(Box::new(error))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Runs `gannet connect`.
pub fn run(args: &ConnectArgs) -> Result<(), CliError> {
    let is_terminal = !args.json && io::stdin().is_terminal() && io::stdout().is_terminal();
    let manner = Manner { is_terminal, is_json: args.json, resumes: !args.no_resume, wait: args.wait };
    let mut config = args.config()?;
    // As it is before the editor has it, until the end of the process: the editor may hold it when this thread is done.
    let _restored = Restored::new();
    let mut course = Course::open(&args.url, &config, manner);
    if let Err(ConnectError::Open(ClientError::Response(ResponseError::Refused { status: 400 }))) = course
        && args.subprotocol.is_empty()
    {
        // A server that knows no gannet.v1, such as gannet's own /echo, may refuse whoever offers nothing else.
        config.subprotocols.clear();
        course = Course::open(&args.url, &config, manner);
    }
    Ok(course?.run()?)
}

impl ConnectArgs {
    fn config(&self) -> Result<ClientConfig, CliError> {
        let mut config = ClientConfig {
            subprotocols: self.subprotocol.clone(),
            headers: self.header.clone(),
            timeout: Some(TIMEOUT),
            deflate: self.deflate.then(DeflateConfig::default),
            ..ClientConfig::default()
        };
        if config.subprotocols.is_empty() && !self.plain {
            config.subprotocols.push(SUBPROTOCOL.to_owned());
        }
        config.limits.max_frame_bytes = MAX_MESSAGE_BYTES;
        config.limits.max_message_bytes = MAX_MESSAGE_BYTES;
        config.trust = match &self.ca {
            _ if self.insecure_tls => Trust::Anybody,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        let token = match &self.token_file {
            Some(path) => Some(read_key_file("the token file", path)?),
            None => env::var(TOKEN_VARIABLE).ok(),
        };
        if let Some(token) = token {
            config.headers.push(("Authorization".to_owned(), format!("Bearer {}", token.trim_end())));
        }
        Ok(config)
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.trim().to_owned())),
        _ => Err("write it as \"NAME: VALUE\"".to_owned()),
    }
}
