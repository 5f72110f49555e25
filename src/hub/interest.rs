//! Which reactors have any session of an app, a user, a group or a tag: one table that all reactors share and read without
//! locks. Knows nothing of the sessions themselves.

use super::key::{KeyHash, KeyHasher, KeyRef, Kind};
use super::reactors::{MAX_REACTORS, ReactorSet};
use super::table::{Change, ReactorTable};
use crate::dispatch::{Selector, Target};
use crate::session::{AppId, SessionId};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How often a union is read again because groups were being moved, before every reactor is named.
const MOVE_RETRIES: usize = 64;

/// The table of which reactors have any session of an app, a user, a group or a tag.
///
/// Each reactor's [`Hub`](super::Hub) writes its own bit, and only when its first session comes or its last one goes.
#[derive(Debug)]
pub struct Interest {
    node: u16,
    reactors: usize,
    hasher: KeyHasher,
    /// Names are known by their hashes alone, which makes an entry as small as it can be: where two have the same, a reactor may
    /// be named that has none, and answers that it has none.
    table: ReactorTable,
    moves: CachePadded<Moves>,
    /// Entries by kind.
    entries: [AtomicUsize; Kind::COUNT],
}

/// Moves of groups that have begun and that have finished, on all reactors: a sequence lock for several writers.
#[derive(Debug, Default)]
struct Moves {
    begun: AtomicU64,
    finished: AtomicU64,
}

/// Distinct names that have a session on any reactor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users, in all apps.
    pub users: usize,
    /// Groups, in all apps.
    pub groups: usize,
    /// Tags, in all apps.
    pub tags: usize,
}

impl Interest {
    /// An empty table for the `reactors` reactors of the node `node`.
    ///
    /// # Panics
    /// When `reactors` is more than [`MAX_REACTORS`]: the configuration must not let it pass.
    pub fn new(node: u16, reactors: usize) -> Self {
        Self::with_hasher(node, reactors, KeyHasher::default())
    }

    pub(super) fn with_hasher(node: u16, reactors: usize, hasher: KeyHasher) -> Self {
        assert!(reactors <= MAX_REACTORS, "the configuration allows {MAX_REACTORS} reactors, not {reactors}");
        Self {
            node,
            reactors,
            hasher,
            table: ReactorTable::new(reactors),
            moves: CachePadded::default(),
            entries: Default::default(),
        }
    }

    /// The node whose sessions it is about.
    pub fn node(&self) -> u16 {
        self.node
    }

    /// The reactor that a session with this id would be on; `None` when it is another node's, or no reactor's.
    pub fn owner(&self, id: SessionId) -> Option<usize> {
        let worker = usize::from(id.worker());
        (id.node() == self.node && worker < self.reactors).then_some(worker)
    }

    /// The reactors that have any session of the user, group or tag; with [`Kind::App`] and an empty name, of the app.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn reactors(&self, app: AppId, kind: Kind, name: &str) -> ReactorSet {
        self.look_up(KeyRef::new(app, kind, name))
    }

    /// The reactors that have a part in a push to `target`.
    ///
    /// Members that another thread moves from one group of a union to another are not missed: the read is repeated when it
    /// met a move, and names every reactor when it always does.
    pub fn reactors_of(&self, app: AppId, target: &Target) -> ReactorSet {
        let named = target.selectors().iter().flat_map(Selector::parts);
        let groups = named.filter(|selector| matches!(selector, Selector::Group(_)));
        if groups.count() < 2 {
            return self.read(app, target);
        }
        for _ in 0..MOVE_RETRIES {
            // In this order: when the two are equal, all that had begun by the second load had finished before it.
            let finished = self.moves.finished.load(Ordering::Acquire);
            let begun = self.moves.begun.load(Ordering::Acquire);
            if begun == finished {
                let reactors = self.read(app, target);
                // Entries are published with release and read with acquire: one that a move wrote shows that it has begun.
                if self.moves.begun.load(Ordering::Acquire) == begun {
                    return reactors;
                }
            }
            std::hint::spin_loop();
        }
        ReactorSet::first(self.reactors)
    }

    /// How many users, groups and tags there are.
    pub fn counts(&self) -> Counts {
        let entries = |kind: Kind| self.entries[kind as usize].load(Ordering::Relaxed);
        Counts { users: entries(Kind::User), groups: entries(Kind::Group), tags: entries(Kind::Tag) }
    }

    /// Whether no reactor has any session.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn is_empty(&self) -> bool {
        self.entries.iter().all(|entries| entries.load(Ordering::Relaxed) == 0)
    }

    /// How the keys of the table are hashed.
    pub(super) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// The reactor has a session of `key` now.
    pub(super) fn add(&self, key: KeyHash, reactor: usize) {
        if self.table.insert(key, reactor) == Change::Entry {
            self.entries[key.kind()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The reactor has no session of any key with this hash any more.
    pub(super) fn remove(&self, key: KeyHash, reactor: usize) {
        if self.table.remove(key, reactor) == Change::Entry {
            self.entries[key.kind()].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The reactor has no session of `from` any more, if that is given, all of them are in `to`; for a reader of both it happens
    /// at once.
    pub(super) fn move_group(&self, from: Option<KeyHash>, to: KeyHash, reactor: usize) {
        self.begin_move();
        self.add(to, reactor);
        if let Some(from) = from {
            self.remove(from, reactor);
        }
        self.end_move();
    }

    /// What changes from here to [`Interest::end_move`] happens at once for a reader of several groups.
    pub(super) fn begin_move(&self) {
        self.moves.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// See [`Interest::begin_move`].
    pub(super) fn end_move(&self) {
        self.moves.finished.fetch_add(1, Ordering::AcqRel);
    }

    fn read(&self, app: AppId, target: &Target) -> ReactorSet {
        let reactors = target.selectors().iter().map(|selector| self.reactors_of_selector(app, selector));
        reactors.fold(ReactorSet::default(), ReactorSet::union)
    }

    /// The reactors that have any session of `selector`, or would have the one that it names.
    pub fn reactors_of_selector(&self, app: AppId, selector: &Selector) -> ReactorSet {
        let mut reactors = ReactorSet::default();
        if let Selector::AllOf(parts) = selector {
            let parts = parts.iter().map(|part| self.reactors_of_selector(app, part));
            reactors = parts.reduce(ReactorSet::intersection).unwrap_or_default();
        } else if let Selector::Session(id) = selector {
            self.owner(*id).into_iter().for_each(|owner| reactors.insert(owner));
        } else if let Some(key) = KeyRef::of_selector(app, selector) {
            reactors = self.look_up(key);
        }
        reactors
    }

    fn look_up(&self, key: KeyRef<'_>) -> ReactorSet {
        self.table.get(self.hasher.hash(key))
    }
}
