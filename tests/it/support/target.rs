//! Whom a push is for, in every form in which a publisher can say it, and the obvious definition of whom that means.

use super::encoded;
use gannet::dispatch::{Selector, Target as GannetTarget};
use gannet::session::{Name, SessionId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a session is called.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub id: SessionId,
    /// Its user.
    pub user: Option<String>,
    /// Its groups.
    pub groups: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
}

/// A union of names, less one session.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Sessions.
    pub sessions: Vec<SessionId>,
    /// Users.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Everybody.
    pub all: bool,
    /// But this one.
    pub except: Option<SessionId>,
}

impl Target {
    /// Whether the session is meant.
    pub fn means(&self, one: &Identity) -> bool {
        let named = self.all
            || self.sessions.contains(&one.id)
            || one.user.as_ref().is_some_and(|user| self.users.contains(user))
            || self.groups.iter().any(|group| one.groups.contains(group))
            || self.tags.iter().any(|tag| one.tags.contains(tag));
        named && self.except != Some(one.id)
    }

    /// How many of the named sessions and users nobody in `world` is.
    pub fn offline(&self, world: &[Identity]) -> usize {
        let sessions = self.sessions.iter().filter(|id| !world.iter().any(|one| one.id == **id));
        let users = self.users.iter().filter(|user| !world.iter().any(|one| one.user.as_ref() == Some(user)));
        sessions.count() + users.count()
    }

    /// As the query of `POST /v1/push`.
    pub fn query(&self) -> String {
        let sessions = self.sessions.iter().map(|id| format!("session={id}"));
        let named = |name: &'static str, values: &[String]| {
            values.iter().map(|value| format!("{name}={}", encoded(value))).collect::<Vec<_>>()
        };
        let pairs: Vec<String> = sessions
            .chain(named("user", &self.users))
            .chain(named("group", &self.groups))
            .chain(named("tag", &self.tags))
            .chain(self.all.then(|| "all=1".to_owned()))
            .chain(self.except.map(|id| format!("except={id}")))
            .collect();
        pairs.join("&")
    }

    /// As the `to` of a link's command; `except` stands beside it.
    pub fn json(&self) -> Value {
        let sessions: Vec<String> = self.sessions.iter().map(SessionId::to_string).collect();
        let mut to =
            json!({ "session": sessions, "user": self.users, "group": self.groups, "tag": self.tags });
        if self.all {
            to["all"] = true.into();
        }
        to
    }

    /// As the library takes it; `except` is an option there.
    pub fn gannet(&self) -> GannetTarget {
        let name = |text: &String| Name::new(text).unwrap();
        let selectors = (self.sessions.iter().map(|id| Selector::Session(*id)))
            .chain(self.users.iter().map(|user| Selector::User(name(user))))
            .chain(self.groups.iter().map(|group| Selector::Group(name(group))))
            .chain(self.tags.iter().map(|tag| Selector::Tag(name(tag))))
            .chain(self.all.then_some(Selector::All));
        selectors.fold(GannetTarget::nobody(), GannetTarget::or)
    }
}
