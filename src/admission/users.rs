//! The sessions of each user of an app, on all reactors, where an app bounds them.

use super::sharded::Sharded;
use crate::config::{PerUser, PerUserPolicy};
use crate::session::{Name, SessionId};
use smallvec::SmallVec;

/// Sessions that have to go for a newer one.
pub type Displaced = SmallVec<[SessionId; 1]>;

/// Which sessions each user has, the oldest first.
#[derive(Debug)]
pub struct UserSessions {
    /// No entry is empty.
    sessions: Sharded<Name, Held>,
}

/// The sessions of one user.
#[derive(Debug, Default)]
struct Held {
    /// The oldest first.
    places: SmallVec<[Place; 2]>,
    /// Before this they are not asked again whether they are still there, in milliseconds of the server's clock.
    probe_ms: u64,
}

/// The place of a session.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: SessionId,
    /// When it was taken, in microseconds since the Unix epoch; 0 where nobody has said so.
    since_unix_us: u64,
}

impl Place {
    fn of(id: SessionId) -> Self {
        Self { id, since_unix_us: 0 }
    }
}

impl Held {
    fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.places.iter().map(|place| place.id)
    }

    fn has(&self, id: SessionId) -> bool {
        self.ids().any(|held| held == id)
    }
}

impl UserSessions {
    /// Users who have several sessions, with these in the order in which they came, for another process.
    pub fn carry(&self) -> Vec<(Name, Vec<u64>)> {
        let mut carried = Vec::new();
        self.sessions.each(|user, held| {
            if held.places.len() > 1 {
                carried.push((user.clone(), held.ids().map(|id| id.as_u64()).collect()));
            }
        });
        carried
    }

    /// Puts the sessions of a user into the order in which they came in another process; those that are not named go last.
    pub fn put_in_order(&self, user: &Name, ids: &[u64]) {
        self.sessions.with(user, |sessions| {
            let place =
                |place: &Place| ids.iter().position(|other| *other == place.id.as_u64()).unwrap_or(ids.len());
            if let Some(held) = sessions.get_mut(user) {
                held.places.sort_by_key(place);
            }
        });
    }

    /// Nobody has any yet.
    pub fn new() -> Self {
        Self { sessions: Sharded::new() }
    }

    /// The user has one more session, unless that is refused by `bound`: `None`. The sessions that it takes the place of are no longer
    /// counted, and are the caller's to close.
    pub fn enter(&self, bound: PerUser, user: &Name, id: SessionId) -> Option<Displaced> {
        self.sessions.with(user, |sessions| {
            let held = &mut sessions.entry(user.clone()).or_default().places;
            let most = if bound.max == 0 { usize::MAX } else { bound.max };
            let surplus = (held.len() + 1).saturating_sub(most);
            if surplus > 0 && bound.policy == PerUserPolicy::Refuse {
                return None;
            }
            let displaced = held.drain(..surplus).map(|place| place.id).collect();
            held.push(Place::of(id));
            Some(displaced)
        })
    }

    /// The user has had the session since before sessions were counted.
    pub fn count_in(&self, user: &Name, id: SessionId) {
        self.sessions.with(user, |sessions| {
            let held = sessions.entry(user.clone()).or_default();
            if !held.has(id) {
                held.places.push(Place::of(id));
            }
        });
    }

    /// The sessions of the user, the oldest first, where they are to be asked at `now_ms` of the server's clock whether they are still
    /// there: that is once in `every_ms`, however often the user is refused another.
    pub fn probe(&self, user: &Name, now_ms: u64, every_ms: u64) -> Displaced {
        self.sessions.with(user, |sessions| match sessions.get_mut(user) {
            Some(held) if held.probe_ms <= now_ms => {
                held.probe_ms = now_ms + every_ms;
                held.ids().collect()
            }
            _ => Displaced::new(),
        })
    }

    /// The user no longer has the session; nothing happens if it has been displaced.
    /// Returns whether it had.
    pub fn leave(&self, user: &Name, id: SessionId) -> bool {
        self.sessions.with(user, |sessions| {
            let Some(Held { places: held, .. }) = sessions.get_mut(user) else { return false };
            let before = held.len();
            held.retain(|held| held.id != id);
            let had = held.len() < before;
            if held.is_empty() {
                sessions.remove(user);
            } else if held.spilled() && held.len() <= held.capacity() / 4 {
                held.shrink_to_fit();
            }
            had
        })
    }

    /// The user's session has its place since then, in microseconds since the Unix epoch, and later than any that came before it on
    /// this node.
    pub fn since(&self, user: &Name, id: SessionId, unix_us: u64) {
        self.sessions.with(user, |sessions| {
            let Some(held) = sessions.get_mut(user) else { return };
            let mut latest_us = 0;
            for place in &mut held.places {
                if place.id == id {
                    place.since_unix_us = unix_us.max(latest_us + 1);
                    return;
                }
                latest_us = latest_us.max(place.since_unix_us);
            }
        });
    }

    /// The sessions of the user of which it is said since when they have their places, in microseconds since the Unix epoch.
    pub fn places(&self, user: &Name) -> Vec<(SessionId, u64)> {
        self.sessions.with(user, |sessions| {
            let places = sessions.get(user).into_iter().flat_map(|held| &held.places);
            let said = places.filter(|place| place.since_unix_us > 0);
            said.map(|place| (place.id, place.since_unix_us)).collect()
        })
    }

    /// Those of `ids` that the user has lose their places: they are no longer counted, and are the caller's to close.
    pub fn give_way(&self, user: &Name, ids: &[SessionId]) -> Displaced {
        let mut had = Displaced::new();
        self.sessions.with(user, |sessions| {
            had.extend(sessions.get(user).into_iter().flat_map(Held::ids).filter(|id| ids.contains(id)));
        });
        had.retain(|id| self.leave(user, *id));
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bounded {
        users: UserSessions,
        bound: PerUser,
    }

    impl Bounded {
        fn enter(&self, user: &Name, id: SessionId) -> Option<Displaced> {
            self.users.enter(self.bound, user, id)
        }

        fn leave(&self, user: &Name, id: SessionId) {
            self.users.leave(user, id);
        }
    }

    fn users(max: usize, policy: PerUserPolicy) -> Bounded {
        Bounded { users: UserSessions::new(), bound: PerUser { max, policy } }
    }

    fn id(slot: u32) -> SessionId {
        SessionId::new(0, 0, 0, slot)
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn one_too_many_is_refused() {
        let (users, ada) = (users(2, PerUserPolicy::Refuse), name("ada"));
        let none = Displaced::new();
        assert_eq!(
            [1, 2, 3].map(|slot| users.enter(&ada, id(slot))),
            [Some(none.clone()), Some(none.clone()), None]
        );
        assert_eq!(users.enter(&name("bob"), id(4)), Some(none.clone()));
        users.leave(&ada, id(3));
        assert_eq!(users.enter(&ada, id(3)), None, "it never was one");
        users.leave(&ada, id(1));
        assert_eq!(users.enter(&ada, id(3)), Some(none));
        [2, 3].into_iter().for_each(|slot| users.leave(&ada, id(slot)));
        users.leave(&name("bob"), id(4));
        assert_eq!(users.users.sessions.len(), 0);
    }

    #[test]
    fn the_oldest_makes_room() {
        let (users, ada) = (users(2, PerUserPolicy::ReplaceOldest), name("ada"));
        let displaced = [1, 2, 3, 4].map(|slot| users.enter(&ada, id(slot)).unwrap().to_vec());
        assert_eq!(displaced, [vec![], vec![], vec![id(1)], vec![id(2)]]);
        users.leave(&ada, id(1));
        users.leave(&ada, id(3));
        assert_eq!(users.enter(&ada, id(5)).unwrap().to_vec(), []);
        assert_eq!(users.enter(&ada, id(6)).unwrap().to_vec(), [id(4)]);
    }

    #[test]
    fn places_are_older_one_than_the_next_however_the_clock_goes_and_give_way_once() {
        let (users, ada) = (users(9, PerUserPolicy::Refuse), name("ada"));
        for (slot, unix_us) in [(1, 50), (2, 50), (3, 40), (4, 90)] {
            users.enter(&ada, id(slot)).unwrap();
            users.users.since(&ada, id(slot), unix_us);
        }
        // Of this one it is not said yet.
        users.enter(&ada, id(5)).unwrap();
        let places = |of: &Bounded| of.users.places(&ada);
        assert_eq!(places(&users), [(id(1), 50), (id(2), 51), (id(3), 52), (id(4), 90)]);
        let gone = [id(2), id(4), id(9)];
        assert_eq!(users.users.give_way(&ada, &gone).to_vec(), [id(2), id(4)]);
        assert!(users.users.give_way(&ada, &gone).is_empty());
        assert_eq!(places(&users), [(id(1), 50), (id(3), 52)]);
        assert!(users.users.places(&name("bob")).is_empty());
    }

    #[test]
    fn sessions_are_asked_once_in_a_while_however_often_their_user_tries() {
        let (users, ada) = (users(2, PerUserPolicy::Refuse), name("ada"));
        let probe = |now_ms| users.users.probe(&ada, now_ms, 2_000).to_vec();
        assert_eq!(probe(0), []);
        [1, 2].into_iter().for_each(|slot| assert!(users.enter(&ada, id(slot)).is_some()));
        assert_eq!([5_000, 5_000, 6_999].map(probe), [vec![id(1), id(2)], vec![], vec![]]);
        users.leave(&ada, id(1));
        assert_eq!([6_999, 7_000, 7_001].map(probe), [vec![], vec![id(2)], vec![]]);
        assert_eq!(users.users.probe(&name("bob"), 9_000, 2_000).to_vec(), []);
        users.leave(&ada, id(2));
        assert_eq!(users.users.sessions.len(), 0);
    }

    #[test]
    fn the_memory_of_a_storm_comes_back() {
        let (users, ada) = (users(1_000, PerUserPolicy::Refuse), name("ada"));
        let crowd = |number: u32| name(&format!("user {number}"));
        (0..100_000).for_each(|number| assert!(users.enter(&crowd(number), id(number)).is_some()));
        (0..1_000).for_each(|slot| assert!(users.enter(&ada, id(slot)).is_some()));
        assert!(users.users.sessions.capacity() >= 100_000);
        (0..100_000).for_each(|number| users.leave(&crowd(number), id(number)));
        (1..1_000).for_each(|slot| users.leave(&ada, id(slot)));
        assert!(users.users.sessions.capacity() <= 64 * 64, "room for {}", users.users.sessions.capacity());
        users.users.sessions.with(&ada, |sessions| assert!(sessions[&ada].places.capacity() <= 8));
        users.leave(&ada, id(0));
        assert_eq!(users.users.sessions.len(), 0);
    }
}
