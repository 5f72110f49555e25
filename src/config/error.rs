//! What can be wrong with a configuration, by cause, and what to change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{AppKeyFault, ClusterFault, Config, Endpoint, GroupFault, KeyFault};
use crate::session::InvalidName;

/// Why a configuration is refused.
///
/// ```
/// use gannet::config::Config;
/// let error = Config::from_toml("[limits]\noutbox_byte = 1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"unknown key "limits.outbox_byte" (line 2): did you mean "limits.outbox_bytes"?"#
/// );
/// ```
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file says nothing at all.
    Empty(PathBuf),
    /// One of the others, in a file.
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        error: Box<ConfigError>,
    },
    /// One of the others, in a variable of the environment.
    InVariable {
        /// The variable.
        variable: String,
        /// What is wrong in it.
        error: Box<ConfigError>,
    },
    /// A variable that sets no key, and has the form of one that does.
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The one that may have been meant.
        nearest: Option<String>,
    },
    /// A variable for an app, and not one app has that name.
    AppOfVariable {
        /// The variable.
        variable: String,
        /// The apps that it could mean: none, or several.
        apps: Vec<String>,
    },
    /// The value of a variable is not UTF-8.
    VariableNotUtf8(String),
    /// Not TOML.
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key that does not exist.
    UnknownKey {
        /// With the tables in front of it.
        key: String,
        /// Counted from 1; a variable has none.
        line: Option<usize>,
        /// The key that may have been meant.
        nearest: Option<String>,
    },
    /// A value of the wrong type or form.
    BadValue {
        /// With the tables in front of it.
        key: String,
        /// Counted from 1; a variable has none.
        line: Option<usize>,
        /// What the parser said.
        message: String,
        /// The key's default as an example of its form.
        default: Option<String>,
    },
    /// A number out of its range.
    OutOfRange {
        /// With the tables in front of it.
        key: String,
        /// As configured.
        value: u64,
        /// The smallest legal one.
        min: u64,
        /// The largest legal one.
        max: u64,
    },
    /// A number too small for another one.
    TooSmall {
        /// With the tables in front of it.
        key: &'static str,
        /// As configured.
        value: u64,
        /// What it must at least be.
        least: u64,
        /// The key to lower instead.
        or_lower: &'static str,
        /// Why the two go together.
        because: &'static str,
    },
    /// More connections than the reactors have slots for.
    TooManySessions {
        /// `limits.max_sessions` and `limits.max_backend_connections` together.
        wanted: u64,
        /// What the configured reactors can hold.
        slots: u64,
    },
    /// Players on an address that is not loopback would need no proof of who they are.
    OpenToAnybody(Endpoint),
    /// Some apps check who their players are and some take their word.
    SomeWithoutSecrets {
        /// An app that has secrets.
        with: String,
        /// The apps that have none.
        without: Vec<String>,
    },
    /// The backend port would take commands on an address that is not loopback, without a key.
    BackendWithoutKey(Endpoint),
    /// A key of `[tls]` without the one that it needs.
    TlsHalf {
        /// The key that is set.
        has: &'static str,
        /// The one that is not.
        lacks: &'static str,
    },
    /// `tls.versions` is empty.
    NoTlsVersion,
    /// TLS is asked for, and this build has none.
    TlsNotBuilt,
    /// The two ports are one.
    SameAddress(Endpoint),
    /// A port that listens nowhere.
    NoEndpoint {
        /// The key that is empty.
        key: &'static str,
    },
    /// The path of a Unix socket is longer than the kernel takes.
    LongSocketPath {
        /// The key that names it.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// One port would listen twice in one place.
    ListensTwice {
        /// The key that names both.
        key: &'static str,
        /// The first one.
        one: Endpoint,
        /// The one that the first leaves no room for.
        other: Endpoint,
    },
    /// A key of the backend port that cannot be used.
    BackendKey {
        /// Which, as messages show it.
        key: String,
        /// Why not.
        fault: KeyFault,
    },
    /// An entry of `backend.hosts` that is no name of a host.
    BadHost(String),
    /// The file of a key or of secrets cannot be read.
    KeyFile {
        /// The key that names the file, with the tables in front of it.
        key: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Both `secrets` and `secrets_file`.
    SecretsTwice {
        /// The app.
        app: String,
    },
    /// `secrets_file` is set, and the program has not called [`Config::read_secrets`](super::Config::read_secrets).
    SecretsFileNotRead {
        /// The app.
        app: String,
    },
    /// A `secrets_file` without a line in it.
    NoSecretInFile {
        /// The app.
        app: String,
    },
    /// A public key or a JWK set of an app that cannot be used as it is written.
    AppKey {
        /// The key of the configuration, with the tables in front of it.
        key: String,
        /// Why not.
        fault: AppKeyFault,
    },
    /// A secret that can be guessed.
    ShortSecret {
        /// The app.
        app: String,
        /// Its place among the app's secrets, counted from 1.
        number: usize,
    },
    /// Two apps with the same secret.
    SharedSecret {
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// An app's name that is none.
    BadAppName {
        /// As configured.
        name: String,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// The beginning of groups' names in `group_tick_ms` that no group's name can have.
    BadGroupName {
        /// The app.
        app: String,
        /// As configured.
        name: String,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// An entry of `groups` of an app that cannot be used as it is written.
    AppGroup {
        /// The key of the configuration, with the tables in front of it.
        key: String,
        /// Why not.
        fault: GroupFault,
    },
    /// `[cluster]` cannot be used as it is written.
    Cluster(ClusterFault),
    /// More apps than there are ids for.
    TooManyApps,
}

impl ConfigError {
    /// The same, as found in the file at `path`.
    pub fn in_file(self, path: &Path) -> Self {
        Self::InFile { path: path.to_owned(), error: Box::new(self) }
    }
}

impl AppKeyFault {
    pub(super) fn of(self, table: &str, key: &str) -> ConfigError {
        ConfigError::AppKey { key: format!("{table}.{key}"), fault: self }
    }
}

/// Where in a file, if it is in one.
struct InLine(Option<usize>);

impl fmt::Display for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, " (line {line})"))
    }
}

impl From<ClusterFault> for ConfigError {
    fn from(fault: ClusterFault) -> Self {
        Self::Cluster(fault)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(f, "cannot read the configuration file {}: {error}", path.display())
            }
            Self::Empty(path) => write!(
                f,
                "the configuration file {} is empty: it is not written yet, or its pipe was read by somebody else or its \
                 writer failed; for the defaults leave it out, or write a comment into it",
                path.display()
            ),
            Self::InFile { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Syntax { line, message } => write!(f, "not TOML (line {line}): {message}"),
            Self::InVariable { variable, error } => write!(f, "{variable}: {error}"),
            Self::UnknownVariable { variable, nearest: Some(nearest) } => {
                write!(f, "unknown variable {variable}: did you mean {nearest}?")
            }
            Self::UnknownVariable { variable, nearest: None } => write!(
                f,
                "unknown variable {variable}: write a key of `gannet config default` as GANNET_TABLE__KEY, as \
                 GANNET_LIMITS__MAX_SESSIONS"
            ),
            Self::AppOfVariable { variable, apps } if apps.is_empty() => write!(
                f,
                "{variable} is for an app that does not exist: give it a table [apps.NAME] in the file, or name it in \
                 GANNET_APPS"
            ),
            Self::AppOfVariable { variable, apps } => {
                write!(f, "{variable} could mean the apps {}: set them in GANNET_APPS", apps.join(", "))
            }
            Self::VariableNotUtf8(variable) => write!(f, "the value of {variable} is not UTF-8"),
            Self::UnknownKey { key, line, nearest } => {
                write!(f, "unknown key \"{key}\"{}: ", InLine(*line))?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean \"{nearest}\"?"),
                    None => f.write_str("`gannet config default` shows all there are"),
                }
            }
            Self::BadValue { key, line, message, default } => {
                write!(f, "bad value for \"{key}\"{}: {message}", InLine(*line))?;
                default.iter().try_for_each(|default| write!(f, "; the default is {default}"))
            }
            Self::OutOfRange { key, value, min, max } => {
                write!(f, "{key} = {value} is out of range: choose {min} to {max}")
            }
            Self::TooSmall { key, value, least, or_lower, because } => {
                write!(f, "{key} = {value} is too small: {because}; set it to {least} or more, or lower {or_lower}")
            }
            Self::TooManySessions { wanted, slots } => write!(
                f,
                "limits.max_sessions and limits.max_backend_connections are {wanted} together, and the reactors have \
                 slots for {slots}: lower them, or set reactors to more"
            ),
            Self::OpenToAnybody(address) => write!(
                f,
                "anybody who reaches {address} could claim to be any user, since no app has secrets or public keys: give \
                 every app some, listen on a loopback address such as 127.0.0.1, or accept it with insecure = true \
                 (--insecure)"
            ),
            Self::SomeWithoutSecrets { with, without } => write!(
                f,
                "the app {with} has secrets or public keys and {} has none, so that anybody could be any user there: set \
                 secrets, secrets_file, public_keys or jwks_file in [apps.{}] too (the app default is there without a table)",
                without.join(", "),
                without.first().map_or("NAME", String::as_str)
            ),
            Self::BackendWithoutKey(address) => write!(
                f,
                "anybody who reaches {address} could push to and kick every player: set backend.key, \
                 backend.key_file or backend.keys, or let backend.listen be a loopback address such as 127.0.0.1"
            ),
            Self::TlsHalf { has, lacks } => write!(f, "{has} is set and {lacks} is not: set both, or neither"),
            Self::NoTlsVersion => f.write_str("tls.versions is empty: name \"1.2\", \"1.3\" or both"),
            Self::TlsNotBuilt => f.write_str(
                "certificates are set, and this build has no TLS: build it with the feature `tls`, or remove [tls]",
            ),
            Self::SameAddress(address) => write!(
                f,
                "listen and backend.listen would share {address}: give the backend a port of its own"
            ),
            Self::NoEndpoint { key } => {
                write!(f, "{key} is empty: name at least one address, such as 127.0.0.1:9000")
            }
            Self::LongSocketPath { key, path } => write!(
                f,
                "{key} names a Unix socket whose path has more than {} bytes, {}: choose a shorter one, such as \
                 /run/gannet/players.sock",
                Config::MAX_SOCKET_PATH_BYTES,
                path.display()
            ),
            Self::ListensTwice { key, one, other } if one == other => {
                write!(f, "{key} names {one} twice: remove one of them")
            }
            Self::ListensTwice { key, one, other } => {
                write!(f, "{key} names {one} and {other}, and both take the same connections: remove one of them")
            }
            Self::BackendKey { key, fault } => write!(f, "{key}: {fault}"),
            Self::BadHost(host) => write!(
                f,
                "\"{host}\" in backend.hosts is no name of a host: write it without scheme and port, as game.internal"
            ),
            Self::KeyFile { key, path, error } => write!(f, "cannot read {key} {}: {error}", path.display()),
            Self::SecretsTwice { app } => {
                write!(f, "both secrets and secrets_file are set in [apps.{app}]: remove one of them")
            }
            Self::SecretsFileNotRead { app } => write!(
                f,
                "the secrets_file of [apps.{app}] has not been read: call Config::read_secrets, or set secrets"
            ),
            Self::NoSecretInFile { app } => {
                write!(f, "the secrets_file of [apps.{app}] holds no secret: write one a line")
            }
            Self::AppKey { key, fault } => write!(f, "{key}: {fault}"),
            Self::ShortSecret { app, number } => write!(
                f,
                "secret {number} of [apps.{app}] is too short: one needs at least {} bytes; generate it, for instance \
                 with `openssl rand -hex 32`",
                Config::MIN_SECRET_BYTES
            ),
            Self::SharedSecret { one, other } => write!(
                f,
                "the apps {one} and {other} share a secret, so that a token of one could open the other: give each its \
                 own"
            ),
            Self::BadAppName { name, error } => write!(f, "\"{name}\" cannot name an app: {error}"),
            Self::BadGroupName { app, name, error } => {
                write!(f, "\"{name}\" in apps.{app}.group_tick_ms begins no group's name: {error}")
            }
            Self::AppGroup { key, fault } => write!(f, "{key} {fault}"),
            Self::Cluster(fault) => fault.fmt(f),
            Self::TooManyApps => write!(f, "there are more than {} apps: remove some", u16::MAX),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } | Self::KeyFile { error, .. } => Some(error),
            Self::InFile { error, .. } | Self::InVariable { error, .. } => Some(error),
            Self::BadAppName { error, .. } | Self::BadGroupName { error, .. } => Some(error),
            Self::AppGroup { fault: GroupFault::Prefix(error), .. } => Some(error),
            Self::Cluster(ClusterFault::Name(error)) => Some(error),
            _ => None,
        }
    }
}
