//! The push: its options, its selectors and its payload, which is the rest of the message.

use super::super::Payload;
use super::super::error::{Malformed, TooLong, Wrong};
use super::super::wire::{Reader, put_count, put_session, put_text};
use super::{Header, flag};
use crate::dispatch::{Class, ReceiptMode};
use crate::session::SessionId;
use smallvec::SmallVec;
use std::ops::Deref;

/// The payload is a binary message; without it, text.
const BINARY: u8 = 0x01;
/// A time to live follows.
const TTL: u8 = 0x02;
/// A session that does not get it follows.
const EXCEPT: u8 = 0x04;
/// Further ones that do not get it follow.
const WITHOUT: u8 = 0x08;
/// The receipt is to name who missed it.
const NAMES: u8 = 0x10;

/// A message to sessions.
///
/// ```
/// use gannet::link_bin::{Payload, Push, Selector};
/// let everybody = [Selector::All].into_iter().collect();
/// let push = Push { ttl_ms: Some(500), ..Push::new(everybody, Payload::Binary(&[1, 2])) };
/// assert_eq!(push.target.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push<'a> {
    /// Whom it is for.
    pub target: Targets<'a>,
    /// The message.
    pub payload: Payload<'a>,
    /// How long it may wait for the socket, in milliseconds; without, as the server is configured.
    pub ttl_ms: Option<u32>,
    /// Conflation: an unsent older message with this key to the same session is replaced.
    pub key: Option<&'a str>,
    /// See [`Class`].
    pub class: Class,
    /// A session that does not get it.
    pub except: Option<SessionId>,
    /// Further ones that do not get it.
    pub without: Targets<'a>,
    /// When it is answered.
    pub receipt: ReceiptMode,
    /// Whether the receipt is to name who missed it.
    pub names: bool,
}

impl<'a> Push<'a> {
    /// With the defaults of everything else.
    pub fn new(target: Targets<'a>, payload: Payload<'a>) -> Self {
        let (class, receipt) = (Class::default(), ReceiptMode::default());
        let (without, names) = (Targets::default(), false);
        Self { target, payload, ttl_ms: None, key: None, class, except: None, without, receipt, names }
    }
}

/// The selectors of a push: their union gets it. One needs no allocation.
///
/// ```
/// use gannet::link_bin::{Selector, Targets};
/// let target: Targets = [Selector::User("ada"), Selector::Group("g")].into_iter().collect();
/// assert_eq!(target[1], Selector::Group("g"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets<'a>(SmallVec<[Selector<'a>; 1]>);

impl<'a> FromIterator<Selector<'a>> for Targets<'a> {
    fn from_iter<I: IntoIterator<Item = Selector<'a>>>(selectors: I) -> Self {
        Self(selectors.into_iter().collect())
    }
}

impl<'a> Deref for Targets<'a> {
    type Target = [Selector<'a>];

    fn deref(&self) -> &[Selector<'a>] {
        &self.0
    }
}

/// One way of naming sessions.
///
/// ```
/// use gannet::link_bin::{Payload, Push, Selector};
/// let push = Push::new([Selector::Group("red")].into_iter().collect(), Payload::Text("3:2"));
/// assert_eq!(push.target[..], [Selector::Group("red")]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector<'a> {
    /// The session with this id.
    Session(SessionId),
    /// Every session of a user.
    User(&'a str),
    /// Every member of a group.
    Group(&'a str),
    /// Every session with a tag.
    Tag(&'a str),
    /// Every session of the app.
    All,
    /// The sessions that all of these mean, none of which is of this kind.
    AllOf(Vec<Selector<'a>>),
}

impl<'a> Push<'a> {
    pub(super) fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let flags = header.flags;
        let class = match header.arguments[0] {
            0 => Class::Normal,
            1 => Class::Urgent,
            2 => Class::Droppable,
            _ => return Err(header.bad_argument(0, "0 (normal), 1 (urgent), 2 (droppable)")),
        };
        let receipt = match header.arguments[1] {
            0 => ReceiptMode::Queued,
            1 => ReceiptMode::None,
            2 => ReceiptMode::Written,
            _ => return Err(header.bad_argument(1, "0 (queued), 1 (none), 2 (written)")),
        };
        let key = reader.optional("key")?;
        let ttl_ms = (flags & TTL != 0).then(|| reader.u32("ttl_ms")).transpose()?;
        let except = (flags & EXCEPT != 0).then(|| reader.session("except")).transpose()?;
        let without = match flags & WITHOUT {
            0 => Targets::default(),
            _ => {
                let without = Targets::read("the number of excepted", reader)?;
                if without.is_empty() {
                    let known = "1 and more";
                    return Err(
                        reader.wrong(2, Wrong::Unknown { what: "the number of excepted", value: 0, known })
                    );
                }
                without
            }
        };
        let target = Targets::read("the number of selectors", reader)?;
        let payload = match flags & BINARY {
            0 => Payload::Text(reader.rest_as_text("the payload of a text message")?),
            _ => Payload::Binary(reader.rest()),
        };
        let names = flags & NAMES != 0;
        Ok(Self { target, payload, ttl_ms, key, class, except, without, receipt, names })
    }

    pub(super) fn flags(&self) -> u8 {
        flag(matches!(self.payload, Payload::Binary(_)), BINARY)
            | flag(self.ttl_ms.is_some(), TTL)
            | flag(self.except.is_some(), EXCEPT)
            | flag(!self.without.is_empty(), WITHOUT)
            | flag(self.names, NAMES)
    }

    pub(super) fn arguments(&self) -> [u8; 2] {
        let class = match self.class {
            Class::Normal => 0,
            Class::Urgent => 1,
            Class::Droppable => 2,
        };
        let receipt = match self.receipt {
            ReceiptMode::Queued => 0,
            ReceiptMode::None => 1,
            ReceiptMode::Written => 2,
        };
        [class, receipt]
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_text(self.key.unwrap_or_default(), "key", out)?;
        self.ttl_ms.iter().for_each(|ttl_ms| out.extend_from_slice(&ttl_ms.to_le_bytes()));
        self.except.iter().for_each(|session| put_session(*session, out));
        if !self.without.is_empty() {
            put_selectors(&self.without, "the excepted", out)?;
        }
        put_selectors(&self.target, "the target", out)?;
        out.extend_from_slice(self.payload.as_bytes());
        Ok(())
    }
}

impl<'a> Targets<'a> {
    fn read(number: &'static str, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = reader.u16(number)?;
        (0..count).map(|_| Selector::read(reader, true)).collect()
    }
}

fn put_selectors(selectors: &[Selector<'_>], what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(selectors.len(), what, out)?;
    selectors.iter().try_for_each(|selector| selector.put(out))
}

impl<'a> Selector<'a> {
    fn read(reader: &mut Reader<'a>, may_have_parts: bool) -> Result<Self, Malformed> {
        Ok(match reader.u8("a selector")? {
            5 if may_have_parts => {
                let count = reader.u16("the number of parts")?;
                Self::AllOf((0..count).map(|_| Self::read(reader, false)).collect::<Result<_, _>>()?)
            }
            0 => Self::Session(reader.session("session")?),
            1 => Self::User(reader.text("user")?),
            2 => Self::Group(reader.text("group")?),
            3 => Self::Tag(reader.text("tag")?),
            4 => Self::All,
            kind => {
                let known = match may_have_parts {
                    true => "0 (session), 1 (user), 2 (group), 3 (tag), 4 (all), 5 (all_of)",
                    false => "0 (session), 1 (user), 2 (group), 3 (tag), 4 (all)",
                };
                return Err(reader.wrong(1, Wrong::Unknown { what: "a selector", value: kind.into(), known }));
            }
        })
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (kind, what, name) = match self {
            Self::Session(session) => {
                out.push(0);
                put_session(*session, out);
                return Ok(());
            }
            Self::User(name) => (1, "user", name),
            Self::Group(name) => (2, "group", name),
            Self::Tag(name) => (3, "tag", name),
            Self::All => {
                out.push(4);
                return Ok(());
            }
            Self::AllOf(parts) => {
                out.push(5);
                return put_selectors(parts, "the parts", out);
            }
        };
        out.push(kind);
        put_text(name, what, out)
    }
}
