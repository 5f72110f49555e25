//! Replies: what a command came to. Eight bytes of header with the command's id, then each reply's own fields.

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_count, put_session, put_text, put_whole};
use crate::dispatch::{ErrorCode, Receipt, SessionInfo};
use crate::session::{Name, Remote};
use std::borrow::Cow;

const DONE: u8 = 0x81;
const RECEIPT: u8 = 0x82;
const SESSIONS: u8 = 0x83;
const SESSION: u8 = 0x84;
const RENEWED: u8 = 0x85;
const ERROR: u8 = 0x8f;

/// Of a receipt: the counts of what was written and of who closed follow.
const WRITTEN: u8 = 0x01;
/// Of a receipt: the counts of what has not settled and of what was not reached follow. Set where one of them is not 0.
const INCOMPLETE: u8 = 0x02;
/// Of a receipt: the count of those who were away follows. Set where it is not 0.
const AWAY: u8 = 0x08;

/// What a command came to.
///
/// ```
/// use gannet::link_bin::Reply;
/// let mut message = Vec::new();
/// Reply::Sessions(2).encode(7, &mut message)?;
/// assert_eq!(Reply::decode(&message)?, (7, Reply::Sessions(2)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A push without a receipt was accepted, or the link listens.
    Done,
    /// What became of a push. `closed` counts only beside `written`.
    Receipt(Receipt),
    /// How many sessions a command changed or closed.
    Sessions(u32),
    /// The session asked for.
    Session(Cow<'a, SessionInfo>),
    /// The session goes on until then, in milliseconds since the Unix epoch.
    Renewed(u64),
    /// It was refused.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: &'a str,
    },
}

impl<'a> Reply<'a> {
    /// Reads a whole message: the id of the command, 0 where it could not be read, and the reply. Bytes behind what is
    /// known are of a later version, and skipped.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(message: &'a [u8]) -> Result<(u32, Self), Malformed> {
        let mut reader = Reader::new(message);
        let opcode = reader.u8("an opcode")?;
        let flags = reader.u8("flags")?;
        let code = reader.u8("an argument")?;
        reader.u8("an argument")?;
        let id = reader.u32("an id")?;
        let reply = match opcode {
            DONE => Self::Done,
            RECEIPT => Self::Receipt(read_receipt(flags, &mut reader)?),
            SESSIONS => Self::Sessions(reader.u32("sessions")?),
            SESSION => Self::Session(Cow::Owned(read_session(&mut reader)?)),
            RENEWED => Self::Renewed(reader.u64("expires_unix_ms")?),
            ERROR => Self::Error {
                code: ErrorCode::numbered(code).ok_or({
                    let (what, known) = ("an error code", "1 to 10");
                    Malformed { offset: 2, wrong: Wrong::Unknown { what, value: code.into(), known } }
                })?,
                message: reader.rest_as_text("the message")?,
            },
            _ => {
                let (what, known) = ("the opcode of a reply", "0x81 to 0x85, 0x8f");
                let wrong = Wrong::Unknown { what, value: opcode.into(), known };
                return Err(Malformed { offset: 0, wrong });
            }
        };
        Ok((id, reply))
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] for a session with more than 65,535 groups or tags; `out` is as it was then.
    pub fn encode(&self, id: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (opcode, flags, code) = match self {
            Self::Done => (DONE, 0, 0),
            Self::Receipt(receipt) => (RECEIPT, flags_of(receipt), 0),
            Self::Sessions(_) => (SESSIONS, 0, 0),
            Self::Session(_) => (SESSION, 0, 0),
            Self::Renewed(_) => (RENEWED, 0, 0),
            Self::Error { code, .. } => (ERROR, 0, code.row().number),
        };
        put_whole(out, |out| {
            out.extend_from_slice(&[opcode, flags, code, 0]);
            out.extend_from_slice(&id.to_le_bytes());
            match self {
                Self::Done => {}
                Self::Receipt(receipt) => put_receipt(receipt, out),
                Self::Sessions(sessions) => out.extend_from_slice(&sessions.to_le_bytes()),
                Self::Session(info) => put_info(info, out)?,
                Self::Renewed(expires_unix_ms) => out.extend_from_slice(&expires_unix_ms.to_le_bytes()),
                Self::Error { message, .. } => out.extend_from_slice(message.as_bytes()),
            }
            Ok(())
        })
    }
}

fn read_receipt(flags: u8, reader: &mut Reader<'_>) -> Result<Receipt, Malformed> {
    let mut receipt = Receipt {
        matched: reader.u32("matched")?,
        queued: reader.u32("queued")?,
        replaced: reader.u32("replaced")?,
        dropped: reader.u32("dropped")?,
        expired: reader.u32("expired")?,
        offline: reader.u32("offline")?,
        ..Receipt::default()
    };
    if flags & WRITTEN != 0 {
        receipt.written = Some(reader.u32("written")?);
        receipt.closed = reader.u32("closed")?;
    }
    if flags & INCOMPLETE != 0 {
        receipt.pending = reader.u32("pending")?;
        receipt.unreached = reader.u32("unreached")?;
    }
    if flags & AWAY != 0 {
        receipt.away = reader.u32("away")?;
    }
    Ok(receipt)
}

fn flags_of(receipt: &Receipt) -> u8 {
    let flag = |flag, set| if set { flag } else { 0 };
    flag(WRITTEN, receipt.written.is_some())
        | flag(INCOMPLETE, is_incomplete(receipt))
        | flag(AWAY, receipt.away > 0)
}

fn is_incomplete(receipt: &Receipt) -> bool {
    receipt.pending > 0 || receipt.unreached > 0
}

fn put_receipt(receipt: &Receipt, out: &mut Vec<u8>) {
    let Receipt {
        matched,
        queued,
        replaced,
        dropped,
        expired,
        closed,
        offline,
        written,
        pending,
        unreached,
        away,
    } = receipt;
    for count in [matched, queued, replaced, dropped, expired, offline] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    for count in written.iter().flat_map(|written| [written, closed]) {
        out.extend_from_slice(&count.to_le_bytes());
    }
    if is_incomplete(receipt) {
        for count in [pending, unreached] {
            out.extend_from_slice(&count.to_le_bytes());
        }
    }
    if *away > 0 {
        out.extend_from_slice(&away.to_le_bytes());
    }
}

fn read_session(reader: &mut Reader<'_>) -> Result<SessionInfo, Malformed> {
    Ok(SessionInfo {
        id: reader.session("session")?,
        since_unix_ms: reader.u64("since_unix_ms")?,
        queued_bytes: reader.u64("queued_bytes")?,
        bytes_in: reader.u64("bytes_in")?,
        bytes_out: reader.u64("bytes_out")?,
        queued_messages: reader.u32("queued_messages")?,
        round_trip_us: Some(reader.u32("round_trip_us")?).filter(|us| *us > 0),
        app: reader.text("app")?.into(),
        user: read_optional_name("user", reader)?,
        remote: read_remote(reader)?,
        groups: read_names("groups", reader)?,
        tags: read_names("tags", reader)?,
        // Absent where it is not.
        away: !reader.is_at_end() && reader.u8("away")? != 0,
    })
}

fn put_info(info: &SessionInfo, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_session(info.id, out);
    for number in [info.since_unix_ms, info.queued_bytes, info.bytes_in, info.bytes_out] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for number in [info.queued_messages, info.round_trip_us.unwrap_or(0)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_text(&info.app, "app", out)?;
    put_text(info.user.as_deref().unwrap_or_default(), "user", out)?;
    put_text(&info.remote.to_string(), "remote", out)?;
    put_names(&info.groups, "groups", out)?;
    put_names(&info.tags, "tags", out)?;
    out.extend(info.away.then_some(1));
    Ok(())
}

/// A name of the server's: one that it would have taken.
pub(super) fn read_name(what: &'static str, reader: &mut Reader<'_>) -> Result<Name, Malformed> {
    let text = reader.text(what)?;
    Name::new(text).map_err(|_| {
        let wrong = Wrong::Unknown { what, value: text.len() as u64, known: "names of 1 to 128 bytes" };
        reader.wrong(text.len(), wrong)
    })
}

fn read_optional_name(what: &'static str, reader: &mut Reader<'_>) -> Result<Option<Name>, Malformed> {
    let mut ahead = *reader;
    match ahead.optional(what)? {
        Some(_) => read_name(what, reader).map(Some),
        None => {
            *reader = ahead;
            Ok(None)
        }
    }
}

pub(super) fn read_names(what: &'static str, reader: &mut Reader<'_>) -> Result<Vec<Name>, Malformed> {
    let count = reader.u16(what)?;
    (0..count).map(|_| read_name(what, reader)).collect()
}

pub(super) fn put_names(names: &[Name], what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(names.len(), what, out)?;
    names.iter().try_for_each(|name| put_text(name, what, out))
}

/// An address as RFC 3986 §3.2 writes host and port, or `unix:`.
pub(super) fn read_remote(reader: &mut Reader<'_>) -> Result<Remote, Malformed> {
    let text = reader.text("remote")?;
    text.parse().map_err(|_| {
        let known = "addresses such as 127.0.0.1:5000, and unix:";
        reader.wrong(text.len(), Wrong::Unknown { what: "remote", value: text.len() as u64, known })
    })
}
