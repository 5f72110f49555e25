//! A page of bans, as a reply.

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_count, put_text};
use crate::dispatch::{Ban, BanPage, Banned};

pub(super) fn put_bans(page: &BanPage, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let BanPage { count, bans, next } = page;
    out.extend_from_slice(&count.to_le_bytes());
    put_text(&next.as_ref().map_or_else(String::new, ToString::to_string), "next", out)?;
    put_count(bans.len(), "bans", out)?;
    for Ban { whom, until_unix_ms, reason } in bans {
        put_text(&whom.to_string(), "whom", out)?;
        out.extend_from_slice(&until_unix_ms.unwrap_or(0).to_le_bytes());
        put_text(reason, "reason", out)?;
    }
    Ok(())
}

pub(super) fn read_bans(reader: &mut Reader<'_>) -> Result<BanPage, Malformed> {
    let mut page = BanPage { count: reader.u32("count")?, ..BanPage::default() };
    let next = reader.optional("next")?;
    page.next = next.map(|text| whom(text, reader)).transpose()?;
    for _ in 0..reader.u16("bans")? {
        let text = reader.text("whom")?;
        page.bans.push(Ban {
            whom: whom(text, reader)?,
            until_unix_ms: Some(reader.u64("until_unix_ms")?).filter(|until_unix_ms| *until_unix_ms != 0),
            reason: reader.text("reason")?.into(),
        });
    }
    Ok(page)
}

fn whom(text: &str, reader: &Reader<'_>) -> Result<Banned, Malformed> {
    let known = "u: and a user, a: and a network";
    let wrong = Wrong::Unknown { what: "who is banned", value: text.len() as u64, known };
    text.parse().map_err(|_| reader.wrong(text.len(), wrong))
}
