//! From a TOML file to a [`Config`], with errors that name the key and the line.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::str::Utf8Error;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{AppKeyFault, Config, ConfigError, DEFAULT_APP, Secret};

/// Above this a suggestion is a help, below it a guess.
const NEAR_ENOUGH: f64 = 0.8;
/// What a key of the same table is ahead of one elsewhere.
const NEIGHBOUR: f64 = 0.1;

/// A key is one short line, secrets are a few; the bound is for a path such as /dev/zero.
const MAX_KEY_FILE_BYTES: u64 = 4096;

impl Config {
    /// The largest file that is read.
    pub const MAX_FILE_BYTES: u64 = 16 << 20;

    /// Reads a file and the secrets that it points to, each once, so that they may be pipes. [`Config::validate`] is the
    /// caller's, after the flags.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Empty`]; [`ConfigError::InFile`] with those of [`Config::from_toml`] and
    /// [`Config::read_secrets`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_bounded(path, Self::MAX_FILE_BYTES)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        let in_file = |error: ConfigError| error.in_file(path);
        let text = str::from_utf8(&bytes).map_err(|error| in_file(not_utf8(&bytes, error)))?;
        // A file that is being written, or a pipe whose writer has failed, would be the defaults: a server without keys.
        if text.trim().is_empty() {
            return Err(ConfigError::Empty(path.to_owned()));
        }
        let mut config = Self::from_toml(text).map_err(in_file)?;
        let base = base_of(path);
        config.tls.resolve(base);
        config.log.resolve(base);
        config.read_secrets(base).map_err(in_file)?;
        Ok(config)
    }

    /// Reads the text of a file; what it does not say has its default. A file of a key or of secrets is not read yet.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], [`ConfigError::UnknownKey`] or [`ConfigError::BadValue`], with the line.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            line: line_of(text, error.span()),
            message: error.message().to_owned(),
        };
        let document = DeTable::parse(text).map_err(syntax)?;
        let known = KnownKeys::new();
        known.check(text, document.get_ref())?;
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let key = error.span().and_then(|span| key_at(document.get_ref(), &span)).unwrap_or_default();
            ConfigError::BadValue {
                line: line_of(text, error.span()),
                message: error.message().to_owned(),
                default: known.default_of(&key),
                key,
            }
        })?;
        config.apps.entry(DEFAULT_APP.to_owned()).or_default();
        Ok(config)
    }

    /// Reads the files that the `key_file` of each backend key and each app's `secrets_file` name into `key`, without the line
    /// end, and `secrets`, one a line; and those of public keys and JWK sets. A relative path starts at `base`.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`] and [`ConfigError::NoSecretInFile`]; [`ConfigError::BackendKey`] and
    /// [`ConfigError::SecretsTwice`] where there is a key or a secret already, and [`ConfigError::AppKey`] the same.
    pub fn read_secrets(&mut self, base: &Path) -> Result<(), ConfigError> {
        self.backend.read_keys(base, read_key_file)?;
        for (name, app) in &mut self.apps {
            let Some(path) = &app.secrets_file else { continue };
            let shown = name.escape_debug();
            if !app.secrets.is_empty() {
                return Err(ConfigError::SecretsTwice { app: shown.to_string() });
            }
            let text = read_key_file(&format!("apps.{shown}.secrets_file"), &base.join(path))?;
            app.secrets = secrets_of(&text).map(Secret::new).collect();
            if app.secrets.is_empty() {
                return Err(ConfigError::NoSecretInFile { app: shown.to_string() });
            }
            app.secrets_file = None;
        }
        self.read_public_keys(base)
    }

    /// The same for the files of public keys and JWK sets.
    fn read_public_keys(&mut self, base: &Path) -> Result<(), ConfigError> {
        let jwks_bytes = self.auth.max_jwks_bytes as u64;
        for (name, app) in &mut self.apps {
            let table = format!("apps.{}", name.escape_debug());
            for (index, key) in app.public_keys.iter_mut().enumerate() {
                let Some(path) = &key.file else { continue };
                if key.pem.is_some() {
                    return Err(AppKeyFault::Twice.of(&table, &format!("public_keys[{index}].file")));
                }
                let name = format!("{table}.public_keys[{index}].file");
                key.pem = Some(read_key_file(&name, &base.join(path))?);
                key.file = None;
            }
            let Some(path) = &app.jwks_file else { continue };
            if app.jwks.is_some() {
                return Err(AppKeyFault::Twice.of(&table, "jwks_file"));
            }
            app.jwks = Some(read_text(&format!("{table}.jwks_file"), &base.join(path), jwks_bytes)?);
            app.jwks_file = None;
        }
        Ok(())
    }

    /// The default configuration as a file, every key with its meaning beside it.
    pub fn default_toml() -> &'static str {
        include_str!("default.toml")
    }
}

/// Where relative paths in the file at `path` start: its folder. A pipe lies nowhere, so there it is the working
/// directory.
fn base_of(path: &Path) -> &Path {
    let lies_nowhere = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder)) || !path.is_file();
    if lies_nowhere { Path::new("") } else { path.parent().unwrap_or(Path::new("")) }
}

fn not_utf8(bytes: &[u8], error: Utf8Error) -> ConfigError {
    let valid = &bytes[..error.valid_up_to()];
    let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
    ConfigError::Syntax { line, message: "a byte that is not UTF-8".to_owned() }
}

/// All of a file that holds at most `max` bytes; the bound is for what never ends, and for what was named by mistake.
///
/// # Errors
/// What the system says; [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("it is larger than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The secrets in the text of a file: one a line, without the white space around it; blank lines are passed over.
pub fn secrets_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The text of a file of keys or secrets, which `key` names.
///
/// # Errors
/// [`ConfigError::KeyFile`].
pub fn read_key_file(key: &str, path: &Path) -> Result<String, ConfigError> {
    read_text(key, path, MAX_KEY_FILE_BYTES)
}

fn read_text(key: &str, path: &Path, max_bytes: u64) -> Result<String, ConfigError> {
    let text = read_bounded(path, max_bytes).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    });
    text.map_err(|error| ConfigError::KeyFile { key: key.to_owned(), path: path.to_owned(), error })
}

/// The keys that exist: the default configuration as a tree, where what is not set is null.
struct KnownKeys(Value);

impl KnownKeys {
    fn new() -> Self {
        // Cannot fail: its maps have text keys and its values are numbers, texts and booleans.
        Self(serde_json::to_value(Config::default()).unwrap_or_default())
    }

    fn check(&self, text: &str, document: &DeTable<'_>) -> Result<(), ConfigError> {
        self.check_table(text, document, "", &self.0)
    }

    fn check_table(
        &self,
        text: &str,
        table: &DeTable<'_>,
        prefix: &str,
        known: &Value,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let Some(child) = child_of(known, prefix, name.get_ref()) else {
                let line = line_of(text, Some(name.span()));
                return Err(ConfigError::UnknownKey {
                    nearest: self.nearest(prefix, name.get_ref()),
                    key,
                    line,
                });
            };
            // A table where a value belongs, or the other way round, is found when the types are read.
            // One that is empty by default holds names of the operator's own.
            if let (DeValue::Table(inner), Value::Object(known)) = (value.get_ref(), child)
                && !known.is_empty()
            {
                self.check_table(text, inner, &format!("{key}."), child)?;
            }
        }
        Ok(())
    }

    /// The key that was most likely meant: a neighbour with nearly the name, else a key of nearly the name elsewhere.
    fn nearest(&self, prefix: &str, name: &str) -> Option<String> {
        let mut keys = Vec::new();
        flatten(&self.0, "", &mut keys);
        let score = |key: &&String| {
            let (table, leaf) =
                key.rsplit_once('.').map_or(("", key.as_str()), |(table, leaf)| (table, leaf));
            let similarity = strsim::jaro_winkler(leaf, name);
            let neighbour = table == prefix.trim_end_matches('.');
            (similarity >= NEAR_ENOUGH).then_some(if neighbour { similarity + NEIGHBOUR } else { similarity })
        };
        let scored = keys.iter().filter_map(|key| Some((score(&key)?, key)));
        let (_, nearest) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        // The known keys of apps are those of the default one.
        let app = prefix.strip_prefix("apps.").and_then(|rest| rest.split('.').next());
        match (nearest.strip_prefix(&format!("apps.{DEFAULT_APP}.")), app) {
            (Some(leaf), Some(app)) => Some(format!("apps.{app}.{leaf}")),
            _ => Some(nearest.clone()),
        }
    }

    fn default_of(&self, key: &str) -> Option<String> {
        let value = key.split('.').try_fold(&self.0, |value, name| value.get(name))?;
        (!value.is_null() && !value.is_object()).then(|| value.to_string())
    }
}

/// What stands under `name`; every name under `apps` is as good as the default app's.
fn child_of<'v>(known: &'v Value, prefix: &str, name: &str) -> Option<&'v Value> {
    known.get(if prefix == "apps." { DEFAULT_APP } else { name })
}

fn flatten(value: &Value, prefix: &str, keys: &mut Vec<String>) {
    for (name, child) in value.as_object().into_iter().flatten() {
        let key = format!("{prefix}{name}");
        flatten(child, &format!("{key}."), keys);
        keys.push(key);
    }
}

/// The deepest key whose name or value covers the start of `span`.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let covers = |range: Range<usize>| range.contains(&span.start);
    table.iter().find_map(|(name, value): (&Spanned<_>, _)| {
        let inner = value.get_ref().as_table().and_then(|inner| key_at(inner, span));
        match inner {
            Some(inner) => Some(format!("{}.{inner}", name.get_ref())),
            None => (covers(name.span()) || covers(value.span())).then(|| name.get_ref().to_string()),
        }
    })
}

/// The line, from 1, that `span` starts in.
fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count()
}
