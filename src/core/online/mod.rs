//! Which users are online: the first session of a user in an app, anywhere on the server, brings it online, and it is offline when
//! the last one has been gone for a while.
//!
//! Every reactor knows when its own sessions of a user come to be and when the last of them goes, and tells the reactor that owns the
//! user: one reactor for each user, by a hash, as a group that remembers has one. The owner knows of each user which reactors
//! have sessions of it; what one reactor tells comes in the order in which it happened. A reactor that begins to tell, since a
//! link has begun to ask, tells all of its users first. Until all reactors have done that, the owner does not know whether a user
//! that comes is elsewhere already, and says so when it knows. In a cluster, the reactors of other nodes tell it too: see
//! [`elsewhere`]. Pure: knows nothing of links and envelopes.

mod elsewhere;

pub use elsewhere::Question;

use crate::cluster::PublisherKey;
use crate::cluster::online::UsersSaid;
use crate::dispatch::Operation;
use crate::hub::ReactorSet;
use crate::session::{AppId, Name};
use elsewhere::Elsewhere;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The users of whom a reactor is the owner.
#[derive(Debug, Default)]
pub struct Online {
    users: HashMap<(AppId, Name), User>,
    /// Users whose last session has gone, by when they are offline.
    due: BTreeSet<(u64, AppId, Name)>,
    /// The reactors that have told all of their users.
    known: ReactorSet,
    elsewhere: Elsewhere,
}

/// A user of whom something is known.
#[derive(Debug, Default)]
struct User {
    /// The reactors that have sessions of it.
    reactors: ReactorSet,
    /// The reactors of other nodes that have, by the numbers that [`Elsewhere`] gives them.
    elsewhere: SmallVec<[u32; 2]>,
    /// It came when not all had told their users: whether it is news is not known yet.
    is_unsure: bool,
    /// None has any: from when on it is offline, in milliseconds of the server's clock.
    until_ms: Option<u64>,
}

/// What a reactor tells of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserNews {
    /// It has a session of the user now.
    Came(AppId, Name),
    /// It has none any more.
    Went(AppId, Name),
    /// It has sessions of these, and of no others; from now on it tells what changes.
    All(Vec<(AppId, Name)>),
    /// It tells no more: no link asks.
    NoMore,
    /// It has heard what a reactor of another node tells of users in the app.
    Elsewhere(PublisherKey, AppId, UsersSaid),
}

/// What a reactor tells the owner of users.
#[derive(Debug)]
pub struct UserReport {
    /// Which reactor.
    pub reactor: usize,
    /// What it tells.
    pub news: UserNews,
    /// Done when the owner has heard it.
    pub operation: Option<Arc<Operation>>,
}

/// A user that is online now, or offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Its app.
    pub app: AppId,
    /// Its name.
    pub user: Name,
    /// Which.
    pub is_online: bool,
}

impl Online {
    /// One of `reactors` reactors tells something at `now_ms`. A user is offline `after_ms` after its last session has gone. How many
    /// users of other nodes are not kept, since they are too many.
    pub fn hear(
        &mut self,
        reactor: usize,
        news: UserNews,
        (reactors, now_ms): (usize, u64),
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) -> usize {
        match news {
            UserNews::Came(app, user) => self.came(reactor, (app, user), reactors, turned),
            UserNews::Went(app, user) => self.went(reactor, &(app, user), now_ms + after_ms(app)),
            UserNews::NoMore => {
                self.known.remove(reactor);
                match self.known.is_empty() {
                    // Nobody tells: what is due is nobody's business.
                    true => (self.users, self.due) = Default::default(),
                    false => self.forget(reactor),
                }
            }
            UserNews::All(users) => {
                self.forget(reactor);
                for key in users {
                    let Self { users, due, .. } = self;
                    let user = users.entry(key.clone()).or_default();
                    user.come(reactor, key, due);
                    user.is_unsure = false;
                }
                self.known.insert(reactor);
                if self.knows_all(reactors) {
                    self.settle(now_ms, after_ms, turned);
                }
            }
            UserNews::Elsewhere(teller, app, said) => {
                return self.hear_elsewhere((teller, app, said), (reactors, now_ms), after_ms, turned);
            }
        }
        0
    }

    fn knows_all(&self, reactors: usize) -> bool {
        self.known == ReactorSet::first(reactors)
    }

    /// Whether a user of the app that comes is known to be news, or none.
    fn knows_all_of(&self, app: AppId, reactors: usize) -> bool {
        self.knows_all(reactors) && self.elsewhere.awaits(app).is_none()
    }

    fn came(&mut self, reactor: usize, key: (AppId, Name), reactors: usize, turned: &mut Vec<Turned>) {
        let knows_all = self.knows_all_of(key.0, reactors);
        let Self { users, due, .. } = self;
        match users.entry(key.clone()) {
            Entry::Occupied(mut entry) => entry.get_mut().come(reactor, key, due),
            Entry::Vacant(entry) => {
                let (app, user) = key.clone();
                let entry = entry.insert(User { is_unsure: !knows_all, ..User::default() });
                entry.come(reactor, key, due);
                turned.extend(knows_all.then_some(Turned { app, user, is_online: true }));
            }
        }
    }

    fn went(&mut self, reactor: usize, key: &(AppId, Name), until_ms: u64) {
        let Some(user) = self.users.get_mut(key) else { return };
        user.reactors.remove(reactor);
        user.leave_if_gone(until_ms, key, &mut self.due);
    }

    /// What the reactor has told holds no longer.
    fn forget(&mut self, reactor: usize) {
        self.users.retain(|_, user| {
            user.reactors.remove(reactor);
            !user.is_gone() || user.until_ms.is_some() || user.is_unsure
        });
    }

    /// Every reactor has told its users: those that have come meanwhile were not there before. Of an app of which other nodes are still
    /// to tell it is not known yet.
    fn settle(&mut self, now_ms: u64, after_ms: impl Fn(AppId) -> u64, turned: &mut Vec<Turned>) {
        let Self { users, due, elsewhere, .. } = self;
        let unsure =
            users.iter_mut().filter(|((app, _), user)| user.is_unsure && elsewhere.awaits(*app).is_none());
        for (key, user) in unsure {
            user.is_unsure = false;
            turned.push(Turned { app: key.0, user: key.1.clone(), is_online: true });
            user.leave_if_gone(now_ms + after_ms(key.0), key, due);
        }
    }

    /// When the next user is offline, or other nodes are awaited no longer.
    pub fn next_ms(&self) -> Option<u64> {
        let due_ms = self.due.first().map(|(until_ms, ..)| *until_ms);
        due_ms.into_iter().chain(self.elsewhere.next_ms()).min()
    }

    /// The users that are offline by now. Of an app of which other nodes are still to tell, a user may be there.
    pub fn expire(
        &mut self,
        (reactors, now_ms): (usize, u64),
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) {
        if self.elsewhere.give_up(now_ms) && self.knows_all(reactors) {
            self.settle(now_ms, after_ms, turned);
        }
        while self.due.first().is_some_and(|(until_ms, ..)| *until_ms <= now_ms) {
            let Some((_, app, user)) = self.due.pop_first() else { return };
            let key = (app, user);
            if let Some(later_ms) = self.elsewhere.awaits(app) {
                self.users.entry(key.clone()).or_default().until_ms = Some(later_ms);
                self.due.insert((later_ms, key.0, key.1));
                continue;
            }
            self.users.remove(&key);
            turned.push(Turned { app, user: key.1, is_online: false });
        }
    }

    /// The users that will be offline, with when, in milliseconds of the server's clock: what another process goes on with. All
    /// else its reactors tell each other, and other nodes tell it: a user that only these have is offline unless they do.
    pub fn leaving(&self) -> impl Iterator<Item = (AppId, &Name, u64)> {
        let is_elsewhere =
            |user: &User| user.reactors.is_empty() && !user.elsewhere.is_empty() && !user.is_unsure;
        let elsewhere = self.users.iter().filter(move |(_, user)| is_elsewhere(user));
        let due = self.due.iter().map(|(until_ms, app, user)| (*app, user, *until_ms));
        due.chain(elsewhere.map(|((app, user), _)| (*app, user, 0)))
    }

    /// The user will be offline then, unless a session of it comes.
    pub fn restore(&mut self, app: AppId, user: Name, until_ms: u64) {
        let gone = User { until_ms: Some(until_ms), ..User::default() };
        if self.users.insert((app, user.clone()), gone).is_none() {
            self.due.insert((until_ms, app, user));
        }
    }
}

impl User {
    /// A reactor has sessions of it.
    fn come(&mut self, reactor: usize, (app, name): (AppId, Name), due: &mut BTreeSet<(u64, AppId, Name)>) {
        self.reactors.insert(reactor);
        self.stays((app, name), due);
    }

    /// It is not offline by itself any more.
    fn stays(&mut self, (app, name): (AppId, Name), due: &mut BTreeSet<(u64, AppId, Name)>) {
        if let Some(until_ms) = self.until_ms.take() {
            due.remove(&(until_ms, app, name));
        }
    }

    fn is_gone(&self) -> bool {
        self.reactors.is_empty() && self.elsewhere.is_empty()
    }

    /// If nobody has any more of it, it is offline from then on. Of one that is not told to be online it is not told that it is offline:
    /// that is for when it is known.
    fn leave_if_gone(
        &mut self,
        until_ms: u64,
        (app, name): &(AppId, Name),
        due: &mut BTreeSet<(u64, AppId, Name)>,
    ) {
        if self.is_gone() && !self.is_unsure && self.until_ms.is_none() {
            self.until_ms = Some(until_ms);
            due.insert((until_ms, *app, name.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
