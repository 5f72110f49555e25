//! What sets of sessions are called: an app, a kind and a name. Knows nothing of who is in a set.

use crate::dispatch::Selector;
use crate::session::{AppId, Name};
use papaya::Equivalent;
use std::hash::{Hash, Hasher};

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

/// The key of a set. Clones share the name's text.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// `None` with [`Kind::App`] only.
    name: Option<Name>,
    app: AppId,
    kind: Kind,
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

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.borrowed() == other.borrowed()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
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
            Selector::Session(_) => return None,
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

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrowed()
    }
}
