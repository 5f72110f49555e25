//! The sets of sessions of one reactor, found by key: apps, users, groups and tags alike. Knows nothing of what else a session
//! is in: whoever changes a set mends the memberships that point into it.

use super::chunked::Chunked;
use super::key::{Key, KeyHash, KeyHasher, KeyRef, Kind};
use crate::session::{AppId, Name};
use hashbrown::HashTable;

/// Tables and vectors of no more elements than this are never shrunk. Tests shrink nearly always.
pub(super) const SMALL: usize = if cfg!(test) { 4 } else { 64 };

/// A session as a set sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The session's slot.
    pub(super) slot: u32,
    /// Where this set is among the session's memberships.
    pub(super) back: u32,
}

/// The members of a set in no order, for a walk without gaps. Most users have one session, which costs no allocation.
#[derive(Debug, Default)]
pub(super) enum Members {
    #[default]
    None,
    One(Member),
    /// Two at the least.
    #[expect(clippy::box_collection, reason = "a vector in place would make every set 8 bytes larger")]
    Many(Box<Vec<Member>>),
}

impl Members {
    pub(super) fn as_slice(&self) -> &[Member] {
        match self {
            Self::None => &[],
            Self::One(member) => std::slice::from_ref(member),
            Self::Many(members) => members,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(super) fn push(&mut self, member: Member) {
        match self {
            Self::None => *self = Self::One(member),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, member])),
            Self::Many(members) => members.push(member),
        }
    }

    /// The member at `position` says that the set is now at `back` among its memberships.
    pub(super) fn set_back(&mut self, position: u32, back: u32) {
        match self {
            Self::None => {}
            Self::One(member) => member.back = back,
            Self::Many(members) => members[position as usize].back = back,
        }
    }

    /// Takes out the member at `position`; the last member takes its place and is returned, unless it was the last itself.
    pub(super) fn swap_remove(&mut self, position: u32) -> Option<Member> {
        let Self::Many(members) = self else {
            *self = Self::None;
            return None;
        };
        members.swap_remove(position as usize);
        let moved = members.get(position as usize).copied();
        if let [last] = members[..] {
            *self = Self::One(last);
        } else {
            shrink(members);
        }
        moved
    }
}

/// Gives memory back when three quarters of it are unused.
pub(super) fn shrink<T>(items: &mut Vec<T>) {
    if items.capacity() > SMALL && items.len() <= items.capacity() / 4 {
        items.shrink_to(items.len() * 2);
    }
}

/// An app, user, group or tag that has a session on this reactor.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) key: Key,
    /// Empty only while a session is being put in or taken out.
    pub(super) members: Members,
}

// One for every user: it counts in the memory of an idle session.
const _: () = assert!(size_of::<Set>() == 48);

/// A set of this reactor has got its first session, or lost its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The app of the set.
    pub app: AppId,
    /// What the set is.
    pub kind: Kind,
    /// Its name; an app's set has none.
    pub name: Option<Name>,
    /// Whether there is a session now.
    pub has_sessions: bool,
}

impl Edge {
    pub(super) fn of(key: &Key, has_sessions: bool) -> Self {
        Self { app: key.app_id(), kind: key.kind(), name: key.name().cloned(), has_sessions }
    }
}

/// All sets of a reactor, by key and by number. A number holds until the set is removed.
#[derive(Debug)]
pub(super) struct Sets {
    by_number: Chunked<Set>,
    /// Numbers by the hashes of the keys.
    index: HashTable<u32>,
    hasher: KeyHasher,
    by_kind: [usize; Kind::COUNT],
    /// Pushes to groups, by the number of the set; as long as the highest number that a push has named.
    pushes: Vec<u32>,
    /// What other nodes have to hear of, in its order; `None` where there are no others.
    edges: Option<Vec<Edge>>,
}

impl Sets {
    pub(super) fn new(hasher: KeyHasher) -> Self {
        Self {
            by_number: Chunked::new(),
            index: HashTable::new(),
            hasher,
            by_kind: [0; Kind::COUNT],
            pushes: Vec::new(),
            edges: None,
        }
    }

    /// From now on it is noted which sets come and go.
    pub(super) fn note_edges(&mut self) {
        self.edges.get_or_insert_default();
    }

    /// Whether a set has come or gone since they were last taken.
    pub(super) fn has_edges(&self) -> bool {
        self.edges.as_ref().is_some_and(|edges| !edges.is_empty())
    }

    /// The sets that have come and gone since this was last asked.
    pub(super) fn take_edges(&mut self) -> Vec<Edge> {
        self.edges.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(edges: &mut Option<Vec<Edge>>, key: &Key, has_sessions: bool) {
        if let Some(edges) = edges {
            edges.push(Edge::of(key, has_sessions));
        }
    }

    pub(super) fn hash(&self, key: KeyRef<'_>) -> KeyHash {
        self.hasher.hash(key)
    }

    pub(super) fn find(&self, key: KeyRef<'_>) -> Option<u32> {
        self.find_hashed(self.hash(key), key)
    }

    pub(super) fn find_hashed(&self, hash: KeyHash, key: KeyRef<'_>) -> Option<u32> {
        let same = |&number: &u32| self.by_number[number].key.borrowed() == key;
        self.index.find(hash.as_u64(), same).copied()
    }

    /// Whether any set's key has this hash.
    pub(super) fn has_hash(&self, hash: KeyHash) -> bool {
        let same = |&number: &u32| self.hash(self.by_number[number].key.borrowed()) == hash;
        self.index.find(hash.as_u64(), same).is_some()
    }

    /// The first number from `from` on that a set has.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        self.by_number.next(from)
    }

    pub(super) fn get(&self, number: u32) -> &Set {
        &self.by_number[number]
    }

    pub(super) fn members_mut(&mut self, number: u32) -> &mut Members {
        &mut self.by_number[number].members
    }

    /// A new set without members; there must be none with this key.
    pub(super) fn insert(&mut self, hash: KeyHash, key: Key) -> u32 {
        self.by_kind[key.kind() as usize] += 1;
        Self::note(&mut self.edges, &key, true);
        let number = self.by_number.insert(Set { key, members: Members::None });
        self.index.insert_unique(hash.as_u64(), number, rehash(&self.by_number, &self.hasher));
        number
    }

    /// The set that had the number, and the hash of its key.
    pub(super) fn remove(&mut self, number: u32) -> (Set, KeyHash) {
        let set = self.by_number.remove(number).unwrap_or_default();
        self.forget_pushes(number);
        self.by_kind[set.key.kind() as usize] -= 1;
        Self::note(&mut self.edges, &set.key, false);
        let hash = self.hash(set.key.borrowed());
        unlist(&mut self.index, hash, number);
        if self.index.is_empty() {
            self.index = HashTable::new();
        } else if self.index.capacity() > SMALL && self.index.len() <= self.index.capacity() / 4 {
            self.index.shrink_to(self.index.len() * 2, rehash(&self.by_number, &self.hasher));
        }
        (set, hash)
    }

    /// The set gets another key of the same kind, with this hash, which no set has; returns the hash of the one that it had.
    pub(super) fn rename(&mut self, number: u32, hash: KeyHash, key: Key) -> KeyHash {
        self.forget_pushes(number);
        Self::note(&mut self.edges, &key, true);
        let old = std::mem::replace(&mut self.by_number[number].key, key);
        Self::note(&mut self.edges, &old, false);
        let old = self.hash(old.borrowed());
        unlist(&mut self.index, old, number);
        self.index.insert_unique(hash.as_u64(), number, rehash(&self.by_number, &self.hasher));
        old
    }

    /// A push has named the group with this number.
    pub(super) fn count_push(&mut self, number: u32) {
        let index = number as usize;
        if self.pushes.len() <= index {
            self.pushes.resize(index + 1, 0);
        }
        self.pushes[index] = self.pushes[index].saturating_add(1);
    }

    /// How many pushes have named it.
    pub(super) fn pushes(&self, number: u32) -> u32 {
        self.pushes.get(number as usize).copied().unwrap_or(0)
    }

    fn forget_pushes(&mut self, number: u32) {
        if let Some(pushes) = self.pushes.get_mut(number as usize) {
            *pushes = 0;
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.by_kind[kind as usize]
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_empty(&self) -> bool {
        self.by_number.len() == 0 && self.index.is_empty()
    }
}

fn rehash(sets: &Chunked<Set>, hasher: &KeyHasher) -> impl Fn(&u32) -> u64 {
    |&number| hasher.hash(sets[number].key.borrowed()).as_u64()
}

fn unlist(index: &mut HashTable<u32>, hash: KeyHash, number: u32) {
    if let Ok(entry) = index.find_entry(hash.as_u64(), |&listed| listed == number) {
        entry.remove();
    }
}

impl Sets {
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Set)> {
        self.by_number.iter()
    }

    /// Of the larger table.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.by_number.capacity().max(self.index.capacity())
    }
}
