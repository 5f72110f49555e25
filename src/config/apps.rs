//! `[apps.NAME]`: a tenant's secrets, origins and quotas, and how its pushes are delivered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "cli")]
use super::Config;
#[cfg(feature = "cli")]
use super::duration::Millis;
use super::limits::CONNECTIONS;
#[cfg(feature = "cli")]
use super::table::Legal;
use super::table::{COUNT, DAY_MS, GIB};
use super::{GroupConfig, JwksUrl, OriginPattern, Secret, Slow, duration};
use crate::http::is_token;
use crate::session::Name;

/// `[apps.NAME]`: a tenant with its own users, groups and tags, and its own keys.
///
/// ```
/// let text = "[apps.chess]\norigins = ['https://*.chess.example']\nper_user = { max = 3 }";
/// let config = gannet::config::Config::from_toml(text).unwrap();
/// assert!(config.apps["chess"].origins[0].matches(b"https://www.chess.example"));
/// assert_eq!(config.apps["chess"].per_user.max, 3);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// What its players' tokens are signed with: the first signs, all verify. Empty, in every app: players are taken at
    /// their word.
    #[serde(deserialize_with = "secrets")]
    pub secrets: Vec<Secret>,
    /// The file to take the secrets from, one a line, relative to the configuration file;
    /// [`Config::load`](super::Config::load) reads it into `secrets` and leaves `None` here.
    pub secrets_file: Option<PathBuf>,
    /// The public keys that its players' tokens are checked with, beside the secrets.
    pub public_keys: Vec<PublicKeyConfig>,
    /// Further ones: a JWK set (RFC 7517 §5) as text.
    pub jwks: Option<String>,
    /// The file to take `jwks` from, relative to the configuration file; [`Config::load`](super::Config::load) reads it into `jwks`
    /// and leaves `None` here.
    pub jwks_file: Option<PathBuf>,
    /// Where further ones are published: fetched by the server, and again from time to time.
    pub jwks_url: Option<JwksUrl>,
    /// What the `iss` of its tokens must be; `None` is anything.
    pub issuer: Option<String>,
    /// What the `aud` of its tokens must be or hold; `None` is anything.
    pub audience: Option<String>,
    /// The origins that its pages may have; `*` is any. Empty: any where the apps have secrets, loopback ones where players are
    /// taken at their word. A request without an `Origin` comes from no page, and is let in.
    pub origins: Vec<OriginPattern>,
    /// The subprotocols that its clients may speak: of those that a client offers, the first that is listed is selected. They
    /// mean nothing to the server. Tokens, each once; names that begin with `gannet.` are the server's own.
    #[serde(deserialize_with = "subprotocols")]
    pub subprotocols: Vec<String>,
    /// Sessions of the app; 0 is no bound of its own.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=CONNECTIONS)))]
    pub max_sessions: usize,
    /// Sessions of one user.
    pub per_user: PerUser,
    /// What becomes of messages and of the session when an outbox is full.
    pub slow: Slow,
    /// Milliseconds between the ticks at which its pushes are written; 0 is at once.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(0..=Config::MAX_TICK_MS)))]
    pub tick_ms: u64,
    /// The same for pushes to the groups whose names begin so; the longest beginning counts.
    #[serde(deserialize_with = "duration::whole_by_name")]
    #[cfg_attr(feature = "cli", schemars(with = "BTreeMap<String, Millis>", transform = Legal::from(0..=Config::MAX_TICK_MS)))]
    pub group_tick_ms: BTreeMap<String, u64>,
    /// How pushes to the groups whose names begin with a prefix are delivered, and what these groups remember; the longest prefix
    /// counts.
    pub groups: Vec<GroupConfig>,
    /// Memory of all that its groups remember, in bytes; 0 is no bound of its own.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=16 * 1024 * GIB)))]
    pub group_memory_bytes: usize,
    /// Milliseconds from the end of a user's last session to the event `user_offline`; a session that comes in this time is no news.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(0..=DAY_MS)))]
    pub offline_after_ms: u64,
    /// Milliseconds from the end of a user's last session until the user is out of its sticky groups.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(0..=DAY_MS)))]
    pub sticky_ms: u64,
    /// Pairs of a user and a sticky group; 0 is none.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=COUNT)))]
    pub max_sticky: usize,
    /// Query parameters that are kept for a session and shown to backends; at most 16.
    #[serde(deserialize_with = "params")]
    pub params: Vec<String>,
    /// Claims of tokens that are kept for a session and shown to backends; at most 16.
    #[serde(deserialize_with = "claims")]
    pub claims: Vec<String>,
    /// What becomes of openings, messages and ends of sessions for which no link listens.
    pub unheard: Unheard,
    /// Milliseconds that they are held for a link to come, where they are.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(0..=DAY_MS)))]
    pub unheard_ms: u64,
    /// Memory of what is held, in bytes.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=GIB)))]
    pub unheard_bytes: usize,
    /// Whether its sessions may resume.
    pub resume: Resume,
    /// Whether a session ends when its token does. If not, the token counts when the session opens or comes back.
    pub token_ends_session: OnByDefault,
}

/// A switch that is on unless it is set.
///
/// ```
/// let config = gannet::config::Config::from_toml("[apps.chess]\ntoken_ends_session = false").unwrap();
/// assert!(!config.apps["chess"].token_ends_session.0 && config.apps["default"].token_ends_session.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OnByDefault(pub bool);

impl Default for OnByDefault {
    fn default() -> Self {
        Self(true)
    }
}

/// What becomes of what players do while no link listens for it.
///
/// ```
/// use gannet::config::{Config, Unheard};
/// let config = Config::from_toml("[apps.chess]\nunheard = 'hold'").unwrap();
/// assert_eq!(config.apps["chess"].unheard, Unheard::Hold);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unheard {
    /// It is lost, and counted.
    #[default]
    Drop,
    /// It is held for a while, for the link that comes.
    Hold,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            secrets_file: None,
            public_keys: Vec::new(),
            jwks: None,
            jwks_file: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            origins: Vec::new(),
            subprotocols: Vec::new(),
            max_sessions: 0,
            per_user: PerUser::default(),
            slow: Slow::default(),
            tick_ms: 0,
            group_tick_ms: BTreeMap::new(),
            groups: Vec::new(),
            group_memory_bytes: 0,
            offline_after_ms: 5_000,
            sticky_ms: 60_000,
            max_sticky: 100_000,
            params: Vec::new(),
            claims: Vec::new(),
            token_ends_session: OnByDefault::default(),
            unheard: Unheard::default(),
            unheard_ms: 10_000,
            unheard_bytes: 1024 * 1024,
            resume: Resume::default(),
        }
    }
}

/// `resume` of an app: sessions that survive their connections, and what is kept for that.
///
/// ```
/// let text = "[apps.chess.resume]\nlinger_ms = '30s'";
/// let config = gannet::config::Config::from_toml(text).unwrap();
/// assert_eq!((config.apps["chess"].resume.linger_ms, config.apps["chess"].resume.messages), (30_000, 256));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Resume {
    /// Milliseconds that a session waits for its client after its connection has ended; 0: it ends with its connection.
    #[serde(deserialize_with = "duration::whole")]
    #[cfg_attr(feature = "cli", schemars(with = "Millis", transform = Legal::from(0..=DAY_MS)))]
    pub linger_ms: u64,
    /// Messages that are kept of what has gone to the wire, for each session.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=COUNT)))]
    pub messages: usize,
    /// Bytes of these, frame headers included.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=GIB)))]
    pub bytes: usize,
    /// Sessions of the app that may be away at once; 0 is no bound of its own.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=CONNECTIONS)))]
    pub max_away: usize,
}

impl Resume {
    /// The bounds of each number, by its key.
    pub(super) fn ranges(&self) -> [(&'static str, u64, u64); 4] {
        [
            ("resume.linger_ms", self.linger_ms, DAY_MS),
            ("resume.messages", self.messages as u64, COUNT),
            ("resume.bytes", self.bytes as u64, GIB),
            ("resume.max_away", self.max_away as u64, CONNECTIONS),
        ]
    }
}

impl Default for Resume {
    fn default() -> Self {
        Self { linger_ms: 0, messages: 256, bytes: 256 * 1024, max_away: 0 }
    }
}

impl AppConfig {
    /// Whether there is anything to check tokens with: its players are not taken at their word then.
    pub fn has_keys(&self) -> bool {
        let has_public = !self.public_keys.is_empty() || self.jwks.is_some() || self.jwks_file.is_some();
        has_public || self.jwks_url.is_some() || !self.secrets.is_empty()
    }
}

/// An entry of `public_keys` of an app: a key that its players' tokens are checked with.
///
/// ```
/// use gannet::config::{Config, TokenAlgorithm};
/// let text = "public_keys = [{ kid = '2026-1', algorithm = 'ES256', file = 'chess.pem' }]";
/// let config = Config::from_toml(&format!("[apps.chess]\n{text}")).unwrap();
/// assert_eq!(config.apps["chess"].public_keys[0].algorithm, TokenAlgorithm::Es256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PublicKeyConfig {
    /// What tokens call it by in their header; a key without one checks only tokens that name none.
    #[serde(default)]
    pub kid: Option<String>,
    /// The one algorithm that it serves.
    pub algorithm: TokenAlgorithm,
    /// The key in PEM: a SubjectPublicKeyInfo (`-----BEGIN PUBLIC KEY-----`).
    #[serde(default)]
    pub pem: Option<String>,
    /// The file to take `pem` from, relative to the configuration file.
    ///
    /// [`Config::load`](super::Config::load) reads it into `pem` and leaves `None` here.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl PublicKeyConfig {
    /// The PEM text; empty where there is none, which [`Config::validate`](super::Config::validate) refuses.
    pub fn pem(&self) -> &str {
        self.pem.as_deref().unwrap_or_default()
    }
}

/// The algorithms of tokens that are checked with public keys (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// ```
/// assert_eq!(gannet::config::TokenAlgorithm::EdDsa.name(), "EdDSA");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, with RSA keys of 2048 to 8192 bits.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with SHA-256, with keys on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl TokenAlgorithm {
    /// Its name as the value of `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// `per_user` of an app: how many sessions one of its users may have.
///
/// ```
/// assert_eq!(gannet::config::PerUser::default().max, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PerUser {
    /// Sessions at once; 0 is no bound.
    #[cfg_attr(feature = "cli", schemars(transform = Legal::from(0..=CONNECTIONS)))]
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
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
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

/// The parameters that have a meaning of their own.
const OWN_PARAMS: [&str; 11] = [
    "user",
    "group",
    "tag",
    "token",
    "app",
    "timestamp",
    "nonce",
    "signature",
    "resume",
    "received",
    "wait_ms",
];

fn params<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = kept_names(deserializer)?;
    match names.iter().find(|name| OWN_PARAMS.contains(&name.as_str())) {
        Some(own) => {
            Err(D::Error::custom(format!("the parameter {own} has a meaning of its own: name others")))
        }
        None => Ok(names),
    }
}

fn claims<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    kept_names(deserializer)
}

/// Names of what is kept for a session.
fn kept_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    const MOST: usize = 16;
    let names: Vec<String> = Vec::deserialize(deserializer)?;
    if names.len() > MOST {
        return Err(D::Error::custom(format!("name at most {MOST}")));
    }
    for (index, name) in names.iter().enumerate() {
        Name::check(name).map_err(D::Error::custom)?;
        if names[..index].contains(name) {
            return Err(D::Error::custom("list each name once"));
        }
    }
    Ok(names)
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
