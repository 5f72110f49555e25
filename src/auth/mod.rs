//! Who a player is, by what its game's backend signed: a token (JWT) or a signed query, made and checked; and who
//! asks at the backend port, by the key that is shown. Bytes and a reading of the wall clock in, a user or rights out. Knows
//! nothing of HTTP, of sockets, or of what a session is.

mod algorithm;
mod backend_keys;
mod error;
#[cfg(test)]
mod issuer;
mod jwks;
mod key_error;
mod keys;
#[cfg(any(test, feature = "cli", feature = "fuzzing"))]
mod mint;
mod nonces;
mod object;
mod pages;
mod public_key;
mod remote;
mod signed_query;
mod ticket;
mod token;

pub use algorithm::Algorithm;
pub use backend_keys::{Access, BackendKeys, CarriedAccess};
pub use error::AuthError;
pub use jwks::{JwksLimits, KeySet};
pub use key_error::KeyError;
pub use keys::{Keys, Signed};
#[cfg(any(test, feature = "cli", feature = "fuzzing"))]
pub use mint::{Claims, mint};
pub use nonces::{CarriedNonces, Nonces};
pub use pages::{Foreign, Pages, Sender};
pub use public_key::{Material, PublicKey};
pub use remote::{CarriedKeys, RemoteKeys, RemoteSets, Wanted};
pub use signed_query::SignedQuery;
pub use ticket::{SealedTicket, Ticket, Tickets};
pub use token::{Expected, TokenLimits, verify};

use crate::config::{self, AppConfig, JwksUrl, OriginPattern, is_loopback_origin};
use crate::session::{AppId, Name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who somebody has been proven to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The user.
    pub user: Name,
    /// The groups that the session joins as it opens, each once.
    pub groups: Vec<Name>,
    /// The tags that the session opens with, each once.
    pub tags: Vec<Name>,
    /// From when on the proof holds no longer, in milliseconds since the Unix epoch, with the leeway; `None` is never.
    pub expires_unix_ms: Option<u64>,
    /// The claims that the app keeps, as a JSON object; `None` where the token has none of them.
    pub claims: Option<Box<str>>,
}

/// The keys and origins of every app.
#[derive(Debug)]
pub struct Auth {
    /// Indexed by [`AppId`].
    apps: Box<[AppAuth]>,
    limits: TokenLimits,
    timestamp_window_ms: u64,
}

#[derive(Debug)]
struct AppAuth {
    name: Name,
    keys: Keys,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
    /// The claims that are kept.
    claims: Box<[String]>,
    origins: Vec<OriginPattern>,
}

/// A key of the configuration that no token can be checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKeys {
    /// The app.
    pub app: Name,
    /// The key of its table.
    pub key: &'static str,
    /// What is wrong.
    pub error: KeyError,
}

impl fmt::Display for InvalidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, key, error } = self;
        write!(f, "apps.{}.{key}: {error}", app.escape_debug())
    }
}

impl std::error::Error for InvalidKeys {}

impl Auth {
    /// The gate of `apps`, in the order of their ids. Keys that are fetched are those in `remote`.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn new<'a>(
        apps: impl IntoIterator<Item = (Name, &'a AppConfig)>,
        config: &config::Auth,
        limits: &config::Limits,
        remote: &RemoteSets,
    ) -> Result<Self, InvalidKeys> {
        let jwks = JwksLimits { max_bytes: config.max_jwks_bytes, max_keys: config.max_jwks_keys };
        let app = |(name, app): (Name, &AppConfig)| {
            let fetched = app.jwks_url.as_ref().map(|url| remote.at(url));
            match Keys::new(app, &jwks, config.max_keys_tried, fetched) {
                Err((key, error)) => Err(InvalidKeys { app: name, key, error }),
                Ok(keys) => Ok(AppAuth {
                    name,
                    keys,
                    issuer: app.issuer.as_deref().map(Into::into),
                    audience: app.audience.as_deref().map(Into::into),
                    claims: app.claims.clone().into(),
                    origins: app.origins.clone(),
                }),
            }
        };
        let apps = apps.into_iter().map(app).collect::<Result<Box<[AppAuth]>, _>>()?;
        refuse_shared(&apps)?;
        Ok(Self {
            apps,
            limits: TokenLimits {
                max_bytes: config.max_token_bytes,
                leeway_ms: config.leeway.as_millis() as u64,
                max_groups: limits.groups_per_session,
                max_tags: limits.tags_per_session,
                max_claims_bytes: limits.session_claims_bytes,
            },
            timestamp_window_ms: config.timestamp_window.as_millis() as u64,
        })
    }

    /// Whether players are taken at their word: no app has keys. Where one has, nobody gets into another without.
    pub fn takes_words(&self) -> bool {
        self.apps.iter().all(|app| app.keys.is_empty())
    }

    /// Whether a page of this origin may connect to the app. Who shows none is no page: browsers always do (RFC 6454
    /// §7.3), and everybody else can say what it likes. Where players are taken at their word a page needs no proof of who its
    /// reader is: then it must be one of this machine's, or listed.
    pub fn allows_origin(&self, app: AppId, origin: Option<&[u8]>) -> bool {
        let origins = &self.apps[usize::from(app.0)].origins;
        let Some(origin) = origin else { return true };
        match origins.is_empty() {
            true => !self.takes_words() || is_loopback_origin(origin),
            false => origins.iter().any(|pattern| pattern.matches(origin)),
        }
    }

    /// Who the bearer of `token` is in `app`.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn token(&self, app: AppId, token: &[u8], now_unix_ms: u64) -> Result<Proven, AuthError> {
        let app = &self.apps[usize::from(app.0)];
        let (issuer, audience) = (app.issuer.as_deref(), app.audience.as_deref());
        let expected = Expected { app: &app.name, issuer, audience, claims: &app.claims };
        verify(token, &app.keys, &expected, now_unix_ms, &self.limits)
    }

    /// How long ago the keys of apps were fetched, by the number of the app; without those whose never were.
    pub fn key_ages(&self) -> impl Iterator<Item = (usize, Duration)> {
        let age = |(index, app): (usize, &AppAuth)| Some((index, app.keys.remote()?.age()?));
        self.apps.iter().enumerate().filter_map(age)
    }

    /// Who a signed query makes of its bearer in `app`. Its nonce is used then: `nonces` are those of all reactors, locked for
    /// one look-up.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn signed_query(
        &self,
        app: AppId,
        query: &SignedQuery<'_>,
        nonces: &Mutex<Nonces>,
        now_unix_ms: u64,
    ) -> Result<Proven, AuthError> {
        let keys = &self.apps[usize::from(app.0)];
        if query.app != keys.name.as_str() {
            return Err(AuthError::OtherApp);
        }
        let user = query.verify(&keys.keys, now_unix_ms, self.timestamp_window_ms)?;
        let signed_unix_ms = query.signed_unix_ms()?;
        // What a panicked holder left is whole: every change to the set is one call.
        let mut nonces = nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.spend(app, query.nonce, signed_unix_ms, now_unix_ms)?;
        Ok(Proven { user, groups: Vec::new(), tags: Vec::new(), expires_unix_ms: None, claims: None })
    }
}

/// A token may name no app: where two apps have the same key, what it is for must say which of them it opens.
fn refuse_shared(apps: &[AppAuth]) -> Result<(), InvalidKeys> {
    #[derive(PartialEq, Eq, Hash)]
    enum Source<'a> {
        Key(&'a Material),
        Url(&'a JwksUrl),
    }
    let mut owners: HashMap<Source<'_>, Vec<&AppAuth>> = HashMap::new();
    for app in apps {
        let sources = app.keys.public().iter().map(|key| Source::Key(key.material()));
        for source in sources.chain(app.keys.remote().map(|keys| Source::Url(keys.url()))) {
            let owners = owners.entry(source).or_default();
            let meets = |other: &&&AppAuth| {
                let is_open = app.audience.is_none() || other.audience.is_none();
                other.name != app.name && (is_open || other.audience == app.audience)
            };
            if let Some(other) = owners.iter().find(meets) {
                let error = KeyError::Shared(other.name.as_str().into());
                return Err(InvalidKeys { app: app.name.clone(), key: "audience", error });
            }
            owners.push(app);
        }
    }
    Ok(())
}

#[cfg(test)]
mod public_tests;
#[cfg(test)]
mod tests;
