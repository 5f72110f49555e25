//! What this node asks the others of their users, and which other nodes ask this one and how far they have been told. Those that ask are
//! told all users of a reactor in pages, one a turn at the most, and what changes meanwhile between them: a user behind the last page is told
//! with a later one, and one before it, as a change.

use crate::cluster::Member;
use crate::dispatch::Apps;
use crate::hub::Hub;
use crate::session::{AppId, Name};
use crate::timer::Clock;
use hashbrown::HashSet;
use std::sync::{Mutex, PoisonError};

/// So many nodes that have gone are remembered; with one more all others are asked anew, and none need be.
const GONE_REMEMBERED: usize = 1_024;

/// What this node asks the others.
#[derive(Debug, Default)]
pub struct UsersAsked(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// With another number all is told again.
    number: u64,
    /// The names of the apps.
    apps: Vec<String>,
    /// Nodes that have gone, of which nothing is known any more: should one of them be there again, it is asked anew.
    gone: HashSet<u64>,
}

impl UsersAsked {
    fn with<T>(&self, change: impl FnOnce(&mut Asked) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What heartbeats say of it.
    pub fn told(&self) -> (Vec<String>, u64) {
        self.with(|asked| (asked.apps.clone(), asked.number))
    }

    /// Links ask about these apps from now on.
    pub fn ask(&self, apps: Vec<String>) {
        self.with(|asked| {
            if asked.apps != apps {
                asked.apps = apps;
                asked.is_new();
            }
        });
    }

    /// Something of what was told may be lost.
    pub fn ask_again(&self) {
        self.with(Asked::is_new);
    }

    /// A node is no more, as far as is known.
    pub fn node_went(&self, incarnation: u64) {
        self.with(|asked| {
            if asked.apps.is_empty() {
                return;
            }
            if asked.gone.len() == GONE_REMEMBERED {
                asked.is_new();
            }
            asked.gone.insert(incarnation);
        });
    }

    /// A node is there.
    pub fn node_came(&self, incarnation: u64) {
        self.with(|asked| {
            if asked.gone.contains(&incarnation) {
                asked.is_new();
            }
        });
    }
}

impl Asked {
    fn is_new(&mut self) {
        // A process that goes on from this one counts on.
        self.number = Clock::wall_unix_ms().max(self.number + 1);
        self.gone.clear();
    }
}

/// Another node that asks.
#[derive(Debug)]
pub struct Asker {
    pub node: u16,
    pub incarnation: u64,
    number: u64,
    /// The apps, and which of this node's they are, if it has them.
    pub apps: Vec<(String, Option<AppId>)>,
    /// How far it has been told all users of this reactor.
    told: Told,
    /// Before that it is not told again, in milliseconds of the server's clock.
    not_before_ms: u64,
}

/// How far a node has been told all users of a reactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Not at all, or something of it was lost.
    Nothing,
    /// All in front of the set with this number.
    Before(u32),
    All,
}

/// A part of all users of a reactor.
#[derive(Debug, PartialEq, Eq)]
pub struct UsersPage {
    /// Of each app that is asked about, by its name.
    pub apps: Vec<(String, Vec<(Name, bool)>)>,
    /// It is the first one.
    pub begins: bool,
    /// It is the last one.
    pub ends: bool,
}

impl Asker {
    /// The node that has said this of itself. What it was told stands in `before`, if it asks as it did then.
    pub fn new(member: &Member, apps: &Apps, before: &[Self]) -> Self {
        let number = member.said.asked;
        let is_same = |asker: &&Self| asker.incarnation == member.incarnation && asker.number == number;
        let before = before.iter().find(is_same);
        Self {
            node: member.node,
            incarnation: member.incarnation,
            number,
            apps: member.said.asks_users.iter().map(|name| (name.clone(), apps.find(name).ok())).collect(),
            told: before.map_or(Told::Nothing, |asker| asker.told),
            not_before_ms: before.map_or(0, |asker| asker.not_before_ms),
        }
    }

    /// Whether it is to be told something now.
    pub fn is_due(&self, now_ms: u64) -> bool {
        match self.told {
            Told::Nothing => self.not_before_ms <= now_ms,
            Told::Before(_) => true,
            Told::All => false,
        }
    }

    /// Something that it was told may be lost: it is told all again, though not at once again and again.
    pub fn may_have_lost(&mut self) {
        self.told = Told::Nothing;
    }

    /// What it is told next, of so many sets of the hub. It is not told again from the beginning before `again_ms`.
    pub fn next_page(&mut self, hub: &Hub, most: usize, again_ms: u64) -> UsersPage {
        let from = match self.told {
            Told::Before(number) => number,
            Told::Nothing | Told::All => {
                self.not_before_ms = again_ms;
                0
            }
        };
        let begins = !matches!(self.told, Told::Before(_));
        let mut apps: Vec<_> = self.apps.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        let next = hub.users_from(from, most, |app, user| {
            let asked = self.apps.iter().zip(&mut apps).filter(|((_, asked), _)| *asked == Some(app));
            asked.for_each(|(_, (_, users))| users.push((user.clone(), true)));
        });
        self.told = next.map_or(Told::All, Told::Before);
        UsersPage { apps, begins, ends: next.is_none() }
    }

    /// Whether it asks about the app.
    pub fn asks_about(&self, app: AppId) -> bool {
        self.apps.iter().any(|(_, asked)| *asked == Some(app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Xorshift;
    use crate::hub::{Interest, Kind};
    use crate::session::SessionId;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn number(asked: &UsersAsked) -> u64 {
        asked.told().1
    }

    #[test]
    fn all_is_asked_anew_when_a_node_is_back_and_when_other_apps_are_asked_about() {
        let asked = UsersAsked::default();
        asked.node_went(1);
        asked.node_came(1);
        assert_eq!(asked.told(), (vec![], 0), "nothing is asked");
        asked.ask(vec!["chess".to_owned()]);
        let first = number(&asked);
        asked.ask(vec!["chess".to_owned()]);
        asked.node_came(1);
        assert_eq!(number(&asked), first, "that is asked already, and the node is new");
        asked.node_went(1);
        asked.node_came(1);
        let second = number(&asked);
        asked.node_came(1);
        assert!(second > first && number(&asked) == second);
        // So many go that not all of them are remembered.
        (0..=GONE_REMEMBERED as u64).for_each(|node| asked.node_went(node));
        let third = number(&asked);
        asked.node_came(0);
        assert!(third > second && number(&asked) == third);
        asked.node_came(GONE_REMEMBERED as u64);
        assert!(number(&asked) > third);
    }

    const APP: AppId = AppId(0);

    fn asker() -> Asker {
        let apps = vec![("chess".to_owned(), Some(APP)), ("none".to_owned(), None)];
        Asker { node: 1, incarnation: 2, number: 3, apps, told: Told::Nothing, not_before_ms: 0 }
    }

    /// A node that asks, and one that it asks: sessions come and go here, and what is told of that is heard there.
    struct World {
        hub: Hub,
        asker: Asker,
        knows: BTreeSet<Name>,
        /// Of what was known before, what has not been told again.
        left: Option<BTreeSet<Name>>,
    }

    impl World {
        /// The session in the slot is of another app, of a user or of nobody, or is no more.
        fn change(&mut self, slot: u32, app: Option<AppId>, user: Option<&str>) {
            let before = self.hub.app_of(slot).zip(self.hub.user_of(slot).cloned());
            self.hub.remove(slot);
            if let Some((APP, user)) = before {
                self.tell_if(|sessions| sessions == 0, user, false);
            }
            let Some(app) = app else { return };
            self.hub.insert(SessionId::new(1, 0, 0, slot), app);
            let user = user.map(|user| Name::new(user).unwrap());
            self.hub.bind(slot, user.as_ref());
            self.hub.join(slot, &Name::new("red").unwrap());
            if let Some(user) = user.filter(|_| app == APP) {
                self.tell_if(|sessions| sessions == 1, user, true);
            }
        }

        fn tell_if(&mut self, is_news: impl Fn(usize) -> bool, user: Name, is_here: bool) {
            if is_news(self.hub.members(APP, Kind::User, &user).len()) {
                self.hear(user, is_here);
            }
        }

        fn hear(&mut self, user: Name, is_here: bool) {
            self.left.iter_mut().for_each(|left| _ = left.remove(&user));
            match is_here {
                true => self.knows.insert(user),
                false => self.knows.remove(&user),
            };
        }

        /// Hears a page, if it is not lost; how many users are in it.
        fn page(&mut self, most: usize, is_lost: bool) -> usize {
            let UsersPage { apps, begins, ends } = self.asker.next_page(&self.hub, most, 1_000);
            assert!(apps[1].1.is_empty(), "nobody is in an app that there is not");
            let count = apps[0].1.len();
            assert!(count <= most);
            if is_lost {
                self.asker.may_have_lost();
                return count;
            }
            if begins {
                self.left = Some(self.knows.clone());
            }
            apps.into_iter()
                .flat_map(|(_, users)| users)
                .for_each(|(user, is_here)| self.hear(user, is_here));
            if ends {
                let gone = self.left.take().unwrap();
                self.knows.retain(|user| !gone.contains(user));
            }
            count
        }

        fn users(&self) -> BTreeSet<Name> {
            self.hub.users().filter(|(app, _)| *app == APP).map(|(_, user)| user.clone()).collect()
        }
    }

    #[test]
    fn nobody_is_missed_who_comes_goes_or_stays_while_all_users_are_told_page_by_page() {
        for seed in 1..300 {
            let mut random = Xorshift(seed);
            let hub = Hub::new(0, Arc::new(Interest::new(1, 1)));
            let mut world = World { hub, asker: asker(), knows: BTreeSet::new(), left: None };
            let change = |world: &mut World, random: &mut Xorshift| {
                let user = format!("u{}", random.below(12));
                match random.below(8) {
                    0 | 1 => world.change(random.below(30), None, None),
                    2 => world.change(random.below(30), Some(AppId(1)), Some(&user)),
                    3 => world.change(random.below(30), Some(APP), None),
                    _ => world.change(random.below(30), Some(APP), Some(&user)),
                }
            };
            (0..60).for_each(|_| change(&mut world, &mut random));
            // What is known of before is old, and some of it wrong.
            world.knows = ["u1", "u2", "was", "it"].map(|user| Name::new(user).unwrap()).into();
            let most = 1 + random.below(5) as usize;
            let mut lost = random.below(3);
            while world.asker.is_due(1_000) {
                let is_lost = lost > 0 && random.below(4) == 0;
                lost -= u32::from(is_lost);
                world.page(most, is_lost);
                (0..random.below(4)).for_each(|_| change(&mut world, &mut random));
            }
            assert_eq!(world.knows, world.users(), "seed {seed}");
            (0..60).for_each(|_| change(&mut world, &mut random));
            assert_eq!(world.knows, world.users(), "seed {seed}");
        }
    }

    #[test]
    fn a_page_is_as_large_as_it_may_be_and_what_was_lost_is_told_again_later() {
        let hub = Hub::new(0, Arc::new(Interest::new(1, 1)));
        let mut world = World { hub, asker: asker(), knows: BTreeSet::new(), left: None };
        (0..100).for_each(|slot| world.change(slot, Some(APP), Some(&format!("u{slot}"))));
        world.knows.clear();
        let mut pages = Vec::new();
        while world.asker.is_due(0) {
            pages.push(world.page(10, false));
        }
        // The app and the group are looked at too.
        assert_eq!((pages.len(), pages.iter().sum::<usize>()), (11, 100));
        assert_eq!(world.knows.len(), 100);
        world.asker.may_have_lost();
        assert!(!world.asker.is_due(999) && world.asker.is_due(1_000));
    }
}
