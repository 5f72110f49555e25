//! What all nodes know alike, as they tell each other of it: who is banned, which users are in which sticky groups, which nonces have
//! been used. Each message is of one app, and each says a list:
//!
//! | message | for each |
//! | --- | --- |
//! | bans | flags ([`TAKEN_BACK`], [`ENDS`]), whom (text), when that was said (u64); where it ends, when (u64); where it holds, why (text) |
//! | sticky | the user (text), how many groups follow (u16), the groups (text) |
//! | nonces | when the query was signed (u64), the nonce (text) |
//!
//! Times are in milliseconds since the Unix epoch. A text is behind a byte for its length.

use super::places::read_name;
use crate::dispatch::Banned;
use crate::link_bin::TooLong;
use crate::link_bin::wire::{Reader, put_count, put_text, put_whole};
use crate::session::Name;

/// Of a ban: it holds no more.
const TAKEN_BACK: u8 = 0x01;
/// Of a ban: it ends by itself.
const ENDS: u8 = 0x02;

/// What was said last of somebody who is banned, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBan {
    /// Who.
    pub whom: Banned,
    /// When that was said, in milliseconds since the Unix epoch. What was said later holds.
    pub since_unix_ms: u64,
    /// What holds; `None`: the ban was taken back.
    pub held: Option<HeldBan>,
}

/// A ban that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBan {
    /// Until when, in milliseconds since the Unix epoch; `None`: until it is taken back.
    pub until_unix_ms: Option<u64>,
    /// Why.
    pub reason: Box<str>,
}

/// A user and the sticky groups that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyUser {
    /// The user.
    pub user: Name,
    /// The groups.
    pub groups: Vec<Name>,
}

/// A nonce that has been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedNonce {
    /// When its query was signed, in milliseconds since the Unix epoch.
    pub signed_unix_ms: u64,
    /// The nonce.
    pub nonce: Box<str>,
}

/// Something that is told in a list.
pub trait Known: Sized {
    /// Appends it to `out`.
    ///
    /// # Errors
    /// [`TooLong`]; `out` may hold some of it then.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;

    /// Reads the next; `None` where it is not of the layout.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Appends a list.
///
/// # Errors
/// [`TooLong`]; `out` is as it was then.
pub fn write_list<T: Known>(list: &[T], out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_whole(out, |out| list.iter().try_for_each(|entry| entry.write(out)))
}

/// Reads a list; `None` where it is not of the layout.
pub fn read_list<T: Known>(body: &[u8]) -> Option<Vec<T>> {
    let (mut reader, mut list) = (Reader::new(body), Vec::new());
    while !reader.is_at_end() {
        list.push(T::read(&mut reader)?);
    }
    Some(list)
}

impl Known for KnownBan {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Self { whom, since_unix_ms, held } = self;
        let until_unix_ms = held.as_ref().and_then(|held| held.until_unix_ms);
        let flag = |flag, is_set| if is_set { flag } else { 0 };
        out.push(flag(TAKEN_BACK, held.is_none()) | flag(ENDS, until_unix_ms.is_some()));
        put_text(&whom.to_string(), "whom", out)?;
        out.extend_from_slice(&since_unix_ms.to_le_bytes());
        until_unix_ms.iter().for_each(|unix_ms| out.extend_from_slice(&unix_ms.to_le_bytes()));
        held.as_ref().map_or(Ok(()), |held| put_text(&held.reason, "a reason", out))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u8("flags").ok()?;
        let whom = reader.text("whom").ok()?.parse().ok()?;
        let since_unix_ms = reader.u64("a time").ok()?;
        let held = match flags {
            TAKEN_BACK => None,
            0 | ENDS => {
                let until_unix_ms = match flags {
                    ENDS => Some(reader.u64("an end").ok()?),
                    _ => None,
                };
                Some(HeldBan { until_unix_ms, reason: reader.text("a reason").ok()?.into() })
            }
            _ => return None,
        };
        Some(Self { whom, since_unix_ms, held })
    }
}

impl Known for StickyUser {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_text(&self.user, "user", out)?;
        put_count(self.groups.len(), "the groups", out)?;
        self.groups.iter().try_for_each(|group| put_text(group, "group", out))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let user = read_name(reader)?;
        let count = reader.u16("the number of groups").ok()?;
        let groups = (0..count).map(|_| read_name(reader)).collect::<Option<_>>()?;
        Some(Self { user, groups })
    }
}

impl Known for UsedNonce {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.signed_unix_ms.to_le_bytes());
        put_text(&self.nonce, "a nonce", out)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let signed_unix_ms = reader.u64("a time").ok()?;
        Some(Self { signed_unix_ms, nonce: reader.text("a nonce").ok()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn is_read_as_written<T: Known + PartialEq + Debug>(list: &[T]) {
        let (mut out, mut ends) = (Vec::new(), vec![0]);
        for entry in list {
            entry.write(&mut out).unwrap();
            ends.push(out.len());
        }
        let mut whole = Vec::new();
        write_list(list, &mut whole).unwrap();
        assert_eq!(whole, out);
        for end in 0..=out.len() {
            let read = read_list::<T>(&out[..end]);
            match ends.iter().position(|known| *known == end) {
                Some(count) => assert_eq!(read.as_deref(), Some(&list[..count])),
                None => assert_eq!(read, None, "{end}"),
            }
        }
    }

    fn ban(whom: &str, held: Option<(Option<u64>, &str)>) -> KnownBan {
        let held = held.map(|(until_unix_ms, reason)| HeldBan { until_unix_ms, reason: reason.into() });
        KnownBan { whom: whom.parse().unwrap(), since_unix_ms: 3, held }
    }

    #[test]
    fn lists_are_read_as_they_were_written() {
        let name = |text| Name::new(text).unwrap();
        is_read_as_written(&[
            ban("u:ada", Some((None, "cheats"))),
            ban("a:10.0.0.0/8", Some((Some(7), ""))),
            ban("u:größer", None),
        ]);
        let groups = vec![name("g"), name("h")];
        is_read_as_written(&[
            StickyUser { user: name("ada"), groups },
            StickyUser { user: name("bob"), groups: Vec::new() },
        ]);
        is_read_as_written(&[UsedNonce { signed_unix_ms: 1, nonce: "n".into() }]);
    }

    #[test]
    fn the_bodies_are_as_the_vectors_say() {
        let mut out = Vec::new();
        write_list(&[ban("u:a", Some((Some(4), "r"))), ban("u:a", None)], &mut out).unwrap();
        let time = |ms: u8| [ms, 0, 0, 0, 0, 0, 0, 0];
        let first = [&[2, 3][..], b"u:a", &time(3), &time(4), b"\x01r"].concat();
        assert_eq!(out, [&first[..], &[1, 3], b"u:a", &time(3)].concat());
        let mut both = out.clone();
        both[0] = TAKEN_BACK | ENDS;
        assert_eq!(read_list::<KnownBan>(&both), None);
    }
}
