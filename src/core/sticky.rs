//! Groups that users are in, and not only sessions: each session of such a user joins them, whenever it comes. All reactors share the
//! table. It is looked at when a session opens, has another user or is the last of its user, and never on the way of a message.
//!
//! A change of the table and a session that comes cannot miss each other. A session is in the interest table before it looks here, and
//! an operation changes this table before it looks there: at least one of the two sees the other. Nothing has to wake up for a
//! user whose time is over: whoever looks next takes it out.

use crate::cluster::known::StickyUser;
use crate::dispatch::{CommandError, ErrorCode};
use crate::session::{AppId, Name};
use crate::upgrade::InvalidState;
use hashbrown::{HashMap, HashSet};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is configured of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StickyRule {
    /// How long a user is in its groups without a session, in milliseconds.
    pub ms: u64,
    /// Pairs of a user and a group.
    pub most: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sticky {
    /// Whether there is any pair: most servers have none, and nobody waits for the lock there.
    any: AtomicBool,
    table: Mutex<Table>,
}

/// A user or a group of an app.
type Key = (AppId, Name);

#[derive(Debug, Default)]
struct Table {
    /// No user is without a group.
    users: HashMap<Key, User>,
    /// The users of each group; no group is without one.
    groups: HashMap<Key, HashSet<Name>>,
    /// Users without a session, by when they leave.
    due: BTreeSet<(u64, AppId, Name)>,
    /// Pairs by app.
    pairs: BTreeMap<AppId, usize>,
}

#[derive(Debug, Default)]
struct User {
    groups: BTreeSet<Name>,
    /// It has no session: when it leaves, in milliseconds of the server's clock. It is in `due` then.
    until_ms: Option<u64>,
}

impl Sticky {
    /// The users are in the groups from `now_ms` on; `has_session` says of each whether it has one.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] where the app would have more pairs than it may have: nothing has changed then.
    pub fn add(
        &self,
        app: AppId,
        (users, groups): (&[Name], &[Name]),
        rule: StickyRule,
        now_ms: u64,
        has_session: impl Fn(&Name) -> bool,
    ) -> Result<(), CommandError> {
        let mut table = self.lock(now_ms);
        let new_of = |user: &Name| match table.users.get(&(app, user.clone())) {
            None => groups.len(),
            Some(user) => groups.iter().filter(|group| !user.groups.contains(*group)).count(),
        };
        let new: usize = users.iter().map(new_of).sum();
        let StickyRule { ms, most } = rule;
        if new > 0 && table.pairs.get(&app).copied().unwrap_or_default() + new > most {
            let message = format!(
                "the app may have {most} pairs of a user and a sticky group: have users leave some, or raise apps.NAME.max_sticky"
            );
            return Err(CommandError::new(ErrorCode::RateLimited, message));
        }
        users.iter().for_each(|user| groups.iter().for_each(|group| table.put(app, user, group)));
        self.any.store(!table.users.is_empty(), Ordering::Relaxed);
        // Before the interest table is read: see the module.
        fence(Ordering::SeqCst);
        for user in users {
            table.leaves_at(app, user, (!has_session(user)).then(|| now_ms.saturating_add(ms)));
        }
        Ok(())
    }

    /// The users are in none of the groups any more.
    pub fn leave(&self, app: AppId, users: &[Name], groups: &[Name], now_ms: u64) {
        self.change(now_ms, |table| {
            users.iter().for_each(|user| groups.iter().for_each(|group| table.take(app, user, group)));
        });
    }

    /// Of the groups that begin with `prefix` the users are in none but `groups` any more.
    pub fn keep_only(&self, app: AppId, users: &[Name], groups: &[Name], prefix: &str, now_ms: u64) {
        self.change(now_ms, |table| {
            for user in users {
                let own = table.groups_of(app, user);
                let lost = own.iter().filter(|group| group.starts_with(prefix) && !groups.contains(group));
                lost.for_each(|group| table.take(app, user, group));
            }
        });
    }

    /// No user is in the group any more; whether any was.
    pub fn destroy(&self, app: AppId, group: &Name, now_ms: u64) -> bool {
        self.change(now_ms, |table| {
            let users = table.users_of(app, group);
            users.iter().for_each(|user| table.take(app, user, group));
            !users.is_empty()
        })
    }

    /// The users that are in the group `from` are in the group `to` instead; whether there are any.
    pub fn move_all(&self, app: AppId, from: &Name, to: &Name, now_ms: u64) -> bool {
        self.change(now_ms, |table| {
            let users = table.users_of(app, from);
            users.iter().for_each(|user| table.replace(app, user, from, to));
            !users.is_empty()
        })
    }

    /// The same of these users alone.
    pub fn move_some(&self, app: AppId, users: &[Name], from: &Name, to: &Name, now_ms: u64) {
        self.change(now_ms, |table| users.iter().for_each(|user| table.replace(app, user, from, to)));
    }

    /// A session of the user has come, and is in the interest table: the groups that it is to be in.
    pub fn came(&self, app: AppId, user: &Name, now_ms: u64) -> Vec<Name> {
        if !self.has_any() {
            return Vec::new();
        }
        self.change(now_ms, |table| {
            table.leaves_at(app, user, None);
            table.groups_of(app, user)
        })
    }

    /// A reactor has no session of the user any more, and the interest table says so; `has_session` says whether another one has.
    pub fn went(&self, app: AppId, user: &Name, ms: u64, now_ms: u64, has_session: impl Fn() -> bool) {
        if self.has_any() {
            self.change(now_ms, |table| {
                if !has_session() {
                    table.leaves_at(app, user, Some(now_ms.saturating_add(ms)));
                }
            });
        }
    }

    /// The groups that the user is in.
    pub fn groups_of(&self, app: AppId, user: &Name, now_ms: u64) -> Vec<Name> {
        if !self.has_any() {
            return Vec::new();
        }
        self.change(now_ms, |table| table.groups_of(app, user))
    }

    /// The users of an app and the groups that they are in, for other nodes.
    pub fn known(&self, app: AppId, now_ms: u64) -> Vec<StickyUser> {
        let table = self.lock(now_ms);
        let users = table.users.iter().filter(|((of, _), _)| *of == app);
        let known = users.map(|((_, user), of)| StickyUser {
            user: user.clone(),
            groups: of.groups.iter().cloned().collect(),
        });
        known.collect()
    }

    /// How many pairs an app has.
    pub fn pairs(&self, app: AppId, now_ms: u64) -> usize {
        self.change(now_ms, |table| table.pairs.get(&app).copied().unwrap_or_default())
    }

    /// Whether there is any pair, for one that has changed the interest table before.
    pub fn has_any(&self) -> bool {
        // See the module.
        fence(Ordering::SeqCst);
        self.any.load(Ordering::Relaxed)
    }

    /// As they are carried, where there are any.
    pub fn carry(&self) -> Option<CarriedSticky> {
        let table = self.lock(0);
        let users = table.users.iter().map(|((app, user), User { groups, until_ms })| CarriedUser {
            app: app.0,
            user: user.as_str().into(),
            groups: groups.iter().map(|group| group.as_str().into()).collect(),
            until_ms: *until_ms,
        });
        let users: Vec<CarriedUser> = users.collect();
        (!users.is_empty()).then_some(CarriedSticky(users))
    }

    /// Goes on from those of another process, of which every session has arrived. A session may have been lost on the way: a user
    /// without one leaves in its time, which `ms_of` says for each of the apps that there are.
    ///
    /// # Errors
    /// A name that is none, or an app that did not come.
    pub fn go_on_from(
        &self,
        carried: CarriedSticky,
        now_ms: u64,
        ms_of: impl Fn(AppId) -> Option<u64>,
        has_session: impl Fn(AppId, &Name) -> bool,
    ) -> Result<(), InvalidState> {
        let name = |text: Box<str>| Name::new(&text).map_err(|error| InvalidState::new(error.to_string()));
        // What is due by now leaves behind this.
        let mut table = self.lock(0);
        for CarriedUser { app, user, groups, until_ms } in carried.0 {
            let (app, user) = (AppId(app), name(user)?);
            let ms =
                ms_of(app).ok_or_else(|| InvalidState::new("a sticky user of an app that did not come"))?;
            for group in groups {
                table.put(app, &user, &name(group)?);
            }
            let ends = (!has_session(app, &user)).then(|| until_ms.unwrap_or(now_ms.saturating_add(ms)));
            table.leaves_at(app, &user, ends);
        }
        self.any.store(!table.users.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    fn change<T>(&self, now_ms: u64, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.lock(now_ms);
        let changed = change(&mut table);
        self.any.store(!table.users.is_empty(), Ordering::Relaxed);
        changed
    }

    /// The table without the users whose time is over at `now_ms`.
    fn lock(&self, now_ms: u64) -> MutexGuard<'_, Table> {
        // What a holder that panicked left may count a pair too many, which its user takes along.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.expire(now_ms);
        table
    }
}

impl Table {
    fn put(&mut self, app: AppId, user: &Name, group: &Name) {
        if self.users.entry((app, user.clone())).or_default().groups.insert(group.clone()) {
            self.groups.entry((app, group.clone())).or_default().insert(user.clone());
            *self.pairs.entry(app).or_default() += 1;
        }
    }

    fn take(&mut self, app: AppId, user: &Name, group: &Name) {
        let key = (app, user.clone());
        let Some(known) = self.users.get_mut(&key) else { return };
        if !known.groups.remove(group) {
            return;
        }
        if known.groups.is_empty() {
            if let Some(until_ms) = known.until_ms {
                self.due.remove(&(until_ms, app, user.clone()));
            }
            self.users.remove(&key);
        }
        let group = (app, group.clone());
        if let Some(users) = self.groups.get_mut(&group) {
            users.remove(user);
            if users.is_empty() {
                self.groups.remove(&group);
            }
        }
        if let Some(pairs) = self.pairs.get_mut(&app) {
            *pairs -= 1;
        }
    }

    /// The user is in the group `to` where it is in the group `from`. Its time goes on.
    fn replace(&mut self, app: AppId, user: &Name, from: &Name, to: &Name) {
        let is_in = self.users.get(&(app, user.clone())).is_some_and(|user| user.groups.contains(from));
        if is_in && from != to {
            // In this order the user is never without a group.
            self.put(app, user, to);
            self.take(app, user, from);
        }
    }

    fn groups_of(&self, app: AppId, user: &Name) -> Vec<Name> {
        let user = self.users.get(&(app, user.clone()));
        user.map_or_else(Vec::new, |user| user.groups.iter().cloned().collect())
    }

    fn users_of(&self, app: AppId, group: &Name) -> Vec<Name> {
        let users = self.groups.get(&(app, group.clone()));
        users.map_or_else(Vec::new, |users| users.iter().cloned().collect())
    }

    /// The user, if it is in any group, leaves then; `None`: it has a session.
    fn leaves_at(&mut self, app: AppId, user: &Name, until_ms: Option<u64>) {
        let Some(known) = self.users.get_mut(&(app, user.clone())) else { return };
        if let Some(before_ms) = std::mem::replace(&mut known.until_ms, until_ms) {
            self.due.remove(&(before_ms, app, user.clone()));
        }
        self.due.extend(until_ms.map(|until_ms| (until_ms, app, user.clone())));
    }

    fn expire(&mut self, now_ms: u64) {
        while self.due.first().is_some_and(|(until_ms, ..)| *until_ms <= now_ms) {
            let Some((_, app, user)) = self.due.pop_first() else { return };
            for group in self.groups_of(app, &user) {
                self.take(app, &user, &group);
            }
        }
    }
}

/// [`Sticky`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CarriedSticky(#[n(0)] Vec<CarriedUser>);

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedUser {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Box<str>,
    #[n(2)]
    groups: Vec<Box<str>>,
    /// It has no session: when it leaves, in milliseconds of the server's clock.
    #[n(3)]
    until_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(0);
    const RULE: StickyRule = StickyRule { ms: 100, most: 4 };

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::new(text).unwrap()).collect()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// The users are in the groups at `now_ms`, with a session.
    fn add(sticky: &Sticky, users: &[&str], groups: &[&str], now_ms: u64) -> Result<(), ErrorCode> {
        let added = sticky.add(APP, (&names(users), &names(groups)), RULE, now_ms, |_| true);
        added.map_err(|error| error.code)
    }

    fn groups(sticky: &Sticky, user: &str, now_ms: u64) -> Vec<String> {
        sticky.groups_of(APP, &name(user), now_ms).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_user_without_a_session_leaves_in_its_time_unless_one_comes() {
        let sticky = Sticky::default();
        add(&sticky, &["ada", "bob"], &["g"], 0).unwrap();
        sticky.went(APP, &name("ada"), 100, 50, || true);
        assert_eq!(groups(&sticky, "ada", 1_000), ["g"], "another reactor has one");
        sticky.went(APP, &name("ada"), 100, 1_000, || false);
        assert_eq!(sticky.came(APP, &name("ada"), 1_099), names(&["g"]));
        assert_eq!(groups(&sticky, "ada", 9_000), ["g"]);
        sticky.went(APP, &name("ada"), 100, 9_000, || false);
        assert_eq!((sticky.pairs(APP, 9_099), sticky.pairs(APP, 9_100)), (2, 1));
        assert!(sticky.came(APP, &name("ada"), 9_100).is_empty() && sticky.has_any());
        sticky.went(APP, &name("bob"), 0, 9_200, || false);
        assert_eq!((groups(&sticky, "bob", 9_200), sticky.has_any()), (vec![], false));
    }

    #[test]
    fn a_user_that_has_no_session_yet_has_as_long() {
        let sticky = Sticky::default();
        let pair = (names(&["ada"]), names(&["g"]));
        sticky.add(APP, (&pair.0, &pair.1), RULE, 10, |_| false).unwrap();
        assert_eq!(groups(&sticky, "ada", 109), ["g"]);
        // To be joined again begins anew.
        sticky.add(APP, (&pair.0, &pair.1), RULE, 109, |_| false).unwrap();
        assert_eq!((groups(&sticky, "ada", 208).len(), groups(&sticky, "ada", 209).len()), (1, 0));
    }

    #[test]
    fn what_is_left_destroyed_and_moved_is_so_for_those_that_come() {
        let sticky = Sticky::default();
        add(&sticky, &["ada", "bob"], &["m:1", "x"], 0).unwrap();
        sticky.keep_only(APP, &names(&["ada"]), &names(&["m:2"]), "m:", 0);
        assert_eq!(groups(&sticky, "ada", 0), ["x"]);
        sticky.move_some(APP, &names(&["ada", "bob"]), &name("m:1"), &name("m:3"), 0);
        assert_eq!(
            (groups(&sticky, "ada", 0), groups(&sticky, "bob", 0)),
            (vec!["x".into()], vec!["m:3".into(), "x".into()])
        );
        assert!(sticky.move_all(APP, &name("x"), &name("m:3"), 0));
        assert!(sticky.move_all(APP, &name("m:3"), &name("m:3"), 0));
        assert_eq!(
            (groups(&sticky, "ada", 0), groups(&sticky, "bob", 0)),
            (vec!["m:3".into()], vec!["m:3".into()])
        );
        assert_eq!(sticky.pairs(APP, 0), 2, "one that was in both is in one");
        sticky.leave(APP, &names(&["ada", "eve"]), &names(&["m:3", "y"]), 0);
        assert!(!sticky.destroy(APP, &name("x"), 0) && sticky.destroy(APP, &name("m:3"), 0));
        assert_eq!((sticky.pairs(APP, 0), sticky.has_any()), (0, false));
        assert!(sticky.lock(0).groups.is_empty() && sticky.lock(0).due.is_empty());
    }

    #[test]
    fn an_app_has_as_many_pairs_as_it_may_and_a_join_beyond_that_changes_nothing() {
        let sticky = Sticky::default();
        add(&sticky, &["ada"], &["a", "b", "c"], 0).unwrap();
        assert_eq!(add(&sticky, &["ada", "bob"], &["c", "d"], 0), Err(ErrorCode::RateLimited));
        assert_eq!((sticky.pairs(APP, 0), groups(&sticky, "bob", 0)), (3, vec![]));
        add(&sticky, &["ada"], &["a", "b", "c", "d"], 0).unwrap();
        // What is there already takes no more room.
        add(&sticky, &["ada"], &["d"], 0).unwrap();
        let other = sticky.add(AppId(1), (&names(&["ada"]), &names(&["a"])), RULE, 0, |_| true);
        assert_eq!((other, sticky.pairs(AppId(1), 0)), (Ok(()), 1));
    }

    #[test]
    fn another_process_goes_on_with_them_and_with_the_time_of_those_that_have_gone() {
        let sticky = Sticky::default();
        add(&sticky, &["ada", "bob", "eve"], &["g"], 0).unwrap();
        sticky.went(APP, &name("bob"), 100, 50, || false);
        let state = minicbor::to_vec(sticky.carry().unwrap()).unwrap();
        let next = Sticky::default();
        let carried: CarriedSticky = minicbor::decode(&state).unwrap();
        // The session of eve is lost on the way.
        let is_here = |_, user: &Name| user.as_str() == "ada";
        next.go_on_from(carried.clone(), 120, |app| (app == APP).then_some(100), is_here).unwrap();
        let there = |now_ms| ["ada", "bob", "eve"].map(|user| groups(&next, user, now_ms).len());
        assert_eq!((there(149), there(150), there(220)), ([1, 1, 1], [1, 0, 1], [1, 0, 0]));
        assert!(Sticky::default().go_on_from(carried, 0, |_| None, is_here).is_err());
        assert!(Sticky::default().carry().is_none());
    }
}
