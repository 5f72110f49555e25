//! Events: what happens to the sessions that a link listens to. Four bytes of header, the session, its user, then each
//! event's own fields.

use super::error::{Malformed, TooLong, Wrong};
use super::names::{put_names, read_names, read_remote};
use super::wire::{Reader, put_session, put_text, put_whole};
use super::{Details, Payload, State};
use crate::dispatch::{Detail, EventKind, With};
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
const TAG: u8 = 0xc9;
const UNTAG: u8 = 0xca;
const BIND: u8 = 0xcb;
const USER_ONLINE: u8 = 0xcc;
const USER_OFFLINE: u8 = 0xcd;
const EXPIRING: u8 = 0xce;
const ASSIGNED: u8 = 0xcf;
const UNASSIGNED: u8 = 0xd0;
const SESSION: u8 = 0xd1;
const SYNCED: u8 = 0xd2;

/// Of a message: it is binary; without it, text.
const BINARY: u8 = 0x01;
/// Of an open: the session that it replaces follows.
const REPLACES: u8 = 0x01;
/// Of any event: its number follows, before its details.
pub(super) const NUMBERED: u8 = 0x40;
/// Of any event about a session: details of it follow, before the event's own fields.
const DETAILED: u8 = 0x80;

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
        /// The session of its user in whose place it is; that one has closed.
        replaces: Option<SessionId>,
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
    /// It has a tag from now on.
    Tag(Tagged<'a>),
    /// It has a tag no more.
    Untag(Tagged<'a>),
    /// It has another user, or none.
    Bind {
        /// Which.
        session: SessionId,
        /// Its user from now on.
        user: Option<&'a str>,
        /// Its app.
        app: &'a str,
        /// Its user before.
        old_user: Option<&'a str>,
    },
    /// A user has its first session in an app.
    UserOnline {
        /// Which user.
        user: &'a str,
        /// The app.
        app: &'a str,
    },
    /// The last session of a user in an app has been gone for a while.
    UserOffline {
        /// Which user.
        user: &'a str,
        /// The app.
        app: &'a str,
    },
    /// Its token expires soon.
    Expiring {
        /// Which.
        session: SessionId,
        /// Its user.
        user: Option<&'a str>,
        /// Its app.
        app: &'a str,
        /// When, in milliseconds since the Unix epoch.
        expires_unix_ms: u64,
    },
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

/// A session that has a tag, or had it.
///
/// ```
/// use gannet::link_bin::{Event, Tagged};
/// use gannet::session::SessionId;
/// let session = SessionId::from_u64(0x00a0_0000_0000_0001);
/// let event = Event::Tag(Tagged { session, user: Some("ada"), app: "default", tag: "ios" });
/// let mut message = Vec::new();
/// event.encode(&mut message)?;
/// assert_eq!(Event::decode(&message)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged<'a> {
    /// Which session.
    pub session: SessionId,
    /// Its user.
    pub user: Option<&'a str>,
    /// Its app.
    pub app: &'a str,
    /// The tag.
    pub tag: &'a str,
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
            Self::Tag(_) => Some(EventKind::Tag),
            Self::Untag(_) => Some(EventKind::Untag),
            Self::Bind { .. } => Some(EventKind::Bind),
            Self::UserOnline { .. } => Some(EventKind::UserOnline),
            Self::UserOffline { .. } => Some(EventKind::UserOffline),
            Self::Expiring { .. } => Some(EventKind::Expiring),
            Self::Gap | Self::Session(_) | Self::Synced => None,
            Self::Assigned(_) => Some(EventKind::Assigned),
            Self::Unassigned { .. } => Some(EventKind::Unassigned),
        }
    }

    /// What it says of its session itself; all of it, where it is about none.
    pub fn shows(&self) -> With {
        match self {
            Self::Open { .. } => With::NONE.and(Detail::Tags).and(Detail::App),
            Self::Message { .. } | Self::Close { .. } | Self::Away { .. } | Self::Back { .. } => With::NONE,
            Self::Unassigned { .. } => With::NONE,
            Self::Join(_) | Self::Leave(_) | Self::Tag(_) | Self::Untag(_) => With::NONE.and(Detail::App),
            Self::Bind { .. } | Self::Expiring { .. } => With::NONE.and(Detail::App),
            Self::Assigned(_) | Self::Session(_) => {
                With::NONE.and(Detail::Groups).and(Detail::Tags).and(Detail::App)
            }
            Self::UserOnline { .. } | Self::UserOffline { .. } | Self::Gap | Self::Synced => With::ALL,
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
            | Self::Bind { session, .. }
            | Self::Expiring { session, .. }
            | Self::Unassigned { session, .. } => *session,
            Self::Tag(tagged) | Self::Untag(tagged) => tagged.session,
            Self::Assigned(state) | Self::Session(state) => state.session,
            Self::Join(membership) | Self::Leave(membership) => membership.session,
            Self::UserOnline { .. } | Self::UserOffline { .. } | Self::Gap | Self::Synced => {
                SessionId::from_u64(0)
            }
        }
    }
}

impl<'a> Event<'a> {
    /// Reads a whole message. Bytes behind what is known are of a later version, and skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode_with(message).map(|(event, _)| event)
    }

    /// The same, with what the event says of its session beside its own fields.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode_with(message: &'a [u8]) -> Result<(Self, Details<'a>), Malformed> {
        let mut reader = Reader::new(message);
        let opcode = reader.u8("an opcode")?;
        let flags = reader.u8("flags")?;
        let code = reader.u16("a close code")?;
        if !matches!(opcode, OPEN..=SYNCED) {
            let (what, known) = ("the opcode of an event", "0xc1 to 0xd2");
            let wrong = Wrong::Unknown { what, value: opcode.into(), known };
            return Err(Malformed { offset: 0, wrong });
        }
        let (session, user) = (reader.session("session")?, reader.optional("user")?);
        if flags & NUMBERED != 0 {
            reader.u64("number")?;
        }
        let details = match flags & DETAILED {
            0 => Details::default(),
            _ => Details::read(&mut reader)?,
        };
        let event = match opcode {
            OPEN => Self::Open {
                session,
                user,
                app: reader.text("app")?,
                remote: read_remote(&mut reader)?,
                tags: Cow::Owned(read_names("tags", &mut reader)?),
                replaces: match flags & REPLACES {
                    0 => None,
                    _ => Some(reader.session("replaces")?),
                },
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
            TAG | UNTAG => {
                let (app, tag) = (reader.text("app")?, reader.text("tag")?);
                let tagged = Tagged { session, user, app, tag };
                if opcode == TAG { Self::Tag(tagged) } else { Self::Untag(tagged) }
            }
            BIND => {
                let (app, old_user) = (reader.text("app")?, reader.optional("old_user")?);
                Self::Bind { session, user, app, old_user }
            }
            USER_ONLINE => Self::UserOnline { user: user.unwrap_or_default(), app: reader.text("app")? },
            USER_OFFLINE => Self::UserOffline { user: user.unwrap_or_default(), app: reader.text("app")? },
            EXPIRING => {
                let (app, expires_unix_ms) = (reader.text("app")?, reader.u64("expires_unix_ms")?);
                Self::Expiring { session, user, app, expires_unix_ms }
            }
            ASSIGNED => Self::Assigned(State::read(flags, session, user, &mut reader)?),
            UNASSIGNED => Self::Unassigned { session, user },
            SESSION => Self::Session(State::read(flags, session, user, &mut reader)?),
            SYNCED => Self::Synced,
            _ => {
                let (app, group) = (reader.text("app")?, reader.text("group")?);
                let membership = Membership { session, user, app, group };
                if opcode == JOIN { Self::Join(membership) } else { Self::Leave(membership) }
            }
        };
        Ok((event, details))
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] for a session with more than 65,535 tags; `out` is as it was then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.encode_with(&Details::default(), out)
    }

    /// The same, with what it says of its session beside its own fields.
    ///
    /// # Errors
    /// [`TooLong`]; `out` is as it was then.
    pub fn encode_with(&self, details: &Details<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let with = details.with();
        let detailed = if with.is_empty() { 0 } else { DETAILED };
        let none = &SessionId::from_u64(0);
        let (opcode, flags, code, session, user) = match self {
            Self::Open { session, user, replaces: None, .. } => (OPEN, 0, 0, session, user),
            Self::Open { session, user, .. } => (OPEN, REPLACES, 0, session, user),
            Self::Message { session, user, payload: Payload::Text(_) } => (MESSAGE, 0, 0, session, user),
            Self::Message { session, user, .. } => (MESSAGE, BINARY, 0, session, user),
            Self::Close { session, user, code, .. } => (CLOSE, 0, *code, session, user),
            Self::Join(Membership { session, user, .. }) => (JOIN, 0, 0, session, user),
            Self::Leave(Membership { session, user, .. }) => (LEAVE, 0, 0, session, user),
            Self::Away { session, user, code, .. } => (AWAY, 0, *code, session, user),
            Self::Back { session, user, .. } => (BACK, 0, 0, session, user),
            Self::Gap => (GAP, 0, 0, none, &None),
            Self::Tag(Tagged { session, user, .. }) => (TAG, 0, 0, session, user),
            Self::Untag(Tagged { session, user, .. }) => (UNTAG, 0, 0, session, user),
            Self::Bind { session, user, .. } => (BIND, 0, 0, session, user),
            Self::UserOnline { user, .. } => (USER_ONLINE, 0, 0, none, &Some(*user)),
            Self::UserOffline { user, .. } => (USER_OFFLINE, 0, 0, none, &Some(*user)),
            Self::Expiring { session, user, .. } => (EXPIRING, 0, 0, session, user),
            Self::Assigned(state) => (ASSIGNED, state.flags(), 0, &state.session, &state.user),
            Self::Session(state) => (SESSION, state.flags(), 0, &state.session, &state.user),
            Self::Synced => (SYNCED, 0, 0, none, &None),
            Self::Unassigned { session, user } => (UNASSIGNED, 0, 0, session, user),
        };
        let [low, high] = code.to_le_bytes();
        put_whole(out, |out| {
            out.extend_from_slice(&[opcode, flags | detailed, low, high]);
            put_session(*session, out);
            put_text(user.unwrap_or_default(), "user", out)?;
            if !with.is_empty() {
                details.put(out)?;
            }
            match self {
                Self::Open { app, remote, tags, replaces, .. } => {
                    put_text(app, "app", out)?;
                    put_text(&remote.to_string(), "remote", out)?;
                    put_names(tags, "tags", out)?;
                    replaces.iter().for_each(|session| put_session(*session, out));
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
                Self::Tag(Tagged { app, tag, .. }) | Self::Untag(Tagged { app, tag, .. }) => {
                    put_text(app, "app", out)?;
                    put_text(tag, "tag", out)?;
                }
                Self::Bind { app, old_user, .. } => {
                    put_text(app, "app", out)?;
                    put_text(old_user.unwrap_or_default(), "old_user", out)?;
                }
                Self::UserOnline { app, .. } | Self::UserOffline { app, .. } => put_text(app, "app", out)?,
                Self::Expiring { app, expires_unix_ms, .. } => {
                    put_text(app, "app", out)?;
                    out.extend_from_slice(&expires_unix_ms.to_le_bytes());
                }
                Self::Assigned(state) | Self::Session(state) => state.put(out)?,
                Self::Gap | Self::Synced | Self::Unassigned { .. } => {}
            }
            Ok(())
        })
    }
}
