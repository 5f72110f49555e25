//! A command about sessions on its way through the reactors, and its answer.

use super::presence::{Gathered, Presence};
use super::{CommandError, Epoch, ErrorCode, KeptPage, Origin, Recall, Recalled, Token};
use crate::session::{AppId, Name, Remote, SessionId};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

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
    /// A session goes on under another token of its user, and ends when that does.
    Renew {
        /// The session.
        session: SessionId,
        /// The token.
        token: Token,
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
        by: super::Selector,
        /// How many at the most.
        limit: usize,
        /// Only sessions behind the place that this one has or had.
        after: Option<SessionId>,
        /// Everything about each ([`Page::sessions`]), or its id and user ([`Page::rows`]).
        detailed: bool,
    },
    /// Who is in a group, page by page: the users by name, each with its sessions, then the sessions without a user.
    Presence {
        /// The group.
        group: Name,
        /// How many entries at the most, and how many sessions of one.
        limit: usize,
        /// Only entries behind this one.
        after: Option<super::PresentAfter>,
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
    /// The events of sessions go to one link of a share from now on.
    Route {
        /// Which sessions.
        what: super::Routed,
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
        listen: super::Listen,
    },
    /// A link gets no more events.
    Unlisten {
        /// The id of the link's connection.
        link: SessionId,
    },
}

impl Action {
    /// Whether every reactor has to hear of it, however much it has to do.
    pub(crate) fn is_for_all(&self) -> bool {
        matches!(
            self,
            Self::Listen { .. } | Self::Unlisten { .. } | Self::Route { .. } | Self::Rebalance { .. }
        )
    }
}

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
    /// The sessions with their users, when the listing was not detailed.
    pub rows: Vec<SessionRow>,
    /// The sessions, when the listing was detailed.
    pub sessions: Vec<SessionInfo>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<SessionId>,
}

/// The answer to an [`Action`].
///
/// ```
/// use gannet::dispatch::OperationOutcome;
///
/// fn count(outcome: &OperationOutcome) -> u32 {
///     match outcome {
///         OperationOutcome::Sessions(count) => *count,
///         OperationOutcome::Session(_) => 1,
///         OperationOutcome::Page(page) => page.count,
///         OperationOutcome::Renewed { .. } => 1,
///         OperationOutcome::Presence(presence) => presence.sessions,
///         OperationOutcome::Joined { sessions, .. } => *sessions,
///         OperationOutcome::Kept(page) => page.messages.len() as u32,
///         OperationOutcome::Forgotten(messages) => *messages,
///     }
/// }
/// assert_eq!(count(&OperationOutcome::Sessions(3)), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationOutcome {
    /// How many sessions it changed or closed.
    Sessions(u32),
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
    Presence(super::Presence),
    /// Sessions joined and got a part of the log.
    Joined {
        /// How many.
        sessions: u32,
        /// How far that part goes; for several sessions, of the one whose part ends first. `None` where none joined.
        recalled: Option<Recalled>,
    },
    /// What a group keeps.
    Kept(KeptPage),
    /// How many messages a group has forgotten.
    Forgotten(u32),
}

/// A command as every reactor with a part in it sees it.
#[derive(Debug)]
pub struct Operation {
    /// The tenant whose names the action uses.
    pub app: AppId,
    /// What to do.
    pub action: Action,
    /// Who wants the answer.
    pub origin: Origin,
    order: OnceLock<u64>,
    pending: AtomicU32,
    sessions: AtomicU32,
    findings: Mutex<Findings>,
}

#[derive(Debug, Default)]
struct Findings {
    page: Page,
    presence: Option<Gathered>,
    expires_unix_ms: Option<u64>,
    recalled: Option<Recalled>,
    kept: Option<KeptPage>,
    error: Option<CommandError>,
}

impl Operation {
    /// An operation with one part pending: that of whoever posts it, ended by [`Operation::finish_part`].
    pub fn new(app: AppId, action: Action, origin: Origin) -> Self {
        Self {
            app,
            action,
            origin,
            order: OnceLock::new(),
            pending: AtomicU32::new(1),
            sessions: AtomicU32::new(0),
            findings: Mutex::default(),
        }
    }

    /// Its place among others of its kind: a number of `counter`, taken by the first who asks and the same for all.
    pub fn order(&self, counter: &AtomicU64) -> u64 {
        *self.order.get_or_init(|| counter.fetch_add(1, Ordering::Relaxed))
    }

    /// One more reactor has a part in it. Call it before the post, never after.
    pub fn add_part(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// A part is done; `true` for the last one, whose caller sends the operation to its origin.
    pub fn finish_part(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Counts sessions that a reactor changed, closed or found; of a group that forgets, messages.
    pub fn count_sessions(&self, sessions: u32) {
        self.sessions.fetch_add(sessions, Ordering::Relaxed);
    }

    /// A reactor could not do its part; the first error is the answer.
    pub fn fail(&self, error: CommandError) {
        self.findings().error.get_or_insert(error);
    }

    /// A reactor's part of a listing, or the session asked for.
    pub fn add_findings(&self, count: u32, rows: Vec<SessionRow>, sessions: Vec<SessionInfo>) {
        let mut findings = self.findings();
        findings.page.count += count;
        findings.page.rows.extend(rows);
        findings.page.sessions.extend(sessions);
    }

    /// A reactor's part of a presence.
    pub fn add_presence(&self, part: Gathered) {
        let mut findings = self.findings();
        match &mut findings.presence {
            Some(gathered) => gathered.merge(part),
            none => *none = Some(part),
        }
    }

    /// The session asked for goes on until then.
    pub fn renewed(&self, expires_unix_ms: u64) {
        self.findings().expires_unix_ms = Some(expires_unix_ms);
    }

    /// Sessions that joined have got what the group keeps, so far.
    pub fn recalled(&self, recalled: Recalled) {
        let mut findings = self.findings();
        let before = findings.recalled.get_or_insert(recalled);
        let complete = before.complete && recalled.complete;
        if recalled.offset < before.offset {
            *before = recalled;
        }
        before.complete = complete;
    }

    /// What was asked for of what a group keeps.
    pub fn kept(&self, page: KeptPage) {
        self.findings().kept = Some(page);
    }

    /// The answer; final once the last part is done.
    ///
    /// # Errors
    /// What the first reactor that failed said; [`ErrorCode::UnknownSession`] where the session asked for is not there.
    pub fn outcome(&self) -> Result<OperationOutcome, CommandError> {
        let mut findings = self.findings();
        if let Some(error) = &findings.error {
            return Err(error.clone());
        }
        let sessions = self.sessions.load(Ordering::Relaxed);
        match self.action {
            Action::Describe { session } => match findings.page.sessions.pop() {
                Some(info) => Ok(OperationOutcome::Session(Box::new(info))),
                None => Err(CommandError::unknown_session(session)),
            },
            Action::Renew { session, .. } => match findings.expires_unix_ms {
                Some(expires_unix_ms) => Ok(OperationOutcome::Renewed { expires_unix_ms }),
                None => Err(CommandError::unknown_session(session)),
            },
            Action::List { limit, .. } => {
                Ok(OperationOutcome::Page(cut_to_page(std::mem::take(&mut findings.page), limit)))
            }
            // Where no reactor has a member, none has a part in it.
            Action::Presence { members, .. } => Ok(OperationOutcome::Presence(
                findings.presence.take().map_or_else(|| Presence::of_nobody(members), Gathered::finish),
            )),
            Action::JoinWith { .. } => Ok(OperationOutcome::Joined { sessions, recalled: findings.recalled }),
            Action::Latest { .. } | Action::Log { .. } => {
                let nothing = KeptPage { epoch: None, offset: 0, messages: Vec::new(), complete: true };
                Ok(OperationOutcome::Kept(findings.kept.take().unwrap_or(nothing)))
            }
            Action::Forget { .. } => Ok(OperationOutcome::Forgotten(sessions)),
            _ => Ok(OperationOutcome::Sessions(sessions)),
        }
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        // A reactor that panicked is the end of the process; what the others found is whole.
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Each reactor gave its first `limit + 1` sessions: together they hold the first `limit` of all, and tell whether there are more.
fn cut_to_page(mut page: Page, limit: usize) -> Page {
    page.rows.sort_unstable_by_key(|row| row.id.place());
    page.sessions.sort_unstable_by_key(|info| info.id.place());
    let last_row = cut(&mut page.rows, limit).map(|row| row.id);
    let last_session = cut(&mut page.sessions, limit).map(|info| info.id);
    page.next = last_row.or(last_session);
    page
}

/// Cuts `items` to `limit`; the last one kept, if any was cut.
fn cut<T>(items: &mut Vec<T>, limit: usize) -> Option<&T> {
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more)
}

impl CommandError {
    /// The id names no live session of the app.
    pub fn unknown_session(session: SessionId) -> Self {
        Self::new(
            ErrorCode::UnknownSession,
            format!("no session {session} is live in this app; it may have closed"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Selector;

    #[test]
    fn the_parts_of_a_listing_are_merged_by_worker_and_slot_whatever_the_generations() {
        let row = |worker, generation, slot| SessionRow {
            id: SessionId::new(1, worker, generation, slot),
            user: None,
        };
        let first = [row(0, 9, 1), row(0, 3, 4), row(0, 7, 6)];
        let second = [row(1, 5, 0), row(1, 2, 1)];
        for (limit, next) in
            [(1, Some(first[0].id)), (2, Some(first[1].id)), (4, Some(second[0].id)), (5, None)]
        {
            let action = Action::List { by: Selector::All, limit, after: None, detailed: false };
            let operation = Operation::new(AppId(0), action, Origin::Nobody);
            let part = |rows: &[SessionRow]| rows.iter().take(limit + 1).cloned().collect();
            operation.add_findings(2, part(&second), Vec::new());
            operation.add_findings(3, part(&first), Vec::new());
            let rows = [&first[..], &second].concat()[..limit].to_vec();
            let page = Page { count: 5, rows, sessions: Vec::new(), next };
            assert_eq!(operation.outcome(), Ok(OperationOutcome::Page(page)));
        }
    }
}
