//! Which events a link gets, and in which form.

use crate::session::Name;
use serde::Serialize;
use std::fmt;

/// What an event of a link is about. A kind that is new has its row in [`EventKind::ALL`], behind the others.
///
/// ```
/// use gannet::dispatch::EventKind;
/// assert_eq!(EventKind::named("join"), Some(EventKind::Join));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A session opened.
    Open,
    /// A client sent a message.
    Message,
    /// A session closed.
    Close,
    /// A session is in a group.
    Join,
    /// A session is in a group no more.
    Leave,
    /// A session's client is away, and the session waits for it.
    Away,
    /// A session's client is back.
    Back,
}

impl EventKind {
    /// Every kind, in the order of their bits, with its name.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Open, "open"),
        (Self::Message, "message"),
        (Self::Close, "close"),
        (Self::Join, "join"),
        (Self::Leave, "leave"),
        (Self::Away, "away"),
        (Self::Back, "back"),
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
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

// A set is a byte.
const _: () = assert!(EventKind::ALL.len() <= 8);

/// A set of kinds of events.
///
/// ```
/// use gannet::dispatch::{EventKind, EventSet};
/// let set = EventSet::of(&[EventKind::Open, EventKind::Close]);
/// assert!(set.has(EventKind::Close) && !set.has(EventKind::Message));
/// assert_eq!(set.bits(), 0x05);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSet(u8);

impl EventSet {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Every kind that there is.
    pub const ALL: Self = Self(((1_u16 << EventKind::ALL.len()) - 1) as u8);

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
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & !Self::ALL.0 {
            0 => Some(Self(bits)),
            _ => None,
        }
    }

    /// A bit for each kind, as the binary link has it.
    pub const fn bits(self) -> u8 {
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

    /// Whether `kind` is in it.
    pub const fn has(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
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

/// Which events a link wants.
///
/// ```
/// use gannet::dispatch::{EventKind, EventSet, LinkForm, Listen};
/// let closes = Listen { events: EventSet::of(&[EventKind::Close]), share: None, form: LinkForm::Json };
/// assert!(closes.events.has(EventKind::Close));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Events of these kinds.
    pub events: EventSet,
    /// Links with the same name here split the sessions among them.
    pub share: Option<Name>,
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

/// In which form a link gets its events.
///
/// ```
/// use gannet::dispatch::LinkForm;
/// assert_ne!(LinkForm::Json, LinkForm::Binary);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkForm {
    /// A JSON object in a text message.
    Json,
    /// The layout of [`link_bin`](crate::link_bin) in a binary message.
    Binary,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_the_order_of_their_bits_and_are_found_by_their_names() {
        for (index, (kind, name)) in EventKind::ALL.iter().enumerate() {
            assert_eq!((*kind as usize, EventKind::named(name)), (index, Some(*kind)));
            assert_eq!(EventSet::of(&[*kind]).bits(), 1 << index);
        }
        assert_eq!(EventKind::named("opne"), None);
        assert_eq!(EventSet::ALL.names().collect::<Vec<_>>(), EventKind::NAMES);
        assert_eq!(EventSet::from_bits(EventSet::ALL.bits()), Some(EventSet::ALL));
        assert_eq!(EventSet::from_bits(EventSet::ALL.bits() + 1), None);
    }
}
