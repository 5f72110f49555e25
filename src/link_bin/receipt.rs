//! What became of a push, as a reply.

use super::error::{Malformed, TooLong, Wrong};
use super::kept::{NUMBERED, put_place};
use super::names::read_optional_name;
use super::wire::{Reader, put_count, put_session, put_text};
use crate::dispatch::{Epoch, Missed, MissedList, Receipt, Why};
use crate::session::SessionId;

/// Of a receipt: the counts of what was written and of who closed follow.
const WRITTEN: u8 = 0x01;
/// Of a receipt: the counts of what has not settled and of what was not reached follow. Set where one of them is not 0.
const INCOMPLETE: u8 = 0x02;
/// Of a receipt: the count of those who were away follows. Set where it is not 0.
const AWAY: u8 = 0x08;
/// Of a receipt: who missed the push follows, behind all else.
const MISSED: u8 = 0x10;

pub(super) fn read_receipt(flags: u8, reader: &mut Reader<'_>) -> Result<Receipt, Malformed> {
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
    if flags & NUMBERED != 0 {
        receipt.epoch = Some(Epoch::from_u64(reader.u64("epoch")?));
        receipt.offset = Some(reader.u64("offset")?);
    }
    if flags & AWAY != 0 {
        receipt.away = reader.u32("away")?;
    }
    if flags & MISSED != 0 {
        receipt.missed = Some(read_missed(reader)?);
    }
    Ok(receipt)
}

pub(super) fn flags_of(receipt: &Receipt) -> u8 {
    let flag = |flag, set| if set { flag } else { 0 };
    let numbered = receipt.epoch.is_some() && receipt.offset.is_some();
    flag(WRITTEN, receipt.written.is_some())
        | flag(INCOMPLETE, is_incomplete(receipt))
        | flag(NUMBERED, numbered)
        | flag(AWAY, receipt.away > 0)
        | flag(MISSED, receipt.missed.is_some())
}

fn is_incomplete(receipt: &Receipt) -> bool {
    receipt.pending > 0 || receipt.unreached > 0
}

pub(super) fn put_receipt(receipt: &Receipt, out: &mut Vec<u8>) -> Result<(), TooLong> {
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
        missed,
        offset,
        epoch,
        // Behind all else, as in every reply.
        missing: _,
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
    if let (Some(epoch), Some(offset)) = (epoch, offset) {
        put_place(Some(*epoch), *offset, out);
    }
    if *away > 0 {
        out.extend_from_slice(&away.to_le_bytes());
    }
    missed.as_ref().map_or(Ok(()), |missed| put_missed(missed, out))
}

pub(crate) fn put_missed(missed: &MissedList, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(missed.named.len(), "missed", out)?;
    for Missed { session, user, why } in &missed.named {
        put_session(session.unwrap_or(SessionId::from_u64(0)), out);
        put_text(user.as_deref().unwrap_or_default(), "user", out)?;
        out.push(why.number());
    }
    out.extend_from_slice(&missed.more.to_le_bytes());
    Ok(())
}

pub(crate) fn read_missed(reader: &mut Reader<'_>) -> Result<MissedList, Malformed> {
    let count = reader.u16("missed")?;
    let mut list = MissedList::default();
    for _ in 0..count {
        let session = Some(reader.session("session")?).filter(|id| id.as_u64() != 0);
        let user = read_optional_name("user", reader)?;
        let number = reader.u8("why")?;
        let why = Why::ALL.into_iter().find(|why| why.number() == number).ok_or({
            let known = "1 (dropped), 2 (expired), 3 (offline), 4 (closed)";
            reader.wrong(1, Wrong::Unknown { what: "why", value: number.into(), known })
        })?;
        list.named.push(Missed { session, user, why });
    }
    list.more = reader.u32("missed_more")?;
    Ok(list)
}
