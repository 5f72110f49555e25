//! Whether the sessions of an app may resume, and within which bounds, looked up by app. Worked out once from the configuration.

use crate::config::AppConfig;
use crate::connection::KeptLimits;
use crate::session::AppId;

/// See the module.
#[derive(Debug)]
pub struct ResumeRules {
    /// Indexed by [`AppId`]; `None` where sessions end with their connections.
    apps: Box<[Option<AppResume>]>,
    /// The same; whether sessions end with their tokens.
    token_ends: Box<[bool]>,
}

/// How the sessions of an app resume.
#[derive(Debug, Clone, Copy)]
pub struct AppResume {
    /// How long a session waits for its client, in milliseconds.
    pub linger_ms: u64,
    /// What is kept for each of them of what it was sent.
    pub kept: KeptLimits,
    /// Sessions that may be away at once; 0 is no bound.
    pub max_away: usize,
}

impl ResumeRules {
    /// Those of apps in the order of their ids.
    pub fn new<'c>(apps: impl Iterator<Item = &'c AppConfig>) -> Self {
        let rules = apps.map(|app| {
            let (resume, token_ends) = (app.resume, app.token_ends_session.0);
            let resume = (resume.linger_ms > 0).then_some(AppResume {
                linger_ms: resume.linger_ms,
                kept: KeptLimits { messages: resume.messages, bytes: resume.bytes },
                max_away: resume.max_away,
            });
            (resume, token_ends)
        });
        let (apps, token_ends): (Vec<_>, Vec<_>) = rules.unzip();
        Self { apps: apps.into(), token_ends: token_ends.into() }
    }

    /// Whether a session of the app ends when its token does.
    pub fn token_ends_session(&self, app: AppId) -> bool {
        self.token_ends.get(usize::from(app.0)).is_none_or(|ends| *ends)
    }

    /// Those of an app; `None` where its sessions end with their connections.
    pub fn of(&self, app: AppId) -> Option<&AppResume> {
        self.apps.get(usize::from(app.0))?.as_ref()
    }
}
