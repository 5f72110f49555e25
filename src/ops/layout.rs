//! The words in which rows tell the layout of a command of the binary link. docs/link.md has the whole message.

#[cfg(test)]
use crate::dispatch::{Detail, EventKind, EventSet};

/// What follows the app in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A session: u64.
    Session,
    /// With the flag [`Part::USER`] the name of a user, else a session; with [`Part::SEVERAL`] a u16 and so many of them.
    Who,
    /// With the flag [`Part::MEMBERS`] a [`Part::Who`].
    Members,
    /// The name of a user, or none; what none means.
    User(&'static str),
    /// The name of a group.
    Group,
    /// The name of a group; with the flag [`Part::GROUPS`] a u16 and so many of them.
    Groups,
    /// A u16, and so many names of groups or tags.
    Set(&'static str),
    /// How names begin, or none: all do.
    Prefix,
    /// With the flag [`Part::USER`] the name of a user, with [`Part::GROUP`] that of a group, else a session.
    Routed,
    /// What a link is called, or nothing; what that means.
    Link(&'static str),
    /// The name of a share.
    Share,
    /// The name of another group.
    OtherGroup,
    /// The name of a tag.
    Tag,
    /// A token: all that is left; with the flag [`Part::EXPIRES`] or [`Part::FOR`] a u64 instead.
    Renewal,
    /// The name of a user; with the flag [`Part::ADDRESS`] an address, as text.
    Banned,
    /// With the flag [`Part::FOR`] a u64.
    ForMs,
    /// With one of the flags [`Part::BY_USER`], [`Part::BY_GROUP`] and [`Part::BY_TAG`] a name.
    By,
    /// Entries of a page: u32, 0 for as many as there are without a limit; and where it begins, a text or none.
    PlainPage,
    /// With the flag [`Part::CODE`] a close code: u16.
    Code,
    /// A close reason: all that is left.
    Reason,
    /// Entries of a page: u32, 0 for as many as there are without a limit; and where it begins, a text or none.
    Page,
    /// Events in the first argument, and the name of a share or none; with the flag [`Part::MORE`] further events: u32; with
    /// [`Part::WITH`] what they have of their sessions: u8; with [`Part::NAME`] what the link is called.
    Events,
    /// With the flag [`Part::LAST`] how many of a log, with [`Part::AFTER`] behind which number, with [`Part::EPOCH`] its epoch: u64
    /// each.
    Recall,
    /// With the flag [`Part::STICKY`] it is about sessions that come too; nothing follows.
    Sticky,
    /// With the flag [`Part::BEHIND`] it is about sessions that are behind; nothing follows.
    Behind,
    /// With the flags of [`Part::Recall`] behind which number, and its epoch; with [`Part::LIMIT`] how many: u32.
    Pages,
    /// A key, or none; what none means.
    Key(&'static str),
    /// A part of a push, in words: `link_bin` has a reader for the whole of it.
    OfPush(&'static str),
}

impl Part {
    /// It is about a user; without it, about a session.
    pub const USER: u8 = 0x01;
    /// It is about several.
    pub const SEVERAL: u8 = 0x40;
    /// Several groups follow.
    pub const GROUPS: u8 = 0x80;
    /// Some members follow.
    pub const MEMBERS: u8 = 0x20;
    /// It is about a user's sessions.
    pub const BY_USER: u8 = 0x01;
    /// It is about a group's sessions.
    pub const BY_GROUP: u8 = 0x02;
    /// It is about a tag's sessions.
    pub const BY_TAG: u8 = 0x04;
    /// It is about an address.
    pub const ADDRESS: u8 = 0x01;
    /// When a session ends follows.
    pub const EXPIRES: u8 = 0x01;
    /// For how long follows.
    pub const FOR: u8 = 0x02;
    /// It is about a group.
    pub const GROUP: u8 = 0x02;
    /// A close code follows.
    pub const CODE: u8 = 0x02;
    /// Only the counts of a page are wanted.
    pub const COUNTS: u8 = 0x04;
    /// Events that the first argument has no bits for follow.
    pub const MORE: u8 = 0x01;
    /// It is about the sessions of all nodes.
    pub const EVERYWHERE: u8 = 0x02;
    /// What events have of their sessions follows.
    pub const WITH: u8 = 0x08;
    /// What the link is called follows.
    pub const NAME: u8 = 0x10;
    /// The link is told first of all sessions that are there.
    pub const SNAPSHOT: u8 = 0x20;
    /// Each event has its number.
    pub const NUMBERS: u8 = 0x40;

    /// The newest so many of a log.
    pub const LAST: u8 = 0x02;
    /// What is behind a number.
    pub const AFTER: u8 = 0x04;
    /// The epoch of that number.
    pub const EPOCH: u8 = 0x08;
    /// It is about sessions that come too.
    pub const STICKY: u8 = 0x10;
    /// It is about sessions that are behind.
    pub const BEHIND: u8 = 0x08;
    /// Any of what says which part of a log.
    pub const RECALLS: u8 = Self::LAST | Self::AFTER | Self::EPOCH;
    /// So many at the most.
    pub const LIMIT: u8 = 0x10;

    /// The flags that a part brings with it, with their names.
    pub const fn flags(self) -> &'static [(u8, &'static str)] {
        match self {
            Self::Who => &[(Self::USER, "user"), (Self::SEVERAL, "several")],
            Self::Members => &[(Self::MEMBERS, "members"), (Self::USER, "user"), (Self::SEVERAL, "several")],
            Self::By => &[(Self::BY_USER, "user"), (Self::BY_GROUP, "group"), (Self::BY_TAG, "tag")],
            Self::Renewal => &[(Self::EXPIRES, "expires_unix_ms"), (Self::FOR, "for_ms")],
            Self::Banned => &[(Self::ADDRESS, "address")],
            Self::ForMs => &[(Self::FOR, "for_ms")],
            Self::Groups => &[(Self::GROUPS, "groups")],
            Self::Routed => &[(Self::USER, "user"), (Self::GROUP, "group")],
            Self::Code => &[(Self::CODE, "code")],
            Self::Page => &[(Self::COUNTS, "counts")],
            Self::Events => &[
                (Self::MORE, "more"),
                (Self::EVERYWHERE, "everywhere"),
                (Self::WITH, "with"),
                (Self::NAME, "name"),
                (Self::SNAPSHOT, "snapshot"),
                (Self::NUMBERS, "numbers"),
            ],
            Self::Recall => &[(Self::LAST, "last"), (Self::AFTER, "after"), (Self::EPOCH, "epoch")],
            Self::Sticky => &[(Self::STICKY, "sticky")],
            Self::Behind => &[(Self::BEHIND, "behind")],
            Self::Pages => &[(Self::AFTER, "after"), (Self::EPOCH, "epoch"), (Self::LIMIT, "limit")],
            _ => &[],
        }
    }

    /// Whether a flag is one of its own.
    pub fn has(self, flag: u8) -> bool {
        self.flags().iter().any(|(own, _)| *own == flag)
    }

    /// In words, for the reference.
    #[cfg(test)]
    pub fn words(self) -> String {
        match self {
            Self::Session => "session u64".to_owned(),
            Self::Who => "session u64 or user name; several: u16 and so many of them".to_owned(),
            Self::Members => "if flagged: sessions or users as for join".to_owned(),
            Self::Groups => "group name; several groups: u16 and so many names".to_owned(),
            Self::Set(names) => format!("number of {names} u16 · so many names"),
            Self::Prefix => "prefix name or absent".to_owned(),
            Self::Routed => "session u64, user name or group name".to_owned(),
            Self::Link(absent) => format!("link name; absent {absent}"),
            Self::Share => "share name".to_owned(),
            Self::User(absent) => format!("user name; absent {absent}"),
            Self::Group => "group name".to_owned(),
            Self::OtherGroup => "`to` name".to_owned(),
            Self::Tag => "tag name".to_owned(),
            Self::By => "user, group or tag name, if flagged".to_owned(),
            Self::Renewal => "token: all that is left; or u64, if flagged".to_owned(),
            Self::Banned => "user name or address text".to_owned(),
            Self::ForMs => "for_ms u64, if flagged".to_owned(),
            Self::PlainPage => "limit u32, 0 for the default · `after` text or absent".to_owned(),
            Self::Code => "code u16, if flagged".to_owned(),
            Self::Page => "limit u32, 0 for the default · `after` text or absent".to_owned(),
            Self::Reason => "reason: all that is left".to_owned(),
            Self::Events => {
                let bit = |(kind, name): &(EventKind, &str)| {
                    format!("{:#04x} {name}", EventSet::of(&[*kind]).bits())
                };
                let is_first = |kind: &EventKind| EventSet::of(&[*kind]).bits() <= 0x80;
                let (first, more): (Vec<_>, Vec<_>) =
                    EventKind::ALL.iter().partition(|(kind, _)| is_first(kind));
                let [first, more] = [first, more].map(|kinds| {
                    let bits: Vec<String> = kinds.into_iter().map(bit).collect();
                    bits.join(", ")
                });
                let detail = |(detail, name): &(Detail, &str)| format!("{:#04x} {name}", 1 << *detail as u8);
                let with: Vec<String> = Detail::ALL.iter().map(detail).collect();
                let with = with.join(", ");
                format!(
                    "share name or absent; `a` has the events: {first}, or several · more events u32, if flagged: {more} · \
                     `with` u8, if flagged: {with} · name, if flagged"
                )
            }
            Self::Recall => "last u64, if flagged · after u64, if flagged · epoch u64, if flagged".to_owned(),
            Self::Sticky | Self::Behind => String::new(),
            Self::Pages => "after u64, if flagged · epoch u64, if flagged · limit u32, if flagged".to_owned(),
            Self::Key(absent) => format!("key name; absent {absent}"),
            Self::OfPush(words) => words.to_owned(),
        }
    }
}

/// The flags that a command may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// All of them.
    pub known: u8,
    /// Their names, as a refusal lists them.
    pub names: &'static str,
    /// What they say, for the reference.
    #[cfg(test)]
    pub words: &'static str,
}
