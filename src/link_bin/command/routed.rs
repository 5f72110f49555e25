//! The sessions that a route is about.

use super::super::error::{Malformed, TooLong};
use super::super::wire::{Reader, put_session, put_text};
use super::Header;
use crate::ops::Part;
use crate::session::SessionId;

/// The sessions that a route is about.
///
/// ```
/// use gannet::link_bin::{Command, Routed};
/// let route = Command::Route { what: Routed::Group("match-1"), link: Some("m7") };
/// assert_ne!(route, Command::Route { what: Routed::Group("match-1"), link: None });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed<'a> {
    /// One session.
    Session(SessionId),
    /// Every session of a user, also those that come.
    User(&'a str),
    /// The members of a group, also those that join.
    Group(&'a str),
}

impl<'a> Routed<'a> {
    pub(super) fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match (header.flags & Part::USER != 0, header.flags & Part::GROUP != 0) {
            (false, false) => reader.session("session").map(Self::Session),
            (true, false) => reader.text("user").map(Self::User),
            (false, true) => reader.text("group").map(Self::Group),
            (true, true) => Err(header.bad_flags("0x01 (user) or 0x02 (group), not both")),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Session(session) => {
                put_session(*session, out);
                Ok(())
            }
            Self::User(user) => put_text(user, "user", out),
            Self::Group(group) => put_text(group, "group", out),
        }
    }

    pub(super) fn flags(&self) -> u8 {
        match self {
            Self::Session(_) => 0,
            Self::User(_) => Part::USER,
            Self::Group(_) => Part::GROUP,
        }
    }
}
