//! What a command asks about sessions.

use super::{Banned, Epoch, Listen, NameKind, PresentAfter, Recall, Recorded, Routed, Selector, Token};
use crate::session::{AppId, Name, SessionId};

/// The sessions that a command is about.
///
/// ```
/// use gannet::dispatch::Who;
/// use gannet::session::Name;
/// let ada = Who::User(Name::new("ada").unwrap());
/// assert_ne!(ada, Who::Session("0010020000c00004".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// One session.
    Session(SessionId),
    /// Every session of a user.
    User(Name),
    /// Several sessions, each named once. Those that are not live are counted, and are no error.
    Sessions(Vec<SessionId>),
    /// Every session of several users, each named once.
    Users(Vec<Name>),
}

impl Who {
    /// Whether it is a list, so that the answer counts whom of it there is not.
    pub fn is_several(&self) -> bool {
        matches!(self, Self::Sessions(_) | Self::Users(_))
    }

    /// The users that it names; none where it names sessions.
    pub fn users(&self) -> &[Name] {
        match self {
            Self::User(user) => std::slice::from_ref(user),
            Self::Users(users) => users,
            Self::Session(_) | Self::Sessions(_) => &[],
        }
    }
}

/// When a session is to end.
///
/// ```
/// use gannet::dispatch::SessionEnd;
/// assert_eq!(SessionEnd::For(500).at(1_000), 1_500);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// At this time, in milliseconds since the Unix epoch.
    At(u64),
    /// In so many milliseconds.
    For(u64),
}

impl SessionEnd {
    /// The time, where it is `unix_ms` now, in milliseconds since the Unix epoch.
    pub fn at(self, unix_ms: u64) -> u64 {
        match self {
            Self::At(end_unix_ms) => end_unix_ms,
            Self::For(ms) => unix_ms.saturating_add(ms),
        }
    }
}

/// What a command does.
///
/// ```
/// use gannet::dispatch::{Action, Who};
/// use gannet::session::Name;
/// use std::time::Duration;
///
/// /// Returns how many of the user's sessions joined.
/// fn join(pusher: &gannet::Pusher, user: &str, group: &str) -> Result<u32, Box<dyn std::error::Error>> {
///     let action = Action::Join { who: Who::User(Name::new(user)?), group: Name::new(group)? };
///     match pusher.act("default", action, Duration::from_secs(1))? {
///         gannet::dispatch::OperationOutcome::Sessions(joined) => Ok(joined),
///         _ => Ok(0),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sessions join a group.
    Join {
        /// Who joins.
        who: Who,
        /// What they join.
        group: Name,
    },
    /// Sessions join a group that has a log, and get a part of the log first. A session that is in the group gets nothing.
    JoinWith {
        /// Who joins.
        who: Who,
        /// What they join.
        group: Name,
        /// What they get first.
        recall: Recall,
    },
    /// Sessions join several groups.
    JoinAll {
        /// Who joins.
        who: Who,
        /// What they join: each once.
        groups: Vec<Name>,
    },
    /// Users join groups with every session, also with those that open later or are bound to them. They are in these until they leave,
    /// or the group is destroyed, or their last session has been gone for `apps.NAME.sticky_ms`.
    JoinSticky {
        /// Users: [`Who::User`] or [`Who::Users`]. A session is refused.
        who: Who,
        /// What they join: each once.
        groups: Vec<Name>,
        /// Where it is one group that has a log, what the sessions that are there get of it first.
        recall: Option<Recall>,
    },
    /// Sessions leave several groups.
    LeaveAll {
        /// Who leaves.
        who: Who,
        /// What they leave: each once.
        groups: Vec<Name>,
    },
    /// Sessions are in exactly these groups, of those whose names begin with a prefix. They join and leave what differs.
    SetGroups {
        /// Who.
        who: Who,
        /// The groups: each once, and each begins with the prefix.
        groups: Vec<Name>,
        /// Groups that do not begin so stay as they are; `None` is all groups.
        prefix: Option<Name>,
    },
    /// Sessions leave a group.
    Leave {
        /// Who leaves.
        who: Who,
        /// What they leave.
        group: Name,
    },
    /// Every member leaves the group, and what it remembers is forgotten.
    Destroy {
        /// The group.
        group: Name,
    },
    /// Every member leaves one group and is in another.
    Move {
        /// The group that is empty afterwards.
        from: Name,
        /// The group that they are in afterwards.
        to: Name,
    },
    /// Some of the members of a group leave it and are in another. Whoever is not in the one stays as it is.
    MoveSome {
        /// Who.
        who: Who,
        /// The group that they are in.
        from: Name,
        /// The group that they are in afterwards.
        to: Name,
    },
    /// Sessions are closed.
    Kick {
        /// Whose.
        who: Who,
        /// The close code (RFC 6455 §7.4).
        code: u16,
        /// The close reason: at most 123 bytes.
        reason: Box<str>,
    },
    /// A session is a user's from now on, or nobody's.
    Bind {
        /// The session.
        session: SessionId,
        /// The user; `None` unbinds.
        user: Option<Name>,
    },
    /// A session gets a tag.
    Tag {
        /// The session.
        session: SessionId,
        /// The tag.
        tag: Name,
    },
    /// A session loses a tag.
    Untag {
        /// The session.
        session: SessionId,
        /// The tag.
        tag: Name,
    },
    /// Sessions get a tag.
    TagAll {
        /// Who.
        who: Who,
        /// The tag.
        tag: Name,
    },
    /// Sessions lose a tag.
    UntagAll {
        /// Who.
        who: Who,
        /// The tag.
        tag: Name,
    },
    /// Sessions have exactly these tags, of those that begin with a prefix.
    SetTags {
        /// Who.
        who: Who,
        /// The tags: each once, and each begins with the prefix.
        tags: Vec<Name>,
        /// Tags that do not begin so stay as they are; `None` is all tags.
        prefix: Option<Name>,
    },
    /// A session goes on under another token of its user, and ends when that does.
    Renew {
        /// The session.
        session: SessionId,
        /// The token.
        token: Token,
    },
    /// A session ends at this time, whatever its token says.
    RenewUntil {
        /// The session.
        session: SessionId,
        /// When.
        end: SessionEnd,
    },
    /// Sessions are closed with 4001, and no new ones of the app are let in. A ban of the same before is replaced.
    Ban {
        /// Whose.
        whom: Banned,
        /// For so many milliseconds; `None`: until it is taken back.
        for_ms: Option<u64>,
        /// The close reason, which those who are refused are told too: at most 123 bytes.
        reason: Box<str>,
    },
    /// A ban is over.
    Unban {
        /// Whose.
        whom: Banned,
    },
    /// The bans of the app, page by page.
    Bans {
        /// How many at the most.
        limit: usize,
        /// Only those behind this one.
        after: Option<Banned>,
    },
    /// All about one session.
    Describe {
        /// The session.
        session: SessionId,
    },
    /// A page of the sessions of a user, a group or a tag, by worker and slot of their ids: a session that lives from the first
    /// page to the last is on exactly one.
    List {
        /// A user, group or tag; `All` lists the app.
        by: Selector,
        /// How many at the most.
        limit: usize,
        /// Only sessions behind the place that this one has or had.
        after: Option<SessionId>,
        /// Everything about each ([`Page::sessions`](super::Page::sessions)), or its id and user
        /// ([`Page::rows`](super::Page::rows)).
        detailed: bool,
    },
    /// The sessions whose sockets have not taken all that waits for them, the largest queue first, with everything about each.
    Behind {
        /// Of a user, group or tag; `All` is of the app.
        by: Selector,
        /// How many at the most.
        limit: usize,
    },
    /// How many sessions a user, group or tag has, or the app.
    Count {
        /// A user, group or tag; `All` counts the app's.
        by: Selector,
    },
    /// The users or groups of the app, in the order of their names, page by page.
    Names {
        /// Which.
        kind: NameKind,
        /// Names that begin so; `None` is all.
        prefix: Option<Name>,
        /// How many at the most.
        limit: usize,
        /// Only names behind this one.
        after: Option<Name>,
        /// Of apps: only these, since whoever asks may name no others; `None` is all.
        among: Option<Box<[AppId]>>,
    },
    /// What is counted of the app.
    Stats,
    /// Who is in a group, page by page: the users by name, each with its sessions, then the sessions without a user.
    Presence {
        /// The group.
        group: Name,
        /// How many entries at the most, and how many sessions of one.
        limit: usize,
        /// Only entries behind this one.
        after: Option<PresentAfter>,
        /// Whether the entries are wanted, or only the counts.
        members: bool,
    },
    /// The newest push of each key that a group keeps.
    Latest {
        /// The group.
        group: Name,
    },
    /// A page of the pushes that a group keeps.
    Log {
        /// The group.
        group: Name,
        /// Only those behind this number.
        after: u64,
        /// The epoch of that number; `None` is any.
        epoch: Option<Epoch>,
        /// How many at the most.
        limit: usize,
    },
    /// A group forgets.
    Forget {
        /// The group.
        group: Name,
        /// The newest push of this key; `None` is everything, and the numbers begin anew.
        key: Option<Box<str>>,
    },
    /// What happens at the socket of a session is recorded from now on. A record of it before is forgotten.
    Record {
        /// Whose.
        of: Recorded,
        /// The last so many events are kept: at least one, and at most `limits.record_frames`.
        frames: usize,
    },
    /// A session is recorded no longer, and its record is forgotten; of a user, the order is taken back.
    StopRecord {
        /// Whose.
        of: Recorded,
    },
    /// What has been recorded of a session, or of the session of a user whose record began last.
    ReadRecord {
        /// Whose.
        of: Recorded,
    },
    /// The events of sessions go to one link of a share from now on.
    Route {
        /// Which sessions.
        what: Routed,
        /// What the link is called; `None` ends their route.
        link: Option<Name>,
    },
    /// The sessions of a share that no route binds are divided evenly anew among its links.
    Rebalance {
        /// The share.
        share: Name,
    },
    /// A link gets events from now on.
    Listen {
        /// The id of the link's connection.
        link: SessionId,
        /// Which.
        listen: Listen,
    },
    /// A link gets no more events.
    Unlisten {
        /// The id of the link's connection.
        link: SessionId,
    },
}

/// The sessions that an action is about, where it says so by who they are: shared or to be changed, as the action is.
macro_rules! who_of {
    ($action:expr) => {
        match $action {
            Self::Join { who, .. }
            | Self::JoinWith { who, .. }
            | Self::JoinAll { who, .. }
            | Self::JoinSticky { who, .. }
            | Self::LeaveAll { who, .. }
            | Self::SetGroups { who, .. }
            | Self::Leave { who, .. }
            | Self::MoveSome { who, .. }
            | Self::Kick { who, .. }
            | Self::TagAll { who, .. }
            | Self::UntagAll { who, .. }
            | Self::SetTags { who, .. } => Some(who),
            _ => None,
        }
    };
}

impl Action {
    /// Whether every reactor has to hear of it, however much it has to do.
    pub(crate) fn is_for_all(&self) -> bool {
        matches!(
            self,
            Self::Listen { .. } | Self::Unlisten { .. } | Self::Route { .. } | Self::Rebalance { .. }
        )
    }

    /// The same about others; an action that names nobody stays as it is.
    pub(crate) fn with_who(mut self, others: Who) -> Self {
        if let Some(who) = who_of!(&mut self) {
            *who = others;
        }
        self
    }

    /// The user, group or tag whose sessions it is about, where it is about all of them; those who are in several of them are not asked
    /// for.
    pub(crate) fn named(&self) -> Option<Selector> {
        match (self.who(), self) {
            (Some(Who::User(user)), _) => Some(Selector::User(user.clone())),
            (Some(Who::Users(users)), _) => users.first().cloned().map(Selector::User),
            (_, Self::Move { from: group, .. } | Self::Destroy { group } | Self::Presence { group, .. }) => {
                Some(Selector::Group(group.clone()))
            }
            (_, Self::List { by, .. } | Self::Behind { by, .. } | Self::Count { by }) => Some(by.clone()),
            _ => None,
        }
    }

    /// The sessions that it is about, where it says so by who they are.
    pub fn who(&self) -> Option<&Who> {
        who_of!(self)
    }

    /// Whether sessions may have a user, groups or tags behind it that they had not before.
    pub fn gives_names(&self) -> bool {
        matches!(
            self,
            Self::Join { .. }
                | Self::JoinWith { .. }
                | Self::JoinAll { .. }
                | Self::JoinSticky { .. }
                | Self::SetGroups { .. }
                | Self::Move { .. }
                | Self::MoveSome { .. }
                | Self::Bind { .. }
                | Self::Tag { .. }
                | Self::TagAll { .. }
                | Self::SetTags { .. }
        )
    }
}
