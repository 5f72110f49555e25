//! Pages of users, groups and apps, and what is counted of an app.

use crate::dispatch::{AppStats, NameKind, NamePage};
use crate::session::Name;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// `{"users":[{"user","sessions"}],"next"}`, and so on.
pub(super) struct NamesBody<'a>(&'a NamePage);

impl<'a> From<&'a NamePage> for NamesBody<'a> {
    fn from(page: &'a NamePage) -> Self {
        Self(page)
    }
}

impl Serialize for NamesBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let NamePage { kind, names, next } = self.0;
        let (all, each) = match kind {
            NameKind::Users => ("users", "user"),
            NameKind::Groups => ("groups", "group"),
            NameKind::Apps => ("apps", "app"),
        };
        let mut body = serializer.serialize_map(Some(2))?;
        body.serialize_entry(all, &Entries { each, names })?;
        body.serialize_entry("next", &next.as_deref())?;
        body.end()
    }
}

struct Entries<'a> {
    /// What the name is called in each.
    each: &'static str,
    names: &'a [(Name, u32)],
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_seq(Some(self.names.len()))?;
        for (name, sessions) in self.names {
            entries.serialize_element(&Entry { each: self.each, name, sessions: *sessions })?;
        }
        entries.end()
    }
}

struct Entry<'a> {
    each: &'static str,
    name: &'a str,
    sessions: u32,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_map(Some(2))?;
        entry.serialize_entry(self.each, self.name)?;
        entry.serialize_entry("sessions", &self.sessions)?;
        entry.end()
    }
}

/// What is counted of an app.
#[derive(Serialize)]
pub(super) struct StatsBody {
    sessions: u64,
    away: u64,
    opened: u64,
    closed: u64,
    refused: u64,
    messages_in: u64,
    pushes: u64,
    queued: u64,
}

impl From<&AppStats> for StatsBody {
    fn from(stats: &AppStats) -> Self {
        let AppStats { sessions, away, opened, closed, refused, messages_in, pushes, queued } = *stats;
        Self { sessions, away, opened, closed, refused, messages_in, pushes, queued }
    }
}
