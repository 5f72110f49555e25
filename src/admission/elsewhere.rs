//! The places of a user's sessions as other nodes are told of them, which bound the user together.

use super::{Admission, Displaced};
use crate::config::PerUser;
use crate::session::{AppId, Name, SessionId};

impl Admission {
    /// How many sessions a user of the app may have, if that is bounded.
    pub fn per_user(&self, app: AppId) -> Option<PerUser> {
        Some(self.bounds.load().app(app).per_user).filter(|bound| bound.max > 0)
    }

    /// The user's session has its place since then, in microseconds since the Unix epoch: nodes tell each other.
    pub fn since(&self, app: AppId, user: &Name, id: SessionId, unix_us: u64) {
        if let Some(users) = self.bounds.load().app(app).places.users.get() {
            users.since(user, id, unix_us);
        }
    }

    /// The sessions of the user of which it is said since when they have their places, in microseconds since the Unix epoch.
    pub fn places(&self, app: AppId, user: &Name) -> Vec<(SessionId, u64)> {
        let places = self.bounds.load().app(app).places.users.get().map(|users| users.places(user));
        places.unwrap_or_default()
    }

    /// Those of `ids` that the user has lose their places as its sessions; they are the caller's to close.
    pub fn give_way(&self, app: AppId, user: &Name, ids: &[SessionId]) -> Displaced {
        let gone = self.bounds.load().app(app).places.users.get().map(|users| users.give_way(user, ids));
        gone.unwrap_or_default()
    }
}
