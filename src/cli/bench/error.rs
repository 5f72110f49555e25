//! Why a benchmark did not run, or did not run to its end.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::proof::NoGroup;
use super::template::TemplateError;
use crate::cli::error::CliError;
use crate::cli::shown::shown;
use crate::client::ClientError;
use crate::protocol::handshake::{RequestError, ResponseError};
use crate::protocol::{CloseCode, ProtocolError};

/// Why a benchmark failed.
#[derive(Debug)]
pub enum BenchError {
    /// The address to put load on.
    Target {
        /// As given.
        target: String,
        /// What is wrong with it.
        error: TargetError,
    },
    /// A fan-out whose pace several threads would have to agree on.
    ClosedFanout,
    /// More connections than descriptors.
    Descriptors {
        /// Connections that were asked for.
        wanted: usize,
        /// Descriptors that this process may have.
        limit: u64,
    },
    /// A request that cannot be sent.
    Request(RequestError),
    /// A connection did not come about.
    Connect {
        /// Its number, from 0.
        number: usize,
        /// What the system said.
        error: io::Error,
    },
    /// The server did not upgrade a connection.
    Handshake {
        /// Its number, from 0.
        number: usize,
        /// What is wrong with its answer.
        error: ResponseError,
    },
    /// The server broke RFC 6455.
    Protocol(ProtocolError),
    /// The server ended a connection.
    Hangup,
    /// Nothing moves.
    Stalled {
        /// What was being done.
        stage: &'static str,
        /// How far it had come.
        done: usize,
        /// How far it should have come.
        of: usize,
    },
    /// The server ended a connection before the load began.
    Lost(Lost),
    /// Every connection was lost.
    AllLost {
        /// The first of them.
        first: Option<Lost>,
    },
    /// The load ended early. What was measured until then is in the result.
    Broken {
        /// Why.
        why: String,
    },
    /// A group that a token cannot lead into.
    NoGroup(NoGroup),
    /// The first message to a session does not name it.
    NoWelcome,
    /// The publisher's reactor has all sessions.
    NoneAcross,
    /// The publishing connection broke.
    Publisher(io::Error),
    /// What answers on the publishing connection cannot be told apart, message from message.
    PublisherAnswer,
    /// The server does not take what is published.
    PublishRefused {
        /// Its first refusal.
        answer: String,
    },
    /// The request template.
    Template {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// A file that is not to be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file that is not the result of a run.
    Result {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        error: serde_json::Error,
    },
    /// The figures of a process.
    Process {
        /// Which.
        pid: u32,
        /// What the system said.
        error: io::Error,
    },
    /// Too few players for each to have its role.
    FewPlayers {
        /// How many there must be.
        least: usize,
    },
    /// What answers on the backend port has none of gannet's metrics.
    NotGannet {
        /// As given.
        address: String,
    },
    /// A soak, or a run of resumes, found the server at fault.
    Unsound {
        /// How often.
        faults: u64,
    },
    /// The app's sessions end with their connections.
    NoResume {
        /// Its name.
        app: String,
    },
    /// What the server says of its configuration is not what is looked for in it.
    Configuration,
    /// epoll, timerfd or a thread could not be had.
    System(io::Error),
    /// A load thread panicked.
    Panicked,
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { target, error } => write!(f, "{}: {error}", shown(target)),
            Self::ClosedFanout => f.write_str("a fan-out with --closed runs on one thread: leave out --threads"),
            Self::Descriptors { wanted, limit } => write!(
                f,
                "{wanted} connections need more descriptors than the {limit} that this process may have: \
                 lower --connections or raise ulimit -n"
            ),
            Self::Request(error) => error.fmt(f),
            Self::Connect { error, .. } if is_tls(error) => write!(
                f,
                "no TLS with the server: {error}; give its certificate, or that of its authority, with --ca"
            ),
            Self::Connect { number, error } => {
                write!(f, "connection {number} was not made: is the server running? ({error})")
            }
            Self::Handshake { number, error } => write!(f, "connection {number}: {error}"),
            Self::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            Self::Hangup => f.write_str("the server hung up in the handshake"),
            Self::Stalled { stage, done, of } => {
                write!(f, "nothing moves while {stage}: {done} of {of} done; see the server's log")
            }
            Self::Lost(lost) => write!(f, "the server ended {lost} before the load began"),
            Self::AllLost { first: None } => f.write_str("every connection was lost: see the server's log"),
            Self::AllLost { first: Some(first) } => {
                write!(f, "every connection was lost, the first of them {first}: see the server's log")
            }
            Self::Broken { why } => write!(f, "the load ended early: {why}"),
            Self::NoGroup(error) => error.fmt(f),
            Self::NoWelcome => f.write_str(
                "the first message to a session does not name it as gannet's welcome does: for another server, put \
                 {session} into the URL and give --publish-template",
            ),
            Self::NoneAcross => f.write_str(
                "every session is on the publisher's reactor: give the server more --reactors, or more --connections",
            ),
            Self::Publisher(error) if is_tls(error) => write!(
                f,
                "no TLS with the backend port: {error}; give its certificate, or that of its authority, with --cacert"
            ),
            Self::Publisher(error) => write!(
                f,
                "the publishing connection failed: is --backend right, and does the server keep connections \
                 open? ({error})"
            ),
            Self::PublisherAnswer => f.write_str("what answers the publisher is not HTTP/1.1 with a length"),
            Self::PublishRefused { answer } => write!(f, "the server refused what was published: {answer}"),
            Self::Template { path, error } => write!(f, "{}: {error}", path.display()),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Result { path, error } => {
                write!(f, "{} is no result of gannet bench --json: {error}", path.display())
            }
            Self::Process { pid, error } => {
                write!(f, "cannot read /proc of process {pid}: is --pid right? ({error})")
            }
            Self::FewPlayers { least } => write!(f, "mixed load needs {least} --connections at least"),
            Self::NotGannet { address } => {
                write!(f, "{address} has none of gannet's metrics: is this its backend port?")
            }
            Self::Unsound { faults: 1 } => f.write_str("the run found a fault"),
            Self::Unsound { faults } => write!(f, "the run found {faults} faults"),
            Self::NoResume { app } => {
                write!(f, "the sessions of the app {app} may not resume: set apps.{app}.resume.linger_ms")
            }
            Self::Configuration => f.write_str("the server's configuration is none of this version's"),
            Self::System(error) => write!(f, "the load could not be set up: {error}"),
            Self::Panicked => f.write_str("a load thread panicked: this is a bug in gannet bench"),
        }
    }
}

/// Whether TLS failed, and not the connection under it.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

impl std::error::Error for BenchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Target { error, .. } => Some(error),
            Self::Request(error) => Some(error),
            Self::Handshake { error, .. } => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Template { error, .. } => Some(error),
            Self::Result { error, .. } => Some(error),
            Self::Connect { error, .. }
            | Self::Publisher(error)
            | Self::File { error, .. }
            | Self::Process { error, .. }
            | Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        Self::Command(Box::new(error))
    }
}

/// A connection that was open and is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its number, from 0.
    pub number: usize,
    /// What the server's Close said, if one came that has a code.
    pub close: Option<(CloseCode, String)>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.number)?;
        match &self.close {
            None => f.write_str(" without a Close"),
            Some((code, reason)) if reason.is_empty() => write!(f, " with {code}"),
            Some((code, reason)) => write!(f, " with {code} {reason:?}"),
        }
    }
}

/// Why an address takes no load.
#[derive(Debug)]
pub enum TargetError {
    /// Neither `ws://` nor `wss://`.
    Scheme,
    /// TLS cannot begin.
    Tls(ClientError),
    /// Not to be resolved.
    Unknown(String),
    /// Another machine.
    NotLoopback,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("give a URL that begins with ws:// or wss://"),
            Self::Tls(error) => error.fmt(f),
            Self::Unknown(error) => write!(f, "no such address: {error}"),
            Self::NotLoopback => f.write_str(
                "this is not a loopback address: load belongs on a server of your own; if it is, say so with \
                 --i-own-this-server",
            ),
        }
    }
}

impl std::error::Error for TargetError {}
