//! From a TOML file to a [`Config`], with errors that name the key and the line.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::str::Utf8Error;

use toml::Spanned;
use toml::de::DeTable;

use super::known::{KnownKeys, line_of};
use super::{AppKeyFault, Config, ConfigError, DEFAULT_APP, Environment, Secret};

/// A key is one short line, secrets are a few; the bound is for a path such as /dev/zero.
const MAX_KEY_FILE_BYTES: u64 = 4096;

impl Config {
    /// The largest file that is read.
    pub const MAX_FILE_BYTES: u64 = 16 << 20;

    /// [`Config::read`] of a file alone.
    ///
    /// # Errors
    /// Those of [`Config::read`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::read(Some(path), &Environment::default())
    }

    /// Reads a file, what `environment` sets over it, and the secrets that they point to. Each file is read once, so that it
    /// may be a pipe. Without a file the defaults are what `environment` is over. [`Config::validate`] is the caller's, after
    /// the flags. Nothing is kept: what is called again reads all of it again.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Empty`]; [`ConfigError::InFile`] with those of [`Config::from_toml`] and
    /// [`Config::read_secrets`]; those of [`Environment::over`].
    pub fn read(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read_in(Reading::First, file, environment)
    }

    /// The same while a server runs by what was read before. What is no regular file is refused: a pipe may have no writer any
    /// more, and would be waited for without end.
    ///
    /// # Errors
    /// Those of [`Config::read`].
    pub fn read_again(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read_in(Reading::Again, file, environment)
    }

    fn read_in(
        reading: Reading,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let text = file.map_or(Ok(String::new()), |path| text_of(reading, path))?;
        let in_file = |error: ConfigError| match file {
            Some(path) => error.in_file(path),
            None => error,
        };
        // The file alone first: its faults have a line.
        let mut config = Self::from_toml(&text).map_err(in_file)?;
        if !environment.is_empty() {
            config = environment.over(&text)?;
        }
        let base = file.map_or(Path::new(""), base_of);
        config.listen.resolve(base);
        config.backend.listen.resolve(base);
        config.tls.resolve(base);
        config.log.resolve(base);
        config.cluster.resolve(base);
        config.auth.jwks_ca_file = config.auth.jwks_ca_file.map(|path| base.join(path));
        config.read_files(reading, base).map_err(in_file)?;
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
                line: Some(line_of(text, error.span())),
                message: error.message().to_owned(),
                default: known.default_of(&key),
                key,
            }
        })?;
        config.apps.entry(DEFAULT_APP.to_owned()).or_default();
        Ok(config)
    }

    /// Reads the files that the `key_file` of each backend key and each app's `secrets_file` name into `key`, without the line
    /// end, and `secrets`, one a line; that of `cluster.password`; and those of public keys and JWK sets. A relative path starts at `base`.
    ///
    /// # Errors
    /// [`ConfigError::KeyFile`] and [`ConfigError::NoSecretInFile`]; [`ConfigError::BackendKey`] and
    /// [`ConfigError::SecretsTwice`] where there is a key or a secret already, and [`ConfigError::AppKey`] and
    /// [`ConfigError::Cluster`] the same.
    pub fn read_secrets(&mut self, base: &Path) -> Result<(), ConfigError> {
        self.read_files(Reading::First, base)
    }

    fn read_files(&mut self, reading: Reading, base: &Path) -> Result<(), ConfigError> {
        let text_of = |key: &str, path: &Path| reading.text(key, path, MAX_KEY_FILE_BYTES);
        self.backend.read_keys(base, text_of)?;
        self.cluster.read_password(base, text_of)?;
        for (name, app) in &mut self.apps {
            let Some(path) = &app.secrets_file else { continue };
            let shown = name.escape_debug();
            if !app.secrets.is_empty() {
                return Err(ConfigError::SecretsTwice { app: shown.to_string() });
            }
            let key = format!("apps.{shown}.secrets_file");
            let text = reading.text(&key, &base.join(path), MAX_KEY_FILE_BYTES)?;
            app.secrets = secrets_of(&text).map(Secret::new).collect();
            if app.secrets.is_empty() {
                return Err(ConfigError::NoSecretInFile { app: shown.to_string() });
            }
            app.secrets_file = None;
        }
        self.read_public_keys(reading, base)
    }

    /// The same for the files of public keys and JWK sets.
    fn read_public_keys(&mut self, reading: Reading, base: &Path) -> Result<(), ConfigError> {
        let jwks_bytes = self.auth.max_jwks_bytes as u64;
        for (name, app) in &mut self.apps {
            let table = format!("apps.{}", name.escape_debug());
            for (index, key) in app.public_keys.iter_mut().enumerate() {
                let Some(path) = &key.file else { continue };
                if key.pem.is_some() {
                    return Err(AppKeyFault::Twice.of(&table, &format!("public_keys[{index}].file")));
                }
                let name = format!("{table}.public_keys[{index}].file");
                key.pem = Some(reading.text(&name, &base.join(path), MAX_KEY_FILE_BYTES)?);
                key.file = None;
            }
            let Some(path) = &app.jwks_file else { continue };
            if app.jwks.is_some() {
                return Err(AppKeyFault::Twice.of(&table, "jwks_file"));
            }
            app.jwks = Some(reading.text(&format!("{table}.jwks_file"), &base.join(path), jwks_bytes)?);
            app.jwks_file = None;
        }
        Ok(())
    }

    /// The default configuration as a file, every key with its meaning beside it.
    pub fn default_toml() -> &'static str {
        include_str!("default.toml")
    }
}

/// The text of the configuration file at `path`.
fn text_of(reading: Reading, path: &Path) -> Result<String, ConfigError> {
    let bytes = reading
        .bytes(path, Config::MAX_FILE_BYTES)
        .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let utf8_error = error.utf8_error();
        not_utf8(error.as_bytes(), utf8_error).in_file(path)
    })?;
    // A file that is being written, or a pipe whose writer has failed, would be the defaults: a server without keys.
    if text.trim().is_empty() { Err(ConfigError::Empty(path.to_owned())) } else { Ok(text) }
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

/// Whether files are read for the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// Each may be a pipe.
    #[default]
    First,
    /// A server runs by what was read before: only regular files are read.
    Again,
}

impl Reading {
    /// All of a file that holds at most `max` bytes; the bound is for what never ends, and for what was named by mistake.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::FileTooLarge`].
    pub fn bytes(self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        if self == Self::Again && !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file, and was read once already"));
        }
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            let message = format!("it is larger than {max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    fn text(self, key: &str, path: &Path, max: u64) -> Result<String, ConfigError> {
        let text = self.bytes(path, max).and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        });
        text.map_err(|error| ConfigError::KeyFile { key: key.to_owned(), path: path.to_owned(), error })
    }
}

/// The secrets in the text of a file: one a line, without the white space around it; blank lines are passed over.
pub fn secrets_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The text of a file of keys or secrets, which `key` names.
///
/// # Errors
/// [`ConfigError::KeyFile`].
#[cfg(feature = "cli")]
pub fn read_key_file(key: &str, path: &Path) -> Result<String, ConfigError> {
    Reading::First.text(key, path, MAX_KEY_FILE_BYTES)
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
