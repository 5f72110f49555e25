//! Those of a user, a group or all who are behind, for an operation: looked for here a part a turn. Knows nothing of what other reactors
//! have.

use super::Core;
use super::execute::Listing;
use super::largest::cut_to_largest;
use super::presence::MEMBERS_AN_ENTRY;
use super::relief::Behind;
use crate::dispatch::{Action, Operation, Selector};
use crate::session::{AppId, SessionId};
use std::sync::Arc;

/// Of the longest queues, so many times as many as are asked for are kept until they are compared.
const KEPT: usize = 2;

/// A look for those who are behind, on its way through all who were when it began.
#[derive(Debug)]
pub(super) struct Looking {
    operation: Arc<Operation>,
    by: Selector,
    /// Those who are still to be looked at. Some are behind no more by then.
    behind: std::vec::IntoIter<Behind>,
    found: u32,
    wanted: Wanted,
}

/// What is done with those who are found.
#[derive(Debug)]
enum Wanted {
    /// So many with the longest queues are described: the lengths so far, and whose they are.
    Largest(usize, Vec<(usize, SessionId)>),
    /// They are counted, and these members described.
    Members(Vec<SessionId>),
}

impl Core {
    /// Finds the sessions that `by` means and that are behind, and describes those with the longest queues.
    pub(super) fn list_behind(&mut self, operation: &Arc<Operation>) {
        if let Action::Behind { by, limit } = &operation.action {
            self.look_for_behind(operation, by, Wanted::Largest(*limit, Vec::new()));
        }
    }

    /// Counts the members of the group that are behind, and describes these.
    pub(super) fn list_members(&mut self, operation: &Arc<Operation>, by: &Selector, ids: Vec<SessionId>) {
        self.look_for_behind(operation, by, Wanted::Members(ids));
    }

    fn look_for_behind(&mut self, operation: &Arc<Operation>, by: &Selector, wanted: Wanted) {
        let (operation, by, behind) = (Arc::clone(operation), by.clone(), self.behind.clone().into_iter());
        self.go_on_looking(Looking { operation, by, behind, found: 0, wanted });
    }

    pub(super) fn go_on_looking(&mut self, mut looking: Looking) {
        let Looking { operation, by, behind, found, wanted } = &mut looking;
        let most = self.budget.listed.saturating_mul(MEMBERS_AN_ENTRY).min(behind.len());
        self.budget.listed -= most.div_ceil(MEMBERS_AN_ENTRY);
        for behind in behind.by_ref().take(most).filter(|behind| self.is_behind(operation.app, by, *behind)) {
            *found += 1;
            if let Wanted::Largest(limit, queues) = wanted {
                queues.extend(self.queue_of(behind));
                if queues.len() > KEPT * *limit {
                    cut_to_largest(queues, *limit);
                }
            }
        }
        if behind.len() > 0 {
            return self.put_back(looking);
        }
        let Looking { operation, by, found, wanted, .. } = looking;
        let ids = match wanted {
            Wanted::Largest(limit, mut queues) => {
                operation.add_findings(found, Vec::new(), Vec::new());
                cut_to_largest(&mut queues, limit);
                queues.into_iter().map(|(_, id)| id).collect()
            }
            Wanted::Members(ids) => {
                if let Selector::Group(group) = &by {
                    operation.add_group(found, self.hub.pushes_to_group(operation.app, group));
                }
                ids
            }
        };
        self.go_on_listing(Listing { operation, ids: ids.into_iter() });
    }

    /// Whether a session that was behind, in this slot, is so still, and `by` means it.
    fn is_behind(&self, app: AppId, by: &Selector, behind: Behind) -> bool {
        let outbox = self.connections.slot(behind.slot).and_then(|connection| connection.outbox.as_ref());
        outbox.is_some_and(|outbox| outbox.behind().is_some())
            && match by {
                Selector::All => self.hub.app_of(behind.slot) == Some(app),
                by => self.hub.is_meant(app, by, behind.slot),
            }
    }
}
