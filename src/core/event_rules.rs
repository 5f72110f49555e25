//! What links hear of the sessions of an app, looked up by app. Worked out once from the configuration.

use crate::config::{AppConfig, Unheard};
use crate::session::AppId;

/// See the module.
#[derive(Debug)]
pub struct EventRules {
    /// Indexed by [`AppId`].
    apps: Box<[AppEvents]>,
}

/// What links hear of the sessions of one app.
#[derive(Debug)]
pub struct AppEvents {
    /// How long a user's last session has been gone when it is offline, in milliseconds.
    pub offline_after_ms: u64,
    /// The query parameters that are kept for a session.
    pub params: Box<[Box<str>]>,
    /// How events that no link hears are held; `None` where they are dropped.
    pub hold: Option<Hold>,
}

/// How events that no link hears are held.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// For how long, in milliseconds.
    pub ms: u64,
    /// Memory of all that is held of the app, in bytes.
    pub bytes: u64,
}

impl EventRules {
    /// Those of apps in the order of their ids.
    pub fn new<'c>(apps: impl Iterator<Item = &'c AppConfig>) -> Self {
        let events = |app: &AppConfig| AppEvents {
            offline_after_ms: app.offline_after_ms,
            params: app.params.iter().map(|name| name.as_str().into()).collect(),
            hold: (app.unheard == Unheard::Hold)
                .then_some(Hold { ms: app.unheard_ms, bytes: app.unheard_bytes as u64 }),
        };
        Self { apps: apps.map(events).collect() }
    }

    /// Those of an app.
    pub fn of(&self, app: AppId) -> Option<&AppEvents> {
        self.apps.get(usize::from(app.0))
    }
}
