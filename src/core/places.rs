//! The places that sessions take: a session bound to a user that may have no more, and the older sessions that a newer
//! one displaces. Knows nothing of how the places are counted.

use super::{Core, Envelope};
use crate::admission::{Displaced, NoRoom};
use crate::dispatch::{Action, CommandError, ErrorCode, Operation, Origin, Who};
use crate::session::{AppId, Name, close_codes};
use std::sync::Arc;

/// What a displaced session is told.
const REPLACED: &str = "replaced by a newer session";

/// The session is the user's from now on, or nobody's. Returns whether it was not before.
///
/// # Errors
/// [`ErrorCode::RateLimited`] when the user has as many sessions as it may.
pub fn bind(core: &mut Core, slot: u32, user: Option<&Name>) -> Result<bool, CommandError> {
    let (Some(id), Some(app)) = (core.hub.id_of(slot), core.hub.app_of(slot)) else { return Ok(false) };
    let displaced = core.shared.admission.rebind(app, id, core.hub.user_of(slot), user)?;
    let changed = core.hub.bind(slot, user);
    core.note_rerouted(slot);
    displace(core, app, displaced);
    Ok(changed)
}

/// Closes sessions that a newer one has taken the place of, wherever they are.
pub fn displace(core: &mut Core, app: AppId, displaced: Displaced) {
    for id in displaced {
        let reactor = usize::from(id.worker());
        if reactor != core.index {
            let (who, code) = (Who::Session(id), close_codes::REPLACED.0);
            let kick =
                Operation::new(app, Action::Kick { who, code, reason: REPLACED.into() }, Origin::Nobody);
            // It is no longer counted: it must go, however full the mailbox is.
            core.peers.post_always(reactor, Envelope::Operation(Arc::new(kick)));
        } else if core.hub.contains(id, app) {
            core.close(id.slot(), close_codes::REPLACED, REPLACED);
        }
    }
}

impl From<NoRoom> for CommandError {
    fn from(no_room: NoRoom) -> Self {
        Self::new(ErrorCode::RateLimited, no_room.to_string())
    }
}
