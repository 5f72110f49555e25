//! The sessions with the largest queues: for whoever asks for them all the time, where every reactor looks for them among its own; and
//! those of an operation.

use super::execute::{Listing, describe};
use super::relief::Behind;
use super::{Core, Envelope, Shared};
use crate::dispatch::{Action, Operation, Selector, SessionInfo, largest_first};
use crate::session::{AppId, SessionId};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Of more connections than this that are behind, a reactor looks at so many, and at others the next time.
const LOOKED_AT: usize = 16_384;

/// A question to every reactor: which of its sessions have the largest queues.
#[derive(Debug)]
pub struct Largest {
    /// Each a view: of these apps; `None` of all.
    views: Vec<Option<Box<[AppId]>>>,
    /// So many of each view.
    most: usize,
    /// Where each reactor begins to look.
    from: usize,
    /// Reactors that have not answered.
    pending: AtomicUsize,
    /// What they have found, by the view.
    found: Mutex<Vec<Vec<SessionInfo>>>,
}

impl Largest {
    /// Asks every reactor. `number` counts the questions. One whose mailbox is full is left out.
    pub fn ask(shared: &Shared, views: Vec<Option<Box<[AppId]>>>, most: usize, number: usize) -> Arc<Self> {
        let largest = Arc::new(Self {
            found: Mutex::new(views.iter().map(|_| Vec::new()).collect()),
            views,
            most,
            from: number.wrapping_mul(LOOKED_AT),
            pending: AtomicUsize::new(shared.reactors()),
        });
        for reactor in 0..shared.reactors() {
            if shared.handle.post(reactor, Envelope::Largest(Arc::clone(&largest))).is_err() {
                largest.pending.fetch_sub(1, Ordering::AcqRel);
            }
        }
        largest
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

impl Core {
    /// This reactor's answer.
    pub fn answer_largest(&mut self, largest: &Largest) {
        for (index, view) in largest.views.iter().enumerate() {
            let is_in_view = |app: AppId| view.as_ref().is_none_or(|apps| apps.contains(&app));
            let start = if self.behind.len() <= LOOKED_AT { 0 } else { largest.from % self.behind.len() };
            let looked_at = self.behind.iter().cycle().skip(start).take(self.behind.len().min(LOOKED_AT));
            let queues = looked_at.filter(|behind| behind.app.is_some_and(is_in_view));
            let mut queues: Vec<_> = queues.filter_map(|behind| self.queue_of(*behind)).collect();
            cut_to_largest(&mut queues, largest.most);
            let sessions: Vec<_> = queues.iter().filter_map(|(_, id)| describe(self, id.slot())).collect();
            let mut found = largest.found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = found.get_mut(index) {
                found.extend(sessions);
            }
        }
        largest.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Finds the sessions that `by` means and that are behind, and describes as many of the largest as the turn's budget allows.
    pub(super) fn list_behind(&mut self, operation: &Arc<Operation>) {
        let mut queues = Vec::new();
        if let Action::Behind { by, limit } = &operation.action {
            queues = self.behind_of(operation.app, by).filter_map(|behind| self.queue_of(behind)).collect();
            operation.add_findings(queues.len() as u32, Vec::new(), Vec::new());
            cut_to_largest(&mut queues, *limit);
        }
        let ids: Vec<SessionId> = queues.into_iter().map(|(_, id)| id).collect();
        self.go_on_listing(Listing { operation: Arc::clone(operation), ids: ids.into_iter() });
    }

    /// The sessions here that `by` means and that are behind.
    pub(super) fn behind_of(&self, app: AppId, by: &Selector) -> impl Iterator<Item = Behind> {
        let of_app = self.behind.iter().copied().filter(move |behind| behind.app == Some(app));
        of_app.filter(move |behind| match by {
            Selector::All => self.hub.app_of(behind.slot) == Some(app),
            by => self.hub.is_meant(app, by, behind.slot),
        })
    }

    /// The length of its queue in bytes, and its id, while it is a session.
    fn queue_of(&self, behind: Behind) -> Option<(usize, SessionId)> {
        let id = self.hub.id_of(behind.slot)?;
        let outbox = self.connections.slot(behind.slot)?.outbox.as_ref()?;
        Some((outbox.bytes(), id))
    }
}

/// The largest first, and only so many.
fn cut_to_largest(queues: &mut Vec<(usize, SessionId)>, most: usize) {
    queues.sort_unstable_by(|one, other| other.cmp(one));
    queues.truncate(most);
}
