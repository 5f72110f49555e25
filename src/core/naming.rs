//! Pages of users and groups, gathered here a part a turn. Knows nothing of what other reactors have.

use super::Core;
use crate::dispatch::{Action, NameKind, Operation};
use crate::hub::{Kind, NamesWanted};
use crate::session::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A name is looked at in a fraction of the time in which a session is described in a listing.
const NAMES_AN_ENTRY: usize = 16;

/// A page that is being gathered.
#[derive(Debug)]
pub(super) struct Naming {
    operation: Arc<Operation>,
    /// Where to go on.
    from: u32,
    names: BTreeMap<Name, u32>,
}

impl Core {
    pub(super) fn begin_naming(&mut self, operation: &Arc<Operation>) {
        self.go_on_naming(Naming { operation: Arc::clone(operation), from: 0, names: BTreeMap::new() });
    }

    pub(super) fn go_on_naming(&mut self, mut naming: Naming) {
        let Action::Names { kind, prefix, limit, after, among: _ } = &naming.operation.action else { return };
        let wanted = NamesWanted {
            app: naming.operation.app,
            kind: match kind {
                NameKind::Users => Kind::User,
                NameKind::Groups => Kind::Group,
                // They were named where that was asked: no reactor has a part in it.
                NameKind::Apps => return,
            },
            prefix: prefix.as_deref().unwrap_or_default(),
            after: after.as_ref(),
            // One more than asked for tells whether there is a next page.
            limit: limit.saturating_add(1),
        };
        let most = self.budget.listed.saturating_mul(NAMES_AN_ENTRY);
        self.budget.listed = 0;
        match self.hub.gather_names(&wanted, naming.from, most, &mut naming.names) {
            Some(next) => {
                naming.from = next;
                self.put_back(naming);
            }
            None => {
                let Naming { operation, names, .. } = naming;
                operation.add_names(names);
                self.finish_operation_part(&operation);
            }
        }
    }
}
