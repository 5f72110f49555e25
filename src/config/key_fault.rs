//! What can be wrong with a key: with one of the backend port, and with a public one of an app.

use super::Config;
use crate::session::InvalidName;
use std::fmt;

/// What is wrong with a key of the backend port.
///
/// ```
/// use gannet::config::{Config, ConfigError, KeyFault};
/// let refused = Config::from_toml("[backend]\nkey = 'hunter2'").unwrap().validate();
/// assert!(matches!(refused, Err(ConfigError::BackendKey { fault: KeyFault::Short, .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// Both the key and its file are there.
    Twice,
    /// Neither is.
    Missing,
    /// There is a file, and the program has not called [`Config::read_secrets`].
    FileNotRead,
    /// No `Authorization` field could carry it.
    NotVisible,
    /// It has less than [`Config::MIN_KEY_BYTES`].
    Short,
    /// Another key is the same.
    SameAs(String),
    /// Its name is none.
    Name(InvalidName),
    /// Another key has its name.
    NameTwice,
    /// It may do nothing.
    MayNothing,
    /// There is no such app.
    UnknownApp(String),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("both it and its key_file are set: remove one of them"),
            Self::Missing => f.write_str("it has neither key nor key_file: set one of them"),
            Self::FileNotRead => {
                f.write_str("its key_file has not been read: call Config::read_secrets, or set the key itself")
            }
            Self::NotVisible => f.write_str(
                "it must be visible ASCII characters without spaces: generate one, for instance with `openssl rand \
                 -hex 32`",
            ),
            Self::Short => write!(
                f,
                "it is too short: a key needs at least {} bytes; generate one, for instance with `openssl rand -hex 32`",
                Config::MIN_KEY_BYTES
            ),
            Self::SameAs(other) => write!(f, "it is the same as {other}: give each its own"),
            Self::Name(error) => write!(f, "it cannot be called that: {error}"),
            Self::NameTwice => f.write_str("another key has that name: give each its own"),
            Self::MayNothing => f.write_str("it may do nothing: let may hold \"read\", \"push\" or \"all\""),
            Self::UnknownApp(app) => {
                write!(f, "there is no app \"{app}\": name apps that have a table [apps.NAME], or default")
            }
        }
    }
}

/// What is wrong with a public key or a JWK set of an app.
///
/// ```
/// use gannet::config::{AppKeyFault, Config, ConfigError};
/// let text = "[apps.default]\npublic_keys = [{ algorithm = 'ES256' }]";
/// let refused = Config::from_toml(text).unwrap().validate();
/// assert!(matches!(refused, Err(ConfigError::AppKey { fault: AppKeyFault::Missing, .. })));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKeyFault {
    /// Both the text and its file are there.
    Twice,
    /// Neither is.
    Missing,
    /// There is a file, and the program has not called [`Config::read_secrets`].
    FileNotRead,
    /// It is at an `https://` URL, and this build has no TLS.
    TlsNotBuilt,
}

impl fmt::Display for AppKeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twice => "both the file and the text itself are set: remove one of them",
            Self::Missing => "it has neither pem nor file: set one of them",
            Self::TlsNotBuilt => "this build has no TLS: build it with the feature `tls`",
            Self::FileNotRead => {
                "the file has not been read: call Config::read_secrets, or set the text itself"
            }
        })
    }
}
