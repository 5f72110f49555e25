//! The hub: which sessions of this reactor a user, a group, a tag or an app has, and the other way round; and the table, shared by
//! all reactors, of who has any. Start from [`Hub`], one for each reactor, and [`Interest`], one for the node. Knows nothing of
//! sockets, queues or messages: it answers with slots.

mod chunked;
mod interest;
mod key;
mod memory;
mod reactors;
mod select;
mod sets;
mod table;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use memory::model as memory_model;
#[cfg(test)]
mod storm;

pub use interest::Interest;
pub use key::Kind;
pub use memory::{
    Around, Asked, CarriedMemory, Kept, LatestRule, LogRule, Memory, MemoryRule, OVERHEAD, Room, Share,
    scope_of,
};
pub use reactors::{MAX_REACTORS, ReactorSet};
pub use select::NamesWanted;
pub use sets::Edge;

use crate::session::{AppId, Name, SessionId};
use chunked::Chunked;
use key::{Key, KeyHash, KeyRef};
use sets::{Member, Sets};
use smallvec::SmallVec;
use std::sync::Arc;

/// The users, groups, tags and apps of one reactor's sessions.
///
/// A session is named by its slot: the part of its id that is an index. Calls with a slot that no session has do nothing.
#[derive(Debug)]
pub struct Hub {
    reactor: usize,
    interest: Arc<Interest>,
    /// By slot.
    sessions: Chunked<Session>,
    sets: Sets,
    /// A bit for each slot, all zero between calls; as long as the longest union needed.
    visited: Vec<u64>,
}

/// How many sessions a reactor has, and how many distinct users, groups and tags they make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Sessions.
    pub sessions: usize,
    /// Users, in all apps.
    pub users: usize,
    /// Groups, in all apps.
    pub groups: usize,
    /// Tags, in all apps.
    pub tags: usize,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    /// The app, then the user if it has one, then groups and tags in no order.
    memberships: SmallVec<[Membership; 3]>,
}

impl Default for Session {
    fn default() -> Self {
        Self { id: SessionId::from_u64(0), memberships: SmallVec::new() }
    }
}

// One for every session: it counts in the memory of an idle session.
const _: () = assert!(size_of::<Session>() == 40);

/// A set as a session sees it.
#[derive(Debug, Clone, Copy)]
struct Membership {
    /// The set's number.
    set: u32,
    /// Where the session is among the set's members.
    position: u32,
}

/// Where a session's user is among its memberships, if it has one.
const USER: usize = 1;

impl Hub {
    /// An empty hub for the reactor with this number, which tells `interest` what it has.
    pub fn new(reactor: usize, interest: Arc<Interest>) -> Self {
        let sets = Sets::new(interest.hasher().clone());
        Self { reactor, interest, sessions: Chunked::new(), sets, visited: Vec::new() }
    }

    /// From now on it is noted which sets come and go: other nodes have to hear of it. Called before the first session comes.
    pub fn note_edges(&mut self) {
        self.sets.note_edges();
    }

    /// Whether a set has come or gone since [`Hub::take_edges`].
    pub fn has_edges(&self) -> bool {
        self.sets.has_edges()
    }

    /// The sets that have come and gone since this was last asked, in the order in which they did.
    pub fn take_edges(&mut self) -> Vec<Edge> {
        self.sets.take_edges()
    }

    /// All sets that there are, as if they had just come.
    pub fn all_as_edges(&self) -> impl Iterator<Item = Edge> {
        self.sets.iter().map(|(_, set)| Edge::of(&set.key, true))
    }

    /// A session has opened. One that still has the slot is removed.
    pub fn insert(&mut self, id: SessionId, app: AppId) {
        let slot = id.slot();
        self.remove(slot);
        self.sessions.put(slot, Session { id, memberships: SmallVec::new() });
        let set = self.find_or_insert(KeyRef::new(app, Kind::App, ""), || Key::app(app));
        self.link(slot, set);
    }

    /// A session has closed: it leaves everything. Its id, if there was one.
    pub fn remove(&mut self, slot: u32) -> Option<SessionId> {
        let session = self.sessions.remove(slot)?;
        for membership in session.memberships {
            self.remove_member(membership);
        }
        if self.sessions.bound() < self.visited.len() * 16 {
            self.visited = Vec::new();
        }
        Some(session.id)
    }

    /// The session in the slot.
    pub fn id_of(&self, slot: u32) -> Option<SessionId> {
        self.session(slot).map(|session| session.id)
    }

    /// The app of the session in the slot.
    pub fn app_of(&self, slot: u32) -> Option<AppId> {
        self.keys_of(slot).next().map(Key::app_id)
    }

    /// Whether the session is live and the app's.
    pub fn contains(&self, id: SessionId, app: AppId) -> bool {
        self.id_of(id.slot()) == Some(id) && self.app_of(id.slot()) == Some(app)
    }

    /// The session is `user`'s from now on and no other's, or nobody's; whether that is news.
    pub fn bind(&mut self, slot: u32, user: Option<&Name>) -> bool {
        if self.session(slot).is_none() || self.user_of(slot) == user {
            return false;
        }
        if self.user_of(slot).is_some() {
            self.unlink(slot, USER);
        }
        if let Some(user) = user {
            self.enter(slot, Kind::User, user);
            self.swap_memberships(slot, USER, self.memberships(slot).len() - 1);
        }
        true
    }

    /// The session's user.
    pub fn user_of(&self, slot: u32) -> Option<&Name> {
        self.keys_of(slot).nth(USER).filter(|key| key.kind() == Kind::User)?.name()
    }

    /// The session is in the group; whether it was not.
    pub fn join(&mut self, slot: u32, group: &Name) -> bool {
        self.enter(slot, Kind::Group, group)
    }

    /// The session is not in the group; whether it was.
    pub fn leave(&mut self, slot: u32, group: &str) -> bool {
        self.exit(slot, Kind::Group, group)
    }

    /// The groups that the session is in.
    pub fn groups_of(&self, slot: u32) -> impl Iterator<Item = &Name> {
        self.names_of(slot, Kind::Group)
    }

    /// Whether the session is in the group.
    pub fn is_member(&self, slot: u32, group: &str) -> bool {
        let set = self.app_of(slot).and_then(|app| self.sets.find(KeyRef::new(app, Kind::Group, group)));
        set.is_some_and(|set| self.find_membership(slot, set).is_some())
    }

    /// The session's user, with a hash of app and name that is the same on all reactors of this process. It is seeded, and
    /// of 62 bits: two users that count as one are less likely than a broken memory.
    pub fn hashed_user_of(&self, slot: u32) -> Option<(&Name, u64)> {
        let key = self.keys_of(slot).nth(USER).filter(|key| key.kind() == Kind::User)?;
        Some((key.name()?, self.sets.hash(key.borrowed()).as_u64()))
    }

    /// How many groups the session is in.
    pub fn groups_len(&self, slot: u32) -> usize {
        self.groups_of(slot).count()
    }

    /// The session has the tag; whether it had not.
    pub fn tag(&mut self, slot: u32, tag: &Name) -> bool {
        self.enter(slot, Kind::Tag, tag)
    }

    /// The session has not the tag; whether it had.
    pub fn untag(&mut self, slot: u32, tag: &str) -> bool {
        self.exit(slot, Kind::Tag, tag)
    }

    /// The tags that the session has.
    pub fn tags_of(&self, slot: u32) -> impl Iterator<Item = &Name> {
        self.names_of(slot, Kind::Tag)
    }

    /// How many tags the session has.
    pub fn tags_len(&self, slot: u32) -> usize {
        self.tags_of(slot).count()
    }

    /// Every member leaves the group; how many did.
    pub fn destroy(&mut self, app: AppId, group: &str) -> u32 {
        let Some(set) = self.sets.find(KeyRef::new(app, Kind::Group, group)) else { return 0 };
        let members = std::mem::take(self.sets.members_mut(set));
        for member in members.as_slice() {
            self.forget_membership(member.slot, member.back as usize);
        }
        self.drop_set(set);
        members.len() as u32
    }

    /// Every member of the group `from` leaves it and is in the group `to`; how many left. No push to either or both, on any
    /// reactor, sees a member in neither.
    pub fn move_members(&mut self, app: AppId, from: &str, to: &Name) -> u32 {
        if from == to.as_str() {
            return 0;
        }
        let Some(source) = self.sets.find(KeyRef::new(app, Kind::Group, from)) else { return 0 };
        let moved = self.sets.get(source).members.len() as u32;
        let to_key = KeyRef::new(app, Kind::Group, to);
        let to_hash = self.sets.hash(to_key);
        let from_hash = match self.sets.find_hashed(to_hash, to_key) {
            None => self.sets.rename(source, to_hash, Key::named(app, Kind::Group, to)),
            Some(target) => self.merge(source, target),
        };
        let from_hash = Some(from_hash).filter(|&hash| !self.sets.has_hash(hash));
        self.interest.move_group(from_hash, to_hash, self.reactor);
        moved
    }

    /// Sessions go from groups to groups until [`Hub::end_move`]: no push to several of these, on any reactor, sees one of them
    /// in none.
    pub fn begin_move(&self) {
        self.interest.begin_move();
    }

    /// See [`Hub::begin_move`].
    pub fn end_move(&self) {
        self.interest.end_move();
    }

    /// Every user that has a session here.
    pub fn users(&self) -> impl Iterator<Item = (AppId, &Name)> {
        let users = self.sets.iter().map(|(_, set)| &set.key).filter(|key| key.kind() == Kind::User);
        users.filter_map(|key| Some((key.app_id(), key.name()?)))
    }

    /// How many sessions, users, groups and tags there are.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            sessions: self.sessions.len(),
            users: self.sets.count(Kind::User),
            groups: self.sets.count(Kind::Group),
            tags: self.sets.count(Kind::Tag),
        }
    }

    /// Whether every table is empty.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn is_empty(&self) -> bool {
        self.sessions.len() == 0 && self.sets.is_empty()
    }
}

/// What sessions are in, read.
impl Hub {
    fn session(&self, slot: u32) -> Option<&Session> {
        self.sessions.get(slot)
    }

    /// Empty for a slot that no session has.
    fn memberships(&self, slot: u32) -> &[Membership] {
        self.sessions.get(slot).map_or(&[], |session| &session.memberships)
    }

    fn keys_of(&self, slot: u32) -> impl Iterator<Item = &Key> {
        self.memberships(slot).iter().map(|membership| &self.sets.get(membership.set).key)
    }

    fn names_of(&self, slot: u32, kind: Kind) -> impl Iterator<Item = &Name> {
        self.keys_of(slot).filter(move |key| key.kind() == kind).filter_map(Key::name)
    }

    /// Where the set is among the session's memberships, found on the shorter side.
    fn find_membership(&self, slot: u32, set: u32) -> Option<usize> {
        let memberships = self.memberships(slot);
        let members = self.sets.get(set).members.as_slice();
        if members.len() < memberships.len() {
            members.iter().find(|member| member.slot == slot).map(|member| member.back as usize)
        } else {
            memberships.iter().position(|membership| membership.set == set)
        }
    }
}

/// What sessions are in, changed: both directions and the interest table together.
impl Hub {
    /// Puts a live session into the set of its app with this name; whether it was not there.
    fn enter(&mut self, slot: u32, kind: Kind, name: &Name) -> bool {
        let Some(app) = self.app_of(slot) else { return false };
        let set = self.find_or_insert(KeyRef::new(app, kind, name), || Key::named(app, kind, name));
        if self.find_membership(slot, set).is_some() {
            return false;
        }
        self.link(slot, set);
        true
    }

    /// Takes a session out of the set of its app with this name; whether it was there.
    fn exit(&mut self, slot: u32, kind: Kind, name: &str) -> bool {
        let set = self.app_of(slot).and_then(|app| self.sets.find(KeyRef::new(app, kind, name)));
        let Some(back) = set.and_then(|set| self.find_membership(slot, set)) else { return false };
        self.unlink(slot, back);
        true
    }

    /// The set with this key; a new one must get a member at once.
    fn find_or_insert(&mut self, key: KeyRef<'_>, owned: impl FnOnce() -> Key) -> u32 {
        let hash = self.sets.hash(key);
        self.sets.find_hashed(hash, key).unwrap_or_else(|| {
            self.interest.add(hash, self.reactor);
            self.sets.insert(hash, owned())
        })
    }

    fn link(&mut self, slot: u32, set: u32) {
        let memberships = &mut self.sessions[slot].memberships;
        let members = self.sets.members_mut(set);
        let membership = Membership { set, position: members.len() as u32 };
        members.push(Member { slot, back: memberships.len() as u32 });
        memberships.push(membership);
    }

    fn unlink(&mut self, slot: u32, back: usize) {
        let membership = self.forget_membership(slot, back);
        self.remove_member(membership);
    }

    /// The session's side of [`Hub::unlink`].
    fn forget_membership(&mut self, slot: u32, back: usize) -> Membership {
        let memberships = &mut self.sessions[slot].memberships;
        let forgotten = memberships.swap_remove(back);
        if let Some(moved) = memberships.get(back) {
            self.sets.members_mut(moved.set).set_back(moved.position, back as u32);
        }
        if memberships.spilled() && memberships.len() <= memberships.capacity() / 4 {
            memberships.shrink_to_fit();
        }
        forgotten
    }

    /// The set's side of [`Hub::unlink`].
    fn remove_member(&mut self, Membership { set, position }: Membership) {
        let members = self.sets.members_mut(set);
        if let Some(moved) = members.swap_remove(position) {
            self.sessions[moved.slot].memberships[moved.back as usize].position = position;
        }
        if members.len() == 0 {
            self.drop_set(set);
        }
    }

    fn drop_set(&mut self, set: u32) {
        let (_, hash) = self.sets.remove(set);
        if !self.sets.has_hash(hash) {
            self.interest.remove(hash, self.reactor);
        }
    }

    fn swap_memberships(&mut self, slot: u32, a: usize, b: usize) {
        let memberships = &mut self.sessions[slot].memberships;
        memberships.swap(a, b);
        for back in [a, b] {
            let membership = memberships[back];
            self.sets.members_mut(membership.set).set_back(membership.position, back as u32);
        }
    }

    /// Empties the set `source` into the set `target` and removes it; the interest table is the caller's.
    fn merge(&mut self, source: u32, target: u32) -> KeyHash {
        let members = std::mem::take(self.sets.members_mut(source));
        for member in members.as_slice() {
            if self.find_membership(member.slot, target).is_some() {
                self.forget_membership(member.slot, member.back as usize);
                continue;
            }
            let target_members = self.sets.members_mut(target);
            let membership = Membership { set: target, position: target_members.len() as u32 };
            target_members.push(*member);
            self.sessions[member.slot].memberships[member.back as usize] = membership;
        }
        self.sets.remove(source).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Selector;

    #[test]
    fn sets_are_noted_as_they_come_and_go() {
        let (app, ada, red, blue) =
            (AppId(0), Name::new("ada").unwrap(), Name::new("red").unwrap(), Name::new("blue").unwrap());
        let mut hub = Hub::new(0, Arc::new(Interest::new(1, 1)));
        hub.note_edges();
        for slot in [1, 2] {
            hub.insert(SessionId::new(1, 0, 0, slot), app);
            hub.bind(slot, Some(&ada));
        }
        hub.join(1, &red);
        hub.move_members(app, "red", &blue);
        hub.remove(1);
        let edge =
            |kind, name: Option<&Name>, has_sessions| Edge { app, kind, name: name.cloned(), has_sessions };
        assert!(hub.has_edges());
        let edges = hub.take_edges();
        let expected = [
            edge(Kind::App, None, true),
            edge(Kind::User, Some(&ada), true),
            edge(Kind::Group, Some(&red), true),
            edge(Kind::Group, Some(&blue), true),
            edge(Kind::Group, Some(&red), false),
            edge(Kind::Group, Some(&blue), false),
        ];
        assert_eq!(edges, expected);
        hub.remove(2);
        assert_eq!(hub.take_edges(), [edge(Kind::App, None, false), edge(Kind::User, Some(&ada), false)]);
        assert!(!hub.has_edges());
    }

    #[test]
    fn a_session_is_found_by_its_user_and_its_group_until_it_is_removed() {
        let (app, ada, guild) = (AppId(0), Name::new("ada").unwrap(), Name::new("guild:7").unwrap());
        let mut hub = Hub::new(0, Arc::new(Interest::new(1, 1)));
        let id = SessionId::new(1, 0, 0, 5);
        hub.insert(id, app);
        hub.bind(id.slot(), Some(&ada));
        hub.join(id.slot(), &guild);
        for selector in [Selector::User(ada), Selector::Group(guild)] {
            let mut slots = Vec::new();
            hub.select(app, &selector.into(), None, &[], &mut slots);
            assert_eq!(slots, [5]);
        }
        hub.remove(id.slot());
        assert!(hub.is_empty());
    }

    #[test]
    fn the_table_names_the_reactors_that_have_a_session() {
        let interest = Arc::new(Interest::new(1, 4));
        let mut hub = Hub::new(2, Arc::clone(&interest));
        hub.insert(SessionId::new(1, 2, 0, 0), AppId(0));
        let reactors = interest.reactors_of(AppId(0), &Selector::All.into());
        assert_eq!(reactors.iter().collect::<Vec<_>>(), [2]);
    }
}
