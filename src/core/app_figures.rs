//! The apps that there are, and what is counted of each on all reactors. Any thread may look: no reactor has a part in it.

use crate::dispatch::{AppStats, Apps};
use crate::metrics::Metrics;
use crate::session::{AppId, Name};
use std::collections::BTreeMap;

/// Which apps are asked for.
pub(super) struct AppsWanted<'a> {
    /// Names that begin so.
    pub prefix: &'a str,
    /// Only names behind this one.
    pub after: Option<&'a Name>,
    /// Only these.
    pub among: Option<&'a [AppId]>,
    /// So many at the most.
    pub limit: usize,
}

/// The first of the apps that are asked for, in the order of their names, each with its sessions on so many reactors.
pub(super) fn named(
    apps: &Apps,
    metrics: &Metrics,
    reactors: usize,
    wanted: &AppsWanted<'_>,
) -> BTreeMap<Name, u32> {
    let mut found = BTreeMap::new();
    for (name, app) in wanted.of(apps) {
        found.insert(name, app);
        if found.len() > wanted.limit {
            found.pop_last();
        }
    }
    let count = |app: AppId| {
        let sessions: u64 = (0..reactors).map(|reactor| metrics.reactor(reactor).app_sessions(app.0)).sum();
        u32::try_from(sessions).unwrap_or(u32::MAX)
    };
    found.into_iter().map(|(name, app)| (name.clone(), count(app))).collect()
}

/// What is counted of the app on so many reactors.
pub(super) fn stats(metrics: &Metrics, reactors: usize, app: AppId) -> AppStats {
    let mut stats = AppStats::default();
    for reactor in 0..reactors {
        let [sessions, away, opened, closed, refused, messages_in, pushes, queued] =
            metrics.reactor(reactor).of_app(app.0);
        stats.sessions += sessions;
        stats.away += away;
        stats.opened += opened;
        stats.closed += closed;
        stats.refused += refused;
        stats.messages_in += messages_in;
        stats.pushes += pushes;
        stats.queued += queued;
    }
    stats
}

impl AppsWanted<'_> {
    fn of<'a>(&self, apps: &'a Apps) -> impl Iterator<Item = (&'a Name, AppId)> {
        let all = apps.found().filter_map(|name| Some((name, apps.find(name).ok()?)));
        all.filter(|(name, app)| {
            name.starts_with(self.prefix)
                && self.after.is_none_or(|after| *name > after)
                && self.among.is_none_or(|among| among.contains(app))
        })
    }
}
