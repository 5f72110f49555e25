//! Events: what happens to the sessions that a link listens to. Four bytes of header, the session, its user, then each
//! event's own fields.

use super::error::{Malformed, TooLong, Wrong};
use super::names::{put_names, read_names, read_remote};
use super::wire::{Reader, put_session, put_text, put_whole};
use super::{Payload, State};
use crate::dispatch::EventKind;
use crate::session::{Name, Remote, SessionId};
use std::borrow::Cow;

/// The first opcode of an event: replies are below.
pub(super) const OPEN: u8 = 0xc1;
const MESSAGE: u8 = 0xc2;
const CLOSE: u8 = 0xc3;
const JOIN: u8 = 0xc4;
const LEAVE: u8 = 0xc5;
const AWAY: u8 = 0xc6;
const BACK: u8 = 0xc7;
const GAP: u8 = 0xc8;
const ASSIGNED: u8 = 0xcf;
const UNASSIGNED: u8 = 0xd0;
const SESSION: u8 = 0xd1;
const SYNCED: u8 = 0xd2;

/// Of a message: it is binary; without it, text.
const BINARY: u8 = 0x01;

/// What happened to a session.
///
/// ```
/// use gannet::link_bin::{Event, Payload};
/// use gannet::session::SessionId;
/// let session = SessionId::from_u64(0x00a0_0000_0000_0001);
/// let event = Event::Message { session, user: Some("ada"), payload: Payload::Text("hi") };
/// let mut message = Vec::new();
/// event.encode(&mut message)?;
/// assert_eq!(Event::decode(&message)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// It opened.
    Open {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// Its app.
        app: &'a str,
        /// Where the client is.
        remote: Remote,
        /// Its tags.
        tags: Cow<'a, [Name]>,
    },
    /// Its client sent a message.
    Message {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// The message.
        payload: Payload<'a>,
    },
    /// It closed.
    Close {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// The close code (RFC 6455 §7.1.5).
        code: u16,
        /// The close reason.
        reason: &'a str,
    },
    /// It is in a group from now on.
    Join(Membership<'a>),
    /// It is in a group no more.
    Leave(Membership<'a>),
    /// Its client is away, and it waits for it.
    Away {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// How its connection ended (RFC 6455 §7.1.5).
        code: u16,
        /// The reason of that.
        reason: &'a str,
    },
    /// Its client is back.
    Back {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// Where the client is now.
        remote: Remote,
    },
    /// Events before this one are missing: the link came back, and they were kept no more.
    Gap,
    /// The session is the link's from now on, of those that its share divides.
    Assigned(State<'a>),
    /// A session that was there when the link asked for all of them.
    Session(State<'a>),
    /// The link has been told of all sessions that were there.
    Synced,
    /// The session is the link's no more.
    Unassigned {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
    },
}

/// A session that is in a group, or was.
///
/// ```
/// use gannet::link_bin::{Event, Membership};
/// use gannet::session::SessionId;
/// let session = SessionId::from_u64(0x00a0_0000_0000_0001);
/// let event = Event::Join(Membership { session, user: Some("ada"), app: "default", group: "red" });
/// let mut message = Vec::new();
/// event.encode(&mut message)?;
/// assert_eq!(Event::decode(&message)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership<'a> {
    /// Which session.
    pub session: SessionId,
    /// Its user.
    pub user: Option<&'a str>,
    /// Its app.
    pub app: &'a str,
    /// The group.
    pub group: &'a str,
}

impl Event<'_> {
    /// What it is about; `None` for what is about no session.
    pub fn kind(&self) -> Option<EventKind> {
        match self {
            Self::Open { .. } => Some(EventKind::Open),
            Self::Message { .. } => Some(EventKind::Message),
            Self::Close { .. } => Some(EventKind::Close),
            Self::Join(_) => Some(EventKind::Join),
            Self::Leave(_) => Some(EventKind::Leave),
            Self::Away { .. } => Some(EventKind::Away),
            Self::Back { .. } => Some(EventKind::Back),
            Self::Gap | Self::Session(_) | Self::Synced => None,
            Self::Assigned(_) => Some(EventKind::Assigned),
            Self::Unassigned { .. } => Some(EventKind::Unassigned),
        }
    }

    /// The session that it is about; the id 0, which no session has, for what is about none.
    pub fn session(&self) -> SessionId {
        match self {
            Self::Open { session, .. }
            | Self::Message { session, .. }
            | Self::Close { session, .. }
            | Self::Away { session, .. }
            | Self::Back { session, .. }
            | Self::Unassigned { session, .. } => *session,
            Self::Assigned(state) | Self::Session(state) => state.session,
            Self::Join(membership) | Self::Leave(membership) => membership.session,
            Self::Gap | Self::Synced => SessionId::from_u64(0),
        }
    }
}

impl<'a> Event<'a> {
    /// Reads a whole message. Bytes behind what is known are of a later version, and skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        let opcode = reader.u8("an opcode")?;
        let flags = reader.u8("flags")?;
        let code = reader.u16("a close code")?;
        if !matches!(opcode, OPEN..=GAP | ASSIGNED..=SYNCED) {
            let (what, known) = ("the opcode of an event", "0xc1 to 0xc8, 0xcf to 0xd2");
            let wrong = Wrong::Unknown { what, value: opcode.into(), known };
            return Err(Malformed { offset: 0, wrong });
        }
        let (session, user) = (reader.session("session")?, reader.optional("user")?);
        Ok(match opcode {
            OPEN => Self::Open {
                session,
                user,
                app: reader.text("app")?,
                remote: read_remote(&mut reader)?,
                tags: Cow::Owned(read_names("tags", &mut reader)?),
            },
            MESSAGE if flags & BINARY != 0 => {
                Self::Message { session, user, payload: Payload::Binary(reader.rest()) }
            }
            MESSAGE => {
                let payload = Payload::Text(reader.rest_as_text("the payload of a text message")?);
                Self::Message { session, user, payload }
            }
            CLOSE => Self::Close { session, user, code, reason: reader.rest_as_text("reason")? },
            AWAY => Self::Away { session, user, code, reason: reader.rest_as_text("reason")? },
            BACK => Self::Back { session, user, remote: read_remote(&mut reader)? },
            GAP => Self::Gap,
            ASSIGNED => Self::Assigned(State::read(flags, session, user, &mut reader)?),
            UNASSIGNED => Self::Unassigned { session, user },
            SESSION => Self::Session(State::read(flags, session, user, &mut reader)?),
            SYNCED => Self::Synced,
            _ => {
                let (app, group) = (reader.text("app")?, reader.text("group")?);
                let membership = Membership { session, user, app, group };
                if opcode == JOIN { Self::Join(membership) } else { Self::Leave(membership) }
            }
        })
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] for a session with more than 65,535 tags; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (opcode, flags, code, session, user) = match self {
            Self::Open { session, user, .. } => (OPEN, 0, 0, session, user),
            Self::Message { session, user, payload: Payload::Text(_) } => (MESSAGE, 0, 0, session, user),
            Self::Message { session, user, .. } => (MESSAGE, BINARY, 0, session, user),
            Self::Close { session, user, code, .. } => (CLOSE, 0, *code, session, user),
            Self::Join(Membership { session, user, .. }) => (JOIN, 0, 0, session, user),
            Self::Leave(Membership { session, user, .. }) => (LEAVE, 0, 0, session, user),
            Self::Away { session, user, code, .. } => (AWAY, 0, *code, session, user),
            Self::Back { session, user, .. } => (BACK, 0, 0, session, user),
            Self::Gap => (GAP, 0, 0, &SessionId::from_u64(0), &None),
            Self::Assigned(state) => (ASSIGNED, state.flags(), 0, &state.session, &state.user),
            Self::Session(state) => (SESSION, state.flags(), 0, &state.session, &state.user),
            Self::Synced => (SYNCED, 0, 0, &SessionId::from_u64(0), &None),
            Self::Unassigned { session, user } => (UNASSIGNED, 0, 0, session, user),
        };
        let [low, high] = code.to_le_bytes();
        put_whole(out, |out| {
            out.extend_from_slice(&[opcode, flags, low, high]);
            put_session(*session, out);
            put_text(user.unwrap_or_default(), "user", out)?;
            match self {
                Self::Open { app, remote, tags, .. } => {
                    put_text(app, "app", out)?;
                    put_text(&remote.to_string(), "remote", out)?;
                    put_names(tags, "tags", out)?;
                }
                Self::Message { payload, .. } => out.extend_from_slice(payload.as_bytes()),
                Self::Close { reason, .. } | Self::Away { reason, .. } => {
                    out.extend_from_slice(reason.as_bytes())
                }
                Self::Back { remote, .. } => put_text(&remote.to_string(), "remote", out)?,
                Self::Join(Membership { app, group, .. }) | Self::Leave(Membership { app, group, .. }) => {
                    put_text(app, "app", out)?;
                    put_text(group, "group", out)?;
                }
                Self::Assigned(state) | Self::Session(state) => state.put(out)?,
                Self::Gap | Self::Synced | Self::Unassigned { .. } => {}
            }
            Ok(())
        })
    }
}
