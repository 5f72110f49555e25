//! Why a server ended by itself.

use std::fmt;
use std::io;

/// Why a server ended without having been told to.
///
/// ```
/// use gannet::RunError;
/// assert!(RunError::Panicked { reactor: 2 }.to_string().contains("reactor 2"));
/// ```
#[derive(Debug)]
pub enum RunError {
    /// A thread could not be started.
    Thread(io::Error),
    /// A reactor's poll failed.
    Poll(io::Error),
    /// Another process was to be taken over from, and that did not come about.
    NotTaken {
        /// Why.
        why: Box<str>,
        /// Whether that process has died, so that nobody serves its players.
        is_orphan: bool,
    },
    /// A reactor panicked, in the server or in the app.
    Panicked {
        /// Which.
        reactor: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::Poll(error) => write!(f, "a reactor cannot poll: {error}"),
            Self::NotTaken { why, .. } => write!(f, "nothing is taken over: {why}"),
            Self::Panicked { reactor } => write!(f, "reactor {reactor} panicked; the message is in the log"),
        }
    }
}

impl std::error::Error for RunError {}
