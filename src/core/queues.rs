//! The question which sessions have the largest queues, on its way to every reactor, and what they answer.

use crate::dispatch::{SessionInfo, largest_first};
use crate::session::AppId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A question to every reactor: which of its sessions have the largest queues.
#[derive(Debug)]
pub struct Largest {
    /// Each a view: of these apps; `None` of all.
    pub(super) views: Vec<Option<Box<[AppId]>>>,
    /// So many of each view.
    pub(super) most: usize,
    /// Where each reactor begins to look.
    pub(super) from: usize,
    /// Reactors that have not answered.
    pending: AtomicUsize,
    /// What they have found, by the view.
    found: Mutex<Vec<Vec<SessionInfo>>>,
}

impl Largest {
    /// A question to so many reactors.
    pub(super) fn new(views: Vec<Option<Box<[AppId]>>>, most: usize, from: usize, reactors: usize) -> Self {
        let found = Mutex::new(views.iter().map(|_| Vec::new()).collect());
        Self { views, most, from, pending: AtomicUsize::new(reactors), found }
    }

    /// A reactor has found these, by the view.
    pub(super) fn add(&self, index: usize, sessions: Vec<SessionInfo>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.get_mut(index) {
            found.extend(sessions);
        }
    }

    /// A reactor has answered, or will not.
    pub(super) fn is_through(&self) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether every reactor has answered.
    pub fn is_answered(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// What has been found of this view: the sessions with the largest queues, the largest first.
    pub fn answer(&self, view: Option<&[AppId]>) -> Option<Vec<SessionInfo>> {
        let index = self.views.iter().position(|known| known.as_deref() == view)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = found.get_mut(index)?;
        largest_first(sessions);
        sessions.truncate(self.most);
        Some(sessions.clone())
    }
}
