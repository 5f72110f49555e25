//! Pages of the apps that there are and of the users or groups that an app has, and how many sessions there are.

use crate::session::Name;
use std::collections::BTreeMap;

/// What is listed by name.
///
/// ```
/// use gannet::dispatch::NameKind;
/// assert_ne!(NameKind::Users, NameKind::Groups);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// Users.
    Users,
    /// Groups.
    Groups,
    /// Apps of the server, those without sessions too.
    Apps,
}

/// A page of users, groups or apps, in the order of their names.
///
/// ```
/// use gannet::dispatch::NamePage;
///
/// fn names(page: &NamePage) -> Vec<&str> {
///     page.names.iter().map(|(name, _)| name.as_str()).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePage {
    /// What they are.
    pub kind: NameKind,
    /// Each with how many sessions it has.
    pub names: Vec<(Name, u32)>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<Name>,
}

impl NamePage {
    /// The first `limit` of those that reactors have found, each of which gave one more than that.
    pub(super) fn cut(kind: NameKind, found: BTreeMap<Name, u32>, limit: usize) -> Self {
        let has_more = found.len() > limit;
        let names: Vec<(Name, u32)> = found.into_iter().take(limit).collect();
        let next = names.last().filter(|_| has_more).map(|(name, _)| name.clone());
        Self { kind, names, next }
    }
}

/// How many sessions there are, and whose.
///
/// ```
/// use gannet::dispatch::Counted;
/// let counted = Counted { sessions: 3, users: 1, anonymous: 1 };
/// assert!(counted.users + counted.anonymous <= counted.sessions);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sessions.
    pub sessions: u32,
    /// Distinct users among them.
    pub users: u32,
    /// Sessions without a user.
    pub anonymous: u32,
}

/// What is counted of one app, on all reactors: as `gannet_app_…` in the metrics.
///
/// ```
/// use gannet::dispatch::AppStats;
/// let stats = AppStats { sessions: 3, away: 1, opened: 10, closed: 7, ..AppStats::default() };
/// assert_eq!(stats.opened - stats.closed, stats.sessions);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppStats {
    /// Sessions that are open.
    pub sessions: u64,
    /// Those of them whose clients are away.
    pub away: u64,
    /// Sessions that were opened since the server started.
    pub opened: u64,
    /// Sessions that were closed.
    pub closed: u64,
    /// Connections that were refused once it was known that they were for the app.
    pub refused: u64,
    /// Messages of clients.
    pub messages_in: u64,
    /// Pushes that were taken from backends.
    pub pushes: u64,
    /// Messages of these that were queued for a session.
    pub queued: u64,
}

impl AppStats {
    /// Adds what is counted on another node.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { sessions, away, opened, closed, refused, messages_in, pushes, queued } = other;
        for (figure, more) in [
            (&mut self.sessions, sessions),
            (&mut self.away, away),
            (&mut self.opened, opened),
            (&mut self.closed, closed),
            (&mut self.refused, refused),
            (&mut self.messages_in, messages_in),
            (&mut self.pushes, pushes),
            (&mut self.queued, queued),
        ] {
            *figure = figure.saturating_add(*more);
        }
    }
}
