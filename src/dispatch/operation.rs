//! A command about sessions on its way through the reactors, and its answer.

mod list;
mod part;

pub(crate) use part::OperationPart;

use super::presence::{Gathered, Presence};
use super::{
    Action, AppStats, BanPage, CommandError, Counted, ErrorCode, KeptPage, NamePage, OperationOutcome,
    Origin, Page, Quoted, Recalled, Record, Recorded, Scope, SessionInfo, SessionRow, Who, largest_first,
};
use crate::session::{AppId, Name, SessionId};
use list::Listed;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// A command as every reactor with a part in it sees it.
#[derive(Debug)]
pub struct Operation {
    /// The tenant whose names the action uses.
    pub app: AppId,
    /// What to do.
    pub action: Action,
    /// Which nodes it is for.
    pub scope: Scope,
    /// Who wants the answer.
    pub origin: Origin,
    order: OnceLock<u64>,
    pending: AtomicU32,
    sessions: AtomicU32,
    listed: Listed,
    findings: Mutex<Findings>,
}

#[derive(Debug, Default)]
struct Findings {
    page: Page,
    presence: Option<Gathered>,
    expires_unix_ms: Option<u64>,
    recalled: Option<Recalled>,
    kept: Option<KeptPage>,
    bans: Option<BanPage>,
    record: Option<Box<Record>>,
    names: BTreeMap<Name, u32>,
    stats: AppStats,
    /// Why it could not be done, but for a session that is not there.
    error: Option<CommandError>,
    /// The session that it is about is not here; the answer only where it is on no other node either.
    not_here: Option<CommandError>,
    /// Another node had what it is about.
    is_elsewhere: bool,
    /// Nodes that have not answered in time.
    missing: Vec<Name>,
}

impl Operation {
    /// An operation with one part pending: that of whoever posts it, ended by [`Operation::finish_part`].
    pub fn new(app: AppId, action: Action, origin: Origin) -> Self {
        Self {
            app,
            listed: Listed::of(action.who()),
            action,
            scope: Scope::Cluster,
            origin,
            order: OnceLock::new(),
            pending: AtomicU32::new(1),
            sessions: AtomicU32::new(0),
            findings: Mutex::default(),
        }
    }

    /// The same for these nodes.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
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

    /// Of the list that it is about, the session with this index is not live here, or the user has no live session here.
    pub fn is_unknown(&self, index: usize) {
        self.listed.is_not_here(index);
    }

    /// A reactor could not do its part; the first error is the answer.
    pub fn fail(&self, error: CommandError) {
        let mut findings = self.findings();
        let slot = match error.code {
            ErrorCode::UnknownSession => &mut findings.not_here,
            _ => &mut findings.error,
        };
        slot.get_or_insert(error);
    }

    /// A reactor's part of a listing, or the session asked for.
    pub fn add_findings(&self, count: u32, rows: Vec<SessionRow>, sessions: Vec<SessionInfo>) {
        let mut findings = self.findings();
        findings.page.count = findings.page.count.saturating_add(count);
        findings.page.rows.extend(rows);
        findings.page.sessions.extend(sessions);
    }

    /// What a reactor knows of a group beside its members.
    pub fn add_group(&self, behind: u32, pushes: u64) {
        let page = &mut self.findings().page;
        page.behind = page.behind.saturating_add(behind);
        // Each has counted those since it has members.
        page.pushes = page.pushes.max(pushes);
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

    /// A reactor's part of a page of names, one more than the page has.
    pub fn add_names(&self, part: impl IntoIterator<Item = (Name, u32)>) {
        let mut findings = self.findings();
        for (name, sessions) in part {
            let all = findings.names.entry(name).or_default();
            *all = all.saturating_add(sessions);
        }
    }

    /// What is counted of the app.
    pub fn found_stats(&self, stats: AppStats) {
        self.findings().stats = stats;
    }

    /// The bans that were asked for.
    pub fn found_bans(&self, page: BanPage) {
        self.findings().bans = Some(page);
    }

    /// A record of what was asked for: the one that began last is the answer.
    pub fn found_record(&self, record: Record) {
        let slot = &mut self.findings().record;
        if slot.as_ref().is_none_or(|other| other.began_unix_ms <= record.began_unix_ms) {
            *slot = Some(Box::new(record));
        }
    }

    /// The answer; final once the last part is done.
    ///
    /// # Errors
    /// What the first reactor that failed said; [`ErrorCode::UnknownSession`] where the session asked for is not there, and
    /// [`ErrorCode::Overloaded`] where it may be on a node that has not answered.
    pub fn outcome(&self) -> Result<OperationOutcome, CommandError> {
        let missing = self.findings().missing.clone();
        match self.found() {
            Ok(outcome) if missing.is_empty() => Ok(outcome),
            Ok(outcome) => Ok(OperationOutcome::Partial { of: Box::new(outcome), missing }),
            Err(error) if error.code == ErrorCode::UnknownSession && !missing.is_empty() => {
                Err(part::unanswered(&missing))
            }
            Err(error) => Err(error),
        }
    }

    /// What the nodes that have answered have found.
    fn found(&self) -> Result<OperationOutcome, CommandError> {
        let mut findings = self.findings();
        let not_here = findings.not_here.as_ref().filter(|_| !findings.is_elsewhere);
        if let Some(error) = findings.error.as_ref().or(not_here) {
            return Err(error.clone());
        }
        let sessions = self.sessions.load(Ordering::Relaxed);
        let of_list = self.action.who().is_some_and(Who::is_several);
        let unknown = of_list.then(|| self.listed.count_absent());
        match &self.action {
            Action::Record { of, frames } => {
                return Ok(OperationOutcome::Recording { of: of.clone(), frames: *frames });
            }
            Action::ReadRecord { of } | Action::StopRecord { of } if sessions == 0 => {
                return findings.record.take().map(OperationOutcome::Record).ok_or_else(|| not_recorded(of));
            }
            _ => {}
        }
        match self.action {
            Action::Describe { session } => match findings.page.sessions.pop() {
                Some(info) => Ok(OperationOutcome::Session(Box::new(info))),
                None => Err(CommandError::unknown_session(session)),
            },
            Action::Renew { session, .. } | Action::RenewUntil { session, .. } => {
                match findings.expires_unix_ms {
                    Some(expires_unix_ms) => Ok(OperationOutcome::Renewed { expires_unix_ms }),
                    None => Err(CommandError::unknown_session(session)),
                }
            }
            Action::Behind { limit, .. } => {
                let mut page = std::mem::take(&mut findings.page);
                largest_first(&mut page.sessions);
                page.sessions.truncate(limit);
                Ok(OperationOutcome::Page(page))
            }
            Action::List { limit, .. } => {
                Ok(OperationOutcome::Page(cut_to_page(std::mem::take(&mut findings.page), limit)))
            }
            // Where no reactor has a member, none has a part in it.
            Action::Presence { members, .. } => Ok(OperationOutcome::Presence(
                findings.presence.take().map_or_else(|| Presence::of_nobody(members), Gathered::finish),
            )),
            Action::Count { .. } => {
                let found = findings.presence.take();
                let Presence { sessions, users, anonymous, .. } =
                    found.map_or_else(|| Presence::of_nobody(false), Gathered::finish);
                Ok(OperationOutcome::Counted(Counted { sessions, users, anonymous }))
            }
            Action::Names { kind, limit, .. } => {
                let names = std::mem::take(&mut findings.names);
                Ok(OperationOutcome::Names(NamePage::cut(kind, names, limit)))
            }
            Action::Stats => Ok(OperationOutcome::Stats(findings.stats)),
            Action::JoinWith { .. } | Action::JoinSticky { recall: Some(_), .. } => {
                Ok(OperationOutcome::Joined { sessions, recalled: findings.recalled, unknown })
            }
            Action::Latest { .. } | Action::Log { .. } => {
                let nothing = KeptPage { epoch: None, offset: 0, messages: Vec::new(), complete: true };
                Ok(OperationOutcome::Kept(findings.kept.take().unwrap_or(nothing)))
            }
            Action::Unban { .. } => Ok(OperationOutcome::Unbanned(sessions)),
            Action::Bans { .. } => Ok(OperationOutcome::Bans(findings.bans.take().unwrap_or_default())),
            Action::Forget { .. } => Ok(OperationOutcome::Forgotten(sessions)),
            _ => Ok(match unknown {
                Some(unknown) => OperationOutcome::Changed { sessions, unknown },
                None => OperationOutcome::Sessions(sessions),
            }),
        }
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        // A reactor that panicked is the end of the process; what the others found is whole.
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Each reactor gave its first `limit + 1` sessions: together they hold the first `limit` of all, and tell whether there are more.
fn cut_to_page(mut page: Page, limit: usize) -> Page {
    by_place(&mut page.rows, &mut page.sessions);
    let last_row = cut(&mut page.rows, limit).map(|row| row.id);
    let last_session = cut(&mut page.sessions, limit).map(|info| info.id);
    page.next = last_row.or(last_session);
    page
}

/// Puts the sessions of a listing in the order of its pages.
fn by_place(rows: &mut [SessionRow], sessions: &mut [SessionInfo]) {
    rows.sort_unstable_by_key(|row| row.id.place());
    sessions.sort_unstable_by_key(|info| info.id.place());
}

/// Cuts `items` to `limit`; the last one kept, if any was cut.
fn cut<T>(items: &mut Vec<T>, limit: usize) -> Option<&T> {
    let more = items.len() > limit;
    items.truncate(limit);
    items.last().filter(|_| more)
}

/// There is no record, or no order for one.
fn not_recorded(of: &Recorded) -> CommandError {
    let message = match of {
        Recorded::Session(session) => format!("session {session} is not recorded, or its record has gone"),
        Recorded::User(user) => format!("no session of {} is recorded, or its record has gone", Quoted(user)),
    };
    CommandError::new(ErrorCode::UnknownSession, message)
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
            let page = Page { count: 5, rows, next, ..Page::default() };
            assert_eq!(operation.outcome(), Ok(OperationOutcome::Page(page)));
        }
    }
}
