//! What a backend can ask, whichever way it asked: HTTP, a batch line or the link.

use super::{
    Action, CommandError, EncodedFrame, Listen, OperationOutcome, PushOptions, Receipt, Scope, Target,
    TickPhase,
};
use crate::session::Name;

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
    /// Do something with sessions, on these nodes.
    Act(Action, Scope),
    /// Events to this link from now on. Only a link can ask for it.
    Listen(Listen),
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
    Listening {
        /// The ticks of its app, the shortest first.
        ticks: Vec<TickPhase>,
        /// Nodes that have not said that it hears of their sessions, where it listens to all.
        missing: Vec<Name>,
    },
    /// It was refused.
    Refused(CommandError),
}
