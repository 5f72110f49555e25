//! Which events a link gets, and in which form.

use crate::session::Name;
use serde::Serialize;
use std::fmt;

/// What an event of a link is about. Its number is that of its bit in an [`EventSet`]: a kind that is new has a number of its own, and
/// its row in [`EventKind::ALL`], which stands in the order of the numbers.
///
/// ```
/// use gannet::dispatch::EventKind;
/// assert_eq!(EventKind::named("join"), Some(EventKind::Join));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A session opened.
    Open = 0,
    /// A client sent a message.
    Message = 1,
    /// A session closed.
    Close = 2,
    /// A session is in a group.
    Join = 3,
    /// A session is in a group no more.
    Leave = 4,
    /// A session's client is away, and the session waits for it.
    Away = 5,
    /// A session's client is back.
    Back = 6,
    /// A session has a tag.
    Tag = 7,
    /// A session has a tag no more.
    Untag = 8,
    /// A session has another user, or none.
    Bind = 9,
    /// A user has its first session.
    UserOnline = 10,
    /// The last session of a user has been gone for a while.
    UserOffline = 11,
    /// A session's token ends soon.
    Expiring = 12,
    /// A session is the link's from now on, of those that its share divides.
    Assigned = 13,
    /// A session is the link's no more.
    Unassigned = 14,
}

impl EventKind {
    /// Every kind, in the order of their bits, with its name.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Open, "open"),
        (Self::Message, "message"),
        (Self::Close, "close"),
        (Self::Join, "join"),
        (Self::Leave, "leave"),
        (Self::Away, "away"),
        (Self::Back, "back"),
        (Self::Tag, "tag"),
        (Self::Untag, "untag"),
        (Self::Bind, "bind"),
        (Self::UserOnline, "user_online"),
        (Self::UserOffline, "user_offline"),
        (Self::Expiring, "expiring"),
        (Self::Assigned, "assigned"),
        (Self::Unassigned, "unassigned"),
    ];

    /// The names of all kinds.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].1;
            index += 1;
        }
        names
    };

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Its bit in an [`EventSet`]. Bits go over the wire and to other processes: they never change.
    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

// A set is of 32 bits.
const _: () = assert!(EventKind::ALL.len() <= 32);

/// A set of kinds of events.
///
/// ```
/// use gannet::dispatch::{EventKind, EventSet};
/// let set = EventSet::of(&[EventKind::Open, EventKind::Close]);
/// assert!(set.has(EventKind::Close) && !set.has(EventKind::Message));
/// assert_eq!(set.bits(), 0x05);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSet(u32);

impl EventSet {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Every kind that there is.
    pub const ALL: Self = {
        let (mut all, mut index) = (Self::NONE, 0);
        while index < EventKind::ALL.len() {
            all = all.with(EventKind::ALL[index].0);
            index += 1;
        }
        all
    };

    /// What a link is told of what is its own: the links of a share need not agree on these.
    pub const OWNERSHIP: Self = Self::of(&[EventKind::Assigned, EventKind::Unassigned]);

    /// What is about users, whatever sessions they have.
    pub const USERS: Self = Self::of(&[EventKind::UserOnline, EventKind::UserOffline]);

    /// These kinds.
    pub const fn of(kinds: &[EventKind]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < kinds.len() {
            bits |= kinds[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// The set with these bits; `None` where one of them is of no kind.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits & !Self::ALL.0 {
            0 => Some(Self(bits)),
            _ => None,
        }
    }

    /// A bit for each kind, as the binary link has them.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// The kinds of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `kind` is in it.
    pub const fn has(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether any kind is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no kind is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the kinds in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        EventKind::ALL.iter().filter(move |(kind, _)| self.has(*kind)).map(|(_, name)| *name)
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// What a link may have shown of a session in each event about it.
///
/// ```
/// use gannet::dispatch::{Detail, With};
/// let with = With::NONE.and(Detail::Groups).and(Detail::App);
/// assert!(with.has(Detail::Groups) && !with.has(Detail::Tags));
/// assert_eq!(with.bits(), 0x11);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Detail {
    /// The groups that it is in.
    Groups = 0,
    /// The tags that it has.
    Tags = 1,
    /// What its app keeps of the claims of its token.
    Claims = 2,
    /// What its app keeps of the query that it was opened with.
    Params = 3,
    /// Its app.
    App = 4,
}

impl Detail {
    /// Every detail, in the order of their bits, with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Groups, "groups"),
        (Self::Tags, "tags"),
        (Self::Claims, "claims"),
        (Self::Params, "params"),
        (Self::App, "app"),
    ];

    /// The names of all details.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].1;
            index += 1;
        }
        names
    };

    /// The detail with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(detail, _)| *detail)
    }
}

/// A set of details.
///
/// ```
/// use gannet::dispatch::With;
/// assert_eq!(With::from_bits(0x1f), Some(With::ALL));
/// assert_eq!(With::from_bits(0x20), None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct With(u8);

impl With {
    /// No detail.
    pub const NONE: Self = Self(0);

    /// Every detail.
    pub const ALL: Self = Self((1 << Detail::ALL.len()) - 1);

    /// The set with these bits; `None` where one of them is of no detail.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & !Self::ALL.0 {
            0 => Some(Self(bits)),
            _ => None,
        }
    }

    /// A bit for each detail, as the binary link has them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// This set and `detail`.
    #[must_use]
    pub const fn and(self, detail: Detail) -> Self {
        Self(self.0 | 1 << detail as u8)
    }

    /// The details of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `detail` is in it.
    pub const fn has(self, detail: Detail) -> bool {
        self.0 & 1 << detail as u8 != 0
    }

    /// Whether it has no detail.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the details in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Detail::ALL.iter().filter(move |(detail, _)| self.has(*detail)).map(|(_, name)| *name)
    }
}

/// Which events a link wants.
///
/// ```
/// use gannet::dispatch::{EventKind, EventSet, LinkForm, Listen};
/// let closes = Listen { events: EventSet::of(&[EventKind::Close]), ..Listen::default() };
/// assert!(closes.events.has(EventKind::Close));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listen {
    /// Events of these kinds.
    pub events: EventSet,
    /// Links with the same name here split the sessions among them.
    pub share: Option<Name>,
    /// What each event has of its session.
    pub with: With,
    /// What the link is called: no other live link of its app is called so.
    pub name: Option<Name>,
    /// The link is told of every session that is there first.
    pub snapshot: bool,
    /// Each event has its number: how many the link has read with it.
    pub numbers: bool,
    /// It hears of the sessions of all nodes of a cluster; otherwise of those of the node that it is connected to.
    pub everywhere: bool,
    /// How the link speaks.
    pub form: LinkForm,
}

/// A tick of an app, and when it comes: where the wall clock, in milliseconds since the Unix epoch, is a multiple of `tick_ms` and
/// `phase_ms` more.
///
/// ```
/// use gannet::dispatch::TickPhase;
///
/// /// How long it is from `unix_ms` to the next tick.
/// fn next_in_ms(tick: &TickPhase, unix_ms: u64) -> u64 {
///     let (length, phase) = (u64::from(tick.tick_ms), u64::from(tick.phase_ms));
///     length - (unix_ms + length - phase) % length
/// }
/// assert_eq!(next_in_ms(&TickPhase { tick_ms: 50, phase_ms: 12 }, 1_003), 9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TickPhase {
    /// Its length.
    pub tick_ms: u32,
    /// Less than that.
    pub phase_ms: u32,
}

impl Listen {
    /// How its events are written.
    pub fn event_form(&self) -> EventForm {
        EventForm { form: self.form, with: self.with }
    }
}

/// How the events of a link are written.
///
/// ```
/// use gannet::dispatch::{EventForm, LinkForm, With};
/// let form = EventForm { form: LinkForm::Json, with: With::NONE };
/// assert!(form.with.is_empty());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventForm {
    /// How the link speaks.
    pub form: LinkForm,
    /// What each event has of its session.
    pub with: With,
}

/// In which form a link gets its events.
///
/// ```
/// use gannet::dispatch::LinkForm;
/// assert_ne!(LinkForm::Json, LinkForm::Binary);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkForm {
    /// A JSON object in a text message.
    #[default]
    Json,
    /// The layout of [`link_bin`](crate::link_bin) in a binary message.
    Binary,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_the_order_of_their_bits_and_are_found_by_their_names() {
        assert!(EventKind::ALL.is_sorted_by_key(|(kind, _)| *kind as u8));
        for (kind, name) in EventKind::ALL {
            assert_eq!(EventKind::named(name), Some(kind));
            assert_eq!(EventSet::of(&[kind]).bits(), 1 << kind as u8);
        }
        assert_eq!(EventKind::named("opne"), None);
        assert_eq!(EventSet::ALL.names().collect::<Vec<_>>(), EventKind::NAMES);
        assert_eq!(EventSet::from_bits(EventSet::ALL.bits()), Some(EventSet::ALL));
        assert_eq!(EventSet::from_bits(EventSet::ALL.bits() | 1 << 31), None);
    }
}
