//! Names and addresses of the server's, as replies and events have them.

use super::error::{Malformed, TooLong, Wrong};
use super::wire::{Reader, put_count, put_text};
use crate::session::{Name, Remote};

/// A name of the server's: one that it would have taken.
pub(super) fn read_name(what: &'static str, reader: &mut Reader<'_>) -> Result<Name, Malformed> {
    let text = reader.text(what)?;
    Name::new(text).map_err(|_| {
        let wrong = Wrong::Unknown { what, value: text.len() as u64, known: "names of 1 to 128 bytes" };
        reader.wrong(text.len(), wrong)
    })
}

pub(super) fn read_optional_name(
    what: &'static str,
    reader: &mut Reader<'_>,
) -> Result<Option<Name>, Malformed> {
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
