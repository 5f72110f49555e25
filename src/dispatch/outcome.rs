//! What a command about sessions came to.

use super::{KeptPage, Presence, Profile, Recalled, Record, Recorded};
use crate::session::{Name, Remote, SessionId};
use std::sync::Arc;

/// Everything about a session that an operator may ask for.
///
/// ```
/// use gannet::dispatch::SessionInfo;
///
/// fn is_behind(session: &SessionInfo) -> bool {
///     session.queued_bytes > 64 * 1024
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// The app's name.
    pub app: Box<str>,
    /// The user it is bound to.
    pub user: Option<Name>,
    /// The groups it is in.
    pub groups: Vec<Name>,
    /// The tags it has.
    pub tags: Vec<Name>,
    /// Where the client is.
    pub remote: Remote,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Messages in its outbox.
    pub queued_messages: u32,
    /// Bytes in its outbox.
    pub queued_bytes: u64,
    /// Bytes read from its socket.
    pub bytes_in: u64,
    /// Bytes written to its socket.
    pub bytes_out: u64,
    /// The last measured time from a ping to its pong, in microseconds; `None` before the first.
    pub round_trip_us: Option<u32>,
    /// Whether its client is away, and the session waits for it: `remote` is where it was then.
    pub away: bool,
    /// Since when its socket has not taken all that waits for it, in milliseconds since the Unix epoch; `None` where it has.
    pub behind_since_unix_ms: Option<u64>,
    /// What its app keeps of what its client has shown.
    pub profile: Arc<Profile>,
}

/// Sessions in the order of their queues, the largest first.
pub(crate) fn largest_first(sessions: &mut [SessionInfo]) {
    sessions.sort_unstable_by_key(|info| (std::cmp::Reverse(info.queued_bytes), info.id.place()));
}

/// A session in a listing.
///
/// ```
/// use gannet::dispatch::SessionRow;
///
/// fn show(row: &SessionRow) -> String {
///     format!("{} {}", row.id, row.user.as_deref().unwrap_or("-"))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// The user it is bound to.
    pub user: Option<Name>,
}

/// A page of a listing.
///
/// ```
/// use gannet::dispatch::{Action, OperationOutcome, Page, Selector};
/// use gannet::session::SessionId;
/// use std::time::Duration;
///
/// /// The page of all sessions that follows `after`, which is the last page's `next`.
/// fn page(pusher: &gannet::Pusher, after: Option<SessionId>) -> Result<Page, gannet::PushError> {
///     let list = Action::List { by: Selector::All, limit: 100, after, detailed: false };
///     match pusher.act("default", list, Duration::from_secs(1))? {
///         OperationOutcome::Page(page) => Ok(page),
///         _ => Ok(Page::default()),
///     }
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Members in all, on this page and off it.
    pub count: u32,
    /// Of the members of a group: how many of them are behind.
    pub behind: u32,
    /// Of the members of a group: pushes to the group since it has had members.
    pub pushes: u64,
    /// The sessions with their users, when the listing was not detailed.
    pub rows: Vec<SessionRow>,
    /// The sessions, when the listing was detailed.
    pub sessions: Vec<SessionInfo>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<SessionId>,
}

/// The answer to an [`Action`](super::Action).
///
/// ```
/// use gannet::dispatch::OperationOutcome;
///
/// fn count(outcome: &OperationOutcome) -> u32 {
///     match outcome {
///         OperationOutcome::Sessions(count) => *count,
///         OperationOutcome::Changed { sessions, .. } => *sessions,
///         OperationOutcome::Session(_) => 1,
///         OperationOutcome::Page(page) => page.count,
///         OperationOutcome::Renewed { .. } => 1,
///         OperationOutcome::Presence(presence) => presence.sessions,
///         OperationOutcome::Joined { sessions, .. } => *sessions,
///         OperationOutcome::Kept(page) => page.messages.len() as u32,
///         OperationOutcome::Forgotten(messages) | OperationOutcome::Unbanned(messages) => *messages,
///         OperationOutcome::Bans(page) => page.count,
///         OperationOutcome::Counted(counted) => counted.sessions,
///         OperationOutcome::Names(page) => page.names.len() as u32,
///         OperationOutcome::Stats(stats) => stats.sessions as u32,
///         OperationOutcome::Recording { .. } | OperationOutcome::Record(_) => 1,
///         OperationOutcome::Partial { of, .. } => count(of),
///     }
/// }
/// assert_eq!(count(&OperationOutcome::Sessions(3)), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationOutcome {
    /// How many sessions it changed or closed.
    Sessions(u32),
    /// How many sessions a command about a list changed or closed.
    Changed {
        /// How many.
        sessions: u32,
        /// Of the list: sessions that are not live, or users without a live session.
        unknown: u32,
    },
    /// The session asked for.
    Session(Box<SessionInfo>),
    /// The page asked for.
    Page(Page),
    /// A session goes on under another token.
    Renewed {
        /// Until then, in milliseconds since the Unix epoch.
        expires_unix_ms: u64,
    },
    /// Who is in the group asked for.
    Presence(Presence),
    /// Sessions joined and got a part of the log.
    Joined {
        /// How many.
        sessions: u32,
        /// How far that part goes; for several sessions, of the one whose part ends first. `None` where none joined.
        recalled: Option<Recalled>,
        /// Where the command was about a list: of it, sessions that are not live, or users without a live session.
        unknown: Option<u32>,
    },
    /// What a group keeps.
    Kept(KeptPage),
    /// How many sessions there are.
    Counted(super::Counted),
    /// The users, groups or apps asked for.
    Names(super::NamePage),
    /// What is counted of the app.
    Stats(super::AppStats),
    /// How many messages a group has forgotten.
    Forgotten(u32),
    /// How many bans were taken back: one or none.
    Unbanned(u32),
    /// The bans asked for.
    Bans(super::BanPage),
    /// A session is recorded from now on, or the next one of a user will be.
    Recording {
        /// Whose.
        of: Recorded,
        /// The last so many events are kept.
        frames: usize,
    },
    /// The record asked for.
    Record(Box<Record>),
    /// Some nodes have not answered in time: what is there is not in it, and may not have been done.
    Partial {
        /// What the others came to; none that is partial itself.
        of: Box<OperationOutcome>,
        /// The names of the nodes that have not answered: one at least.
        missing: Vec<Name>,
    },
}
