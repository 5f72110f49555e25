//! Whom a push is for.

use crate::session::{Name, SessionId};
use smallvec::SmallVec;

/// One way of naming sessions.
///
/// ```
/// use gannet::dispatch::Selector;
/// use gannet::session::Name;
/// assert_ne!(Selector::Group(Name::new("red").unwrap()), Selector::All);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The session with this id.
    Session(SessionId),
    /// Every session of a user.
    User(Name),
    /// Every member of a group.
    Group(Name),
    /// Every session with a tag.
    Tag(Name),
    /// Every session of the app.
    All,
    /// The sessions that all of these mean. Only in the target of a push: a listing by it is empty, and of whom it names nobody
    /// counts as offline.
    AllOf(Box<[Selector]>),
}

impl Selector {
    /// The selectors that it is made of: itself, or those whose sessions it has in common.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::AllOf(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }
}

/// The union of some selectors: a session that several of them name is meant once.
///
/// ```
/// use gannet::dispatch::{Selector, Target};
/// use gannet::session::Name;
/// let target = Target::from(Selector::User(Name::new("ada").unwrap())).or(Selector::All);
/// assert_eq!(target.selectors().len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    selectors: SmallVec<[Selector; 1]>,
}

impl Target {
    /// Nobody; add to it with [`Target::or`] or [`Target::push`].
    pub fn nobody() -> Self {
        Self::default()
    }

    /// This target and `selector`.
    #[must_use]
    pub fn or(mut self, selector: Selector) -> Self {
        self.push(selector);
        self
    }

    /// Adds `selector` to the union.
    pub fn push(&mut self, selector: Selector) {
        self.selectors.push(selector);
    }

    /// The selectors in the order they were added.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether nothing has been named.
    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty()
    }
}

impl From<Selector> for Target {
    fn from(selector: Selector) -> Self {
        Self::nobody().or(selector)
    }
}
