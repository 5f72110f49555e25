//! Replies: what a command came to. Eight bytes of header with the command's id, then each reply's own fields.

use super::bans::{put_bans, read_bans};
use super::details::{put_claims, put_params, read_claims, read_params};
use super::error::{Malformed, TooLong, Wrong};
use super::kept::{NUMBERED, flags_of_place, put_kept, put_place, read_kept, read_recalled};
use super::names::{put_names, read_names, read_optional_name, read_remote};
use super::pages;
use super::presence::{flags_of_presence, put_presence, read_presence};
use super::receipt::{flags_of, put_receipt, read_receipt};
use super::resumption::Resumption;
use super::wire::{Reader, put_count, put_session, put_text, put_whole};
use crate::dispatch::{
    AppStats, BanPage, Counted, ErrorCode, KeptPage, NamePage, Page, Presence, Profile, Recalled, Receipt,
    SessionInfo, TickPhase,
};
use crate::session::Name;
use std::borrow::Cow;
use std::sync::Arc;

const DONE: u8 = 0x81;
const RECEIPT: u8 = 0x82;
const SESSIONS: u8 = 0x83;
const SESSION: u8 = 0x84;
const RENEWED: u8 = 0x85;
const PRESENCE: u8 = 0x88;
const RESUME: u8 = 0x89;
const KEPT: u8 = 0x86;
const FORGOTTEN: u8 = 0x87;
const UNBANNED: u8 = 0x8a;
const BANS: u8 = 0x8b;
const COUNTED: u8 = 0x8c;
const NAMES: u8 = 0x8d;
const PAGE: u8 = 0x8e;
const ERROR: u8 = 0x8f;
const STATS: u8 = 0x90;

/// Of what is done: the ticks of an app follow.
const TICKS: u8 = 0x01;

/// Of how many sessions a command about a list changed: how many of the list there are not follows, behind all else.
const UNKNOWN: u8 = 0x20;

/// Of every reply but a refusal: nodes have not answered in time. Their names follow, behind all else.
const PARTIAL: u8 = 0x80;

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
    /// A push without a receipt was accepted, or the link listens to an app without ticks.
    Done,
    /// The link listens. The ticks of its app, of which there is one at least.
    Listening(Cow<'a, [TickPhase]>),
    /// What became of a push. `closed` counts only beside `written`.
    Receipt(Receipt),
    /// How many sessions a command changed or closed.
    Sessions(u32),
    /// The session asked for.
    Session(Cow<'a, SessionInfo>),
    /// The session goes on until then, in milliseconds since the Unix epoch.
    Renewed(u64),
    /// Who is in the group asked for.
    Presence(Cow<'a, Presence>),
    /// No command asked for it: the first message of a link that can be resumed.
    Resume(Resumption<'a>),
    /// How many sessions a command about a list changed or closed, and how many of the list there are not.
    Changed(u32, u32),
    /// How many sessions joined a group, and how far what they were sent of its log goes; where the command was about a list, how
    /// many of it there are not.
    Joined(u32, Recalled, Option<u32>),
    /// What a group keeps.
    Kept(Cow<'a, KeptPage>),
    /// How many messages a group has forgotten.
    Forgotten(u32),
    /// How many bans were taken back: one or none.
    Unbanned(u32),
    /// The bans asked for.
    Bans(Cow<'a, BanPage>),
    /// How many sessions there are.
    Counted(Counted),
    /// What is counted of the app.
    Stats(AppStats),
    /// The users, groups or apps asked for.
    Names(Cow<'a, NamePage>),
    /// The sessions asked for.
    Page(Cow<'a, Page>),
    /// What a command came to on those nodes that have answered in time; and the names of the others. A receipt has them itself.
    Partial(Box<Reply<'a>>, Cow<'a, [Name]>),
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
        let is_partial = flags & PARTIAL != 0;
        let reply = match opcode {
            DONE if flags & TICKS != 0 => Self::Listening(Cow::Owned(read_ticks(&mut reader)?)),
            DONE => Self::Done,
            RECEIPT => Self::Receipt(read_receipt(flags, &mut reader)?),
            SESSIONS => read_sessions(flags, &mut reader)?,
            KEPT => Self::Kept(Cow::Owned(read_kept(flags, &mut reader)?)),
            FORGOTTEN => Self::Forgotten(reader.u32("messages")?),
            UNBANNED => Self::Unbanned(reader.u32("bans")?),
            COUNTED => Self::Counted(Counted {
                sessions: reader.u32("sessions")?,
                users: reader.u32("users")?,
                anonymous: reader.u32("anonymous")?,
            }),
            STATS => Self::Stats(pages::read_stats(&mut reader)?),
            NAMES => Self::Names(Cow::Owned(pages::read_names(code, &mut reader)?)),
            PAGE => Self::Page(Cow::Owned(pages::read_page(&mut reader, read_session)?)),
            BANS => Self::Bans(Cow::Owned(read_bans(&mut reader)?)),
            SESSION => Self::Session(Cow::Owned(read_session(&mut reader)?)),
            RENEWED => Self::Renewed(reader.u64("expires_unix_ms")?),
            PRESENCE => Self::Presence(Cow::Owned(read_presence(flags, &mut reader)?)),
            RESUME => Self::Resume(Resumption::read(flags, code, &mut reader)?),
            ERROR => Self::Error {
                code: ErrorCode::numbered(code).ok_or({
                    let (what, known) = ("an error code", "1 to 10");
                    Malformed { offset: 2, wrong: Wrong::Unknown { what, value: code.into(), known } }
                })?,
                message: reader.rest_as_text("the message")?,
            },
            _ => {
                let (what, known) = ("the opcode of a reply", "0x81 to 0x90");
                let wrong = Wrong::Unknown { what, value: opcode.into(), known };
                return Err(Malformed { offset: 0, wrong });
            }
        };
        let reply = match reply {
            reply @ (Self::Error { .. } | Self::Resume(_)) => reply,
            reply if is_partial => reply.without(read_names("missing", &mut reader)?),
            reply => reply,
        };
        Ok((id, reply))
    }

    /// The same, where these nodes have not answered.
    fn without(self, missing: Vec<Name>) -> Self {
        match self {
            reply if missing.is_empty() => reply,
            Self::Receipt(receipt) => Self::Receipt(Receipt { missing, ..receipt }),
            reply => Self::Partial(Box::new(reply), Cow::Owned(missing)),
        }
    }

    /// The reply that is no partial one, and the nodes that have not answered.
    fn missing(&self) -> (&Self, &[Name]) {
        match self {
            Self::Partial(reply, missing) => (reply.missing().0, missing),
            Self::Receipt(receipt) => (self, &receipt.missing),
            reply => (reply, &[]),
        }
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`TooLong`] for a session with more than 65,535 groups or tags, and a page with as many entries; `out` is as it was then.
    pub fn encode(&self, id: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (reply, missing) = self.missing();
        put_whole(out, |out| {
            let start = out.len();
            reply.put(id, !missing.is_empty(), out)?;
            if missing.is_empty() {
                return Ok(());
            }
            out[start + 1] |= PARTIAL;
            put_names(missing, "missing", out)
        })
    }

    /// Appends a reply that is no partial one. Where something `follows`, what may be left out at its end is there.
    fn put(&self, id: u32, follows: bool, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let (opcode, flags, code) = match self {
            Self::Done => (DONE, 0, 0),
            Self::Listening(_) => (DONE, TICKS, 0),
            Self::Receipt(receipt) => (RECEIPT, flags_of(receipt), 0),
            Self::Sessions(_) => (SESSIONS, 0, 0),
            Self::Changed(..) => (SESSIONS, UNKNOWN, 0),
            Self::Session(_) => (SESSION, 0, 0),
            Self::Renewed(_) => (RENEWED, 0, 0),
            Self::Presence(presence) => (PRESENCE, flags_of_presence(presence), 0),
            Self::Resume(resumption) => resumption.header(RESUME),
            Self::Joined(_, recalled, unknown) => {
                let flags = NUMBERED | flags_of_place(recalled.epoch, recalled.complete);
                (SESSIONS, if unknown.is_some() { flags | UNKNOWN } else { flags }, 0)
            }
            Self::Kept(page) => (KEPT, flags_of_place(page.epoch, page.complete), 0),
            Self::Forgotten(_) => (FORGOTTEN, 0, 0),
            Self::Unbanned(_) => (UNBANNED, 0, 0),
            Self::Bans(_) => (BANS, 0, 0),
            Self::Counted(_) => (COUNTED, 0, 0),
            Self::Stats(_) => (STATS, 0, 0),
            Self::Names(page) => (NAMES, 0, pages::kind_number(page.kind)),
            Self::Page(_) => (PAGE, 0, 0),
            Self::Error { code, .. } => (ERROR, 0, code.row().number),
            Self::Partial(reply, _) => return reply.put(id, follows, out),
        };
        out.extend_from_slice(&[opcode, flags, code, 0]);
        out.extend_from_slice(&id.to_le_bytes());
        match self {
            Self::Done => {}
            Self::Listening(ticks) => put_ticks(ticks, out)?,
            Self::Receipt(receipt) => put_receipt(receipt, out)?,
            Self::Sessions(count) | Self::Forgotten(count) | Self::Unbanned(count) => {
                out.extend_from_slice(&count.to_le_bytes());
            }
            Self::Bans(page) => put_bans(page, out)?,
            Self::Counted(Counted { sessions, users, anonymous }) => {
                let counts = [sessions, users, anonymous];
                counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
            }
            Self::Stats(stats) => pages::put_stats(stats, out),
            Self::Names(page) => pages::put_names(page, out)?,
            Self::Page(page) => pages::put_page(page, |info, out| put_info(info, false, out), out)?,
            Self::Changed(sessions, unknown) => {
                [sessions, unknown].iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
            }
            Self::Joined(sessions, recalled, unknown) => {
                out.extend_from_slice(&sessions.to_le_bytes());
                put_place(recalled.epoch, recalled.offset, out);
                unknown.iter().for_each(|unknown| out.extend_from_slice(&unknown.to_le_bytes()));
            }
            Self::Kept(page) => put_kept(page, out)?,
            Self::Session(info) => put_info(info, follows, out)?,
            Self::Renewed(expires_unix_ms) => out.extend_from_slice(&expires_unix_ms.to_le_bytes()),
            Self::Resume(Resumption { ticket, .. }) => {
                out.extend_from_slice(ticket.unwrap_or_default().as_bytes())
            }
            Self::Presence(presence) => put_presence(presence, out)?,
            Self::Error { message, .. } => out.extend_from_slice(message.as_bytes()),
            Self::Partial(..) => {}
        }
        Ok(())
    }
}

fn read_ticks(reader: &mut Reader<'_>) -> Result<Vec<TickPhase>, Malformed> {
    let count = reader.u16("ticks")?;
    let tick = |_| Ok(TickPhase { tick_ms: reader.u32("tick_ms")?, phase_ms: reader.u32("phase_ms")? });
    (0..count).map(tick).collect()
}

fn put_ticks(ticks: &[TickPhase], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(ticks.len(), "ticks", out)?;
    for TickPhase { tick_ms, phase_ms } in ticks {
        out.extend_from_slice(&tick_ms.to_le_bytes());
        out.extend_from_slice(&phase_ms.to_le_bytes());
    }
    Ok(())
}

fn read_sessions(flags: u8, reader: &mut Reader<'_>) -> Result<Reply<'static>, Malformed> {
    let sessions = reader.u32("sessions")?;
    let recalled = (flags & NUMBERED != 0).then(|| read_recalled(flags, reader)).transpose()?;
    let unknown = (flags & UNKNOWN != 0).then(|| reader.u32("unknown")).transpose()?;
    Ok(match (recalled, unknown) {
        (Some(recalled), unknown) => Reply::Joined(sessions, recalled, unknown),
        (None, Some(unknown)) => Reply::Changed(sessions, unknown),
        (None, None) => Reply::Sessions(sessions),
    })
}

fn read_session(reader: &mut Reader<'_>) -> Result<SessionInfo, Malformed> {
    let mut info = SessionInfo {
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
        away: false,
        behind_since_unix_ms: None,
        profile: Arc::default(),
    };
    // Absent where it is nothing of that, and nothing follows.
    let is = if reader.is_at_end() { 0 } else { reader.u8("away")? };
    info.away = is & AWAY != 0;
    info.profile = Arc::new(read_profile(reader)?);
    if is & BEHIND != 0 {
        info.behind_since_unix_ms = Some(reader.u64("behind_since_unix_ms")?);
    }
    Ok(info)
}

/// Absent where nothing is kept.
fn read_profile(reader: &mut Reader<'_>) -> Result<Profile, Malformed> {
    if reader.is_at_end() {
        return Ok(Profile::default());
    }
    let claims = Some(read_claims(reader)?).filter(|claims| *claims != "{}");
    Ok(Profile { claims: claims.map(Into::into), params: read_params(reader)? })
}

/// The client of a session is away.
const AWAY: u8 = 0x01;
/// A session is behind: since when follows behind what its app keeps.
const BEHIND: u8 = 0x02;

/// What is at its end may be left out where it is empty and nothing `follows`.
fn put_info(info: &SessionInfo, follows: bool, out: &mut Vec<u8>) -> Result<(), TooLong> {
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
    let Profile { claims, params } = &*info.profile;
    let since = info.behind_since_unix_ms;
    let is = (u8::from(info.away) * AWAY) | (u8::from(since.is_some()) * BEHIND);
    if follows || since.is_some() || !info.profile.is_empty() {
        out.push(is);
        put_claims(claims.as_deref().unwrap_or("{}"), out)?;
        put_params(params, out)?;
        since.iter().for_each(|since| out.extend_from_slice(&since.to_le_bytes()));
        return Ok(());
    }
    out.extend(info.away.then_some(is));
    Ok(())
}
