//! Places in what a group keeps, and the messages that it keeps, as replies.

use super::error::{Malformed, TooLong};
use super::wire::{Reader, put_long, put_text};
use crate::dispatch::{EncodedFrame, Epoch, KeptMessage, KeptPage, Recalled};

/// Of a receipt, and of how many sessions joined: an epoch and a number in it follow, behind all else.
pub(super) const NUMBERED: u8 = 0x04;
/// Of how many sessions joined, and of what a group keeps: something that was asked for is gone.
const LACKS: u8 = 0x08;
/// Of how many sessions joined, and of what a group keeps: there is no epoch, since the group has numbered nothing.
const NO_EPOCH: u8 = 0x10;
/// Of a message that is kept: it is binary; without it, text.
const BINARY: u8 = 0x01;

pub(super) fn flags_of_place(epoch: Option<Epoch>, complete: bool) -> u8 {
    let flag = |flag, set| if set { flag } else { 0 };
    flag(LACKS, !complete) | flag(NO_EPOCH, epoch.is_none())
}

pub(super) fn put_place(epoch: Option<Epoch>, offset: u64, out: &mut Vec<u8>) {
    for number in [epoch.map_or(0, Epoch::as_u64), offset] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

pub(super) fn read_recalled(flags: u8, reader: &mut Reader<'_>) -> Result<Recalled, Malformed> {
    let epoch = Epoch::from_u64(reader.u64("epoch")?);
    let epoch = Some(epoch).filter(|_| flags & NO_EPOCH == 0);
    Ok(Recalled { epoch, offset: reader.u64("offset")?, complete: flags & LACKS == 0 })
}

pub(super) fn put_kept(page: &KeptPage, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_place(page.epoch, page.offset, out);
    put_long(page.messages.len(), "messages", out)?;
    for KeptMessage { offset, key, frame } in &page.messages {
        out.extend_from_slice(&offset.to_le_bytes());
        out.push(if frame.is_text() { 0 } else { BINARY });
        put_text(key.as_deref().unwrap_or_default(), "key", out)?;
        put_long(frame.payload().len(), "message", out)?;
        out.extend_from_slice(frame.payload());
    }
    Ok(())
}

pub(super) fn read_kept(flags: u8, reader: &mut Reader<'_>) -> Result<KeptPage, Malformed> {
    let Recalled { epoch, offset, complete } = read_recalled(flags, reader)?;
    let count = reader.u32("messages")?;
    let mut messages = Vec::new();
    for _ in 0..count {
        let (offset, flags) = (reader.u64("offset")?, reader.u8("flags")?);
        let key = reader.optional("key")?.map(Into::into);
        let length = reader.u32("message")? as usize;
        let frame = match flags & BINARY {
            0 => EncodedFrame::text(reader.text_of(length, "a kept text message")?),
            _ => EncodedFrame::binary(reader.take(length, "message")?),
        };
        messages.push(KeptMessage { offset, key, frame });
    }
    Ok(KeptPage { epoch, offset, messages, complete })
}
