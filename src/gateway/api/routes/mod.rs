//! The backend port's paths: a whole request in, what it asks for out. Every path, method and parameter of the HTTP API
//! is known here and nowhere else. Knows nothing of how a request is answered.

mod request;
mod resource;

use super::batch::BatchCursor;
use crate::dispatch::{Command, Right};
use crate::ops::Needs;
use crate::session::AppId;

pub use request::route;

/// The paths of the API, in a sentence.
pub const PATHS: &str = resource::Resource::PATHS;

/// What a request to the backend port asks for. A `HEAD` asks for what a `GET` would; the answer has no body.
#[derive(Debug)]
pub enum Routed {
    /// Run a command and answer with its outcome.
    Command {
        /// The app whose names the command uses.
        app: AppId,
        /// What to do.
        command: Command,
    },
    /// Run the commands in the body, and answer each with a line.
    Batch {
        /// The app of a line that names none.
        app: AppId,
        /// Where to begin in the body.
        cursor: BatchCursor,
    },
    /// Become a link: upgrade to WebSocket.
    Link {
        /// The app of a command that names none.
        app: AppId,
    },
    /// The counters as JSON.
    Stats,
    /// The counters as Prometheus text.
    Metrics,
    /// Whether the process is alive.
    Health,
    /// Whether it takes sessions.
    Ready,
    /// The page for operators.
    Console,
}

impl Routed {
    /// What the key must be allowed that is shown with the request. Each command of a batch and of a link has a right of
    /// its own ([`Command::right`]).
    pub fn needs(&self) -> Needs {
        match self {
            Self::Command { command, .. } => Needs::Right(command.right()),
            Self::Batch { .. } | Self::Link { .. } | Self::Console => Needs::Key,
            Self::Stats | Self::Metrics => Needs::Right(Right::Read),
            Self::Health | Self::Ready => Needs::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
