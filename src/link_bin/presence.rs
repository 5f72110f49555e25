//! Who is in a group, as a reply.

use super::error::{Malformed, TooLong, Wrong};
use super::names::read_optional_name;
use super::wire::{Reader, put_count, put_session, put_text};
use crate::dispatch::{Presence, Present, PresentSession};

/// Who is there follows.
const PRESENT: u8 = 0x01;
/// Where the next page begins follows.
const NEXT: u8 = 0x02;

pub(super) fn flags_of_presence(presence: &Presence) -> u8 {
    let flag = |flag, set| if set { flag } else { 0 };
    flag(PRESENT, presence.present.is_some()) | flag(NEXT, presence.next.is_some())
}

pub(super) fn put_presence(presence: &Presence, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let Presence { sessions, users, anonymous, present, next } = presence;
    for count in [sessions, users, anonymous] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    if let Some(next) = next {
        put_text(&next.to_string(), "next", out)?;
    }
    let Some(present) = present else { return Ok(()) };
    put_count(present.len(), "present", out)?;
    for Present { user, count, sessions } in present {
        put_text(user.as_deref().unwrap_or_default(), "user", out)?;
        out.extend_from_slice(&count.to_le_bytes());
        put_count(sessions.len(), "sessions", out)?;
        for PresentSession { id, since_unix_ms } in sessions {
            put_session(*id, out);
            out.extend_from_slice(&since_unix_ms.to_le_bytes());
        }
    }
    Ok(())
}

pub(super) fn read_presence(flags: u8, reader: &mut Reader<'_>) -> Result<Presence, Malformed> {
    let mut presence = Presence {
        sessions: reader.u32("sessions")?,
        users: reader.u32("users")?,
        anonymous: reader.u32("anonymous")?,
        ..Presence::default()
    };
    if flags & NEXT != 0 {
        let text = reader.text("next")?;
        let known = "u: and a name, s: and an id";
        let wrong = Wrong::Unknown { what: "next", value: text.len() as u64, known };
        presence.next = Some(text.parse().map_err(|_| reader.wrong(text.len(), wrong))?);
    }
    if flags & PRESENT != 0 {
        let count = reader.u16("present")?;
        presence.present = Some((0..count).map(|_| read_present(reader)).collect::<Result<_, _>>()?);
    }
    Ok(presence)
}

fn read_present(reader: &mut Reader<'_>) -> Result<Present, Malformed> {
    let user = read_optional_name("user", reader)?;
    let count = reader.u32("count")?;
    let sessions = reader.u16("sessions")?;
    let session = |_| {
        Ok(PresentSession { id: reader.session("session")?, since_unix_ms: reader.u64("since_unix_ms")? })
    };
    Ok(Present { user, count, sessions: (0..sessions).map(session).collect::<Result<_, _>>()? })
}
