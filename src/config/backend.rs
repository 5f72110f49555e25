//! `[backend]`: the port of the game's backend and of operators, its keys, and the pages that may use it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{AppConfig, Config, ConfigError, KeyFault, Listen, Network, OriginPattern, Secret, UnixMode};
use crate::dispatch::Right;
use crate::session::Name;

/// `[backend]`: the port of the game's backend and of operators.
///
/// ```
/// assert_eq!(gannet::config::Backend::default().listen, "127.0.0.1:9001".parse().unwrap());
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// Where it listens.
    pub listen: Listen,
    /// Who may connect to the Unix sockets of the backend port.
    pub unix_mode: UnixMode,
    /// The key that may do everything, brought as `Authorization: Bearer`; visible ASCII, at least
    /// [`Config::MIN_KEY_BYTES`].
    #[cfg_attr(feature = "cli", schemars(length(min = Config::MIN_KEY_BYTES)))]
    pub key: Option<Secret>,
    /// The file to take that key from, relative to the configuration file; [`Config::load`] reads it into `key` and leaves
    /// `None` here.
    pub key_file: Option<PathBuf>,
    /// Further keys, each with what it may do. Without any key, here or in `key`, every request is let in.
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<BackendKey>,
    /// The networks that may connect at all; empty is any.
    pub allow: Vec<Network>,
    /// The origins of pages that may send requests, beside the pages of this port itself.
    pub origins: Vec<OriginPattern>,
    /// The names, without a port, that `Host` may have where there is no key; addresses and `localhost` always are.
    pub hosts: Vec<String>,
    /// Whether the console, a page for operators, is at `/`. It holds nothing of the server: what it shows it asks for with a key.
    pub console: bool,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9001)).into(),
            unix_mode: UnixMode::default(),
            key: None,
            key_file: None,
            keys: Vec::new(),
            allow: Vec::new(),
            origins: Vec::new(),
            hosts: Vec::new(),
            console: true,
        }
    }
}

/// One of `backend.keys`: a key, whose it is, and what it may do.
///
/// ```
/// use gannet::config::Config;
/// use gannet::dispatch::Right;
/// let text = "[[backend.keys]]\nname = 'grafana'\nkey = '0123456789abcdef'\nmay = ['read']";
/// let config = Config::from_toml(text).unwrap();
/// config.validate().unwrap();
/// assert_eq!(config.backend.keys[0].may, [Right::Read]);
/// assert_eq!(config.backend.keys[0].key.as_ref().unwrap().to_string(), "***");
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackendKey {
    /// Whose it is: what the log says of what was done with it.
    pub name: String,
    /// The key: visible ASCII, 16 bytes or more.
    ///
    /// That is [`Config::MIN_KEY_BYTES`].
    #[cfg_attr(feature = "cli", schemars(length(min = Config::MIN_KEY_BYTES)))]
    pub key: Option<Secret>,
    /// The file to take it from, as for `backend.key_file`.
    pub key_file: Option<PathBuf>,
    /// What it may do.
    #[cfg_attr(feature = "cli", schemars(length(min = 1)))]
    pub may: Vec<Right>,
    /// The apps that it may do it in; empty is every app.
    #[serde(default)]
    pub apps: Vec<String>,
}

/// What the key in `backend.key` is called, which has no name of its own.
pub const UNNAMED: &str = "backend.key";

impl Config {
    /// The shortest key of the backend port: 128 bits, where it is random bytes in text; with `openssl rand -hex 32` it has
    /// twice as many.
    pub const MIN_KEY_BYTES: usize = 16;
}

impl Backend {
    /// Whether a request has to show a key.
    pub fn needs_key(&self) -> bool {
        self.key.is_some() || !self.keys.is_empty()
    }

    /// Reads each `key_file` into its `key` by `read`, which is told what the configuration calls the file.
    pub(super) fn read_keys(
        &mut self,
        base: &Path,
        read: impl Fn(&str, &Path) -> Result<String, ConfigError>,
    ) -> Result<(), ConfigError> {
        let unnamed = (UNNAMED.to_owned(), "backend.key_file".to_owned(), &mut self.key, &mut self.key_file);
        let named = self.keys.iter_mut().map(|each| {
            let shown = shown(&each.name);
            (shown.clone(), format!("the key_file of {shown}"), &mut each.key, &mut each.key_file)
        });
        for (shown, file, key, key_file) in std::iter::once(unnamed).chain(named) {
            let Some(from) = &key_file else { continue };
            if key.is_some() {
                return Err(ConfigError::BackendKey { key: shown, fault: KeyFault::Twice });
            }
            let text = read(&file, &base.join(from))?;
            *key = Some(Secret::new(text.trim_end_matches(['\r', '\n'])));
            *key_file = None;
        }
        Ok(())
    }

    /// Whether every key can be used, and no two are the same or have one name.
    pub(super) fn check(&self, apps: &BTreeMap<String, AppConfig>) -> Result<(), ConfigError> {
        let mut owners = HashMap::new();
        if self.key.is_some() || self.key_file.is_some() {
            let key = usable(self.key.as_ref(), self.key_file.as_deref());
            let key = key.map_err(|fault| ConfigError::BackendKey { key: UNNAMED.to_owned(), fault })?;
            owners.insert(key, UNNAMED.to_owned());
        }
        let mut names = HashSet::from([UNNAMED]);
        for each in &self.keys {
            let refused = |fault| ConfigError::BackendKey { key: shown(&each.name), fault };
            let key = usable(each.key.as_ref(), each.key_file.as_deref()).map_err(refused)?;
            Name::check(&each.name).map_err(|error| refused(KeyFault::Name(error)))?;
            if !names.insert(&each.name) {
                return Err(refused(KeyFault::NameTwice));
            }
            if let Some(owner) = owners.insert(key, shown(&each.name)) {
                return Err(refused(KeyFault::SameAs(owner)));
            }
            if each.may.is_empty() {
                return Err(refused(KeyFault::MayNothing));
            }
            if let Some(app) = each.apps.iter().find(|app| !apps.contains_key(*app)) {
                return Err(refused(KeyFault::UnknownApp(app.escape_debug().to_string())));
            }
        }
        match self.hosts.iter().find(|host| !is_host(host)) {
            Some(host) => Err(ConfigError::BadHost(host.escape_debug().to_string())),
            None => Ok(()),
        }
    }
}

/// Whether it is the name of a host, without a port.
fn is_host(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(known)
}

/// The error of another type would show the value, which may be a key without the table around it.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BackendKey>, D::Error> {
    const FORM: &str =
        "write keys as tables: { name = \"…\", key_file = \"…\", may = [\"read\"], apps = [\"…\"] }";
    Vec::deserialize(deserializer).map_err(|error: D::Error| {
        match error.to_string().contains("invalid type") {
            true => D::Error::custom(FORM),
            false => error,
        }
    })
}

/// A key as messages show it.
fn shown(name: &str) -> String {
    format!("the key \"{}\" of backend.keys", name.escape_debug())
}

/// The key, if it can be one.
fn usable<'a>(key: Option<&'a Secret>, key_file: Option<&Path>) -> Result<&'a str, KeyFault> {
    match (key.map(Secret::expose), key_file) {
        (Some(_), Some(_)) => Err(KeyFault::Twice),
        (None, Some(_)) => Err(KeyFault::FileNotRead),
        (None, None) => Err(KeyFault::Missing),
        (Some(key), None) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => Err(KeyFault::NotVisible),
        (Some(key), None) if key.len() < Config::MIN_KEY_BYTES => Err(KeyFault::Short),
        (Some(key), None) => Ok(key),
    }
}
