//! Commands: what a backend asks. Eight bytes of header, the app, then each command's own fields.

mod push;

pub use push::{Push, Selector, Targets};

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_session, put_text, put_whole};
use crate::session::SessionId;

const PUSH: u8 = 0x01;
const JOIN: u8 = 0x02;
const LEAVE: u8 = 0x03;
const DESTROY: u8 = 0x04;
const MOVE: u8 = 0x05;
const KICK: u8 = 0x06;
const BIND: u8 = 0x07;
const TAG: u8 = 0x08;
const UNTAG: u8 = 0x09;
const SESSION: u8 = 0x0a;
const LISTEN: u8 = 0x0b;

/// Of join, leave and kick: it is about a user; without it, about a session.
const USER: u8 = 0x01;
/// Of kick: a close code follows.
const CODE: u8 = 0x02;

const OPEN_EVENTS: u8 = 0x01;
const MESSAGE_EVENTS: u8 = 0x02;
const CLOSE_EVENTS: u8 = 0x04;

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
    /// All about one session.
    Session {
        /// The session.
        session: SessionId,
    },
    /// Events from now on.
    Listen {
        /// Of sessions that open.
        open: bool,
        /// Of messages from clients.
        message: bool,
        /// Of sessions that close.
        close: bool,
        /// Links with the same name here split the sessions among them.
        share: Option<&'a str>,
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
        let (opcode, flags, arguments) = match &self.command {
            Command::Push(push) => (PUSH, push.flags(), push.arguments()),
            Command::Join { who, .. } => (JOIN, who.flags(), [0, 0]),
            Command::Leave { who, .. } => (LEAVE, who.flags(), [0, 0]),
            Command::Destroy { .. } => (DESTROY, 0, [0, 0]),
            Command::Move { .. } => (MOVE, 0, [0, 0]),
            Command::Kick { who, code, .. } => (KICK, who.flags() | flag(code.is_some(), CODE), [0, 0]),
            Command::Bind { .. } => (BIND, 0, [0, 0]),
            Command::Tag { .. } => (TAG, 0, [0, 0]),
            Command::Untag { .. } => (UNTAG, 0, [0, 0]),
            Command::Session { .. } => (SESSION, 0, [0, 0]),
            Command::Listen { open, message, close, .. } => {
                let events =
                    flag(*open, OPEN_EVENTS) | flag(*message, MESSAGE_EVENTS) | flag(*close, CLOSE_EVENTS);
                (LISTEN, 0, [events, 0])
            }
        };
        Header { opcode, flags, arguments, id: self.id }
    }
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

    fn bad_argument(&self, index: usize, known: &'static str) -> Malformed {
        let value = self.arguments[index].into();
        Malformed { offset: 2 + index, wrong: Wrong::Unknown { what: "an argument", value, known } }
    }
}

impl<'a> Command<'a> {
    fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        if header.opcode == PUSH {
            return Push::read(header, reader).map(Self::Push);
        }
        let (flags, names) = match header.opcode {
            JOIN | LEAVE => (USER, "0x01 (user)"),
            KICK => (USER | CODE, "0x01 (user), 0x02 (code)"),
            _ => (0, "none"),
        };
        if header.opcode != LISTEN {
            header.check_arguments([0, 0])?;
        }
        let known = (PUSH..=LISTEN).contains(&header.opcode);
        if known {
            reader.check_flags(header.flags, flags, names)?;
        }
        Ok(match header.opcode {
            JOIN => Self::Join { who: Who::read(header.flags, reader)?, group: reader.text("group")? },
            LEAVE => Self::Leave { who: Who::read(header.flags, reader)?, group: reader.text("group")? },
            DESTROY => Self::Destroy { group: reader.text("group")? },
            MOVE => Self::Move { from: reader.text("group")?, to: reader.text("to")? },
            KICK => Self::Kick {
                who: Who::read(header.flags, reader)?,
                code: (header.flags & CODE != 0).then(|| reader.u16("code")).transpose()?,
                reason: reader.rest_as_text("reason")?,
            },
            BIND => Self::Bind { session: reader.session("session")?, user: reader.optional("user")? },
            TAG => Self::Tag { session: reader.session("session")?, tag: reader.text("tag")? },
            UNTAG => Self::Untag { session: reader.session("session")?, tag: reader.text("tag")? },
            SESSION => Self::Session { session: reader.session("session")? },
            LISTEN => Self::read_listen(header, reader)?,
            opcode => {
                let (what, known) = ("an opcode", "0x01 to 0x0b");
                let wrong = Wrong::Unknown { what, value: opcode.into(), known };
                return Err(Malformed { offset: 0, wrong });
            }
        })
    }

    fn read_listen(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        const ALL: u8 = OPEN_EVENTS | MESSAGE_EVENTS | CLOSE_EVENTS;
        let events = header.arguments[0];
        if events == 0 || events & !ALL != 0 {
            return Err(header.bad_argument(0, "0x01 (open), 0x02 (message), 0x04 (close) or several"));
        }
        header.check_arguments([ALL, 0])?;
        let has = |event| events & event != 0;
        let (open, message, close) = (has(OPEN_EVENTS), has(MESSAGE_EVENTS), has(CLOSE_EVENTS));
        Ok(Self::Listen { open, message, close, share: reader.optional("share")? })
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Push(push) => push.put(out),
            Self::Join { who, group } | Self::Leave { who, group } => {
                who.put(out)?;
                put_text(group, "group", out)
            }
            Self::Destroy { group } => put_text(group, "group", out),
            Self::Move { from, to } => {
                put_text(from, "group", out)?;
                put_text(to, "to", out)
            }
            Self::Kick { who, code, reason } => {
                who.put(out)?;
                code.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes()));
                out.extend_from_slice(reason.as_bytes());
                Ok(())
            }
            Self::Bind { session, user } => {
                put_session(*session, out);
                put_text(user.unwrap_or_default(), "user", out)
            }
            Self::Tag { session, tag } | Self::Untag { session, tag } => {
                put_session(*session, out);
                put_text(tag, "tag", out)
            }
            Self::Session { session } => {
                put_session(*session, out);
                Ok(())
            }
            Self::Listen { share, .. } => put_text(share.unwrap_or_default(), "share", out),
        }
    }
}

impl<'a> Who<'a> {
    fn read(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match flags & USER {
            0 => reader.session("session").map(Self::Session),
            _ => reader.text("user").map(Self::User),
        }
    }

    fn flags(&self) -> u8 {
        flag(matches!(self, Self::User(_)), USER)
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
