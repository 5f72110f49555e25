//! A request about a session over plain HTTP, on its way to the reactor that has the session, and its answer.

use crate::auth::Ticket;
use crate::connection::{Claimant, Visitor};
use crate::dispatch::ErrorCode;
use crate::metrics::ResumeFailure;
use crate::session::{AppId, SessionId};

/// See the module.
#[derive(Debug)]
pub struct Visit {
    /// The session, by a ticket that is one of this server's.
    pub ticket: Ticket,
    /// Who is answered.
    pub visitor: Visitor,
    /// What it is about.
    pub what: Visiting,
}

/// What a request asks for.
#[derive(Debug)]
pub enum Visiting {
    /// What there is for the client, or will be.
    Poll(PollClaim),
    /// The same, at once, of a session that has just come from another node for this client. Nobody has been told of it.
    Arrived(PollClaim),
    /// The client says something: whether it is text, and the payload.
    Say(bool, Vec<u8>),
    /// The client leaves.
    Leave,
}

/// Who polls, and how far it has read.
#[derive(Debug, Clone, Copy)]
pub struct PollClaim {
    /// The app.
    pub app: AppId,
    /// Who it is, where it has to be who opened the session.
    pub claimant: Option<Claimant>,
    /// How many messages it has read.
    pub received: u64,
    /// When its token expires, in milliseconds since the Unix epoch.
    pub expires_unix_ms: Option<u64>,
    /// How long it waits, in milliseconds.
    pub wait_ms: u64,
    /// What its session was called on another node, from which it has come here just now: it is answered at once.
    pub was: Option<SessionId>,
}

/// The answer to a [`Visit`].
#[derive(Debug)]
pub enum Visited {
    /// The document of a poll.
    Document(Vec<u8>),
    /// It is done.
    Done,
    /// The session has gone to another node, and is called so there.
    Elsewhere(SessionId),
    /// The session cannot be had, and a poll gets another one.
    Instead(ResumeFailure),
    /// It is not done, for this reason.
    Refused(ErrorCode, &'static str),
    /// Another poll has come for the session.
    Overtaken,
}

impl Visit {
    /// Bytes of what is said.
    pub(super) fn weight(&self) -> usize {
        match &self.what {
            Visiting::Say(_, payload) => payload.len(),
            Visiting::Poll(_) | Visiting::Arrived(_) | Visiting::Leave => 0,
        }
    }
}

impl Visited {
    /// Bytes of the document.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Document(document) => document.len(),
            _ => 0,
        }
    }
}
