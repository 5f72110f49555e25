//! What an operation came to on one node, for the node that has asked: taken there, and merged here as if one more reactor had
//! answered.

use super::super::presence::{Gathered, PresencePart};
use super::super::{
    Action, AppStats, BanPage, CommandError, ErrorCode, KeptPage, Page, PresencePage, Recalled, largest_first,
};
use super::{Operation, by_place};
use crate::session::Name;
use std::sync::atomic::Ordering;

/// What an operation came to on one node. Of lists it has the first entries, one more than the page has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OperationPart {
    /// Sessions that were changed, closed or found; messages or bans for what is about these.
    pub(crate) sessions: u32,
    /// Of the list that the command is about, if it is about one: whether each entry is not on the node.
    pub(crate) absent: Vec<bool>,
    /// Why it could not be done there.
    pub(crate) error: Option<CommandError>,
    /// Sessions that were listed or described.
    pub(crate) page: Page,
    /// Of a presence or a count.
    pub(crate) presence: Option<PresencePart>,
    /// Until when the session goes on.
    pub(crate) expires_unix_ms: Option<u64>,
    /// How far what those who joined were sent goes.
    pub(crate) recalled: Option<Recalled>,
    /// What a group keeps.
    pub(crate) kept: Option<KeptPage>,
    /// The bans.
    pub(crate) bans: Option<BanPage>,
    /// Users, groups or apps, each with its sessions there, in the order of their names.
    pub(crate) names: Vec<(Name, u32)>,
    /// What is counted of the app there.
    pub(crate) stats: AppStats,
}

impl Operation {
    /// What it came to here; takes it out. For an operation whose last part is done.
    pub(crate) fn part(&self) -> OperationPart {
        let mut findings = std::mem::take(&mut *self.findings());
        let most = match self.action {
            Action::List { limit, .. } | Action::Names { limit, .. } => limit.saturating_add(1),
            Action::Behind { limit, .. } => limit,
            _ => usize::MAX,
        };
        let Page { rows, sessions, .. } = &mut findings.page;
        match self.action {
            Action::Behind { .. } => largest_first(sessions),
            _ => by_place(rows, sessions),
        }
        rows.truncate(most);
        sessions.truncate(most);
        OperationPart {
            sessions: self.sessions.load(Ordering::Relaxed),
            absent: self.listed.absent().collect(),
            error: findings.error.or(findings.not_here),
            page: findings.page,
            presence: findings.presence.map(Gathered::into_part),
            expires_unix_ms: findings.expires_unix_ms,
            recalled: findings.recalled,
            kept: findings.kept,
            bans: findings.bans,
            names: findings.names.into_iter().take(most).collect(),
            stats: findings.stats,
        }
    }

    /// Another node has answered: adds what it has found, as if one more reactor had. Where it was asked about some of a list, `places` says which. Not for the echo of a node's own message.
    ///
    /// An error is the answer, unless it says that the session is not there and another node has it.
    pub(crate) fn merge(&self, part: OperationPart, places: &[u16]) {
        let OperationPart { sessions, absent, error, page, presence, names, recalled, stats, .. } = part;
        match self.action {
            // Every node knows every ban.
            Action::Unban { .. } => self.sessions.fetch_max(sessions, Ordering::Relaxed),
            _ => self.sessions.fetch_add(sessions, Ordering::Relaxed),
        };
        self.listed.merge(&absent, places);
        match error {
            Some(error) => self.fail(error),
            None => self.findings().is_elsewhere = true,
        }
        let Page { count, rows, sessions, behind, pushes, next: _ } = page;
        self.add_findings(count, rows, sessions);
        self.add_group(behind, pushes);
        if let Some(presence) = presence {
            self.add_presence(Gathered::of_part(presence, self.presence_page()));
        }
        recalled.into_iter().for_each(|recalled| self.recalled(recalled));
        self.add_names(names);
        let mut findings = self.findings();
        findings.stats.add(&stats);
        findings.expires_unix_ms = findings.expires_unix_ms.or(part.expires_unix_ms);
        findings.kept = findings.kept.take().or(part.kept);
        findings.bans = findings.bans.take().or(part.bans);
    }

    /// A node has not answered in time: what is there is not in the answer, which says so.
    pub(crate) fn miss_node(&self, node: &Name) {
        let missing = &mut self.findings().missing;
        if !missing.contains(node) {
            missing.push(node.clone());
        }
    }

    /// The page of a presence that this operation asks for, whoever has a part of it.
    fn presence_page(&self) -> PresencePage {
        match &self.action {
            Action::Presence { limit, after, members, .. } => {
                PresencePage::new(*limit, after.clone(), usize::MAX, *members)
            }
            _ => PresencePage::of_none(),
        }
    }
}

/// Nodes that have not answered may have what is said not to be there.
pub(super) fn unanswered(missing: &[Name]) -> CommandError {
    let names: Vec<&str> = missing.iter().map(Name::as_str).collect();
    CommandError::new(
        ErrorCode::Overloaded,
        format!(
            "no node that has answered in time has it, and these have not answered: {}; try again",
            names.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests;
