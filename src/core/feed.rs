//! A request for the events of a feed on its way to the reactor that has the feed, and its answer.

use super::seats::{Taken, Ticket};
use crate::auth::Access;
use crate::connection::Visitor;
use std::sync::Arc;

/// A request for the events of a feed, on its way to the reactor that has it.
#[derive(Debug)]
pub struct FeedRequest {
    /// The ticket that it shows.
    pub ticket: Ticket,
    /// Who is answered.
    pub visitor: Visitor,
    /// The key that it shows may do so much.
    pub access: Arc<Access>,
    /// What it asks for; `None` where the feed is over.
    pub reads: Option<Reads>,
}

/// What a [`FeedRequest`] asks for.
#[derive(Debug, Clone, Copy)]
pub struct Reads {
    /// Events that have been read; `None` is what follows the last answer, on the connection that had it.
    pub received: Option<u64>,
    /// How long it waits, in milliseconds.
    pub wait_ms: u64,
    /// In which form it is answered.
    pub form: FeedForm,
}

/// In which form a feed is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForm {
    /// A document for each request.
    Document,
    /// An event stream.
    Stream,
}

/// The answer to a [`FeedRequest`].
#[derive(Debug)]
pub enum Fed {
    /// What there is, in the form that was asked for.
    Events(Vec<u8>),
    /// The feed is over.
    Ended,
    /// Another request has come for it.
    Overtaken,
    /// It cannot be had, for this reason.
    Instead(Taken),
}

impl Fed {
    /// Bytes of the events.
    pub fn weight(&self) -> usize {
        match self {
            Self::Events(bytes) => bytes.len(),
            Self::Ended | Self::Overtaken | Self::Instead(_) => 0,
        }
    }
}
