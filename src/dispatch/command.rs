//! What a backend can ask, whichever way it asked: HTTP, a batch line or the link.

use super::{
    Action, CommandError, EncodedFrame, Listen, OperationOutcome, PushOptions, Receipt, Right, Target,
};

/// One command of a backend.
#[derive(Debug)]
pub enum Command {
    /// Send a message to sessions.
    Push {
        /// Whom it is for.
        target: Target,
        /// The message, encoded.
        frame: EncodedFrame,
        /// Everything else about it.
        options: PushOptions,
    },
    /// Do something with sessions.
    Act(Action),
    /// Events to this link from now on. Only a link can ask for it.
    Listen(Listen),
}

impl Command {
    /// Whether later commands of the same connection must wait for this one: what it changes, they may be about.
    pub fn is_barrier(&self) -> bool {
        match self {
            Self::Push { .. } => false,
            Self::Act(action) => !matches!(action, Action::Describe { .. } | Action::List { .. }),
            Self::Listen(_) => true,
        }
    }

    /// What a key must be allowed that sends it.
    pub fn right(&self) -> Right {
        match self {
            Self::Push { .. } => Right::Push,
            Self::Act(Action::Describe { .. } | Action::List { .. }) => Right::Read,
            Self::Act(_) | Self::Listen(_) => Right::All,
        }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A push with a receipt.
    Receipt(Receipt),
    /// A push without one.
    Accepted,
    /// A command about sessions.
    Done(OperationOutcome),
    /// The link listens.
    Listening,
    /// It was refused.
    Refused(CommandError),
}
