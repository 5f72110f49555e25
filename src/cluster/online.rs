//! What the reactors of one node tell another node of their users, where links there ask who is online. A message is of one app:
//!
//! | offset | bytes | |
//! | --- | --- | --- |
//! | 0 | 1 | flags: [`BEGINS`], [`ENDS`] |
//! | 1 | 1 | how many reactors the node has |
//! | 2 | | for each user: 1 where the reactor has a session of it now, 0 where it has none any more (u8), the name (text) |
//!
//! A text is behind a byte for its length. Pure.

use super::places::read_name;
use crate::link_bin::TooLong;
use crate::link_bin::wire::{Reader, put_text, put_whole};
use crate::session::Name;

/// Nothing that the reactor has told of its users in the app before holds any longer.
const BEGINS: u8 = 0x01;
/// All users of the reactor in the app have been told.
const ENDS: u8 = 0x02;

/// What one message says of a reactor's users in an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersSaid {
    /// It begins to tell all of them.
    pub begins: bool,
    /// It has told all of them.
    pub ends: bool,
    /// How many reactors its node has.
    pub reactors: u8,
    /// Users, and whether it has sessions of them now.
    pub users: Vec<(Name, bool)>,
}

/// Appends what a reactor says.
///
/// # Errors
/// [`TooLong`]; `out` is as it was then.
pub fn write_users(said: &UsersSaid, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let UsersSaid { begins, ends, reactors, users } = said;
    let flag = |flag, is_set: &bool| if *is_set { flag } else { 0 };
    put_whole(out, |out| {
        out.extend_from_slice(&[flag(BEGINS, begins) | flag(ENDS, ends), *reactors]);
        users.iter().try_for_each(|(user, is_here)| {
            out.push(u8::from(*is_here));
            put_text(user, "user", out)
        })
    })
}

/// Reads it; `None` where it is not of the layout.
pub fn read_users(body: &[u8]) -> Option<UsersSaid> {
    let mut reader = Reader::new(body);
    let flags = reader.u8("flags").ok().filter(|flags| flags & !(BEGINS | ENDS) == 0)?;
    let (reactors, mut users) = (reader.u8("reactors").ok()?, Vec::new());
    while !reader.is_at_end() {
        let is_here = reader.u8("whether it is there").ok().filter(|byte| *byte <= 1)? == 1;
        users.push((read_name(&mut reader)?, is_here));
    }
    Some(UsersSaid { begins: flags & BEGINS != 0, ends: flags & ENDS != 0, reactors, users })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_and_no_other_bytes_are() {
        let users =
            [("ada", true), ("bob", false)].map(|(user, is_here)| (Name::new(user).unwrap(), is_here));
        for (begins, ends) in [(true, true), (true, false), (false, true), (false, false)] {
            let said = UsersSaid { begins, ends, reactors: 4, users: users.to_vec() };
            let mut bytes = Vec::new();
            write_users(&said, &mut bytes).unwrap();
            let flags = u8::from(begins) | u8::from(ends) << 1;
            assert_eq!(bytes, [&[flags, 4, 1, 3][..], b"ada", &[0, 3], b"bob"].concat());
            assert_eq!(read_users(&bytes), Some(said));
            (3..bytes.len())
                .filter(|end| *end != 7)
                .for_each(|end| assert_eq!(read_users(&bytes[..end]), None));
        }
        for damaged in [&[][..], &[0], &[4, 1], &[0, 1, 2, 1, b'a'], &[0, 1, 1, 0]] {
            assert_eq!(read_users(damaged), None, "{damaged:?}");
        }
    }
}
