//! The variables of the environment that set keys: `GANNET_LISTEN`, `GANNET_LIMITS__MAX_SESSIONS`.
//!
//! Two underscores part a table from its key. So they are told from variables of other programs: for a service called
//! `gannet-backend` Kubernetes sets `GANNET_BACKEND_PORT` in every container.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::{env, fmt};

use serde_json::Value as Known;
use toml::{Table, Value};

use super::known::{KnownKeys, child_of, line_of};
use super::{Config, ConfigError, DEFAULT_APP};

const PREFIX: &str = "GANNET_";
/// Between a table and its key.
const SEPARATOR: &str = "__";
/// Two keys of a table for one thing: what a variable sets takes the place of either in the file.
const EITHER_OR: [[&str; 2]; 4] =
    [["key", "key_file"], ["secrets", "secrets_file"], ["jwks", "jwks_file"], ["password", "password_file"]];
/// Shorter names are one letter away from words that have nothing to do with them.
const MISSPELT_LEN: usize = 5;

/// The variables `GANNET_…` of an environment. Their values may be secrets: `Debug` shows the names alone.
///
/// ```
/// use gannet::config::Environment;
/// let environment: Environment =
///     [("GANNET_LIMITS__MAX_SESSIONS", "20_000"), ("GANNET_LOG__LEVEL", "debug")].into_iter().collect();
/// let config = environment.over("[limits]\nmax_sessions = 5\nmax_page = 10").unwrap();
/// assert_eq!((config.limits.max_sessions, config.limits.max_page), (20_000, 10));
/// assert_eq!(config.log.level, log::LevelFilter::Debug);
/// ```
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let named = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into().to_string_lossy().into_owned();
            name.starts_with(PREFIX).then(|| (name, value.into()))
        });
        Self(named.collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        env::vars_os().collect()
    }

    /// Whether there is no variable at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The configuration of a file's `text` with the variables over it. A file of a key or of secrets is not read yet.
    ///
    /// # Errors
    /// Those of [`Config::from_toml`] for `text`; [`ConfigError::UnknownVariable`], [`ConfigError::AppOfVariable`] and
    /// [`ConfigError::VariableNotUtf8`]; [`ConfigError::InVariable`] with those of [`Config::from_toml`] or with
    /// [`ConfigError::OutOfRange`].
    pub fn over(&self, text: &str) -> Result<Config, ConfigError> {
        let from_file = Config::from_toml(text)?;
        let known = KnownKeys::new();
        let (mut over, mut apps) = (Table::new(), from_file.apps.into_keys().collect::<Vec<_>>());
        // In the order of the names: a table before its keys, which are the more precise.
        for (variable, value) in &self.0 {
            let Some(path) = path_of(variable, &known, &apps)? else { continue };
            let value = value.to_str().ok_or_else(|| ConfigError::VariableNotUtf8(variable.clone()))?;
            let set = setting(&path, value, &known).map_err(|error| ConfigError::InVariable {
                variable: variable.clone(),
                error: Box::new(error),
            })?;
            merge(&mut over, set, "", known.tree());
            if let Some(Value::Table(named)) = over.get("apps") {
                apps.extend(named.keys().cloned());
                apps.sort_unstable();
                apps.dedup();
            }
        }
        if over.is_empty() {
            return Config::from_toml(text);
        }
        // Its types are those of the configuration, which has been read from it.
        let mut document: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            line: line_of(text, error.span()),
            message: error.message().to_owned(),
        })?;
        give_way(&mut document, &over);
        merge(&mut document, over, "", known.tree());
        Config::from_toml(&document.to_string())
    }
}

/// The key that `variable` sets, from the top; `None` where it is no variable of the configuration.
fn path_of(variable: &str, known: &KnownKeys, apps: &[String]) -> Result<Option<Vec<String>>, ConfigError> {
    let name = variable.strip_prefix(PREFIX).unwrap_or_default();
    if !name.contains(SEPARATOR) {
        let top = known.tree().as_object().into_iter().flatten().map(|(key, _)| key);
        return match top.clone().find(|key| in_variable(key) == name) {
            Some(key) => Ok(Some(vec![key.clone()])),
            None => match meant(name, known, apps) {
                None => Ok(None),
                nearest => Err(ConfigError::UnknownVariable { variable: variable.to_owned(), nearest }),
            },
        };
    }
    let (mut path, mut prefix, mut at) = (Vec::new(), String::new(), known.tree());
    for part in name.split(SEPARATOR) {
        let key = match prefix.as_str() {
            "apps." => Some(app_of(variable, part, apps)?),
            _ => {
                at.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| in_variable(key) == part)
            }
        };
        let child = key.and_then(|key| Some((key, child_of(at, &prefix, key)?)));
        let Some((key, child)) = child else {
            let nearest = known.nearest(&prefix, &part.to_ascii_lowercase());
            let nearest = nearest.map(|key| variable_of(key.split('.')));
            return Err(ConfigError::UnknownVariable { variable: variable.to_owned(), nearest });
        };
        path.push(key.clone());
        prefix.push_str(key);
        prefix.push('.');
        at = child;
    }
    Ok(Some(path))
}

/// The one app whose name is `part` in a variable.
fn app_of<'a>(variable: &str, part: &str, apps: &'a [String]) -> Result<&'a String, ConfigError> {
    let named: Vec<&String> = apps.iter().filter(|app| in_variable(app) == part).collect();
    match named[..] {
        [app] => Ok(app),
        _ => Err(ConfigError::AppOfVariable {
            variable: variable.to_owned(),
            apps: named.into_iter().map(|app| app.escape_debug().to_string()).collect(),
        }),
    }
}

/// The variable that was meant by a name without [`SEPARATOR`]: one with single underscores, or a key of the top level that
/// is misspelt by a letter. All other names are not the configuration's.
fn meant(name: &str, known: &KnownKeys, apps: &[String]) -> Option<String> {
    let default_app = format!("apps.{DEFAULT_APP}.");
    known.paths().iter().find_map(|key| {
        let own = variable_of(key.split('.'));
        let misspelt = !key.contains('.') && key.len() >= MISSPELT_LEN && {
            strsim::osa_distance(&in_variable(key), name) == 1
        };
        let of_apps = key.strip_prefix(&default_app).into_iter();
        let of_apps = of_apps.flat_map(|leaf| apps.iter().map(move |app| variable_of(["apps", app, leaf])));
        let single = |each: &String| {
            each.strip_prefix(PREFIX).is_some_and(|each| each.replace(SEPARATOR, "_") == name)
        };
        if misspelt { Some(own) } else { std::iter::once(own).chain(of_apps).find(single) }
    })
}

/// A key, or the name of an app, as it stands in a variable.
fn in_variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn variable_of<'a>(path: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<String> = path.into_iter().map(in_variable).collect();
    format!("{PREFIX}{}", parts.join(SEPARATOR))
}

/// A document in which the key at `path` has the value that `text` says: a value of TOML, or else `text` itself.
fn setting(path: &[String], text: &str, known: &KnownKeys) -> Result<Table, ConfigError> {
    let mut at = known.tree();
    for (depth, name) in path.iter().enumerate() {
        let prefix = format!("{}.", path[..depth].join("."));
        at = child_of(at, &prefix, name).unwrap_or(&Known::Null);
    }
    let is_table = at.is_object();
    let read = |value: Value| {
        if is_table && !value.is_table() {
            return Err(bad_value(path, "write it as a table of TOML, { key = value }"));
        }
        let set = path
            .iter()
            .rev()
            .fold(value, |value, name| Value::Table(Table::from_iter([(name.clone(), value)])));
        let Value::Table(set) = set else { return Err(bad_value(path, "it is no key")) };
        // Every other key has its default, so that a fault is this variable's.
        let config = Config::from_toml(&set.to_string()).map_err(|error| without_line(error, is_table))?;
        config.check_each()?;
        Ok(set)
    };
    let plain = || read(Value::String(text.to_owned()));
    match text.parse::<Value>() {
        Ok(value) => read(value).or_else(|error| plain().map_err(|_| error)),
        Err(_) => plain(),
    }
}

/// The line is one of a text that nobody wrote. What the parser says of another type shows the value, which in a table may be
/// a secret at the wrong place.
fn without_line(error: ConfigError, is_table: bool) -> ConfigError {
    match error {
        ConfigError::UnknownKey { key, nearest, .. } => ConfigError::UnknownKey { key, line: None, nearest },
        ConfigError::BadValue { key, message, default, .. } => {
            let shows = is_table && message.starts_with("invalid type");
            let message = if shows { "it takes a value of another type".to_owned() } else { message };
            ConfigError::BadValue { key, line: None, message, default }
        }
        other => other,
    }
}

fn bad_value(path: &[String], message: &str) -> ConfigError {
    ConfigError::BadValue { key: path.join("."), line: None, message: message.to_owned(), default: None }
}

/// Puts `over` over `document`: a table of keys is merged, any other value replaced.
fn merge(document: &mut Table, over: Table, prefix: &str, known: &Known) {
    for (name, value) in over {
        let child = child_of(known, prefix, &name).unwrap_or(&Known::Null);
        // One that is empty by default holds names of the operator's own, and is one value.
        let is_table = child.as_object().is_some_and(|keys| !keys.is_empty());
        match (document.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(over)) if is_table => {
                merge(below, over, &format!("{prefix}{name}."), child);
            }
            (_, value) => {
                document.insert(name, value);
            }
        }
    }
}

/// Removes from `document` each key for which `over` has the other of [`EITHER_OR`].
fn give_way(document: &mut Table, over: &Table) {
    for pair in EITHER_OR {
        if pair.iter().any(|key| over.contains_key(*key)) {
            for key in pair {
                document.remove(key);
            }
        }
    }
    for (name, value) in over {
        if let (Some(Value::Table(document)), Value::Table(over)) = (document.get_mut(name), value) {
            give_way(document, over);
        }
    }
}
