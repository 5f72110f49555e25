//! The places that sessions take: a session bound to a user that may have no more, and the older sessions that a newer
//! one displaces. Knows nothing of how the places are counted.

use super::Core;
use crate::admission::{Displaced, NoRoom};
use crate::dispatch::{CommandError, ErrorCode};
use crate::session::{AppId, Name, SessionId};

/// A session that is replaced by one of another reactor.
#[derive(Debug, Clone, Copy)]
pub struct Replaced {
    /// Its app.
    pub app: AppId,
    /// It.
    pub old: SessionId,
    /// The one that has opened in its place.
    pub new: SessionId,
}

/// A question to sessions of one user, whether their clients are still there; on its way along them.
#[derive(Debug)]
pub struct Probe {
    /// Their app.
    pub app: AppId,
    /// Those that have not been asked, the oldest last.
    pub sessions: Displaced,
    /// The wait of one whose client is away has been cut short: for one newcomer one place is enough, and the others may come back.
    pub has_cut: bool,
}

/// The session is the user's from now on, or nobody's. Returns whether it was not before.
///
/// # Errors
/// [`ErrorCode::RateLimited`] when the user has as many sessions as it may.
pub fn bind(core: &mut Core, slot: u32, user: Option<&Name>) -> Result<bool, CommandError> {
    let (Some(id), Some(app)) = (core.hub.id_of(slot), core.hub.app_of(slot)) else { return Ok(false) };
    let displaced = core.shared.admission.rebind(app, id, core.hub.user_of(slot), user);
    if let (Err(NoRoom::User(_)), Some(user)) = (&displaced, user) {
        core.probe_sessions_of(app, user);
    }
    let displaced = displaced?;
    let changed = core.bind_session(slot, user);
    displace(core, app, id, displaced);
    // It has not opened: no link is told what it has replaced.
    core.take_replaced(id);
    Ok(changed)
}

/// Closes sessions that the session `new` has taken the place of, wherever they are; other nodes are told of it.
pub fn displace(core: &mut Core, app: AppId, new: SessionId, displaced: Displaced) {
    core.took_place(app, new);
    displaced.into_iter().for_each(|old| core.replace(app, old, new));
}

impl From<NoRoom> for CommandError {
    fn from(no_room: NoRoom) -> Self {
        Self::new(ErrorCode::RateLimited, no_room.to_string())
    }
}
