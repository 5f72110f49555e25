//! Pages of sessions, users, groups and apps, and what is counted of an app, as replies.

use super::error::{Malformed, TooLong, Wrong};
use super::names::{read_name, read_optional_name};
use super::wire::{Reader, put_count, put_long, put_session, put_text};
use crate::dispatch::{AppStats, NameKind, NamePage, Page, SessionInfo};
use crate::session::SessionId;

/// Each session stands behind its length: what a later version adds to it is skipped.
pub(super) fn put_page(
    page: &Page,
    put_info: impl Fn(&SessionInfo, &mut Vec<u8>) -> Result<(), TooLong>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    out.extend_from_slice(&page.count.to_le_bytes());
    put_session(page.next.unwrap_or(SessionId::from_u64(0)), out);
    put_count(page.sessions.len(), "sessions", out)?;
    let mut session = Vec::new();
    for info in &page.sessions {
        session.clear();
        put_info(info, &mut session)?;
        put_long(session.len(), "session", out)?;
        out.extend_from_slice(&session);
    }
    Ok(())
}

pub(super) fn read_page<'a>(
    reader: &mut Reader<'a>,
    read_info: impl Fn(&mut Reader<'a>) -> Result<SessionInfo, Malformed>,
) -> Result<Page, Malformed> {
    let mut page = Page { count: reader.u32("count")?, ..Page::default() };
    page.next = Some(reader.session("next")?).filter(|next| next.as_u64() != 0);
    for _ in 0..reader.u16("sessions")? {
        let length = reader.u32("session")? as usize;
        page.sessions.push(read_info(&mut Reader::new(reader.take(length, "session")?))?);
    }
    Ok(page)
}

pub(super) fn put_names(page: &NamePage, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_text(page.next.as_deref().unwrap_or_default(), "next", out)?;
    put_count(page.names.len(), "names", out)?;
    for (name, sessions) in &page.names {
        put_text(name, "name", out)?;
        out.extend_from_slice(&sessions.to_le_bytes());
    }
    Ok(())
}

/// What a page is of is the argument of its header.
pub(super) fn kind_number(kind: NameKind) -> u8 {
    match kind {
        NameKind::Users => 0,
        NameKind::Groups => 1,
        NameKind::Apps => 2,
    }
}

pub(super) fn read_names(kind: u8, reader: &mut Reader<'_>) -> Result<NamePage, Malformed> {
    let kind = match kind {
        0 => NameKind::Users,
        1 => NameKind::Groups,
        2 => NameKind::Apps,
        _ => {
            let wrong = Wrong::Unknown {
                what: "an argument",
                value: kind.into(),
                known: "0 (users), 1 (groups), 2 (apps)",
            };
            return Err(Malformed { offset: 2, wrong });
        }
    };
    let next = read_optional_name("next", reader)?;
    let count = reader.u16("names")?;
    let name = |_| Ok((read_name("name", reader)?, reader.u32("sessions")?));
    Ok(NamePage { kind, names: (0..count).map(name).collect::<Result<_, _>>()?, next })
}

pub(super) fn put_stats(stats: &AppStats, out: &mut Vec<u8>) {
    let AppStats { sessions, away, opened, closed, refused, messages_in, pushes, queued } = stats;
    for figure in [sessions, away, opened, closed, refused, messages_in, pushes, queued] {
        out.extend_from_slice(&figure.to_le_bytes());
    }
}

pub(super) fn read_stats(reader: &mut Reader<'_>) -> Result<AppStats, Malformed> {
    Ok(AppStats {
        sessions: reader.u64("sessions")?,
        away: reader.u64("away")?,
        opened: reader.u64("opened")?,
        closed: reader.u64("closed")?,
        refused: reader.u64("refused")?,
        messages_in: reader.u64("messages_in")?,
        pushes: reader.u64("pushes")?,
        queued: reader.u64("queued")?,
    })
}
