//! The sessions with the largest queues: for whoever asks for them all the time, where every reactor looks for them among its own; and
//! those of an operation.

use super::execute::{Listing, describe};
use super::queues::Largest;
use super::relief::Behind;
use super::{Core, Envelope, Shared};
use crate::dispatch::{Action, Operation, Selector};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// Of more connections than this that are behind, a reactor looks at so many, and at others the next time.
const LOOKED_AT: usize = 16_384;

/// Asks every reactor. `number` counts the questions. One whose mailbox is full is left out.
pub fn ask_for_largest(
    shared: &Shared,
    views: Vec<Option<Box<[AppId]>>>,
    most: usize,
    number: usize,
) -> Arc<Largest> {
    let from = number.wrapping_mul(LOOKED_AT);
    let largest = Arc::new(Largest::new(views, most, from, shared.reactors()));
    for reactor in 0..shared.reactors() {
        if shared.handle.post(reactor, Envelope::Largest(Arc::clone(&largest))).is_err() {
            largest.is_through();
        }
    }
    largest
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
            largest.add(index, sessions);
        }
        largest.is_through();
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
