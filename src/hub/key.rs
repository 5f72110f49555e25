//! What sets of sessions are called: an app, a kind and a name, and its hash. Knows nothing of who is in a set.

use crate::dispatch::Selector;
use crate::session::{AppId, Name};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// The kinds of sets that sessions are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All sessions of an app; the one set of an app that has no name.
    App,
    /// The sessions of a user.
    User,
    /// The members of a group.
    Group,
    /// The sessions with a tag.
    Tag,
}

impl Kind {
    pub(super) const COUNT: usize = 4;
}

/// What the interest table knows of a key. Two keys may have the same: whoever takes a hash out of the table asks first
/// whether another key of the reactor has it. The kind can be read off, so that keys of two kinds never have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    /// Where the kind stands: between the bits that choose a table's part and those that choose the place in it.
    const KIND_SHIFT: u32 = 40;
    const KIND_MASK: u64 = (Kind::COUNT as u64 - 1) << Self::KIND_SHIFT;

    pub(super) fn as_u64(self) -> u64 {
        self.0
    }

    /// The hash with this number; `None` for 0.
    pub(super) fn from_u64(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// The [`Kind`] as a number.
    pub(super) fn kind(self) -> usize {
        ((self.0 & Self::KIND_MASK) >> Self::KIND_SHIFT) as usize
    }
}

/// Hashes keys, alike on all reactors of a node. It is seeded: names come from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyHasher {
    seed: RandomState,
    /// So many keys are given other keys' hashes that what rests on their being rare shows.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) collides: bool,
}

impl KeyHasher {
    pub(super) fn hash(&self, key: KeyRef<'_>) -> KeyHash {
        let hash = self.seed.hash_one(key);
        #[cfg(any(test, feature = "fuzzing"))]
        let hash = if self.collides { hash % 3 } else { hash };
        KeyHash((hash & !KeyHash::KIND_MASK | (key.kind as u64) << KeyHash::KIND_SHIFT).max(1))
    }
}

/// The key of a set. Clones share the name's text.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// `None` with [`Kind::App`] only.
    name: Option<Name>,
    app: AppId,
    kind: Kind,
}

impl Default for Key {
    fn default() -> Self {
        Self::app(AppId(0))
    }
}

impl Key {
    pub(super) fn app(app: AppId) -> Self {
        Self { name: None, app, kind: Kind::App }
    }

    pub(super) fn named(app: AppId, kind: Kind, name: &Name) -> Self {
        Self { name: Some(name.clone()), app, kind }
    }

    pub(super) fn app_id(&self) -> AppId {
        self.app
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    pub(super) fn borrowed(&self) -> KeyRef<'_> {
        KeyRef { app: self.app, kind: self.kind, name: self.name.as_deref().unwrap_or("") }
    }
}

/// A [`Key`] to look for, with a name that somebody else owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRef<'a> {
    app: AppId,
    kind: Kind,
    /// Empty with [`Kind::App`] only: a [`Name`] never is.
    name: &'a str,
}

impl<'a> KeyRef<'a> {
    pub(super) fn new(app: AppId, kind: Kind, name: &'a str) -> Self {
        Self { app, kind, name }
    }

    /// The key of the set that a selector names; `None` for a session.
    pub(super) fn of_selector(app: AppId, selector: &'a Selector) -> Option<Self> {
        let (kind, name) = match selector {
            Selector::Session(_) | Selector::AllOf(_) => return None,
            Selector::User(name) => (Kind::User, name.as_str()),
            Selector::Group(name) => (Kind::Group, name.as_str()),
            Selector::Tag(name) => (Kind::Tag, name.as_str()),
            Selector::All => (Kind::App, ""),
        };
        Some(Self { app, kind, name })
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from(self.app.0) << 8 | self.kind as u32);
        self.name.hash(state);
    }
}
