//! Commands: what a backend asks. Eight bytes of header, the app, then each command's own fields.

mod parts;
mod push;
mod routed;

pub(crate) use parts::Parts;
pub use push::{Push, Selector, Targets};
pub use routed::Routed;

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_session, put_text, put_whole};
use crate::dispatch::{Epoch, EventKind, EventSet};
use crate::ops::{Op, Part, Verb};
use crate::session::SessionId;
use std::sync::LazyLock;

/// One command, and what its reply is to be marked with.
///
/// ```
/// use gannet::link_bin::{Command, Request};
/// let mut message = Vec::new();
/// let request = Request { id: 7, app: None, command: Command::Destroy { group: "g" } };
/// request.encode(&mut message)?;
/// assert_eq!(message, [4, 0, 0, 0, 7, 0, 0, 0, 0, 1, b'g']);
/// assert_eq!(Request::decode(&message), Ok(request));
/// # Ok::<(), gannet::link_bin::TooLong>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Echoed in the reply; a command with 0 gets no reply.
    pub id: u32,
    /// The app whose names it uses; without one, the link's.
    pub app: Option<&'a str>,
    /// What it asks.
    pub command: Command<'a>,
}

/// What a command asks.
///
/// ```
/// use gannet::link_bin::{Command, Who};
/// let join = Command::Join { who: Who::User("ada"), group: "red" };
/// assert_ne!(join, Command::Leave { who: Who::User("ada"), group: "red" });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Send a message to sessions.
    Push(Push<'a>),
    /// Sessions join a group.
    Join {
        /// Who.
        who: Who<'a>,
        /// Which.
        group: &'a str,
    },
    /// Sessions join a group that has a log, and get a part of it first: the newest so many, or what is behind a number.
    JoinWith {
        /// Who.
        who: Who<'a>,
        /// Which.
        group: &'a str,
        /// The newest so many.
        last: Option<u64>,
        /// What is behind this number.
        after: Option<u64>,
        /// The epoch of that number.
        epoch: Option<Epoch>,
    },
    /// Sessions leave a group.
    Leave {
        /// Who.
        who: Who<'a>,
        /// Which.
        group: &'a str,
    },
    /// Every member leaves a group.
    Destroy {
        /// Which.
        group: &'a str,
    },
    /// Every member leaves one group and is in another.
    Move {
        /// The one.
        from: &'a str,
        /// The other.
        to: &'a str,
    },
    /// Sessions are closed.
    Kick {
        /// Whose.
        who: Who<'a>,
        /// The close code (RFC 6455 §7.4); without one, 4001.
        code: Option<u16>,
        /// The close reason: at most 123 bytes.
        reason: &'a str,
    },
    /// A session is a user's from now on, or nobody's.
    Bind {
        /// The session.
        session: SessionId,
        /// The user.
        user: Option<&'a str>,
    },
    /// A session gets a tag.
    Tag {
        /// The session.
        session: SessionId,
        /// The tag.
        tag: &'a str,
    },
    /// A session loses a tag.
    Untag {
        /// The session.
        session: SessionId,
        /// The tag.
        tag: &'a str,
    },
    /// A session goes on under another token of its user.
    Renew {
        /// The session.
        session: SessionId,
        /// The token.
        token: &'a str,
    },
    /// All about one session.
    Session {
        /// The session.
        session: SessionId,
    },
    /// Who is in a group.
    Presence {
        /// Which.
        group: &'a str,
        /// Entries of a page; 0 is the default.
        limit: u32,
        /// What the last page gave as next.
        after: Option<&'a str>,
        /// Whether who is there is named, or only counted.
        members: bool,
    },
    /// The newest push of each key that a group keeps.
    Latest {
        /// Which.
        group: &'a str,
    },
    /// The pushes that the log of a group keeps.
    Log {
        /// Which.
        group: &'a str,
        /// What is behind this number.
        after: Option<u64>,
        /// The epoch of that number.
        epoch: Option<Epoch>,
        /// How many at the most.
        limit: Option<u32>,
    },
    /// A group forgets.
    Forget {
        /// Which.
        group: &'a str,
        /// The newest push of this key; `None` is everything.
        key: Option<&'a str>,
    },
    /// The events of sessions go to one link of a share from now on.
    Route {
        /// Which sessions.
        what: Routed<'a>,
        /// What the link is called; `None` ends their route.
        link: Option<&'a str>,
    },
    /// The sessions of a share that no route binds are divided evenly anew.
    Rebalance {
        /// The share.
        share: &'a str,
    },
    /// Events from now on.
    Listen {
        /// Of these kinds.
        events: EventSet,
        /// Links with the same name here split the sessions among them.
        share: Option<&'a str>,
        /// What the link is called.
        name: Option<&'a str>,
        /// It is told first of all sessions that are there.
        snapshot: bool,
    },
}

/// The sessions that a command is about.
///
/// ```
/// use gannet::link_bin::{Command, Who};
/// let kick = Command::Kick { who: Who::User("ada"), code: None, reason: "too many shots" };
/// assert!(matches!(kick, Command::Kick { who: Who::User("ada"), .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// One session.
    Session(SessionId),
    /// Every session of a user.
    User(&'a str),
}

/// A message that is no command.
///
/// ```
/// use gannet::link_bin::Request;
/// let refused = Request::decode(&[4, 0, 0, 0, 7, 0, 0, 0, 0, 9, b'g']).unwrap_err();
/// assert_eq!(refused.id, 7, "a reply to it can say so");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The id in its header; 0 where the header is not whole.
    pub id: u32,
    /// Why.
    pub error: Malformed,
}

impl<'a> Request<'a> {
    /// Reads a whole message.
    ///
    /// # Errors
    /// [`Refused`]. Lengths and texts of names are held against the layout alone, not against the server's bounds.
    pub fn decode(message: &'a [u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(message);
        let header = Header::read(&mut reader).map_err(|error| Refused { id: 0, error })?;
        let id = header.id;
        let read = |reader: &mut Reader<'a>| {
            let app = reader.optional("app")?;
            let command = Command::read(&header, reader)?;
            reader.end()?;
            Ok(Self { id, app, command })
        };
        read(&mut reader).map_err(|error| Refused { id, error })
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] when a text has more than 255 bytes, or a target more than 65,535 selectors; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Header { opcode, flags, arguments, .. } = self.header();
        put_whole(out, |out| {
            out.extend_from_slice(&[opcode, flags, arguments[0], arguments[1]]);
            out.extend_from_slice(&self.id.to_le_bytes());
            put_text(self.app.unwrap_or_default(), "app", out)?;
            self.command.put(out)
        })
    }

    fn header(&self) -> Header {
        let (flags, arguments) = match &self.command {
            Command::Push(push) => (push.flags(), push.arguments()),
            command => {
                let (verb, parts) = command.parts();
                let layout = verb.op().layout;
                let has = |part| layout.contains(&part);
                let is_routed = has(Part::Routed) && !parts.of_group;
                let about_user = (has(Part::Who) || is_routed) && matches!(parts.who, Who::User(_));
                let user =
                    flag(about_user, Part::USER) | flag(has(Part::Routed) && parts.of_group, Part::GROUP);
                let code = flag(has(Part::Code) && parts.code.is_some(), Part::CODE);
                let counts = flag(has(Part::Page) && parts.counts_only, Part::COUNTS);
                let more = flag(has(Part::Events) && parts.more_events() != 0, Part::MORE);
                let name = flag(has(Part::Events) && parts.name.is_some(), Part::NAME);
                let first = parts.events.bits().to_le_bytes()[0];
                let snapshot = flag(has(Part::Events) && parts.snapshot, Part::SNAPSHOT);
                (user | code | counts | more | name | snapshot | parts.flags(verb.op()), [first, 0])
            }
        };
        Header { opcode: self.command.verb().op().opcode, flags, arguments, id: self.id }
    }
}

/// The events that have their bits in the first argument of a command.
const FIRST_EVENTS: u32 = 0xff;

/// The kinds of events that have these bits, for a person to read.
fn kinds_in(bits: u32) -> String {
    let bit = |kind: EventKind| EventSet::of(&[kind]).bits();
    let kinds = EventKind::ALL.iter().filter(|(kind, _)| bit(*kind) & bits != 0);
    let kinds: Vec<String> = kinds.map(|(kind, name)| format!("{:#04x} ({name})", bit(*kind))).collect();
    format!("{} or several", kinds.join(", "))
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// The first eight bytes.
struct Header {
    opcode: u8,
    flags: u8,
    arguments: [u8; 2],
    id: u32,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        const WHAT: &str = "a header";
        match *reader.take(8, WHAT)? {
            [opcode, flags, first, second, a, b, c, d] => {
                Ok(Self { opcode, flags, arguments: [first, second], id: u32::from_le_bytes([a, b, c, d]) })
            }
            _ => Err(reader.wrong(8, Wrong::Truncated { what: WHAT, needs: 8, left: 0 })),
        }
    }

    /// The arguments of a command that has none, or only the first.
    fn check_arguments(&self, most: [u8; 2]) -> Result<(), Malformed> {
        for (index, (argument, most)) in self.arguments.into_iter().zip(most).enumerate() {
            if argument > most {
                return Err(self.bad_argument(index, "0: it is reserved"));
            }
        }
        Ok(())
    }

    /// The events in the first argument; none only where more follow.
    fn events(&self) -> Result<EventSet, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| kinds_in(FIRST_EVENTS));
        let events = EventSet::from_bits(self.arguments[0].into());
        let events = events.filter(|events| !events.is_empty() || self.flags & Part::MORE != 0);
        let events = events.ok_or_else(|| self.bad_argument(0, &KNOWN))?;
        self.check_arguments([u8::MAX, 0]).map(|()| events)
    }

    /// The events that follow where the first argument has no bits for them.
    fn more_events(&self, reader: &mut Reader<'_>) -> Result<EventSet, Malformed> {
        static KNOWN: LazyLock<String> = LazyLock::new(|| kinds_in(!FIRST_EVENTS));
        if self.flags & Part::MORE == 0 {
            return Ok(EventSet::NONE);
        }
        let bits = reader.u32("more events")?;
        let events = EventSet::from_bits(bits).filter(|_| bits & FIRST_EVENTS == 0 && bits != 0);
        let unknown = Wrong::Unknown { what: "more events", value: bits.into(), known: &KNOWN };
        events.ok_or_else(|| reader.wrong(4, unknown))
    }

    fn bad_argument(&self, index: usize, known: &'static str) -> Malformed {
        let value = self.arguments[index].into();
        Malformed { offset: 2 + index, wrong: Wrong::Unknown { what: "an argument", value, known } }
    }
}

impl<'a> Command<'a> {
    fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        static OPCODES: LazyLock<String> = LazyLock::new(|| {
            let opcodes = crate::ops::OPS.iter().map(|op| op.opcode).collect::<Vec<_>>();
            let ranges = opcodes.chunk_by(|one, next| one + 1 == *next);
            let ranges = ranges.map(|range| format!("{:#04x} to {:#04x}", range[0], range[range.len() - 1]));
            ranges.collect::<Vec<_>>().join(", ")
        });
        let Some(op) = Op::with_opcode(header.opcode) else {
            header.check_arguments([0, 0])?;
            let wrong = Wrong::Unknown { what: "an opcode", value: header.opcode.into(), known: &OPCODES };
            return Err(Malformed { offset: 0, wrong });
        };
        if op.verb != Verb::Push && !op.layout.contains(&Part::Events) {
            header.check_arguments([0, 0])?;
        }
        reader.check_flags(header.flags, op.flags.known, op.flags.names)?;
        // Nothing of a push: it has a reader of its own.
        let parts = Parts::read(op, header, reader)?;
        let Parts { who, session, user, group, to, tag, code, reason, events, share, token, .. } = parts;
        let Parts { last, after, epoch, limit, key, name, link, of_group, snapshot, .. } = parts;
        Ok(match op.verb {
            Verb::Push => Self::Push(Push::read(header, reader)?),
            Verb::Join if last.is_some() || after.is_some() || epoch.is_some() => {
                Self::JoinWith { who, group, last, after, epoch }
            }
            Verb::Join => Self::Join { who, group },
            Verb::Leave => Self::Leave { who, group },
            Verb::Destroy => Self::Destroy { group },
            Verb::Move => Self::Move { from: group, to },
            Verb::Kick => Self::Kick { who, code, reason },
            Verb::Bind => Self::Bind { session, user },
            Verb::Tag => Self::Tag { session, tag },
            Verb::Untag => Self::Untag { session, tag },
            Verb::Session => Self::Session { session },
            Verb::Renew => Self::Renew { session, token },
            Verb::Listen => Self::Listen { events, share, name, snapshot },
            Verb::Presence => {
                let Parts { page_limit: limit, page_after: after, counts_only, .. } = parts;
                Self::Presence { group, limit, after, members: !counts_only }
            }
            Verb::Latest => Self::Latest { group },
            Verb::Log => Self::Log { group, after, epoch, limit },
            Verb::Forget => Self::Forget { group, key },
            Verb::Route => {
                let what = match who {
                    _ if of_group => Routed::Group(group),
                    Who::Session(session) => Routed::Session(session),
                    Who::User(user) => Routed::User(user),
                };
                Self::Route { what, link }
            }
            Verb::Rebalance => Self::Rebalance { share: share.unwrap_or_default() },
        })
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Push(push) => push.put(out),
            command => {
                let (verb, parts) = command.parts();
                parts.put(verb.op(), out)
            }
        }
    }

    fn verb(&self) -> Verb {
        self.parts().0
    }

    /// Which command it is, and its parts; a push keeps its own.
    pub(crate) fn parts(&self) -> (Verb, Parts<'a>) {
        let none = Parts::default();
        match *self {
            Self::Push(_) => (Verb::Push, none),
            Self::Join { who, group } => (Verb::Join, Parts { who, group, ..none }),
            Self::JoinWith { who, group, last, after, epoch } => {
                (Verb::Join, Parts { who, group, last, after, epoch, ..none })
            }
            Self::Latest { group } => (Verb::Latest, Parts { group, ..none }),
            Self::Log { group, after, epoch, limit } => {
                (Verb::Log, Parts { group, after, epoch, limit, ..none })
            }
            Self::Forget { group, key } => (Verb::Forget, Parts { group, key, ..none }),
            Self::Route { what: Routed::Session(session), link } => {
                (Verb::Route, Parts { who: Who::Session(session), link, ..none })
            }
            Self::Route { what: Routed::User(user), link } => {
                (Verb::Route, Parts { who: Who::User(user), link, ..none })
            }
            Self::Route { what: Routed::Group(group), link } => {
                (Verb::Route, Parts { group, of_group: true, link, ..none })
            }
            Self::Rebalance { share } => (Verb::Rebalance, Parts { share: Some(share), ..none }),
            Self::Leave { who, group } => (Verb::Leave, Parts { who, group, ..none }),
            Self::Destroy { group } => (Verb::Destroy, Parts { group, ..none }),
            Self::Move { from, to } => (Verb::Move, Parts { group: from, to, ..none }),
            Self::Kick { who, code, reason } => (Verb::Kick, Parts { who, code, reason, ..none }),
            Self::Bind { session, user } => (Verb::Bind, Parts { session, user, ..none }),
            Self::Tag { session, tag } => (Verb::Tag, Parts { session, tag, ..none }),
            Self::Untag { session, tag } => (Verb::Untag, Parts { session, tag, ..none }),
            Self::Renew { session, token } => (Verb::Renew, Parts { session, token, ..none }),
            Self::Session { session } => (Verb::Session, Parts { session, ..none }),
            Self::Presence { group, limit, after, members } => (
                Verb::Presence,
                Parts { group, page_limit: limit, page_after: after, counts_only: !members, ..none },
            ),
            Self::Listen { events, share, name, snapshot } => {
                (Verb::Listen, Parts { events, share, name, snapshot, ..none })
            }
        }
    }
}

impl<'a> Who<'a> {
    fn read(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match flags & Part::USER {
            0 => reader.session("session").map(Self::Session),
            _ => reader.text("user").map(Self::User),
        }
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Session(session) => {
                put_session(*session, out);
                Ok(())
            }
            Self::User(user) => put_text(user, "user", out),
        }
    }
}
