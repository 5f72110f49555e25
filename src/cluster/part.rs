//! What a push or an operation came to on one node, on its way to the node that has asked. Whatever the binary link has a reply for
//! stands in that layout, a reply behind its length (u32); the rest stands before.

use crate::dispatch::{OperationPart, Page, PresencePart, PresentSession, PushPart, Receipt, SessionRow};
use crate::link_bin::wire::{Reader, put_count, put_long, put_session, put_text, put_whole};
use crate::link_bin::{Malformed, Reply, TooLong, Wrong};
use crate::session::Name;
use std::borrow::Cow;

/// A presence follows.
const PRESENCE: u8 = 0x01;
/// What is known of a group beside its members follows.
const GROUP: u8 = 0x02;

/// Appends the body of a part of a push to `out`: whether each named user is there, in bits behind their number (u16), and a receipt.
///
/// # Errors
/// [`TooLong`] where it has more than 65,535 selectors, or names as many who missed the push; `out` is as it was then.
pub fn encode_push(part: &PushPart, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let PushPart { matched, queued, written, replaced, dropped, expired, closed, unreached, away, .. } =
        *part;
    let receipt = Receipt {
        matched,
        queued,
        replaced,
        dropped,
        expired,
        closed,
        offline: part.offline_sessions,
        written: Some(written),
        unreached,
        away,
        missed: part.missed.clone(),
        epoch: part.numbered.map(|(epoch, _)| epoch),
        offset: part.numbered.map(|(_, offset)| offset),
        ..Receipt::default()
    };
    put_whole(out, |out| {
        put_bits(&part.found, out)?;
        Reply::Receipt(receipt).encode(0, out)
    })
}

/// Reads the body of a part of a push.
///
/// # Errors
/// [`Malformed`].
pub fn decode_push(body: &[u8]) -> Result<PushPart, Malformed> {
    let mut reader = Reader::new(body);
    let found = read_bits(&mut reader)?;
    let (_, Reply::Receipt(receipt)) = Reply::decode(reader.rest())? else {
        return Err(wrong("a receipt"));
    };
    Ok(PushPart {
        matched: receipt.matched,
        queued: receipt.queued,
        written: receipt.written.unwrap_or_default(),
        replaced: receipt.replaced,
        dropped: receipt.dropped,
        expired: receipt.expired,
        closed: receipt.closed,
        unreached: receipt.unreached,
        away: receipt.away,
        offline_sessions: receipt.offline,
        found,
        missed: receipt.missed,
        numbered: receipt.epoch.zip(receipt.offset),
    })
}

/// Appends the body of a part of an operation to `out`.
///
/// # Errors
/// [`TooLong`] where the list that the command is about, a page or a session has more than 65,535 entries; `out` is as it was then.
pub fn encode_operation(part: &OperationPart, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_whole(out, |out| {
        let OperationPart { sessions, absent, page, names, presence, .. } = part;
        for count in [sessions, &page.count] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        put_bits(absent, out)?;
        put_long(page.rows.len(), "rows", out)?;
        for SessionRow { id, user } in &page.rows {
            put_session(*id, out);
            put_text(user.as_deref().unwrap_or_default(), "user", out)?;
        }
        put_long(names.len(), "names", out)?;
        for (name, sessions) in names {
            put_text(name, "name", out)?;
            out.extend_from_slice(&sessions.to_le_bytes());
        }
        let has_figures = page.behind > 0 || page.pushes > 0;
        out.push((u8::from(presence.is_some()) * PRESENCE) | (u8::from(has_figures) * GROUP));
        presence.iter().try_for_each(|presence| put_presence(presence, out))?;
        if has_figures {
            out.extend_from_slice(&page.behind.to_le_bytes());
            out.extend_from_slice(&page.pushes.to_le_bytes());
        }
        replies_of(part).try_for_each(|reply| put_reply(&reply, out))
    })
}

/// What of it the link has replies for, and is there.
fn replies_of(part: &OperationPart) -> impl Iterator<Item = Reply<'_>> {
    let OperationPart { page, error, expires_unix_ms, recalled, kept, bans, stats, .. } = part;
    let error = error.iter().map(|error| Reply::Error { code: error.code, message: &error.message });
    let renewed = expires_unix_ms.iter().map(|expires_unix_ms| Reply::Renewed(*expires_unix_ms));
    let recalled = recalled.iter().map(|recalled| Reply::Joined(0, *recalled, None));
    let kept = kept.iter().map(|page| Reply::Kept(Cow::Borrowed(page)));
    let bans = bans.iter().map(|page| Reply::Bans(Cow::Borrowed(page)));
    let stats = Some(*stats).filter(|stats| *stats != Default::default()).map(Reply::Stats);
    let sessions = page.sessions.iter().map(|info| Reply::Session(Cow::Borrowed(info)));
    error.chain(renewed).chain(recalled).chain(kept).chain(bans).chain(stats).chain(sessions)
}

/// Reads the body of a part of an operation.
///
/// # Errors
/// [`Malformed`].
pub fn decode_operation(body: &[u8]) -> Result<OperationPart, Malformed> {
    let mut reader = Reader::new(body);
    let reader = &mut reader;
    let (sessions, count) = (reader.u32("sessions")?, reader.u32("count")?);
    let absent = read_bits(reader)?;
    let mut page = Page { count, ..Page::default() };
    for _ in 0..reader.u32("rows")? {
        let (id, user) = (reader.session("session")?, reader.optional("user")?);
        page.rows.push(SessionRow { id, user: user.map(name).transpose()? });
    }
    let mut names = Vec::new();
    for _ in 0..reader.u32("names")? {
        names.push((name(reader.text("name")?)?, reader.u32("sessions")?));
    }
    let follows = reader.u8("what follows")?;
    reader.check_flags(follows, PRESENCE | GROUP, "0x01 (presence), 0x02 (group)")?;
    let presence = (follows & PRESENCE != 0).then(|| read_presence(reader)).transpose()?;
    if follows & GROUP != 0 {
        (page.behind, page.pushes) = (reader.u32("behind")?, reader.u64("pushes")?);
    }
    let mut part = OperationPart { sessions, absent, page, names, presence, ..OperationPart::default() };
    while !reader.is_at_end() {
        let length = reader.u32("the length of a reply")? as usize;
        let (_, reply) = Reply::decode(reader.take(length, "a reply")?)?;
        add_reply(&mut part, reply)?;
    }
    Ok(part)
}

fn add_reply(part: &mut OperationPart, reply: Reply<'_>) -> Result<(), Malformed> {
    match reply {
        Reply::Error { code, message } => {
            part.error = Some(crate::dispatch::CommandError::new(code, message));
        }
        Reply::Renewed(expires_unix_ms) => part.expires_unix_ms = Some(expires_unix_ms),
        Reply::Joined(_, recalled, _) => part.recalled = Some(recalled),
        Reply::Kept(page) => part.kept = Some(page.into_owned()),
        Reply::Bans(page) => part.bans = Some(page.into_owned()),
        Reply::Stats(stats) => part.stats = stats,
        Reply::Session(info) => part.page.sessions.push(info.into_owned()),
        _ => return Err(wrong("a reply that a part has")),
    }
    Ok(())
}

fn put_reply(reply: &Reply<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    reply.encode(0, out)?;
    let (length, most) = (out.len() - start - 4, u32::MAX as usize);
    let bytes = u32::try_from(length).map_err(|_| TooLong { what: "a reply", length, most })?;
    out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    Ok(())
}

fn put_presence(presence: &PresencePart, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let PresencePart { sessions, anonymous, members, most, users, first, loose } = presence;
    for count in [sessions, anonymous] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.push((*members).into());
    out.extend_from_slice(&most.to_le_bytes());
    put_long(users.len(), "users", out)?;
    users.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
    put_long(first.len(), "present", out)?;
    for (user, count, sessions) in first {
        put_text(user, "user", out)?;
        out.extend_from_slice(&count.to_le_bytes());
        put_present(sessions, out)?;
    }
    put_present(loose, out)
}

fn read_presence(reader: &mut Reader<'_>) -> Result<PresencePart, Malformed> {
    let mut part = PresencePart {
        sessions: reader.u32("sessions")?,
        anonymous: reader.u32("anonymous")?,
        members: reader.u8("members")? != 0,
        most: reader.u64("most")?,
        ..PresencePart::default()
    };
    for _ in 0..reader.u32("users")? {
        part.users.push(reader.u64("a user")?);
    }
    for _ in 0..reader.u32("present")? {
        part.first.push((name(reader.text("user")?)?, reader.u32("count")?, read_present(reader)?));
    }
    part.loose = read_present(reader)?;
    Ok(part)
}

fn put_present(sessions: &[PresentSession], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_long(sessions.len(), "sessions", out)?;
    for PresentSession { id, since_unix_ms } in sessions {
        put_session(*id, out);
        out.extend_from_slice(&since_unix_ms.to_le_bytes());
    }
    Ok(())
}

fn read_present(reader: &mut Reader<'_>) -> Result<Vec<PresentSession>, Malformed> {
    let mut sessions = Vec::new();
    for _ in 0..reader.u32("sessions")? {
        let (id, since_unix_ms) = (reader.session("session")?, reader.u64("since_unix_ms")?);
        sessions.push(PresentSession { id, since_unix_ms });
    }
    Ok(sessions)
}

/// The first is the lowest bit of the first byte.
fn put_bits(bits: &[bool], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(bits.len(), "entries", out)?;
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    out.extend(bits.chunks(8).map(byte));
    Ok(())
}

fn read_bits(reader: &mut Reader<'_>) -> Result<Vec<bool>, Malformed> {
    let count = usize::from(reader.u16("entries")?);
    let bytes = reader.take(count.div_ceil(8), "bits")?;
    Ok((0..count).map(|index| bytes[index / 8] >> (index % 8) & 1 != 0).collect())
}

fn name(text: &str) -> Result<Name, Malformed> {
    Name::new(text).map_err(|_| wrong("names of 1 to 128 bytes without control characters"))
}

fn wrong(known: &'static str) -> Malformed {
    Malformed { offset: 0, wrong: Wrong::Unknown { what: "a part", value: 0, known } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{
        AppStats, Ban, BanPage, Banned, CommandError, EncodedFrame, Epoch, ErrorCode, KeptMessage, KeptPage,
        Missed, MissedList, Recalled, SessionInfo, Why,
    };
    use crate::session::{Remote, SessionId};

    fn user(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn id(slot: u32) -> SessionId {
        SessionId::new(4095, 255, 3, slot)
    }

    fn push_part() -> PushPart {
        let missed = |session, user, why| Missed { session, user, why };
        PushPart {
            matched: 1,
            queued: 2,
            written: 3,
            replaced: 4,
            dropped: 5,
            expired: 6,
            closed: 7,
            unreached: 8,
            away: 9,
            offline_sessions: u32::MAX,
            found: vec![true, false, true, true, false, false, false, false, true],
            missed: Some(MissedList {
                named: vec![
                    missed(Some(id(1)), None, Why::Closed),
                    missed(None, Some(user("ada")), Why::Offline),
                ],
                more: 7,
            }),
            numbered: Some((Epoch::from_u64(0), u64::MAX)),
        }
    }

    fn info(name: Option<&str>, away: bool) -> SessionInfo {
        SessionInfo {
            id: id(1),
            app: "chess".into(),
            user: name.map(user),
            groups: vec![user("g")],
            tags: Vec::new(),
            remote: Remote::Unix,
            since_unix_ms: 1,
            queued_messages: 2,
            queued_bytes: 3,
            bytes_in: 4,
            bytes_out: 5,
            round_trip_us: None,
            away,
            behind_since_unix_ms: away.then_some(7),
            profile: Default::default(),
        }
    }

    /// With everything that an operation can have.
    fn operation_part() -> OperationPart {
        let session = |slot| PresentSession { id: id(slot), since_unix_ms: slot.into() };
        let frames = [EncodedFrame::text("hi"), EncodedFrame::binary(&[0xff; 300])];
        let messages =
            frames.into_iter().map(|frame| KeptMessage { offset: 7, key: Some("k".into()), frame });
        let ban = Ban { whom: Banned::User(user("eve")), until_unix_ms: Some(9), reason: "cheating".into() };
        OperationPart {
            sessions: 1,
            absent: vec![false, true],
            error: Some(CommandError::new(ErrorCode::Conflict, "größer")),
            page: Page {
                count: 2,
                behind: 3,
                pushes: u64::MAX,
                rows: vec![
                    SessionRow { id: id(1), user: Some(user("ada")) },
                    SessionRow { id: id(2), user: None },
                ],
                sessions: vec![info(None, false), info(Some("ada"), true)],
                next: None,
            },
            presence: Some(PresencePart {
                sessions: 3,
                anonymous: 1,
                members: true,
                most: u64::MAX,
                users: vec![u64::MAX, 0],
                first: vec![(user("ada"), 2, vec![session(1), session(2)]), (user("bob"), 0, Vec::new())],
                loose: vec![session(3)],
            }),
            expires_unix_ms: Some(0),
            recalled: Some(Recalled { epoch: None, offset: 5, complete: false }),
            kept: Some(KeptPage {
                epoch: Some(Epoch::from_u64(7)),
                offset: 9,
                messages: messages.collect(),
                complete: true,
            }),
            bans: Some(BanPage { count: 1, bans: vec![ban], next: None }),
            names: vec![(user("a"), 1), (user("b"), u32::MAX)],
            stats: AppStats { sessions: 1, away: 2, ..AppStats::default() },
        }
    }

    #[test]
    fn a_part_of_a_push_is_read_as_it_was_written() {
        for part in [push_part(), PushPart::default(), PushPart { found: vec![true; 65_535], ..push_part() }]
        {
            let mut body = b"header".to_vec();
            encode_push(&part, &mut body).unwrap();
            assert_eq!(decode_push(&body[6..]), Ok(part));
        }
    }

    #[test]
    fn a_part_of_an_operation_is_read_as_it_was_written() {
        for part in [operation_part(), OperationPart::default()] {
            let mut body = b"header".to_vec();
            encode_operation(&part, &mut body).unwrap();
            assert_eq!(decode_operation(&body[6..]), Ok(part));
        }
    }

    #[test]
    fn damaged_parts_are_refused_or_read_as_what_they_then_say() {
        let (mut push, mut operation) = (Vec::new(), Vec::new());
        encode_push(&push_part(), &mut push).unwrap();
        encode_operation(&operation_part(), &mut operation).unwrap();
        (0..push.len()).for_each(|end| assert!(decode_push(&push[..end]).is_err(), "{end}"));
        for index in 0..operation.len() {
            // Cut between two replies it is whole.
            let _ = decode_operation(&operation[..index]);
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = operation.clone();
                damaged[index] = byte;
                if let Ok(part) = decode_operation(&damaged) {
                    let mut again = Vec::new();
                    encode_operation(&part, &mut again).unwrap();
                    assert_eq!(decode_operation(&again), Ok(part), "{index}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_leaves_no_half_of_a_part() {
        let mut out = b"before".to_vec();
        let many = vec![true; 65_536];
        assert!(encode_push(&PushPart { found: many.clone(), ..push_part() }, &mut out).is_err());
        assert!(encode_operation(&OperationPart { absent: many, ..operation_part() }, &mut out).is_err());
        assert_eq!(out, b"before");
    }
}
