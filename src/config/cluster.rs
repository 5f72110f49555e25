//! `[cluster]`: the Redis servers that join several nodes, and how long a node waits for them and for the other nodes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::cluster_fault::ClusterFault;
use super::duration::Millis;
use super::table::{COUNT, DAY_MS, GIB, MIB, as_millis, table};
use super::validate::Relation;
use super::{ConfigError, RedisPlace, RedisUrl, Secret, Shard};
use crate::session::Name;

/// The longest time of any wait for Redis.
const WAIT_MS: u64 = 10 * 60 * 1000;
/// The longest `prefix`, in bytes: it is a part of every channel's name.
const MAX_PREFIX_BYTES: usize = 64;
/// The longest `advertise`, in bytes: it is a part of every heartbeat.
const MAX_ADVERTISE_BYTES: usize = 256;
/// The most parts of a Redis Cluster: a node has a connection for each reactor to each.
const MAX_SHARDS: u64 = 64;
/// Heartbeats that a node can miss before it counts as gone.
const HEARTBEATS_OF_A_LEASE: u64 = 4;

table! {
    /// `[cluster]`: the Redis servers that join several nodes, and how long a node waits for them and for the other nodes. All nodes
    /// of a cluster have the same `redis`, `shards`, `prefix`, `lease_ms` and `buckets`.
    ///
    /// ```
    /// use gannet::config::Config;
    /// let config = Config::from_toml("[cluster]\nredis = ['redis://10.0.0.5']").unwrap();
    /// config.validate().unwrap();
    /// assert!(config.cluster.is_on() && !Config::default().cluster.is_on());
    /// ```
    pub struct Cluster in "cluster" {
        /// The Redis servers. Several independent ones share the channels. Empty: this node is alone. With `shards`, some servers of one
        /// Redis Cluster, which know the others.
        #[serde(deserialize_with = "servers")]
        pub redis: Vec<RedisUrl> = Vec::new();
        /// Into so many parts the channels and keys are divided in a Redis Cluster; 0: `redis` are servers of their own.
        pub shards: usize = 0, in 0..=MAX_SHARDS;
        /// Who to log in as, on servers whose URL has no password; `None` is the user `default`.
        pub user: Option<String> = None;
        /// What to log in with, on servers whose URL has no password.
        pub password: Option<Secret> = None;
        /// The file to take that password from, relative to the configuration file; [`Config::load`](super::Config::load) reads
        /// it into `password` and leaves `None` here.
        pub password_file: Option<PathBuf> = None;
        /// The authorities in PEM that are believed where the URL is `rediss://` and names none, relative to the configuration
        /// file; `None` is the system's.
        pub ca: Option<PathBuf> = None;
        /// What the names of all keys and channels begin with: clusters that share a Redis differ in it.
        pub prefix: String = String::from("gannet");
        /// What this node is called in answers and logs; `None` is the name of the host.
        pub name: Option<String> = None;
        /// The URL at which players reach this node; other nodes show it.
        pub advertise: Option<String> = None;
        /// Refuses to start without Redis and a node number. Otherwise the node serves alone until it has both.
        pub required: bool = false;
        /// `lease_ms`: a node number is taken for so long at a time, and a node that is not heard of for so long is gone.
        #[serde(rename = "lease_ms", with = "Millis")]
        pub lease: Duration = 5_000, in 500..=WAIT_MS;
        /// `heartbeat_ms`: a node tells the others that it is there once in so long.
        #[serde(rename = "heartbeat_ms", with = "Millis")]
        pub heartbeat: Duration = 250, in 10..=60_000;
        /// `patience_ms`: the answers of other nodes are waited for so long.
        #[serde(rename = "patience_ms", with = "Millis")]
        pub patience: Duration = 500, in 1..=60_000;
        /// `silent_ms`: a Redis that owes an answer for so long counts as dead.
        #[serde(rename = "silent_ms", with = "Millis")]
        pub silent: Duration = 2_000, in 50..=WAIT_MS;
        /// `connect_ms`: from the beginning of a connection to Redis to the end of its greeting.
        #[serde(rename = "connect_ms", with = "Millis")]
        pub connect: Duration = 2_000, in 50..=WAIT_MS;
        /// `backoff_min_ms`: the pause before the second try to connect; it doubles with each further one.
        #[serde(rename = "backoff_min_ms", with = "Millis")]
        pub backoff_min: Duration = 50, in 1..=WAIT_MS;
        /// `backoff_max_ms`: the longest such pause.
        #[serde(rename = "backoff_max_ms", with = "Millis")]
        pub backoff_max: Duration = 1_000, in 1..=WAIT_MS;
        /// `linger_ms`: the channel of a user, group or tag stays subscribed for so long after its last session.
        #[serde(rename = "linger_ms", with = "Millis")]
        pub linger: Duration = 5_000, in 0..=DAY_MS;
        /// Messages kept while Redis is away, for each reactor and Redis.
        pub queue_messages: usize = 65_536, in 1..=COUNT;
        /// The same in bytes.
        pub queue_bytes: usize = 64 * MIB, in 1..=16 * GIB;
        /// `queue_ms`: the longest time that what has no ttl of its own is kept for.
        #[serde(rename = "queue_ms", with = "Millis")]
        pub queue: Duration = 5_000, in 0..=DAY_MS;
        /// Of the messages that a client has not read which resumes on another node, so many bytes go there. Beyond it: a gap.
        pub resume_bytes: usize = 4 * MIB, in 0..=GIB;
        /// Users of other nodes that are kept while links ask who is online. Beyond it, those of other nodes are not counted in.
        pub online_users: usize = 1_000_000, in 0..=COUNT;
        /// Shares of this node of which the others are told, with each heartbeat. Beyond it, a share is divided on this node alone.
        pub shares_told: usize = 256, in 0..=65_536;
        /// Links of other nodes that hear of the sessions of this one. Beyond it, further ones hear nothing of them.
        pub links_elsewhere: usize = 1_024, in 0..=COUNT;
        /// Events on their way to a link of another node that its socket has not taken. The rest waits on the node of the sessions.
        pub link_window_messages: usize = 4_096, in 1..=COUNT;
        /// The same in bytes; one event may always go.
        pub link_window_bytes: usize = MIB, in 1..=GIB;
        /// Channels of single names subscribed to at each Redis. Beyond it names share buckets.
        pub max_channels: usize = 100_000, in 0..=COUNT;
        /// Buckets that the names beyond it share.
        pub buckets: usize = 65_536, in 1..=COUNT;
        /// Messages that wait for the answer of Redis, for each reactor and Redis.
        pub in_flight: usize = 512, in 1..=65_536;
        /// The last messages of each reactor to each Redis of which the channel is remembered, to count what a subscriber missed.
        pub digest_entries: usize = 262_144, in 1..=COUNT;
    }
}

impl Cluster {
    /// Whether there is any Redis.
    pub fn is_on(&self) -> bool {
        !self.redis.is_empty()
    }

    /// The Redis servers, with `user`, `password` and `ca` where their URLs have none of their own; with `shards`, the parts of
    /// the Redis Cluster, each first asked for at one of its servers that are named.
    pub fn servers(&self) -> Vec<RedisUrl> {
        let named = self.named();
        let of = u16::try_from(self.shards).unwrap_or(u16::MAX);
        match (self.shards, named.len()) {
            (0, _) | (_, 0) => named,
            (_, count) => (0..of)
                .map(|number| named[usize::from(number) % count].clone().of_shard(Shard { number, of }))
                .collect(),
        }
    }

    /// The servers that `redis` names, with their login.
    pub(crate) fn named(&self) -> Vec<RedisUrl> {
        let complete = |url: &RedisUrl| {
            url.clone().with_defaults(self.user.as_deref(), self.password.as_ref(), self.ca.as_deref())
        };
        self.redis.iter().map(complete).collect()
    }

    /// Whether a node with this configuration can take this list of servers while it runs: the first one stays, and so does how each is
    /// logged in to.
    pub(super) fn may_move_to(&self, redis: &[RedisUrl]) -> bool {
        let is_same_login =
            |url: &RedisUrl| self.redis.iter().all(|own| !own.is_same_place(url) || own == url);
        *redis == *self.redis
            || self.shards == 0
                && self.is_on()
                && redis.first() == self.redis.first()
                && redis.iter().all(is_same_login)
    }

    /// What this node is called: `name`, or the name of the host.
    pub fn node_name(&self) -> String {
        let of_host = || {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            if Name::check(&host).is_ok() { host } else { "gannet".to_owned() }
        };
        self.name.clone().unwrap_or_else(of_host)
    }

    /// Lets relative paths start at `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        self.redis.iter_mut().for_each(|url| url.resolve(base));
        self.ca = self.ca.take().map(|path| base.join(path));
    }

    /// Reads `password_file` into `password` by `read`, which is told what the configuration calls the file.
    pub(super) fn read_password(
        &mut self,
        base: &Path,
        read: impl Fn(&str, &Path) -> Result<String, ConfigError>,
    ) -> Result<(), ConfigError> {
        let Some(path) = &self.password_file else { return Ok(()) };
        if self.password.is_some() {
            return Err(ClusterFault::PasswordTwice.into());
        }
        let text = read("cluster.password_file", &base.join(path))?;
        self.password = Some(Secret::new(text.trim_end_matches(['\r', '\n'])));
        self.password_file = None;
        Ok(())
    }

    /// Whether what is no number can be used.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self { redis, user, password, prefix, shards, .. } = self;
        let is_prefix = (1..=MAX_PREFIX_BYTES).contains(&prefix.len())
            && !prefix.chars().any(|c| c.is_control() || "{}".contains(c));
        let mut places = HashSet::new();
        let fault = if self.required && redis.is_empty() {
            Some(ClusterFault::NoServer)
        } else if let Some(twice) = redis.iter().find(|url| !places.insert((url.place(), url.db()))) {
            Some(ClusterFault::ServerTwice(twice.place().to_string()))
        } else if *shards > 0 && redis.iter().any(|url| url.db() != 0 || is_path(url)) {
            Some(ClusterFault::NoShards)
        } else if !cfg!(feature = "tls") && redis.iter().any(RedisUrl::is_secure) {
            Some(ClusterFault::TlsNotBuilt)
        } else if self.password_file.is_some() {
            Some(if password.is_some() { ClusterFault::PasswordTwice } else { ClusterFault::PasswordNotRead })
        } else if password.as_ref().is_some_and(|password| password.expose().is_empty()) {
            Some(ClusterFault::PasswordEmpty)
        } else if user.is_some() && password.is_none() {
            Some(ClusterFault::UserAlone)
        } else if self.ca.is_some() && self.is_on() && !redis.iter().any(RedisUrl::is_secure) {
            Some(ClusterFault::CaWithoutTls)
        } else if !is_prefix {
            Some(ClusterFault::Prefix)
        } else if let Some(Err(error)) = self.name.as_deref().map(Name::check) {
            Some(ClusterFault::Name(error))
        } else if self.advertise.as_deref().is_some_and(|url| !is_url(url)) {
            Some(ClusterFault::Advertise)
        } else {
            None
        };
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// What the numbers ask of each other; `max_push_bytes` is that of the limits.
    pub(super) fn relations(&self, max_push_bytes: usize) -> [Relation; 4] {
        let [lease, heartbeat, silent] = [self.lease, self.heartbeat, self.silent].map(as_millis);
        [
            Relation {
                key: "cluster.lease_ms",
                value: lease,
                least: HEARTBEATS_OF_A_LEASE * heartbeat,
                or_lower: "cluster.heartbeat_ms",
                because: "a node that misses three heartbeats must not count as gone",
            },
            Relation {
                key: "cluster.silent_ms",
                value: silent,
                least: 2 * heartbeat,
                or_lower: "cluster.heartbeat_ms",
                because: "a Redis that has just got a heartbeat must have time to hand it back",
            },
            Relation {
                key: "cluster.backoff_max_ms",
                value: as_millis(self.backoff_max),
                least: as_millis(self.backoff_min),
                or_lower: "cluster.backoff_min_ms",
                because: "pauses grow from one to the other",
            },
            Relation {
                key: "cluster.queue_bytes",
                value: self.queue_bytes as u64,
                least: max_push_bytes as u64,
                or_lower: "limits.max_push_bytes",
                because: "the largest push must fit",
            },
        ]
    }
}

fn is_path(url: &RedisUrl) -> bool {
    matches!(url.place(), RedisPlace::Unix(_))
}

/// Whether it is something that a client connects to. More is not asked: the other nodes show it, and connect to nothing.
fn is_url(text: &str) -> bool {
    let authority =
        ["ws://", "wss://", "http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    text.len() <= MAX_ADVERTISE_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && authority.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// The error of another type would show the value, which may hold a password.
fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RedisUrl>, D::Error> {
    Vec::deserialize(deserializer).map_err(|error: D::Error| {
        match error.to_string().contains("invalid type") {
            true => D::Error::custom("write it as texts in quotes, in brackets: [\"redis://HOST:PORT\"]"),
            false => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::refusal;
    use super::*;

    fn cluster(text: &str) -> Result<Cluster, String> {
        let config = Config::from_toml(&format!("[cluster]\n{text}")).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config.cluster)
    }

    #[test]
    fn a_server_without_a_login_of_its_own_has_that_of_the_cluster() {
        let cluster = cluster(
            "redis = ['redis://a', 'redis://other:hunter3@b', 'redis+unix:///run/r.sock']\nuser = 'gannet'\n\
             password = 'hunter2'",
        );
        let servers = cluster.unwrap().servers();
        let logins = servers.iter().map(|url| (url.user().unwrap(), url.password().unwrap().expose()));
        let logins: Vec<_> = logins.collect();
        assert_eq!(logins, [("gannet", "hunter2"), ("other", "hunter3"), ("gannet", "hunter2")]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_authorities_are_for_servers_with_tls_that_name_none() {
        let cluster = cluster("redis = ['redis://a', 'rediss://b', 'rediss://c?ca=/c.pem']\nca = '/all.pem'");
        let servers = cluster.unwrap().servers();
        let files = servers.iter().map(|url| url.ca_file().map(|file| file.to_str().unwrap()));
        assert_eq!(files.collect::<Vec<_>>(), [None, Some("/all.pem"), Some("/c.pem")]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_shows_no_password() {
        let long = "p".repeat(65);
        for (text, says) in [
            ("required = true", "cluster.required: there is no Redis to require: name one in cluster.redis"),
            ("redis = ['redis://h', 'redis://u:hunter2@h:6379/0']", "cluster.redis: it names h:6379 twice"),
            (
                "password = 'hunter2'\npassword_file = 'f'",
                "cluster.password: both it and cluster.password_file",
            ),
            ("password_file = 'f'", "cluster.password: its password_file has not been read"),
            ("redis = ['redis://h/1']\nshards = 16", "cluster.shards: a Redis Cluster has database 0 alone"),
            (
                "redis = ['unix:///run/r.sock']\nshards = 16",
                "cluster.shards: a Redis Cluster has database 0 alone",
            ),
            ("shards = 65", "cluster.shards = 65 is out of range"),
            ("password = ''", "cluster.password: it is empty"),
            ("user = 'gannet'", "cluster.user: it has no password: set cluster.password"),
            ("redis = ['redis://h']\nca = 'ca.pem'", "cluster.ca: no URL of cluster.redis has TLS"),
            ("prefix = ''", "cluster.prefix: write 1 to 64 bytes"),
            (&format!("prefix = '{long}'"), "cluster.prefix: write 1 to 64 bytes"),
            ("prefix = 'a{b'", "cluster.prefix: write 1 to 64 bytes"),
            ("prefix = \"a\\n\"", "cluster.prefix: write 1 to 64 bytes"),
            ("name = ''", "cluster.name: a name needs at least one byte"),
            ("advertise = 'game.example'", "cluster.advertise: write it as a URL"),
            ("advertise = 'wss:///chess'", "cluster.advertise: write it as a URL"),
            ("advertise = 'wss://a b'", "cluster.advertise: write it as a URL"),
            (
                "heartbeat_ms = 2000",
                "cluster.lease_ms = 5000 is too small: a node that misses three heartbeats",
            ),
            ("silent_ms = 499", "cluster.silent_ms = 499 is too small: "),
            ("backoff_min_ms = 1001", "cluster.backoff_max_ms = 1000 is too small: "),
            ("queue_bytes = 1000", "cluster.queue_bytes = 1000 is too small: the largest push must fit"),
            (
                "redis = 'redis://:hunter2@h'",
                r#"bad value for "cluster.redis" (line 2): write it as texts in quotes"#,
            ),
            (
                "redis = [{ url = 'hunter2' }]",
                r#"bad value for "cluster.redis" (line 2): write it as texts in quotes"#,
            ),
            ("redis = ['hunter2']", r#"bad value for "cluster.redis" (line 2): write it as redis://"#),
        ] {
            let message = refusal(&format!("[cluster]\n{text}"));
            assert!(message.starts_with(says) && !message.contains("hunter2"), "{text}: {message}");
        }
        for fine in [
            "redis = ['redis://h/1', 'redis://h/2']\nprefix = 'größe'\nname = 'eu 1'\nadvertise = 'wss://eu1.game.example/play'",
            "lease_ms = '1s'",
            "linger_ms = 0\nqueue_ms = 0\nmax_channels = 0",
        ] {
            cluster(fine).unwrap();
        }
    }

    #[test]
    fn a_redis_cluster_has_so_many_parts_whichever_of_its_servers_are_named() {
        let one = cluster("redis = ['redis://a', 'redis://b']\nshards = 3\npassword = 'hunter2'").unwrap();
        let shown: Vec<_> = one.servers().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["redis://:***@a:6379#0/3", "redis://:***@b:6379#1/3", "redis://:***@a:6379#2/3"]);
        let other = cluster("redis = ['redis://c']\nshards = 3").unwrap().servers();
        let is_same = |(one, other): (&RedisUrl, &RedisUrl)| one.is_same_place(other);
        assert!(one.servers().iter().zip(&other).all(is_same));
        assert!(!one.servers()[0].is_same_place(&one.servers()[1]));
        assert!(
            !one.servers()[0]
                .is_same_place(&cluster("redis = ['redis://a']\nshards = 4").unwrap().servers()[0])
        );
        assert!(one.may_move_to(&one.redis) && !one.may_move_to(&other));
    }

    #[test]
    fn a_node_is_called_as_it_is_configured_or_as_its_host() {
        assert_eq!(cluster("name = 'eu-1'").unwrap().node_name(), "eu-1");
        Name::check(&Cluster::default().node_name()).unwrap();
    }
}
