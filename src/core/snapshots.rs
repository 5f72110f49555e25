//! Links of this reactor that have asked for all sessions that are there, and how many reactors have not told them of all of theirs.
//! Knows nothing of sessions.

use super::{Core, Envelope};
use crate::dispatch::{CommandError, ErrorCode, LinkForm, Listen};
use crate::session::{AppId, SessionId};
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Snapshots {
    left: HashMap<SessionId, u32>,
}

impl Core {
    /// A link of this reactor asks for events; where it asks for all sessions too, every reactor is to tell it of its own.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] while it is being told.
    pub(super) fn expect_snapshot(&mut self, link: SessionId, listen: &Listen) -> Result<(), CommandError> {
        if !listen.snapshot {
            return Ok(());
        }
        if self.snapshots.left.contains_key(&link) {
            let message =
                "snapshot: this link is being told of all sessions; ask again behind its event synced";
            return Err(CommandError::new(ErrorCode::Conflict, message));
        }
        self.snapshots.left.insert(link, self.shared.reactors() as u32);
        Ok(())
    }

    /// What a link asked for was refused.
    pub(super) fn expect_no_snapshot(&mut self, link: SessionId) {
        self.snapshots.left.remove(&link);
    }

    /// The link is told of the sessions here from now on.
    pub(super) fn begin_snapshot(&mut self, link: SessionId, app: AppId, is_known: bool) {
        let sessions = self.sessions_of(app);
        self.listeners.begin_snapshot(link, is_known, sessions.into_iter());
    }

    /// The link has been told of all sessions here. The form in which it is to be told that this is so of all reactors, where it is
    /// one of this reactor and they are through.
    pub fn told_of_all(&mut self, link: SessionId) -> Option<LinkForm> {
        match usize::from(link.worker()) {
            own if own == self.index => self.one_told_of_all(link),
            other => {
                self.peers.post_always(other, Envelope::ToldOfAll(link));
                None
            }
        }
    }

    /// A reactor has told the link of all of its sessions. The form of the link, where it was the last one.
    pub fn one_told_of_all(&mut self, link: SessionId) -> Option<LinkForm> {
        let left = self.snapshots.left.get_mut(&link)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.snapshots.left.remove(&link);
        self.listeners.form_of(link)
    }

    pub(super) fn carry_snapshots(&self) -> Vec<(u64, u32)> {
        let Snapshots { left } = &self.snapshots;
        let mut carried: Vec<(u64, u32)> = left.iter().map(|(link, left)| (link.as_u64(), *left)).collect();
        carried.sort_unstable();
        carried
    }

    pub(super) fn restore_snapshots(&mut self, carried: Vec<(u64, u32)>) {
        let carried = carried.into_iter().filter(|(_, left)| *left > 0);
        self.snapshots.left = carried.map(|(link, left)| (SessionId::from_u64(link), left)).collect();
    }
}
