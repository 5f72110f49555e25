//! Which users are online: the first session of a user in an app, anywhere on the server, brings it online, and it is offline when
//! the last one has been gone for a while.
//!
//! Every reactor knows when its own sessions of a user come to be and when the last of them goes, and tells the reactor that owns the
//! user: one reactor for each user, by a hash, as a group that remembers has one. The owner knows of each user which reactors
//! have sessions of it; what one reactor tells comes in the order in which it happened. A reactor that begins to tell, since a
//! link has begun to ask, tells all of its users first. Until all reactors have done that, the owner does not know whether a user
//! that comes is elsewhere already, and says so when it knows. Pure: knows nothing of links and envelopes.

use crate::dispatch::Operation;
use crate::hub::ReactorSet;
use crate::session::{AppId, Name};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
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
}

/// A user of whom something is known.
#[derive(Debug, Default)]
struct User {
    /// The reactors that have sessions of it.
    reactors: ReactorSet,
    /// It came when not every reactor had told its users: whether it is news is not known yet.
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
    /// One of `reactors` reactors tells something at `now_ms`. A user is offline `after_ms` after its last session has gone.
    pub fn hear(
        &mut self,
        reactor: usize,
        news: UserNews,
        (reactors, now_ms): (usize, u64),
        after_ms: impl Fn(AppId) -> u64,
        turned: &mut Vec<Turned>,
    ) {
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
        }
    }

    fn knows_all(&self, reactors: usize) -> bool {
        self.known == ReactorSet::first(reactors)
    }

    fn came(&mut self, reactor: usize, key: (AppId, Name), reactors: usize, turned: &mut Vec<Turned>) {
        let knows_all = self.knows_all(reactors);
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
        // Of one that is not told to be online it is not told that it is offline: that is for when it is known.
        if user.reactors.is_empty() && !user.is_unsure && user.until_ms.is_none() {
            user.until_ms = Some(until_ms);
            self.due.insert((until_ms, key.0, key.1.clone()));
        }
    }

    /// What the reactor has told holds no longer.
    fn forget(&mut self, reactor: usize) {
        self.users.retain(|_, user| {
            user.reactors.remove(reactor);
            !user.reactors.is_empty() || user.until_ms.is_some() || user.is_unsure
        });
    }

    /// Every reactor has told its users: those that have come meanwhile were not there before.
    fn settle(&mut self, now_ms: u64, after_ms: impl Fn(AppId) -> u64, turned: &mut Vec<Turned>) {
        for ((app, name), user) in self.users.iter_mut().filter(|(_, user)| user.is_unsure) {
            user.is_unsure = false;
            turned.push(Turned { app: *app, user: name.clone(), is_online: true });
            if user.reactors.is_empty() {
                let until_ms = now_ms + after_ms(*app);
                user.until_ms = Some(until_ms);
                self.due.insert((until_ms, *app, name.clone()));
            }
        }
    }

    /// When the next user is offline.
    pub fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|(until_ms, ..)| *until_ms)
    }

    /// The users that are offline by now.
    pub fn expire(&mut self, now_ms: u64, turned: &mut Vec<Turned>) {
        while self.next_ms().is_some_and(|until_ms| until_ms <= now_ms) {
            let Some((_, app, user)) = self.due.pop_first() else { return };
            let key = (app, user);
            self.users.remove(&key);
            turned.push(Turned { app, user: key.1, is_online: false });
        }
    }

    /// The users that will be offline, with when, in milliseconds of the server's clock: what another process goes on with. All
    /// else its reactors tell each other.
    pub fn leaving(&self) -> impl Iterator<Item = (AppId, &Name, u64)> {
        self.due.iter().map(|(until_ms, app, user)| (*app, user, *until_ms))
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
        if let Some(until_ms) = self.until_ms.take() {
            due.remove(&(until_ms, app, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(0);
    const AFTER_MS: u64 = 100;

    struct Owner {
        online: Online,
        reactors: usize,
        now_ms: u64,
    }

    impl Owner {
        /// The owner for so many reactors, all of which have told that they have nobody.
        fn knowing(reactors: usize) -> Self {
            let mut owner = Self { online: Online::default(), reactors, now_ms: 0 };
            for reactor in 0..reactors {
                assert_eq!(owner.hear(reactor, UserNews::All(Vec::new())), []);
            }
            owner
        }

        fn hear(&mut self, reactor: usize, news: UserNews) -> Vec<(String, bool)> {
            let mut turned = Vec::new();
            self.online.hear(reactor, news, (self.reactors, self.now_ms), |_| AFTER_MS, &mut turned);
            told(turned)
        }

        fn at(&mut self, now_ms: u64) -> Vec<(String, bool)> {
            let mut turned = Vec::new();
            self.now_ms = now_ms;
            self.online.expire(now_ms, &mut turned);
            told(turned)
        }
    }

    fn told(turned: Vec<Turned>) -> Vec<(String, bool)> {
        turned.into_iter().map(|turned| (turned.user.to_string(), turned.is_online)).collect()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn came(user: &str) -> UserNews {
        UserNews::Came(APP, name(user))
    }

    fn went(user: &str) -> UserNews {
        UserNews::Went(APP, name(user))
    }

    fn online(user: &str) -> Vec<(String, bool)> {
        vec![(user.to_owned(), true)]
    }

    fn offline(user: &str) -> Vec<(String, bool)> {
        vec![(user.to_owned(), false)]
    }

    #[test]
    fn the_first_session_anywhere_and_the_last_are_told_once() {
        let mut owner = Owner::knowing(2);
        assert_eq!(owner.hear(0, came("ada")), online("ada"));
        assert_eq!(owner.hear(1, came("ada")), []);
        assert_eq!(owner.hear(0, went("ada")), []);
        assert_eq!(owner.at(1_000), []);
        assert_eq!(owner.hear(1, went("ada")), []);
        assert_eq!((owner.at(1_099), owner.online.next_ms()), (vec![], Some(1_100)));
        assert_eq!((owner.at(1_100), owner.at(9_000)), (offline("ada"), vec![]));
        assert_eq!(owner.hear(1, came("ada")), online("ada"));
    }

    #[test]
    fn who_comes_back_in_time_was_never_away() {
        let mut owner = Owner::knowing(2);
        owner.hear(0, came("ada"));
        owner.hear(0, went("ada"));
        owner.at(99);
        assert_eq!(owner.hear(1, came("ada")), []);
        assert_eq!((owner.at(9_000), owner.online.next_ms()), (vec![], None));
        // The other order: what a reactor tells may be overtaken by what another one does.
        owner.hear(0, came("ada"));
        owner.hear(1, went("ada"));
        assert_eq!(owner.at(99_000), []);
    }

    #[test]
    fn what_is_not_known_yet_is_told_when_it_is() {
        let mut owner = Owner { online: Online::default(), reactors: 2, now_ms: 0 };
        owner.hear(1, UserNews::All(vec![(APP, name("bob"))]));
        assert_eq!(["ada", "bob", "eve"].map(|user| owner.hear(1, came(user))), [vec![], vec![], vec![]]);
        owner.hear(1, went("eve"));
        let mut all = owner.hear(0, UserNews::All(vec![(APP, name("ada")), (APP, name("cat"))]));
        all.sort();
        assert_eq!(all, online("eve"), "ada and bob were there");
        assert_eq!(owner.at(AFTER_MS), offline("eve"));
        owner.hear(0, went("cat"));
        assert_eq!(owner.at(2 * AFTER_MS), offline("cat"));
    }

    #[test]
    fn nothing_is_left_when_nobody_tells_any_more() {
        let mut owner = Owner::knowing(2);
        ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, came(user)), online(user)));
        owner.hear(0, went("bob"));
        [0, 1].into_iter().for_each(|reactor| assert_eq!(owner.hear(reactor, UserNews::NoMore), []));
        assert!(owner.online.users.is_empty() && owner.at(9_000).is_empty());
        // A reactor may begin again before another one has ended.
        assert_eq!(owner.hear(1, UserNews::All(vec![(APP, name("ada"))])), []);
        assert_eq!(owner.hear(0, UserNews::All(Vec::new())), []);
        assert_eq!(owner.hear(0, came("ada")), []);
    }

    #[test]
    fn who_is_leaving_goes_on_leaving_in_another_process() {
        let mut owner = Owner::knowing(1);
        ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, came(user)), online(user)));
        ["ada", "bob"].into_iter().for_each(|user| assert_eq!(owner.hear(0, went(user)), []));
        let mut next = Owner { online: Online::default(), reactors: 1, now_ms: 50 };
        for (app, user, until_ms) in owner.online.leaving() {
            next.online.restore(app, user.clone(), until_ms);
        }
        // Each reactor tells its users before it turns.
        assert_eq!(next.hear(0, UserNews::All(vec![(APP, name("bob"))])), []);
        assert_eq!(next.at(AFTER_MS), offline("ada"));
    }
}
