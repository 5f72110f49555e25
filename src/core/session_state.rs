//! What a session is at the moment, for a link that is told all of it. Knows nothing of how that is written.

use super::{Captured, Core};
use crate::connection::Phase;
use crate::dispatch::{Param, Profile};
use crate::session::{AppId, Name, Remote, SessionId};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// Its app.
    pub app: AppId,
    /// The user it is bound to.
    pub user: Option<Name>,
    /// What it is in and has.
    pub captured: Captured,
    /// Where its client is, or was last.
    pub remote: Remote,
    /// When it was opened, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Whether its client is away.
    pub away: bool,
}

impl Core {
    /// What a session is; what it was, where it is over and links are still to be told of it.
    pub fn state_of(&self, session: SessionId) -> Option<SessionState> {
        match self.hub.id_of(session.slot()) == Some(session) {
            true => self.state_in(session.slot()),
            false => self.listeners.state_of_departed(session).cloned(),
        }
    }

    /// What the session in `slot` is.
    pub(super) fn state_in(&self, slot: u32) -> Option<SessionState> {
        let (app, connection) = (self.hub.app_of(slot)?, self.connections.slot(slot)?);
        Some(SessionState {
            app,
            user: self.hub.user_of(slot).cloned(),
            captured: self.capture(slot),
            remote: connection.remote(),
            since_unix_ms: connection.figures.since_unix_ms(),
            away: connection.phase == Phase::Away,
        })
    }

    /// The sessions of an app on this reactor.
    pub(super) fn sessions_of(&self, app: AppId) -> Vec<SessionId> {
        let ids = self.connections.slots().filter(|slot| self.hub.app_of(*slot) == Some(app));
        ids.filter_map(|slot| self.hub.id_of(slot)).collect()
    }
}

/// A [`SessionState`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedSessionState {
    #[n(0)]
    app: u16,
    #[n(1)]
    user: Option<String>,
    #[n(2)]
    groups: Vec<String>,
    #[n(3)]
    tags: Vec<String>,
    #[n(4)]
    remote: String,
    #[n(5)]
    since_unix_ms: u64,
    #[n(6)]
    away: bool,
    #[n(7)]
    claims: Option<Box<str>>,
    #[n(8)]
    params: Option<Vec<Param>>,
}

impl SessionState {
    /// As it is carried.
    pub(super) fn carry(&self) -> CarriedSessionState {
        let Self { app, user, captured: Captured { groups, tags, profile }, .. } = self;
        let Self { remote, since_unix_ms, away, .. } = self;
        let texts = |names: &[Name]| names.iter().map(ToString::to_string).collect();
        CarriedSessionState {
            app: app.0,
            user: user.as_ref().map(ToString::to_string),
            groups: texts(groups),
            tags: texts(tags),
            remote: remote.to_string(),
            since_unix_ms: *since_unix_ms,
            away: *away,
            claims: profile.as_ref().and_then(|profile| profile.claims.clone()),
            params: profile.as_ref().map(|profile| profile.params.clone()),
        }
    }

    /// The state that was carried.
    ///
    /// # Errors
    /// A name or an address that is none.
    pub(super) fn restore(carried: CarriedSessionState) -> Result<Self, InvalidState> {
        let CarriedSessionState { app, user, groups, tags, remote, since_unix_ms, away, claims, params } =
            carried;
        let name = |text: String| {
            Name::new(text.as_str())
                .map_err(|_| InvalidState::new("a session that is over has a name that is none"))
        };
        let names = |texts: Vec<String>| texts.into_iter().map(name).collect::<Result<Vec<_>, _>>();
        let remote =
            remote.parse().map_err(|_| InvalidState::new("a session that is over was at no address"))?;
        let user = user.map(name).transpose()?;
        let (groups, tags) = (names(groups)?, names(tags)?);
        let profile = Profile { claims, params: params.unwrap_or_default() };
        let profile = Some(profile).filter(|profile| !profile.is_empty()).map(Arc::new);
        let captured = Captured { groups, tags, profile };
        Ok(Self { app: AppId(app), user, captured, remote, since_unix_ms, away })
    }
}
