//! The backend port's paths: a whole request in, what it asks for out. Every path, method and parameter of the HTTP API
//! stands in the rows of [`ops`](crate::ops). Knows nothing of how a request is answered.

mod request;

use super::batch::BatchCursor;
use crate::dispatch::Command;
use crate::ops::{Feed, Needs, Order, Page, Row};
use crate::session::AppId;

pub use request::route;

/// What a request to the backend port asks for. A `HEAD` asks for what a `GET` would; the answer has no body.
#[derive(Debug)]
pub enum Routed {
    /// Run a command and answer with its outcome.
    Command {
        /// The app whose names the command uses.
        app: AppId,
        /// What to do.
        command: Command,
        /// What is known of that.
        row: &'static Row,
    },
    /// Run the commands in the body, and answer each with a line.
    Batch {
        /// The app of a line that names none.
        app: AppId,
        /// Where to begin in the body.
        cursor: BatchCursor,
        /// What is known of it.
        row: &'static Row,
    },
    /// Become a link: upgrade to WebSocket.
    Link {
        /// The app of a command that names none.
        app: AppId,
        /// Whether it can be resumed, or resumes another.
        resume: Option<Resume>,
        /// What is known of it.
        row: &'static Row,
    },
    /// Events without a link.
    Feed {
        /// The app that they are of.
        app: AppId,
        /// What about them.
        feed: Feed,
        /// What is known of it.
        row: &'static Row,
    },
    /// Carry out an order of an operator, and answer with how it stands.
    Order {
        /// What.
        order: Order,
        /// What is known of it.
        row: &'static Row,
    },
    /// A page that is about no session.
    Page {
        /// Which.
        page: Page,
        /// What is known of it.
        row: &'static Row,
    },
}

/// What a link wants to be beyond its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// A new one that can be resumed.
    New,
    /// The one that gave this ticket.
    Back {
        /// What is shown.
        ticket: Box<str>,
        /// Events that have been read.
        received: u64,
    },
}

impl Routed {
    /// What the key must be allowed that is shown with the request. Each command of a batch and of a link has a right of
    /// its own: that of its row.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Command { row, .. }
            | Self::Batch { row, .. }
            | Self::Link { row, .. }
            | Self::Feed { row, .. }
            | Self::Order { row, .. }
            | Self::Page { row, .. } => row.needs,
        }
    }
}

#[cfg(test)]
mod tests;
