//! The sessions that a command is about.

use super::super::error::{Malformed, TooLong};
use super::super::wire::{Reader, put_count, put_session, put_text};
use super::Header;
use crate::ops::Part;
use crate::session::SessionId;

/// The sessions that a command is about.
///
/// ```
/// use gannet::link_bin::{Command, Who};
/// let kick = Command::Kick { who: Who::User("ada"), code: None, reason: "too many shots" };
/// assert!(matches!(kick, Command::Kick { who: Who::User("ada"), .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who<'a> {
    /// One session.
    Session(SessionId),
    /// Every session of a user.
    User(&'a str),
    /// Several sessions.
    Sessions(Vec<SessionId>),
    /// Every session of several users.
    Users(Vec<&'a str>),
}

impl<'a> Who<'a> {
    pub(super) fn read(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let several = flags & Part::SEVERAL != 0;
        Ok(match (flags & Part::USER != 0, several) {
            (false, false) => Self::Session(reader.session("session")?),
            (true, false) => Self::User(reader.text("user")?),
            (false, true) => {
                let count = reader.u16("the number of sessions")?;
                Self::Sessions((0..count).map(|_| reader.session("session")).collect::<Result<_, _>>()?)
            }
            (true, true) => Self::Users(read_texts("user", "the number of users", reader)?),
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Session(session) => {
                put_session(*session, out);
                Ok(())
            }
            Self::User(user) => put_text(user, "user", out),
            Self::Sessions(sessions) => {
                put_count(sessions.len(), "the sessions", out)?;
                sessions.iter().for_each(|session| put_session(*session, out));
                Ok(())
            }
            Self::Users(users) => put_texts(users, "user", out),
        }
    }

    pub(super) fn flags(&self) -> u8 {
        match self {
            Self::Session(_) => 0,
            Self::User(_) => Part::USER,
            Self::Sessions(_) => Part::SEVERAL,
            Self::Users(_) => Part::USER | Part::SEVERAL,
        }
    }
}

/// The groups of a command.
///
/// ```
/// use gannet::link_bin::Groups;
/// assert_ne!(Groups::One("red"), Groups::Several(vec!["red"]), "a list of one is another message");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups<'a> {
    /// One.
    One(&'a str),
    /// Several.
    Several(Vec<&'a str>),
}

/// Several texts behind their number.
pub(super) fn read_texts<'a>(
    what: &'static str,
    number: &'static str,
    reader: &mut Reader<'a>,
) -> Result<Vec<&'a str>, Malformed> {
    let count = reader.u16(number)?;
    (0..count).map(|_| reader.text(what)).collect()
}

/// The same, written.
pub(super) fn put_texts(texts: &[&str], what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    put_count(texts.len(), what, out)?;
    texts.iter().try_for_each(|text| put_text(text, what, out))
}

/// Who is banned.
///
/// ```
/// use gannet::link_bin::{Command, Whom};
/// let unban = Command::Unban { whom: Whom::Address("10.0.0.0/8") };
/// assert_ne!(unban, Command::Unban { whom: Whom::User("ada") });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'a> {
    /// A user.
    User(&'a str),
    /// Whoever comes from an address or a network.
    Address(&'a str),
}

/// Whose sessions are listed or counted.
///
/// ```
/// use gannet::link_bin::{By, Command};
/// assert_ne!(Command::Count { by: By::Group("red") }, Command::Count { by: By::All });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// All of the app's.
    All,
    /// A user's.
    User(&'a str),
    /// A group's.
    Group(&'a str),
    /// Those with a tag.
    Tag(&'a str),
}

impl<'a> Whom<'a> {
    pub(super) fn read(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match flags & Part::ADDRESS {
            0 => reader.text("user").map(Self::User),
            _ => reader.text("address").map(Self::Address),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::User(user) => put_text(user, "user", out),
            Self::Address(address) => put_text(address, "address", out),
        }
    }

    pub(super) fn flags(&self) -> u8 {
        match self {
            Self::User(_) => 0,
            Self::Address(_) => Part::ADDRESS,
        }
    }
}

impl<'a> By<'a> {
    pub(super) fn read(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        match header.flags & (Part::BY_USER | Part::BY_GROUP | Part::BY_TAG) {
            0 => Ok(Self::All),
            Part::BY_USER => reader.text("user").map(Self::User),
            Part::BY_GROUP => reader.text("group").map(Self::Group),
            Part::BY_TAG => reader.text("tag").map(Self::Tag),
            _ => Err(header.bad_flags("one of 0x01 (user), 0x02 (group), 0x04 (tag)")),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::All => Ok(()),
            Self::User(name) => put_text(name, "user", out),
            Self::Group(name) => put_text(name, "group", out),
            Self::Tag(name) => put_text(name, "tag", out),
        }
    }

    pub(super) fn flags(&self) -> u8 {
        match self {
            Self::All => 0,
            Self::User(_) => Part::BY_USER,
            Self::Group(_) => Part::BY_GROUP,
            Self::Tag(_) => Part::BY_TAG,
        }
    }
}
