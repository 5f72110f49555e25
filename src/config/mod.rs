//! The settings of a server: one struct, one TOML file, every bound with a name, a unit and a default. Checks what a
//! file says and how the settings go together, and knows nothing of the rooms that obey them.
//!
//! A new number is a line of its `table!`, a line of default.toml, a row of docs/configuration.md, and its use; tests hold
//! the first three together.
//!
//! [`Config::load`] reads a file, flags may change what it said, [`Config::validate`] has the last word.

mod apps;
mod backend;
mod changes;
mod cluster;
mod cluster_fault;
mod duration;
mod environment;
mod error;
mod file;
mod group_fault;
mod groups;
mod jwks_url;
mod key_fault;
mod known;
mod limits;
mod listen;
mod log;
mod origin;
mod percent;
mod rates;
mod redis_url;
#[cfg(feature = "cli")]
mod schema;
mod secret;
mod shard;
mod slow;
mod table;
mod text;
mod tls;
mod unix_mode;
mod validate;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use duration::Millis;
use table::{COUNT, DAY_MS, GIB, KIB, MIB, table};

pub use crate::session::{InvalidNetwork, Network};
pub use apps::{AppConfig, OnByDefault, PerUser, PerUserPolicy, PublicKeyConfig, TokenAlgorithm, Unheard};
pub(crate) use backend::UNNAMED as UNNAMED_KEY;
pub use backend::{Backend, BackendKey};
pub use cluster::Cluster;
pub use cluster_fault::ClusterFault;
#[cfg(feature = "cli")]
pub(crate) use duration::{InvalidDuration, parse as parse_duration};
pub use environment::Environment;
pub use error::ConfigError;
#[cfg(feature = "tls")]
pub(crate) use file::Reading;
#[cfg(feature = "cli")]
pub(crate) use file::{read_key_file, secrets_of};
pub use group_fault::GroupFault;
pub use groups::{GroupConfig, LogConfig};
pub use jwks_url::{InvalidJwksUrl, JwksUrl};
pub use key_fault::{AppKeyFault, KeyFault};
pub use limits::Limits;
pub use listen::{Endpoint, InvalidEndpoint, Listen};
pub use log::{Log, LogFormat};
pub(crate) use origin::is_loopback as is_loopback_origin;
pub use origin::{InvalidOrigin, OriginPattern};
pub use rates::{BeyondRate, Rate, Rates};
pub use redis_url::{InvalidRedisUrl, RedisPlace, RedisUrl};
pub use secret::Secret;
pub(crate) use shard::Shard;
pub use slow::{Slow, SlowPolicy};
pub use tls::{Certificate, Proxy, ProxyPeer, Tls, TlsVersion};
pub use unix_mode::{InvalidUnixMode, UnixMode};

/// The app that is always there.
pub const DEFAULT_APP: &str = "default";

/// Everything that can be set.
///
/// ```
/// use gannet::config::Config;
/// let mut config = Config::from_toml("reactors = 2\n[limits]\nmax_sessions = 20_000").unwrap();
/// config.echo = true;
/// config.validate().unwrap();
/// assert_eq!(config.limits.max_sessions, 20_000);
/// assert_eq!(config.listen, Config::default().listen);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The client port.
    pub listen: Listen,
    /// Who may connect to the Unix sockets of the client port.
    pub unix_mode: UnixMode,
    /// Reactor threads, 1 to 128; `None` is one a core.
    #[cfg_attr(feature = "cli", schemars(transform = table::Legal::from(Self::REACTORS)))]
    pub reactors: Option<usize>,
    /// Pins every reactor to a core of its own.
    pub pin: bool,
    /// Microseconds that a reactor looks for work before it sleeps; 0 is off. It takes a core for each reactor and one to
    /// spare, and lowers a single message's latency by the cost of a wake.
    #[cfg_attr(feature = "cli", schemars(transform = table::Legal::from(Self::SPIN_US)))]
    pub spin_us: usize,
    /// Serves `/echo`.
    pub echo: bool,
    /// Takes clients at their word on an address that is not loopback.
    pub insecure: bool,
    /// This node's part of the session ids, 0 to 4095. In a cluster 0 is any number that is free, from 1 on.
    #[cfg_attr(feature = "cli", schemars(transform = table::Legal::from(Self::NODES)))]
    pub node: u16,
    /// The port of the game's backend and of operators.
    pub backend: Backend,
    /// Certificates, and which ports speak TLS.
    pub tls: Tls,
    /// Whose word is taken for where a player comes from.
    pub proxy: Proxy,
    /// The apps by name. `default` is always among them.
    ///
    /// That is [`DEFAULT_APP`].
    pub apps: BTreeMap<String, AppConfig>,
    /// How tokens and signed queries are checked.
    pub auth: Auth,
    /// Bounds in bytes, messages and counts.
    pub limits: Limits,
    /// How often things may happen.
    pub rates: Rates,
    /// What holds for pushes that do not say otherwise.
    pub delivery: Delivery,
    /// Compression of messages.
    pub deflate: Deflate,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What is handed to another process.
    pub upgrade: Upgrade,
    /// The Redis servers that join several nodes.
    pub cluster: Cluster,
    /// What is logged, and where to.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)).into(),
            unix_mode: UnixMode::default(),
            reactors: None,
            pin: false,
            spin_us: 0,
            echo: false,
            insecure: false,
            node: 0,
            backend: Backend::default(),
            tls: Tls::default(),
            proxy: Proxy::default(),
            apps: BTreeMap::from([(DEFAULT_APP.to_owned(), AppConfig::default())]),
            auth: Auth::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            delivery: Delivery::default(),
            deflate: Deflate::default(),
            timeouts: Timeouts::default(),
            upgrade: Upgrade::default(),
            cluster: Cluster::default(),
            log: Log::default(),
        }
    }
}

table! {
    /// `[auth]`: how tokens and signed queries are checked.
    ///
    /// ```
    /// assert_eq!(gannet::config::Auth::default().timestamp_window.as_secs(), 120);
    /// ```
    pub struct Auth in "auth" {
        /// `leeway_ms`: how far a backend's clock may be off: a token holds so much longer, and begins so much earlier.
        #[serde(rename = "leeway_ms", with = "Millis")]
        pub leeway: Duration = 5_000, in 0..=10 * 60 * 1000;
        /// `timestamp_window_ms`: how far the timestamp of a signed query may be from now, before or after.
        #[serde(rename = "timestamp_window_ms", with = "Millis")]
        pub timestamp_window: Duration = 120_000, in 1..=DAY_MS;
        /// The longest token that is looked at, in bytes.
        pub max_token_bytes: usize = 4 * KIB, in 128..=MIB;
        /// Nonces of signed queries that are remembered, of all apps; when so many are, further signed queries are refused
        /// with 503.
        pub max_nonces: usize = 1_000_000, in 1..=COUNT;
        /// `renew_interval_ms`: a client may have its session renewed by another token once in so long.
        #[serde(rename = "renew_interval_ms", with = "Millis")]
        pub renew_interval: Duration = 1_000, in 0..=DAY_MS;
        /// `expiring_before_ms`: so long before the token of a session expires, links that ask for it get `expiring`.
        #[serde(rename = "expiring_before_ms", with = "Millis")]
        pub expiring_before: Duration = 30_000, in 0..=DAY_MS;
        /// The largest JWK set that is read, in bytes.
        pub max_jwks_bytes: usize = 64 * KIB, in 1..=MIB;
        /// The most keys of one, those that can check no token among them.
        pub max_jwks_keys: usize = 64, in 1..=1_024;
        /// Public keys that are tried for a token that names none (`kid`).
        pub max_keys_tried: usize = 4, in 1..=64;
        /// `jwks_refresh_ms`: the JWK sets at URLs are fetched again after so long.
        #[serde(rename = "jwks_refresh_ms", with = "Millis")]
        pub jwks_refresh: Duration = 10 * 60 * 1000, in 1_000..=DAY_MS;
        /// `jwks_retry_ms`: the shortest time between two fetches of one: after one that failed, or where a token names a key that is
        /// not there.
        #[serde(rename = "jwks_retry_ms", with = "Millis")]
        pub jwks_retry: Duration = 10_000, in 10..=DAY_MS;
        /// `jwks_timeout_ms`: how long one fetch may take.
        #[serde(rename = "jwks_timeout_ms", with = "Millis")]
        pub jwks_timeout: Duration = 5_000, in 1..=10 * 60 * 1000;
        /// The authorities in PEM that are believed for those URLs, relative to the configuration file; `None` is the system's.
        pub jwks_ca_file: Option<PathBuf> = None;
    }
}

table! {
    /// `[delivery]`: what holds for pushes that do not say otherwise.
    ///
    /// ```
    /// assert_eq!(gannet::config::Delivery::default().ttl.as_secs(), 60);
    /// ```
    pub struct Delivery in "delivery" {
        /// `ttl_ms`: what cannot be handed to the socket in this time is dropped.
        #[serde(rename = "ttl_ms", with = "Millis")]
        pub ttl: Duration = 60_000, in 1..=30 * DAY_MS;
        /// `max_ttl_ms`: the longest time a push may ask for.
        #[serde(rename = "max_ttl_ms", with = "Millis")]
        pub max_ttl: Duration = DAY_MS, in 1..=30 * DAY_MS;
        /// `receipt_ms`: a receipt is answered at the latest after that; what has not settled by then is in it as `pending`.
        #[serde(rename = "receipt_ms", with = "Millis")]
        pub receipt: Duration = 10_000, in 1..=DAY_MS;
    }
}

table! {
    /// `[deflate]`: permessage-deflate (RFC 7692), always without context takeover, so that a session holds no window and a
    /// push is compressed once for all who get it.
    ///
    /// ```
    /// assert!(!gannet::config::Deflate::default().enabled);
    /// ```
    pub struct Deflate in "deflate" {
        /// Accepts clients' offers, and sends event streams in gzip to those that accept it. Off by default: a game's small messages gain nothing and pay in latency.
        pub enabled: bool = false;
        /// Shorter messages, in bytes, are sent as they are.
        pub min_bytes: usize = 256, in 0..=4 * GIB - 1;
        /// From 1, the fastest, to 9, the smallest.
        pub level: usize = 1, in 1..=9;
    }
}

table! {
    /// `[timeouts]`: how long things may take; in the file every key ends in `_ms`, and takes milliseconds or a time with its
    /// unit.
    ///
    /// ```
    /// use gannet::config::Config;
    /// let config = Config::from_toml("[timeouts]\nping_ms = 1500\nidle_ms = '1m30s'").unwrap();
    /// assert_eq!(config.timeouts.ping.as_millis(), 1500);
    /// assert_eq!(config.timeouts.idle.as_secs(), 90);
    /// ```
    pub struct Timeouts in "timeouts" {
        /// `upgrade_ms`: from the accepted connection to the whole upgrade request.
        #[serde(rename = "upgrade_ms", with = "Millis")]
        pub upgrade: Duration = 10_000, in 1..=DAY_MS;
        /// `head_ms`: on the backend port, from the accepted connection to its first whole head, and from the first byte of
        /// each further head to its last.
        #[serde(rename = "head_ms", with = "Millis")]
        pub head: Duration = 10_000, in 1..=DAY_MS;
        /// `close_ms`: the closing handshake, its flush included.
        #[serde(rename = "close_ms", with = "Millis")]
        pub close: Duration = 5_000, in 1..=DAY_MS;
        /// `ping_ms`: without input for so long, a session is pinged.
        #[serde(rename = "ping_ms", with = "Millis")]
        pub ping: Duration = 25_000, in 1..=DAY_MS;
        /// `idle_ms`: without input for so long, a session is closed with 4000.
        #[serde(rename = "idle_ms", with = "Millis")]
        pub idle: Duration = 60_000, in 1..=DAY_MS;
        /// `probe_ms`: a user who has all the sessions that it may have asks for another: those that do not answer a Ping for so long
        /// are closed. 0: none is asked.
        #[serde(rename = "probe_ms", with = "Millis")]
        pub probe: Duration = 2_000, in 0..=DAY_MS;
        /// `heartbeat_ms`: an event stream on which nothing was sent for so long gets a comment.
        #[serde(rename = "heartbeat_ms", with = "Millis")]
        pub heartbeat: Duration = 15_000, in 1..=DAY_MS;
        /// `poll_wait_ms`: a poll that does not say how long is answered after that where nothing has come.
        #[serde(rename = "poll_wait_ms", with = "Millis")]
        pub poll_wait: Duration = 25_000, in 0..=DAY_MS;
        /// `max_poll_wait_ms`: the longest time that a poll may ask for.
        #[serde(rename = "max_poll_wait_ms", with = "Millis")]
        pub max_poll_wait: Duration = 60_000, in 0..=DAY_MS;
        /// `message_ms`: from the first byte of a message, or of a request on the backend port, to its last.
        #[serde(rename = "message_ms", with = "Millis")]
        pub message: Duration = 60_000, in 1..=DAY_MS;
        /// `link_ping_ms`: without input for so long, a link is pinged.
        #[serde(rename = "link_ping_ms", with = "Millis")]
        pub link_ping: Duration = 1_000, in 1..=DAY_MS;
        /// `link_idle_ms`: without input for so long, a link ends; others of its share take its sessions over.
        #[serde(rename = "link_idle_ms", with = "Millis")]
        pub link_idle: Duration = 3_000, in 1..=DAY_MS;
        /// `link_stalled_ms`: a link whose socket takes nothing for so long, while something waits for it, is closed with 4003;
        /// an HTTP connection on the backend port without more words.
        #[serde(rename = "link_stalled_ms", with = "Millis")]
        pub link_stalled: Duration = 10_000, in 1..=DAY_MS;
        /// `link_linger_ms`: a link that may be resumed lives for so long without a connection; 0: none may be.
        #[serde(rename = "link_linger_ms", with = "Millis")]
        pub link_linger: Duration = 30_000, in 0..=DAY_MS;
        /// `drain_ms`: from SIGTERM to the first session that is closed; meanwhile `/readyz` says `draining` and new players get
        /// 503.
        #[serde(rename = "drain_ms", with = "Millis")]
        pub drain: Duration = 0, in 0..=DAY_MS;
        /// `shutdown_ms`: then all sessions are closed, evenly over this time.
        #[serde(rename = "shutdown_ms", with = "Millis")]
        pub shutdown: Duration = 10_000, in 1..=DAY_MS;
        /// `upgrade_start_ms`: the new process of an upgrade starts, and reads and checks its configuration.
        #[serde(rename = "upgrade_start_ms", with = "Millis")]
        pub upgrade_start: Duration = 10_000, in 1..=DAY_MS;
        /// `handover_ms`: from the moment that an upgrade stops reading to the moment that the new process serves.
        #[serde(rename = "handover_ms", with = "Millis")]
        pub handover: Duration = 5_000, in 1..=DAY_MS;
        /// `record_kept_ms`: what was recorded of a session can be read for so long after its end.
        #[serde(rename = "record_kept_ms", with = "Millis")]
        pub record_kept: Duration = 60_000, in 0..=DAY_MS;
        /// `record_order_ms`: an order to record the next session of a user holds for so long.
        #[serde(rename = "record_order_ms", with = "Millis")]
        pub record_order: Duration = 600_000, in 1..=DAY_MS;
        /// `backend_idle_ms`: a backend connection without a request for so long is closed.
        #[serde(rename = "backend_idle_ms", with = "Millis")]
        pub backend_idle: Duration = 120_000, in 1..=DAY_MS;
    }
}

table! {
    /// `[upgrade]`: what is handed to another process.
    ///
    /// ```
    /// assert!(!gannet::config::Upgrade::default().park_on_stop);
    /// ```
    pub struct Upgrade in "upgrade" {
        /// SIGTERM gives the connections to systemd to keep (`FileDescriptorStoreMax=`), and the next start takes them.
        pub park_on_stop: bool = false;
    }
}

#[cfg(test)]
mod environment_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(all(test, feature = "cli"))]
mod schema_tests;
#[cfg(test)]
mod secret_tests;
#[cfg(test)]
mod tests;
