//! The parts of a command, as its row tells its layout.

#[cfg(any(feature = "cli", feature = "fuzzing", test))]
mod in_json;
mod reading;

use super::super::error::TooLong;
use super::super::wire::{put_session, put_text};
use super::header::FIRST_EVENTS;
use super::who::put_texts;
use super::{By, Routed, Who, Whom};
use crate::dispatch::{Epoch, EventSet, SessionEnd, With};
use crate::ops::{Op, Part};
use crate::session::SessionId;

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
    pub(crate) everywhere: bool,
    pub(crate) token: &'a str,
    /// 0 is the default.
    pub(crate) page_limit: u32,
    pub(crate) page_after: Option<&'a str>,
    pub(crate) counts_only: bool,
    pub(crate) last: Option<u64>,
    pub(crate) after: Option<u64>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) is_sticky: bool,
    /// It is about sessions that are behind.
    pub(crate) is_behind: bool,
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
            everywhere: false,
            token: "",
            page_limit: 0,
            page_after: None,
            counts_only: false,
            last: None,
            after: None,
            epoch: None,
            is_sticky: false,
            is_behind: false,
            limit: None,
            key: None,
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn of(who: &Who<'a>) -> Self {
        Self { who: who.clone(), ..Self::default() }
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
                Part::By => self.by.put(out)?,
                Part::Banned => self.whom.put(out)?,
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
                Part::Members | Part::Sticky | Part::Behind | Part::OfPush(_) => {}
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
            Part::By => self.by.flags(),
            Part::Banned => self.whom.flags(),
            Part::ForMs => flag(Part::FOR, self.for_ms.is_some()),
            Part::Events => {
                flag(Part::MORE, self.more_events() != 0)
                    | flag(Part::WITH, !self.with.is_empty())
                    | flag(Part::SNAPSHOT, self.snapshot)
                    | flag(Part::NUMBERS, self.numbers)
                    | flag(Part::EVERYWHERE, self.everywhere)
                    | flag(Part::NAME, self.name.is_some())
            }
            Part::Groups => flag(Part::GROUPS, !self.groups.is_empty()),
            Part::Code => flag(Part::CODE, self.code.is_some()),
            Part::Page => flag(Part::COUNTS, self.counts_only),
            Part::Sticky => flag(Part::STICKY, self.is_sticky),
            Part::Behind => flag(Part::BEHIND, self.is_behind),
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

    /// The names of what events are to have of their sessions.
    pub(crate) fn details(&self) -> impl Iterator<Item = &'static str> {
        self.with.names()
    }

    /// The names of the events that a link is to get.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        self.events.names()
    }
}
