//! The parts of a command, as its row tells its layout: read, written, and as fields.

use super::super::error::{Malformed, TooLong, Wrong};
use super::super::wire::{Reader, put_session, put_text};
use super::header::FIRST_EVENTS;
use super::who::{put_texts, read_texts};
use super::{By, Header, Routed, Who, Whom};
use crate::dispatch::{Epoch, EventSet, SessionEnd, With};
use crate::ops::{Op, Part};
use crate::session::SessionId;
#[cfg(any(feature = "cli", feature = "fuzzing", test))]
use serde_json::{Value, json};

/// The parts of any command but a push; what its layout does not have is empty.
#[derive(Debug, Clone)]
pub(crate) struct Parts<'a> {
    pub(crate) who: Who<'a>,
    /// Whether only some members are meant: those in `who`.
    pub(crate) has_members: bool,
    /// Several groups; empty where there is one, which is in `group`.
    pub(crate) groups: Vec<&'a str>,
    /// The groups or tags that there are afterwards.
    pub(crate) names: Vec<&'a str>,
    pub(crate) prefix: Option<&'a str>,
    pub(crate) by: By<'a>,
    /// When a session ends, where no token says so.
    pub(crate) end: Option<SessionEnd>,
    pub(crate) whom: Whom<'a>,
    pub(crate) for_ms: Option<u64>,
    pub(crate) session: SessionId,
    pub(crate) user: Option<&'a str>,
    pub(crate) group: &'a str,
    /// What a route is about.
    pub(crate) routed: Routed<'a>,
    pub(crate) link: Option<&'a str>,
    pub(crate) to: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) code: Option<u16>,
    pub(crate) reason: &'a str,
    pub(super) events: EventSet,
    pub(crate) share: Option<&'a str>,
    pub(super) with: With,
    pub(crate) name: Option<&'a str>,
    pub(crate) snapshot: bool,
    pub(crate) numbers: bool,
    pub(crate) token: &'a str,
    /// 0 is the default.
    pub(crate) page_limit: u32,
    pub(crate) page_after: Option<&'a str>,
    pub(crate) counts_only: bool,
    pub(crate) last: Option<u64>,
    pub(crate) after: Option<u64>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) is_sticky: bool,
    pub(crate) limit: Option<u32>,
    pub(crate) key: Option<&'a str>,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        let session = SessionId::from_u64(0);
        Self {
            who: Who::Session(session),
            has_members: false,
            groups: Vec::new(),
            names: Vec::new(),
            prefix: None,
            by: By::All,
            end: None,
            whom: Whom::User(""),
            for_ms: None,
            session,
            user: None,
            group: "",
            routed: Routed::Session(session),
            link: None,
            to: "",
            tag: "",
            code: None,
            reason: "",
            events: EventSet::NONE,
            share: None,
            with: With::NONE,
            name: None,
            snapshot: false,
            numbers: false,
            token: "",
            page_limit: 0,
            page_after: None,
            counts_only: false,
            last: None,
            after: None,
            epoch: None,
            is_sticky: false,
            limit: None,
            key: None,
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn of(who: &Who<'a>) -> Self {
        Self { who: who.clone(), ..Self::default() }
    }

    pub(super) fn read(op: &Op, header: &Header, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for part in op.layout {
            match part {
                Part::Session => parts.session = reader.session("session")?,
                Part::Who => parts.who = Who::read(header.flags, reader)?,
                Part::Members if header.flags & Part::MEMBERS != 0 => {
                    parts.who = Who::read(header.flags, reader)?;
                    parts.has_members = true;
                }
                Part::Members if header.flags & (Part::USER | Part::SEVERAL) != 0 => {
                    let known = "0x20 (members), and 0x01 (user) and 0x40 (several) beside it";
                    let wrong = Wrong::Unknown { what: "flags", value: header.flags.into(), known };
                    return Err(Malformed { offset: 1, wrong });
                }
                Part::Groups if header.flags & Part::GROUPS != 0 => {
                    parts.groups = read_texts("group", "the number of groups", reader)?;
                    if parts.groups.is_empty() {
                        let known = "1 and more";
                        let wrong = Wrong::Unknown { what: "the number of groups", value: 0, known };
                        return Err(reader.wrong(2, wrong));
                    }
                }
                Part::Groups => parts.group = reader.text("group")?,
                Part::Set(what) => parts.names = read_texts(what, "the number of names", reader)?,
                Part::Prefix => parts.prefix = reader.optional("prefix")?,
                Part::Routed => parts.routed = Routed::read(header.flags, reader)?,
                Part::Link(_) => parts.link = reader.optional("link")?,
                Part::Share => parts.share = Some(reader.text("share")?),
                Part::User(_) => parts.user = reader.optional("user")?,
                Part::Group => parts.group = reader.text("group")?,
                Part::OtherGroup => parts.to = reader.text("to")?,
                Part::Tag => parts.tag = reader.text("tag")?,
                Part::Renewal => match header.flags & (Part::EXPIRES | Part::FOR) {
                    0 => parts.token = reader.rest_as_text("token")?,
                    Part::EXPIRES => parts.end = Some(SessionEnd::At(reader.u64("expires_unix_ms")?)),
                    Part::FOR => parts.end = Some(SessionEnd::For(reader.u64("for_ms")?)),
                    flags => {
                        let known = "0x01 (expires_unix_ms) or 0x02 (for_ms)";
                        let wrong = Wrong::Unknown { what: "flags", value: flags.into(), known };
                        return Err(Malformed { offset: 1, wrong });
                    }
                },
                Part::By => {
                    let flags = header.flags & (Part::BY_USER | Part::BY_GROUP | Part::BY_TAG);
                    parts.by = match flags {
                        0 => By::All,
                        Part::BY_USER => By::User(reader.text("user")?),
                        Part::BY_GROUP => By::Group(reader.text("group")?),
                        Part::BY_TAG => By::Tag(reader.text("tag")?),
                        _ => {
                            let known = "one of 0x01 (user), 0x02 (group), 0x04 (tag)";
                            let wrong = Wrong::Unknown { what: "flags", value: flags.into(), known };
                            return Err(Malformed { offset: 1, wrong });
                        }
                    };
                }
                Part::Banned => {
                    parts.whom = match header.flags & Part::ADDRESS {
                        0 => Whom::User(reader.text("user")?),
                        _ => Whom::Address(reader.text("address")?),
                    };
                }
                Part::ForMs if header.flags & Part::FOR != 0 => parts.for_ms = Some(reader.u64("for_ms")?),
                Part::ForMs => {}
                Part::PlainPage => {
                    (parts.page_limit, parts.page_after) = (reader.u32("limit")?, reader.optional("after")?);
                }
                Part::Code if header.flags & Part::CODE != 0 => parts.code = Some(reader.u16("code")?),
                Part::Reason => parts.reason = reader.rest_as_text("reason")?,
                Part::Events => {
                    let first = header.events()?;
                    parts.share = reader.optional("share")?;
                    parts.events = first.union(header.more_events(reader)?);
                    parts.with = header.with(reader)?;
                    parts.numbers = header.flags & Part::NUMBERS != 0;
                    parts.snapshot = header.flags & Part::SNAPSHOT != 0;
                    if header.flags & Part::NAME != 0 {
                        parts.name = Some(reader.text("name")?);
                    }
                }
                Part::Page => {
                    (parts.page_limit, parts.page_after) = (reader.u32("limit")?, reader.optional("after")?);
                    parts.counts_only = header.flags & Part::COUNTS != 0;
                }
                Part::Recall if !parts.groups.is_empty() && Part::RECALLS & header.flags != 0 => {
                    let known =
                        "0x02 (last), 0x04 (after) and 0x08 (epoch) of one group, without 0x80 (groups)";
                    let wrong = Wrong::Unknown { what: "flags", value: header.flags.into(), known };
                    return Err(Malformed { offset: 1, wrong });
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
                Part::Sticky => parts.is_sticky = header.flags & Part::STICKY != 0,
                Part::Key(_) => parts.key = reader.optional("key")?,
                Part::Members | Part::Code | Part::OfPush(_) => {}
            }
        }
        Ok(parts)
    }

    pub(super) fn put(&self, op: &Op, out: &mut Vec<u8>) -> Result<(), TooLong> {
        for part in op.layout {
            match part {
                Part::Session => put_session(self.session, out),
                Part::Who => self.who.put(out)?,
                Part::Members if self.has_members => self.who.put(out)?,
                Part::Groups if self.groups.is_empty() => put_text(self.group, "group", out)?,
                Part::Groups => put_texts(&self.groups, "group", out)?,
                Part::Set(what) => put_texts(&self.names, what, out)?,
                Part::Prefix => put_text(self.prefix.unwrap_or_default(), "prefix", out)?,
                Part::Routed => self.routed.put(out)?,
                Part::Link(_) => put_text(self.link.unwrap_or_default(), "link", out)?,
                Part::Share => put_text(self.share.unwrap_or_default(), "share", out)?,
                Part::User(_) => put_text(self.user.unwrap_or_default(), "user", out)?,
                Part::Group => put_text(self.group, "group", out)?,
                Part::OtherGroup => put_text(self.to, "to", out)?,
                Part::Tag => put_text(self.tag, "tag", out)?,
                Part::Renewal => match self.end {
                    None => out.extend_from_slice(self.token.as_bytes()),
                    Some(SessionEnd::At(number) | SessionEnd::For(number)) => {
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                },
                Part::By => match self.by {
                    By::All => {}
                    By::User(name) => put_text(name, "user", out)?,
                    By::Group(name) => put_text(name, "group", out)?,
                    By::Tag(name) => put_text(name, "tag", out)?,
                },
                Part::Banned => match self.whom {
                    Whom::User(user) => put_text(user, "user", out)?,
                    Whom::Address(address) => put_text(address, "address", out)?,
                },
                Part::ForMs => self.for_ms.iter().for_each(|ms| out.extend_from_slice(&ms.to_le_bytes())),
                Part::Code => self.code.iter().for_each(|code| out.extend_from_slice(&code.to_le_bytes())),
                Part::Reason => out.extend_from_slice(self.reason.as_bytes()),
                Part::Page | Part::PlainPage => {
                    out.extend_from_slice(&self.page_limit.to_le_bytes());
                    put_text(self.page_after.unwrap_or_default(), "after", out)?;
                }
                Part::Events => {
                    put_text(self.share.unwrap_or_default(), "share", out)?;
                    let more = Some(self.more_events()).filter(|more| *more != 0);
                    more.iter().for_each(|more| out.extend_from_slice(&more.to_le_bytes()));
                    out.extend(Some(self.with.bits()).filter(|with| *with != 0));
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
                Part::Members | Part::Sticky | Part::OfPush(_) => {}
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
        let flag = |flag, set| if set { flag } else { 0 };
        let of = |part: &Part| match part {
            Part::Who => self.who.flags(),
            Part::Routed => self.routed.flags(),
            Part::Members => flag(Part::MEMBERS | self.who.flags(), self.has_members),
            Part::Renewal => match self.end {
                None => 0,
                Some(SessionEnd::At(_)) => Part::EXPIRES,
                Some(SessionEnd::For(_)) => Part::FOR,
            },
            Part::By => match self.by {
                By::All => 0,
                By::User(_) => Part::BY_USER,
                By::Group(_) => Part::BY_GROUP,
                By::Tag(_) => Part::BY_TAG,
            },
            Part::Banned => flag(Part::ADDRESS, matches!(self.whom, Whom::Address(_))),
            Part::ForMs => flag(Part::FOR, self.for_ms.is_some()),
            Part::Events => {
                flag(Part::MORE, self.more_events() != 0)
                    | flag(Part::WITH, !self.with.is_empty())
                    | flag(Part::SNAPSHOT, self.snapshot)
                    | flag(Part::NUMBERS, self.numbers)
                    | flag(Part::NAME, self.name.is_some())
            }
            Part::Groups => flag(Part::GROUPS, !self.groups.is_empty()),
            Part::Code => flag(Part::CODE, self.code.is_some()),
            Part::Page => flag(Part::COUNTS, self.counts_only),
            Part::Sticky => flag(Part::STICKY, self.is_sticky),
            Part::Recall | Part::Pages => {
                flag(Part::LAST, part.has(Part::LAST) && self.last.is_some())
                    | flag(Part::AFTER, self.after.is_some())
                    | flag(Part::EPOCH, self.epoch.is_some())
                    | flag(Part::LIMIT, part.has(Part::LIMIT) && self.limit.is_some())
            }
            _ => 0,
        };
        op.layout.iter().fold(0, |flags, part| flags | of(part))
    }

    /// The fields of the same command in JSON, but for those of every command.
    #[cfg(any(feature = "cli", feature = "fuzzing", test))]
    pub(crate) fn to_json(&self, op: &Op) -> Value {
        let mut fields = json!({"op": op.row.name});
        for part in op.layout {
            match part {
                Part::Session => fields["session"] = self.session.to_string().into(),
                Part::Who => put_who(&mut fields, &self.who),
                Part::Members if self.has_members => put_who(&mut fields, &self.who),
                Part::Groups if self.groups.is_empty() => fields["group"] = self.group.into(),
                Part::Groups => fields["group"] = json!(self.groups),
                Part::Set(what) => fields[*what] = json!(self.names),
                Part::Prefix => fields["prefix"] = self.prefix.into(),
                Part::Routed => match self.routed {
                    Routed::Session(session) => fields["session"] = session.to_string().into(),
                    Routed::User(user) => fields["user"] = user.into(),
                    Routed::Group(group) => fields["group"] = group.into(),
                },
                Part::Link(_) => fields["link"] = self.link.into(),
                Part::Share => fields["share"] = self.share.into(),
                Part::User(_) => fields["user"] = self.user.into(),
                Part::Group => fields["group"] = self.group.into(),
                Part::OtherGroup => fields["to"] = self.to.into(),
                Part::Tag => fields["tag"] = self.tag.into(),
                Part::Renewal => match self.end {
                    None => fields["token"] = self.token.into(),
                    Some(SessionEnd::At(unix_ms)) => fields["expires_unix_ms"] = unix_ms.into(),
                    Some(SessionEnd::For(ms)) => fields["for_ms"] = ms.into(),
                },
                Part::By => match self.by {
                    By::All => {}
                    By::User(name) => fields["user"] = name.into(),
                    By::Group(name) => fields["group"] = name.into(),
                    By::Tag(name) => fields["tag"] = name.into(),
                },
                Part::Banned => match self.whom {
                    Whom::User(user) => fields["user"] = user.into(),
                    Whom::Address(address) => fields["address"] = address.into(),
                },
                Part::ForMs => self.for_ms.iter().for_each(|ms| fields["for_ms"] = (*ms).into()),
                Part::PlainPage => {
                    fields["limit"] = Some(self.page_limit).filter(|limit| *limit != 0).into();
                    fields["after"] = self.page_after.into();
                }
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
                    if !self.with.is_empty() {
                        fields["with"] = self.details().collect();
                    }
                    self.name.iter().for_each(|name| fields["name"] = (*name).into());
                    if self.numbers {
                        fields["numbers"] = true.into();
                    }
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
                Part::Sticky if self.is_sticky => fields["sticky"] = true.into(),
                Part::Key(_) => fields["key"] = self.key.into(),
                Part::Sticky | Part::Members | Part::OfPush(_) => {}
            }
        }
        fields
    }

    /// The names of what events are to have of their sessions.
    pub(crate) fn details(&self) -> impl Iterator<Item = &'static str> {
        self.with.names()
    }

    /// The names of the events that a link is to get.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        self.events.names()
    }
}

#[cfg(any(feature = "cli", feature = "fuzzing", test))]
fn put_who(fields: &mut Value, who: &Who<'_>) {
    match who {
        Who::Session(session) => fields["session"] = session.to_string().into(),
        Who::User(user) => fields["user"] = (*user).into(),
        Who::Sessions(sessions) => {
            fields["session"] = sessions.iter().map(ToString::to_string).collect::<Vec<_>>().into();
        }
        Who::Users(users) => fields["user"] = json!(users),
    }
}
