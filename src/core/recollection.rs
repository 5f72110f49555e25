//! What a reactor asks the owner of a group for sessions that have joined it, and the answer.

use crate::dispatch::{Operation, Recalled};
use crate::hub::{Asked, Kept};
use crate::session::{AppId, Name, SessionId};
use smallvec::SmallVec;
use std::sync::Arc;

/// What is asked.
#[derive(Debug)]
pub struct RecallRequest {
    /// The reactor of the sessions.
    pub(super) reactor: usize,
    /// The app of the group.
    pub(super) app: AppId,
    /// The group.
    pub(super) group: Name,
    /// What they are to get.
    pub(super) asked: Asked,
    /// The sessions.
    pub(super) sessions: SmallVec<[SessionId; 1]>,
    /// Which request of the reactor this is.
    pub(super) number: u64,
    /// The operation of which this is a part.
    pub(super) operation: Option<Arc<Operation>>,
}

/// The owner's answer.
#[derive(Debug)]
pub struct RecallAnswer {
    /// What was asked.
    pub(super) request: Box<RecallRequest>,
    /// What is kept.
    pub(super) kept: Kept,
    /// How far that goes.
    pub(super) recalled: Recalled,
}

impl RecallAnswer {
    /// The bytes that the answer itself takes: the messages are the group's.
    pub(super) fn weight(&self) -> usize {
        size_of_val(&*self.kept)
    }
}

/// An answer that is being given to the sessions.
#[derive(Debug)]
pub(super) struct Recollection {
    pub(super) answer: RecallAnswer,
    /// How many have got it.
    pub(super) done: usize,
}
