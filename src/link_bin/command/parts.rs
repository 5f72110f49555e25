//! The parts of a command, as its row tells its layout: read, written, and as fields.

use super::super::error::{Malformed, TooLong};
use super::super::wire::{Reader, put_session, put_text};
use super::{Header, Who};
use crate::dispatch::EventSet;
use crate::ops::{Op, Part};
use crate::session::SessionId;
#[cfg(any(feature = "cli", feature = "fuzzing", test))]
use serde_json::{Value, json};

/// The parts of any command but a push; what its layout does not have is empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) who: Who<'a>,
    pub(crate) session: SessionId,
    pub(crate) user: Option<&'a str>,
    pub(crate) group: &'a str,
    pub(crate) to: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) code: Option<u16>,
    pub(crate) reason: &'a str,
    pub(super) events: EventSet,
    pub(crate) share: Option<&'a str>,
    pub(crate) token: &'a str,
    /// 0 is the default.
    pub(crate) limit: u32,
    pub(crate) after: Option<&'a str>,
    pub(crate) counts_only: bool,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        let session = SessionId::from_u64(0);
        Self {
            who: Who::Session(session),
            session,
            user: None,
            group: "",
            to: "",
            tag: "",
            code: None,
            reason: "",
            events: EventSet::NONE,
            share: None,
            token: "",
            limit: 0,
            after: None,
            counts_only: false,
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn read(op: &Op, header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for part in op.layout {
            match part {
                Part::Session => parts.session = reader.session("session")?,
                Part::Who => parts.who = Who::read(header.flags, reader)?,
                Part::User(_) => parts.user = reader.optional("user")?,
                Part::Group => parts.group = reader.text("group")?,
                Part::OtherGroup => parts.to = reader.text("to")?,
                Part::Tag => parts.tag = reader.text("tag")?,
                Part::Token => parts.token = reader.rest_as_text("token")?,
                Part::Code if header.flags & Part::CODE != 0 => parts.code = Some(reader.u16("code")?),
                Part::Reason => parts.reason = reader.rest_as_text("reason")?,
                Part::Events => {
                    parts.events = header.events()?;
                    parts.share = reader.optional("share")?;
                }
                Part::Page => {
                    (parts.limit, parts.after) = (reader.u32("limit")?, reader.optional("after")?);
                    parts.counts_only = header.flags & Part::COUNTS != 0;
                }
                Part::Code | Part::OfPush(_) => {}
            }
        }
        Ok(parts)
    }

    pub(super) fn put(&self, op: &Op, out: &mut Vec<u8>) -> Result<(), TooLong> {
        for part in op.layout {
            match part {
                Part::Session => put_session(self.session, out),
                Part::Who => self.who.put(out)?,
                Part::User(_) => put_text(self.user.unwrap_or_default(), "user", out)?,
                Part::Group => put_text(self.group, "group", out)?,
                Part::OtherGroup => put_text(self.to, "to", out)?,
                Part::Tag => put_text(self.tag, "tag", out)?,
                Part::Token => out.extend_from_slice(self.token.as_bytes()),
                Part::Code => self.code.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes())),
                Part::Reason => out.extend_from_slice(self.reason.as_bytes()),
                Part::Page => {
                    out.extend_from_slice(&self.limit.to_le_bytes());
                    put_text(self.after.unwrap_or_default(), "after", out)?;
                }
                Part::Events => put_text(self.share.unwrap_or_default(), "share", out)?,
                Part::OfPush(_) => {}
            }
        }
        Ok(())
    }

    /// The fields of the same command in JSON, but for those of every command.
    #[cfg(any(feature = "cli", feature = "fuzzing", test))]
    pub(crate) fn to_json(self, op: &Op) -> Value {
        let mut fields = json!({"op": op.row.name});
        for part in op.layout {
            match part {
                Part::Session => fields["session"] = self.session.to_string().into(),
                Part::Who => match self.who {
                    Who::Session(session) => fields["session"] = session.to_string().into(),
                    Who::User(user) => fields["user"] = user.into(),
                },
                Part::User(_) => fields["user"] = self.user.into(),
                Part::Group => fields["group"] = self.group.into(),
                Part::OtherGroup => fields["to"] = self.to.into(),
                Part::Tag => fields["tag"] = self.tag.into(),
                Part::Token => fields["token"] = self.token.into(),
                Part::Code => self.code.iter().for_each(|code| fields["code"] = (*code).into()),
                Part::Reason => fields["reason"] = self.reason.into(),
                Part::Page => {
                    fields["limit"] = Some(self.limit).filter(|limit| *limit != 0).into();
                    (fields["after"], fields["members"]) = (self.after.into(), (!self.counts_only).into());
                }
                Part::Events => {
                    fields["events"] = self.events().collect();
                    fields["share"] = self.share.into();
                }
                Part::OfPush(_) => {}
            }
        }
        fields
    }

    /// The names of the events that a link is to get.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        self.events.names()
    }
}
