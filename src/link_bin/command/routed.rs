//! What a route is about.

use super::super::error::{Malformed, Wrong};
use super::super::wire::Reader;
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
    pub(super) fn read(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match (flags & Part::USER != 0, flags & Part::GROUP != 0) {
            (false, false) => reader.session("session").map(Self::Session),
            (true, false) => reader.text("user").map(Self::User),
            (false, true) => reader.text("group").map(Self::Group),
            (true, true) => {
                let known = "0x01 (user) or 0x02 (group), not both";
                let wrong = Wrong::Unknown { what: "flags", value: flags.into(), known };
                Err(Malformed { offset: 1, wrong })
            }
        }
    }
}
