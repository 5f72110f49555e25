//! The sessions with the largest queues, for whoever asks for them all the time: every reactor looks for them among its own.

use super::execute::describe;
use super::queues::Largest;
use super::relief::Behind;
use super::{Core, Envelope, Shared};
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

    /// The length of its queue in bytes, and its id, while it is a session.
    pub(super) fn queue_of(&self, behind: Behind) -> Option<(usize, SessionId)> {
        let id = self.hub.id_of(behind.slot)?;
        let outbox = self.connections.slot(behind.slot)?.outbox.as_ref()?;
        Some((outbox.bytes(), id))
    }
}

/// The largest first, and only so many.
pub(super) fn cut_to_largest(queues: &mut Vec<(usize, SessionId)>, most: usize) {
    queues.sort_unstable_by(|one, other| other.cmp(one));
    queues.truncate(most);
}
