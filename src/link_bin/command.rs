//! Commands: what a backend asks. Eight bytes of header, the app, then each command's own fields.

mod header;
mod in_parts;
mod parts;
mod push;
mod routed;
mod who;

use header::Header;
pub(crate) use parts::Parts;
pub use push::{Push, Selector, Targets};
pub use routed::Routed;
pub use who::{By, Groups, Who, Whom};

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_text, put_whole};
use crate::dispatch::{Epoch, EventSet, NameKind, Scope, SessionEnd, With};
use crate::ops::{Op, Part, Verb};
use crate::session::SessionId;
use std::sync::LazyLock;

/// One command, and what its reply is to be marked with.
///
/// ```
/// use gannet::link_bin::{Command, Request};
/// let mut message = Vec::new();
/// let request = Request::new(7, Command::Destroy { group: "g" });
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
    /// Which nodes it is for.
    pub scope: Scope,
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
    /// Sessions join several groups.
    JoinAll {
        /// Who.
        who: Who<'a>,
        /// Which.
        groups: Vec<&'a str>,
    },
    /// Users join groups with every session, also with those that come later.
    JoinSticky {
        /// Who: users.
        who: Who<'a>,
        /// Which.
        groups: Groups<'a>,
        /// Of one group: the newest so many of its log.
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
    /// Sessions leave several groups.
    LeaveAll {
        /// Who.
        who: Who<'a>,
        /// Which.
        groups: Vec<&'a str>,
    },
    /// Sessions are in exactly these groups, of those that begin with a prefix.
    SetGroups {
        /// Who.
        who: Who<'a>,
        /// Which.
        groups: Vec<&'a str>,
        /// Without it, of all groups.
        prefix: Option<&'a str>,
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
    /// Some members leave one group and are in another.
    MoveSome {
        /// Who.
        who: Who<'a>,
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
    /// Sessions get a tag.
    TagAll {
        /// Who: any but one session, which [`Command::Tag`] has.
        who: Who<'a>,
        /// The tag.
        tag: &'a str,
    },
    /// Sessions lose a tag.
    UntagAll {
        /// Who: any but one session, which [`Command::Untag`] has.
        who: Who<'a>,
        /// The tag.
        tag: &'a str,
    },
    /// Sessions have exactly these tags, of those that begin with a prefix.
    SetTags {
        /// Who.
        who: Who<'a>,
        /// Which.
        tags: Vec<&'a str>,
        /// Without it, of all tags.
        prefix: Option<&'a str>,
    },
    /// A session goes on under another token of its user.
    Renew {
        /// The session.
        session: SessionId,
        /// The token.
        token: &'a str,
    },
    /// A session ends when it is told.
    RenewUntil {
        /// The session.
        session: SessionId,
        /// When.
        end: SessionEnd,
    },
    /// Sessions are closed, and no new ones are let in.
    Ban {
        /// Whose.
        whom: Whom<'a>,
        /// For so many milliseconds; without it, until the ban is taken back.
        for_ms: Option<u64>,
        /// The close reason: at most 123 bytes.
        reason: &'a str,
    },
    /// A ban is taken back.
    Unban {
        /// Whose.
        whom: Whom<'a>,
    },
    /// The bans of the app.
    Bans {
        /// Entries of a page; 0 is the default.
        limit: u32,
        /// What the last page gave as next.
        after: Option<&'a str>,
    },
    /// The sessions of a user, a group or a tag, or of the app.
    List {
        /// Whose.
        by: By<'a>,
        /// Entries of a page; 0 is the default.
        limit: u32,
        /// What the last page gave as next.
        after: Option<&'a str>,
        /// Only those that are behind, the largest queue first; such a list has one page.
        behind: bool,
    },
    /// How many there are.
    Count {
        /// Whose.
        by: By<'a>,
    },
    /// The users who have sessions, the groups that have members, or the apps.
    Names {
        /// Which.
        kind: NameKind,
        /// Whose names begin so.
        prefix: Option<&'a str>,
        /// Entries of a page; 0 is the default.
        limit: u32,
        /// What the last page gave as next.
        after: Option<&'a str>,
    },
    /// What is counted of the app.
    Stats,
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
        /// What each event has of its session.
        with: With,
        /// What the link is called.
        name: Option<&'a str>,
        /// It is told first of all sessions that are there.
        snapshot: bool,
        /// Each event has its number.
        numbers: bool,
        /// It hears of the sessions of all nodes of a cluster.
        everywhere: bool,
    },
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
    /// One for the link's app, and for all nodes.
    pub fn new(id: u32, command: Command<'a>) -> Self {
        Self { id, app: None, scope: Scope::default(), command }
    }

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
            Ok(Self { id, app, scope: header.scope, command })
        };
        read(&mut reader).map_err(|error| Refused { id, error })
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] when a text has more than 255 bytes, or a target more than 65,535 selectors; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_whole(out, |out| {
            self.header().put(out);
            put_text(self.app.unwrap_or_default(), "app", out)?;
            self.command.put(out)
        })
    }

    fn header(&self) -> Header {
        let (flags, arguments) = match &self.command {
            Command::Push(push) => (push.flags(), push.arguments()),
            command => {
                let (verb, parts) = command.parts();
                let first = parts.events.bits().to_le_bytes()[0];
                (parts.flags(verb.op()), [first, 0])
            }
        };
        let opcode = self.command.verb().op().opcode;
        Header { opcode, flags, arguments, scope: self.scope, id: self.id }
    }
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

impl<'a> Command<'a> {
    fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        static OPCODES: LazyLock<String> = LazyLock::new(crate::ops::Op::opcodes);
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
        let Parts {
            last, after, epoch, is_sticky, limit, key, groups, has_members, names, prefix, with, ..
        } = parts;
        let Parts { by, end, whom, for_ms, page_limit, page_after, counts_only, .. } = parts;
        let Parts { name, link, routed, snapshot, numbers, everywhere, is_behind, .. } = parts;
        let named = |kind| Self::Names { kind, prefix, limit: page_limit, after: page_after };
        Ok(match op.verb {
            Verb::Push => Self::Push(Push::read(header, reader)?),
            Verb::Join if is_sticky => {
                let groups = if groups.is_empty() { Groups::One(group) } else { Groups::Several(groups) };
                Self::JoinSticky { who, groups, last, after, epoch }
            }
            Verb::Join if last.is_some() || after.is_some() || epoch.is_some() => {
                Self::JoinWith { who, group, last, after, epoch }
            }
            Verb::Join if !groups.is_empty() => Self::JoinAll { who, groups },
            Verb::Join => Self::Join { who, group },
            Verb::Leave if !groups.is_empty() => Self::LeaveAll { who, groups },
            Verb::Leave => Self::Leave { who, group },
            Verb::SetGroups => Self::SetGroups { who, groups: names, prefix },
            Verb::SetTags => Self::SetTags { who, tags: names, prefix },
            Verb::Move if has_members => Self::MoveSome { who, from: group, to },
            Verb::Destroy => Self::Destroy { group },
            Verb::Move => Self::Move { from: group, to },
            Verb::Kick => Self::Kick { who, code, reason },
            Verb::Bind => Self::Bind { session, user },
            Verb::Tag => match who {
                Who::Session(session) => Self::Tag { session, tag },
                who => Self::TagAll { who, tag },
            },
            Verb::Untag => match who {
                Who::Session(session) => Self::Untag { session, tag },
                who => Self::UntagAll { who, tag },
            },
            Verb::Session => Self::Session { session },
            Verb::Renew => match end {
                Some(end) => Self::RenewUntil { session, end },
                None => Self::Renew { session, token },
            },
            Verb::Ban => Self::Ban { whom, for_ms, reason },
            Verb::Unban => Self::Unban { whom },
            Verb::List => Self::List { by, limit: page_limit, after: page_after, behind: is_behind },
            Verb::Count => Self::Count { by },
            Verb::Users => named(NameKind::Users),
            Verb::Groups => named(NameKind::Groups),
            Verb::Apps => named(NameKind::Apps),
            Verb::Stats => Self::Stats,
            Verb::Bans => Self::Bans { limit: page_limit, after: page_after },
            Verb::Listen => Self::Listen { events, share, with, name, snapshot, numbers, everywhere },
            Verb::Presence => {
                Self::Presence { group, limit: page_limit, after: page_after, members: !counts_only }
            }
            Verb::Latest => Self::Latest { group },
            Verb::Log => Self::Log { group, after, epoch, limit },
            Verb::Forget => Self::Forget { group, key },
            Verb::Route => Self::Route { what: routed, link },
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
}
