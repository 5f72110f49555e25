//! `[apps.NAME]`: a tenant's secrets, origins and quotas, and how its pushes are delivered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{OriginPattern, Secret, Slow, duration};
use crate::http::is_token;

/// `[apps.NAME]`: a tenant with its own users, groups and tags, and its own keys.
///
/// ```
/// let text = "[apps.chess]\norigins = ['https://*.chess.example']\nper_user = { max = 3 }";
/// let config = gannet::config::Config::from_toml(text).unwrap();
/// assert!(config.apps["chess"].origins[0].matches(b"https://www.chess.example"));
/// assert_eq!(config.apps["chess"].per_user.max, 3);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// What its players' tokens are signed with: the first signs, all verify. Empty, in every app: players are taken at
    /// their word.
    #[serde(deserialize_with = "secrets")]
    pub secrets: Vec<Secret>,
    /// The file to take the secrets from, one a line, relative to the configuration file;
    /// [`Config::load`](super::Config::load) reads it into `secrets` and leaves `None` here.
    pub secrets_file: Option<PathBuf>,
    /// The origins that its pages may have; `*` is any. Empty: any where the apps have secrets, loopback ones where players are
    /// taken at their word. A request without an `Origin` comes from no page, and is let in.
    pub origins: Vec<OriginPattern>,
    /// The subprotocols that its clients may speak: of those that a client offers, the first that is listed is selected. They
    /// mean nothing to the server. Tokens, each once; names that begin with `gannet.` are the server's own.
    #[serde(deserialize_with = "subprotocols")]
    pub subprotocols: Vec<String>,
    /// Sessions of the app; 0 is no bound of its own.
    pub max_sessions: usize,
    /// Sessions of one user.
    pub per_user: PerUser,
    /// What becomes of messages and of the session when an outbox is full.
    pub slow: Slow,
    /// Milliseconds between the ticks at which its pushes are written; 0 is at once.
    #[serde(deserialize_with = "duration::whole")]
    pub tick_ms: u64,
    /// The same for pushes to the groups whose names begin so; the longest beginning counts.
    #[serde(deserialize_with = "duration::whole_by_name")]
    pub group_tick_ms: BTreeMap<String, u64>,
}

/// `per_user` of an app: how many sessions one of its users may have.
///
/// ```
/// assert_eq!(gannet::config::PerUser::default().max, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerUser {
    /// Sessions at once; 0 is no bound.
    pub max: usize,
    /// Beyond it.
    pub policy: PerUserPolicy,
}

/// What becomes of a session that is one too many for its user.
///
/// ```
/// use gannet::config::{PerUser, PerUserPolicy};
/// let per_user: PerUser = serde_json::from_str(r#"{"max":1,"policy":"replace-oldest"}"#).unwrap();
/// assert_eq!(per_user.policy, PerUserPolicy::ReplaceOldest);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PerUserPolicy {
    /// It is refused with 429.
    #[default]
    Refuse,
    /// It is let in, and the user's oldest session is closed with 4002.
    ReplaceOldest,
}

/// The error of another type would show the value, as a single secret without its brackets.
fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    Vec::deserialize(deserializer).map_err(|error| {
        let shown = error.to_string().contains(Secret::NOT_SHOWN);
        D::Error::custom(if shown { Secret::NOT_SHOWN } else { "write it as texts in quotes, in brackets" })
    })
}

fn subprotocols<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = Vec::deserialize(deserializer)?;
    for (index, name) in names.iter().enumerate() {
        if !is_token(name) {
            let message =
                "write a subprotocol as a token such as chess.v2: letters, digits and !#$%&'*+-.^_`|~";
            return Err(D::Error::custom(message));
        }
        if name.starts_with("gannet.") {
            return Err(D::Error::custom("subprotocols that begin with gannet. are the server's own"));
        }
        if names[..index].contains(name) {
            return Err(D::Error::custom("list each subprotocol once"));
        }
    }
    Ok(names)
}
