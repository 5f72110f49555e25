//! The parts of a command, as its row tells its layout: read, written, and as fields.

use super::super::error::{Malformed, TooLong};
use super::super::wire::{Reader, put_session, put_text};
use super::{FIRST_EVENTS, Header, Routed, Who};
use crate::dispatch::{Epoch, EventSet};
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
    /// It is the group that a route is about.
    pub(crate) of_group: bool,
    pub(crate) link: Option<&'a str>,
    pub(crate) to: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) code: Option<u16>,
    pub(crate) reason: &'a str,
    pub(super) events: EventSet,
    pub(crate) share: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) snapshot: bool,
    pub(crate) token: &'a str,
    /// 0 is the default.
    pub(crate) page_limit: u32,
    pub(crate) page_after: Option<&'a str>,
    pub(crate) counts_only: bool,
    pub(crate) last: Option<u64>,
    pub(crate) after: Option<u64>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) limit: Option<u32>,
    pub(crate) key: Option<&'a str>,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        let session = SessionId::from_u64(0);
        Self {
            who: Who::Session(session),
            session,
            user: None,
            group: "",
            of_group: false,
            link: None,
            to: "",
            tag: "",
            code: None,
            reason: "",
            events: EventSet::NONE,
            share: None,
            name: None,
            snapshot: false,
            token: "",
            page_limit: 0,
            page_after: None,
            counts_only: false,
            last: None,
            after: None,
            epoch: None,
            limit: None,
            key: None,
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
                Part::Routed => match Routed::read(header.flags, reader)? {
                    Routed::Session(session) => parts.who = Who::Session(session),
                    Routed::User(user) => parts.who = Who::User(user),
                    Routed::Group(group) => (parts.group, parts.of_group) = (group, true),
                },
                Part::Link(_) => parts.link = reader.optional("link")?,
                Part::Share => parts.share = Some(reader.text("share")?),
                Part::User(_) => parts.user = reader.optional("user")?,
                Part::Group => parts.group = reader.text("group")?,
                Part::OtherGroup => parts.to = reader.text("to")?,
                Part::Tag => parts.tag = reader.text("tag")?,
                Part::Token => parts.token = reader.rest_as_text("token")?,
                Part::Code if header.flags & Part::CODE != 0 => parts.code = Some(reader.u16("code")?),
                Part::Reason => parts.reason = reader.rest_as_text("reason")?,
                Part::Events => {
                    let first = header.events()?;
                    parts.share = reader.optional("share")?;
                    parts.events = first.union(header.more_events(reader)?);
                    parts.snapshot = header.flags & Part::SNAPSHOT != 0;
                    if header.flags & Part::NAME != 0 {
                        parts.name = Some(reader.text("name")?);
                    }
                }
                Part::Page => {
                    (parts.page_limit, parts.page_after) = (reader.u32("limit")?, reader.optional("after")?);
                    parts.counts_only = header.flags & Part::COUNTS != 0;
                }
                Part::Recall | Part::Pages => {
                    let flags = header.flags;
                    let mut number = |flag: u8, what| match part.has(flag) && flags & flag != 0 {
                        true => reader.u64(what).map(Some),
                        false => Ok(None),
                    };
                    parts.last = number(Part::LAST, "last")?;
                    parts.after = number(Part::AFTER, "after")?;
                    parts.epoch = number(Part::EPOCH, "epoch")?.map(Epoch::from_u64);
                    if part.has(Part::LIMIT) && flags & Part::LIMIT != 0 {
                        parts.limit = Some(reader.u32("limit")?);
                    }
                }
                Part::Key(_) => parts.key = reader.optional("key")?,
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
                Part::Routed if self.of_group => put_text(self.group, "group", out)?,
                Part::Routed => self.who.put(out)?,
                Part::Link(_) => put_text(self.link.unwrap_or_default(), "link", out)?,
                Part::Share => put_text(self.share.unwrap_or_default(), "share", out)?,
                Part::User(_) => put_text(self.user.unwrap_or_default(), "user", out)?,
                Part::Group => put_text(self.group, "group", out)?,
                Part::OtherGroup => put_text(self.to, "to", out)?,
                Part::Tag => put_text(self.tag, "tag", out)?,
                Part::Token => out.extend_from_slice(self.token.as_bytes()),
                Part::Code => self.code.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes())),
                Part::Reason => out.extend_from_slice(self.reason.as_bytes()),
                Part::Page => {
                    out.extend_from_slice(&self.page_limit.to_le_bytes());
                    put_text(self.page_after.unwrap_or_default(), "after", out)?;
                }
                Part::Events => {
                    put_text(self.share.unwrap_or_default(), "share", out)?;
                    let more = Some(self.more_events()).filter(|more| *more != 0);
                    more.iter().for_each(|more| out.extend_from_slice(&more.to_le_bytes()));
                    self.name.map_or(Ok(()), |name| put_text(name, "name", out))?;
                }
                Part::Recall | Part::Pages => {
                    let epoch = self.epoch.map(Epoch::as_u64);
                    for number in [self.last.filter(|_| part.has(Part::LAST)), self.after, epoch] {
                        number.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
                    }
                    let limit = self.limit.filter(|_| part.has(Part::LIMIT));
                    limit.iter().for_each(|limit| out.extend_from_slice(&limit.to_le_bytes()));
                }
                Part::Key(_) => put_text(self.key.unwrap_or_default(), "key", out)?,
                Part::OfPush(_) => {}
            }
        }
        Ok(())
    }

    /// The bits of the events that the first argument has none for.
    pub(super) fn more_events(&self) -> u32 {
        self.events.bits() & !FIRST_EVENTS
    }

    /// The flags that say which of its parts are there.
    pub(super) fn flags(&self, op: &Op) -> u8 {
        let is_there = |flag: u8| match flag {
            Part::LAST => self.last.is_some(),
            Part::AFTER => self.after.is_some(),
            Part::EPOCH => self.epoch.is_some(),
            Part::LIMIT => self.limit.is_some(),
            _ => false,
        };
        let pages = op.layout.iter().filter(|part| matches!(part, Part::Recall | Part::Pages));
        pages
            .flat_map(|part| part.flags())
            .filter(|(flag, _)| is_there(*flag))
            .fold(0, |all, (flag, _)| all | flag)
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
                Part::Routed if self.of_group => fields["group"] = self.group.into(),
                Part::Routed => match self.who {
                    Who::Session(session) => fields["session"] = session.to_string().into(),
                    Who::User(user) => fields["user"] = user.into(),
                },
                Part::Link(_) => fields["link"] = self.link.into(),
                Part::Share => fields["share"] = self.share.into(),
                Part::User(_) => fields["user"] = self.user.into(),
                Part::Group => fields["group"] = self.group.into(),
                Part::OtherGroup => fields["to"] = self.to.into(),
                Part::Tag => fields["tag"] = self.tag.into(),
                Part::Token => fields["token"] = self.token.into(),
                Part::Code => self.code.iter().for_each(|code| fields["code"] = (*code).into()),
                Part::Reason => fields["reason"] = self.reason.into(),
                Part::Page => {
                    fields["limit"] = Some(self.page_limit).filter(|limit| *limit != 0).into();
                    (fields["after"], fields["members"]) =
                        (self.page_after.into(), (!self.counts_only).into());
                }
                Part::Events => {
                    fields["events"] = self.events().collect();
                    fields["share"] = self.share.into();
                    self.name.iter().for_each(|name| fields["name"] = (*name).into());
                    if self.snapshot {
                        fields["snapshot"] = true.into();
                    }
                }
                Part::Recall | Part::Pages => {
                    let limit = self.limit.map(u64::from);
                    let numbers = [("last", self.last), ("after", self.after), ("limit", limit)];
                    for (name, number) in numbers {
                        number.iter().for_each(|number| fields[name] = (*number).into());
                    }
                    self.epoch.iter().for_each(|epoch| fields["epoch"] = epoch.to_string().into());
                }
                Part::Key(_) => fields["key"] = self.key.into(),
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
