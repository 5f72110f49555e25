//! What is wrong with `[cluster]`.

use std::fmt;

use crate::session::InvalidName;

/// What is wrong with `[cluster]`. No message shows a password.
///
/// ```
/// use gannet::config::{ClusterFault, Config, ConfigError};
/// let refused = Config::from_toml("cluster.required = true").unwrap().validate();
/// assert!(matches!(refused, Err(ConfigError::Cluster(ClusterFault::NoServer))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterFault {
    /// `required` without any Redis.
    NoServer,
    /// One database of one Redis is named twice: the place of it.
    ServerTwice(String),
    /// A URL has a database or a path, which no server of a Redis Cluster has.
    NoShards,
    /// A URL asks for TLS, and this build has none.
    TlsNotBuilt,
    /// Both the password and its file are there.
    PasswordTwice,
    /// There is a file, and the program has not called [`Config::read_secrets`](super::Config::read_secrets).
    PasswordNotRead,
    /// The password has no byte.
    PasswordEmpty,
    /// A user without a password.
    UserAlone,
    /// Authorities for TLS that no URL has.
    CaWithoutTls,
    /// The prefix is empty, too long, or has a character that it may not have.
    Prefix,
    /// The name of the node is none.
    Name(InvalidName),
    /// What is advertised is no URL.
    Advertise,
}

impl ClusterFault {
    /// The key that it is about.
    fn key(&self) -> &'static str {
        match self {
            Self::NoServer => "required",
            Self::ServerTwice(_) | Self::TlsNotBuilt => "redis",
            Self::NoShards => "shards",
            Self::PasswordTwice | Self::PasswordNotRead | Self::PasswordEmpty => "password",
            Self::UserAlone => "user",
            Self::CaWithoutTls => "ca",
            Self::Prefix => "prefix",
            Self::Name(_) => "name",
            Self::Advertise => "advertise",
        }
    }
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster.{}: ", self.key())?;
        match self {
            Self::NoServer => f.write_str("there is no Redis to require: name one in cluster.redis"),
            Self::ServerTwice(place) => write!(
                f,
                "it names {place} twice, and one Redis would get everything twice: remove one of them, or name another \
                 database"
            ),
            Self::NoShards => f.write_str(
                "a Redis Cluster has database 0 alone, and its servers name each other by address: write redis://HOST:PORT in \
                 cluster.redis, or remove it",
            ),
            Self::TlsNotBuilt => f.write_str(
                "it has rediss://, and this build has no TLS: build it with the feature `tls`, or write redis://",
            ),
            Self::PasswordTwice => {
                f.write_str("both it and cluster.password_file are set: remove one of them")
            }
            Self::PasswordNotRead => f.write_str(
                "its password_file has not been read: call Config::read_secrets, or set the password itself",
            ),
            Self::PasswordEmpty => f.write_str("it is empty: remove it where Redis asks for none"),
            Self::UserAlone => {
                f.write_str("it has no password: set cluster.password or cluster.password_file too")
            }
            Self::CaWithoutTls => {
                f.write_str("no URL of cluster.redis has TLS: write rediss:// in place of redis://, or remove it")
            }
            Self::Prefix => f.write_str("write 1 to 64 bytes, without control characters, { and }"),
            Self::Name(error) => error.fmt(f),
            Self::Advertise => {
                f.write_str("write it as a URL of at most 256 bytes, such as wss://eu1.game.example/play")
            }
        }
    }
}
