//! The parts of a command, read from a message as its row tells its layout.

use super::super::super::error::{Malformed, Wrong};
use super::super::super::wire::Reader;
use super::super::who::read_texts;
use super::super::{By, Header, Routed, Who, Whom};
use super::Parts;
use crate::dispatch::{Epoch, SessionEnd};
use crate::ops::{Op, Part};

impl<'a> Parts<'a> {
    pub(in crate::link_bin::command) fn read(
        op: &Op,
        header: &Header,
        reader: &mut Reader<'a>,
    ) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        let has = |flag| header.flags & flag != 0;
        for part in op.layout {
            match part {
                Part::Session => parts.session = reader.session("session")?,
                Part::Who => parts.who = Who::read(header.flags, reader)?,
                Part::Members => parts.read_members(header, reader)?,
                Part::Groups => parts.read_groups(header, reader)?,
                Part::Set(what) => parts.names = read_texts(what, "the number of names", reader)?,
                Part::Prefix => parts.prefix = reader.optional("prefix")?,
                Part::Routed => parts.routed = Routed::read(header, reader)?,
                Part::Link(_) => parts.link = reader.optional("link")?,
                Part::Share => parts.share = Some(reader.text("share")?),
                Part::User(_) => parts.user = reader.optional("user")?,
                Part::Group => parts.group = reader.text("group")?,
                Part::OtherGroup => parts.to = reader.text("to")?,
                Part::Tag => parts.tag = reader.text("tag")?,
                Part::Renewal => parts.read_renewal(header, reader)?,
                Part::By => parts.by = By::read(header, reader)?,
                Part::Banned => parts.whom = Whom::read(header.flags, reader)?,
                Part::ForMs if has(Part::FOR) => parts.for_ms = Some(reader.u64("for_ms")?),
                Part::PlainPage | Part::Page => {
                    (parts.page_limit, parts.page_after) = (reader.u32("limit")?, reader.optional("after")?);
                    parts.counts_only = part.has(Part::COUNTS) && has(Part::COUNTS);
                }
                Part::Code if has(Part::CODE) => parts.code = Some(reader.u16("code")?),
                Part::Reason => parts.reason = reader.rest_as_text("reason")?,
                Part::Events => parts.read_events(header, reader)?,
                Part::Recall | Part::Pages => parts.read_recall(*part, header, reader)?,
                Part::Sticky => parts.is_sticky = has(Part::STICKY),
                Part::Behind => parts.is_behind = has(Part::BEHIND),
                Part::Key(_) => parts.key = reader.optional("key")?,
                Part::ForMs | Part::Code | Part::OfPush(_) => {}
            }
        }
        Ok(parts)
    }

    fn read_members(&mut self, header: &Header, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        if header.flags & Part::MEMBERS != 0 {
            (self.who, self.has_members) = (Who::read(header.flags, reader)?, true);
        } else if header.flags & (Part::USER | Part::SEVERAL) != 0 {
            return Err(header.bad_flags("0x20 (members), and 0x01 (user) and 0x40 (several) beside it"));
        }
        Ok(())
    }

    fn read_groups(&mut self, header: &Header, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        if header.flags & Part::GROUPS == 0 {
            self.group = reader.text("group")?;
            return Ok(());
        }
        self.groups = read_texts("group", "the number of groups", reader)?;
        match self.groups.is_empty() {
            true => {
                let known = "1 and more";
                Err(reader.wrong(2, Wrong::Unknown { what: "the number of groups", value: 0, known }))
            }
            false => Ok(()),
        }
    }

    fn read_renewal(&mut self, header: &Header, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        match header.flags & (Part::EXPIRES | Part::FOR) {
            0 => self.token = reader.rest_as_text("token")?,
            Part::EXPIRES => self.end = Some(SessionEnd::At(reader.u64("expires_unix_ms")?)),
            Part::FOR => self.end = Some(SessionEnd::For(reader.u64("for_ms")?)),
            _ => return Err(header.bad_flags("0x01 (expires_unix_ms) or 0x02 (for_ms)")),
        }
        Ok(())
    }

    fn read_events(&mut self, header: &Header, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        let first = header.events()?;
        self.share = reader.optional("share")?;
        self.events = first.union(header.more_events(reader)?);
        self.with = header.with(reader)?;
        self.numbers = header.flags & Part::NUMBERS != 0;
        self.snapshot = header.flags & Part::SNAPSHOT != 0;
        self.everywhere = header.flags & Part::EVERYWHERE != 0;
        if header.flags & Part::NAME != 0 {
            self.name = Some(reader.text("name")?);
        }
        Ok(())
    }

    fn read_recall(&mut self, part: Part, header: &Header, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        let flags = header.flags;
        if part == Part::Recall && !self.groups.is_empty() && flags & Part::RECALLS != 0 {
            let known = "0x02 (last), 0x04 (after) and 0x08 (epoch) of one group, without 0x80 (groups)";
            return Err(header.bad_flags(known));
        }
        let mut number = |flag: u8, what| match part.has(flag) && flags & flag != 0 {
            true => reader.u64(what).map(Some),
            false => Ok(None),
        };
        self.last = number(Part::LAST, "last")?;
        self.after = number(Part::AFTER, "after")?;
        self.epoch = number(Part::EPOCH, "epoch")?.map(Epoch::from_u64);
        if part.has(Part::LIMIT) && flags & Part::LIMIT != 0 {
            self.limit = Some(reader.u32("limit")?);
        }
        Ok(())
    }
}
