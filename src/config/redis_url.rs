//! The URL of a Redis server.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::percent::{self, Encoded};
use super::{Secret, Shard};

/// The port of a Redis server where the URL has none.
const PORT: u16 = 6379;

/// The highest number of a database that a URL may have. Redis has 16 unless its configuration says otherwise.
const MAX_DB: u32 = 65_535;

/// Where a Redis server is and how to log in: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…` with TLS
/// (`?ca=FILE` for authorities other than the system's), or `redis+unix://[[USER]:PASSWORD@]/PATH[?db=DB]`, in short
/// `unix:///PATH`. User, password and paths are percent-encoded. It is shown without its password.
///
/// ```
/// use gannet::config::{RedisPlace, RedisUrl};
/// let url: RedisUrl = "redis://gannet:open%20sesame@redis.internal/2".parse().unwrap();
/// assert_eq!(*url.place(), RedisPlace::Tcp { host: "redis.internal".to_owned(), port: 6379 });
/// assert_eq!((url.user(), url.db(), url.is_secure()), (Some("gannet"), 2, false));
/// assert_eq!(url.password().unwrap().expose(), "open sesame");
/// assert_eq!(url.to_string(), "redis://gannet:***@redis.internal:6379/2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    place: RedisPlace,
    is_secure: bool,
    /// `None` without TLS.
    ca_file: Option<PathBuf>,
    /// `None` without a password.
    user: Option<String>,
    password: Option<Secret>,
    db: u32,
    /// Of the Redis Cluster that is asked there; `None` where the server stands for itself.
    shard: Option<Shard>,
}

/// Where a Redis server listens.
///
/// ```
/// use gannet::config::{RedisPlace, RedisUrl};
/// let url: RedisUrl = "unix:///run/redis.sock".parse().unwrap();
/// assert_eq!(*url.place(), RedisPlace::Unix("/run/redis.sock".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RedisPlace {
    /// At a port of a host.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port, not 0.
        port: u16,
    },
    /// At the path of a Unix socket.
    Unix(PathBuf),
}

/// Why a text is no [`RedisUrl`]. No message shows a part of the text, which may be a password.
///
/// ```
/// use gannet::config::{InvalidRedisUrl, RedisUrl};
/// assert_eq!("127.0.0.1:6379".parse::<RedisUrl>(), Err(InvalidRedisUrl::Scheme));
/// assert!(InvalidRedisUrl::Port.to_string().contains("1 to 65535"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidRedisUrl {
    /// It begins with none of the schemes.
    Scheme,
    /// The host is missing, or has a character that no host has.
    Host,
    /// The port is none.
    Port,
    /// What stands before the `@` is not `USER:PASSWORD` or `:PASSWORD`.
    Login,
    /// A `%` without two hexadecimal digits behind it, or bytes that are no UTF-8.
    Encoding,
    /// The number of the database is none.
    Db,
    /// The path of a Unix socket is missing or has a byte 0.
    Path,
    /// A parameter that a URL of this scheme does not have.
    Parameter,
    /// The password is `***`, which stands for one where a configuration is printed.
    Shown,
}

impl fmt::Display for InvalidRedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "write it as redis://HOST:PORT, rediss://HOST:PORT for TLS, or redis+unix:///PATH for a Unix socket"
            }
            Self::Host => {
                "the host is missing or has a character that no host has: write it as redis://HOST:PORT, an IPv6 address in \
                 brackets, and what is special in a password percent-encoded (%40 for @, %2F for /)"
            }
            Self::Port => "the port is a number from 1 to 65535, without it 6379",
            Self::Login => "write the login as redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST without a user",
            Self::Encoding => "write %25 for a %: behind a % stand two hexadecimal digits of a byte of UTF-8",
            Self::Db => {
                "the database is a number from 0 to 65535: redis://HOST:PORT/2, or redis+unix:///PATH?db=2 for a Unix socket"
            }
            Self::Path => "the path of the Unix socket is missing: write it as redis+unix:///run/redis.sock",
            Self::Parameter => {
                "the parameters of a URL are ca=FILE for rediss:// and db=NUMBER for redis+unix://, each once"
            }
            Self::Shown => Secret::NOT_SHOWN,
        })
    }
}

impl std::error::Error for InvalidRedisUrl {}

impl RedisUrl {
    /// Where the server listens.
    pub fn place(&self) -> &RedisPlace {
        &self.place
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The PEM file of the authorities that may sign the server's certificate; `None` is the system's.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Who to log in as; `None` is the user `default`.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What to log in with; `None` is not to log in.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The number of the database. Channels have none: it matters only for keys.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// The part of a Redis Cluster that it stands for, wherever in it that is.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// The same, for a part of the Redis Cluster that is asked there.
    pub(crate) fn of_shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// The same at another place of the Redis Cluster; a `host` that is empty is that of this one.
    pub(crate) fn moved_to(&self, host: &str, port: u16) -> Self {
        let host = match &self.place {
            RedisPlace::Tcp { host: own, .. } if host.is_empty() => own,
            _ => host,
        };
        let place = RedisPlace::Tcp { host: host.to_owned(), port };
        let mut moved = self.clone();
        moved.place = place;
        moved
    }

    /// What tells its server from others: where it is, or the part of a Redis Cluster, which is at one place today and at another tomorrow.
    pub(crate) fn identity(&self) -> String {
        self.shard.map_or_else(|| self.place.to_string(), |shard| shard.to_string())
    }

    /// Whether a connection to one leads to the same database as one to the other, whoever logs in.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self.shard, other.shard) {
            (None, None) => {
                (&self.place, self.db, self.is_secure) == (&other.place, other.db, other.is_secure)
            }
            (own, theirs) => own == theirs,
        }
    }

    /// The URL with its password.
    pub(crate) fn expose(&self) -> String {
        let shown = self.to_string();
        match &self.password {
            // Nothing before the login has the text that stands for the password.
            Some(password) => shown.replacen(Secret::SHOWN, &Encoded(password.expose(), "").to_string(), 1),
            None => shown,
        }
    }

    /// The same with a login and with authorities for TLS, as far as it has none of its own.
    pub(super) fn with_defaults(
        mut self,
        user: Option<&str>,
        password: Option<&Secret>,
        ca_file: Option<&Path>,
    ) -> Self {
        if self.password.is_none() {
            self.password = password.cloned();
            self.user = user.filter(|_| password.is_some()).map(str::to_owned);
        }
        if self.is_secure && self.ca_file.is_none() {
            self.ca_file = ca_file.map(Path::to_owned);
        }
        self
    }

    /// Lets a relative path start at `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        if let Some(file) = &mut self.ca_file {
            *file = base.join(&file);
        }
    }

    fn parse(text: &str) -> Result<Self, InvalidRedisUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidRedisUrl::Scheme)?;
        match scheme {
            "redis" => Self::parse_tcp(rest, false),
            "rediss" => Self::parse_tcp(rest, true),
            "redis+unix" | "unix" => Self::parse_unix(rest),
            _ => Err(InvalidRedisUrl::Scheme),
        }
    }

    fn parse_tcp(rest: &str, is_secure: bool) -> Result<Self, InvalidRedisUrl> {
        let (rest, query) = split_query(rest);
        let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password, address) = split_login(authority)?;
        let (host, port) = split_port(address)?;
        let db = if db.is_empty() { 0 } else { parse_db(db)? };
        let ca_file = match parameter(query)? {
            None => None,
            Some(("ca", file)) if is_secure && !file.is_empty() => Some(PathBuf::from(file)),
            Some(_) => return Err(InvalidRedisUrl::Parameter),
        };
        let place = RedisPlace::Tcp { host: host.to_owned(), port };
        Ok(Self { place, is_secure, ca_file, user, password, db, shard: None })
    }

    fn parse_unix(rest: &str) -> Result<Self, InvalidRedisUrl> {
        let (rest, query) = split_query(rest);
        let start = rest.find('/').ok_or(InvalidRedisUrl::Path)?;
        let (login, path) = rest.split_at(start);
        let (user, password, host) = split_login(login)?;
        let path = decode(path)?;
        if !host.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Err(InvalidRedisUrl::Path);
        }
        let db = match parameter(query)? {
            None => 0,
            Some(("db", db)) => parse_db(&db)?,
            Some(_) => return Err(InvalidRedisUrl::Parameter),
        };
        let place = RedisPlace::Unix(path.into());
        Ok(Self { place, is_secure: false, ca_file: None, user, password, db, shard: None })
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => Encoded(&path.to_string_lossy(), "/").fmt(f),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, is_secure, ca_file, user, password, db, shard } = self;
        f.write_str(match place {
            RedisPlace::Unix(_) => "redis+unix://",
            RedisPlace::Tcp { .. } if *is_secure => "rediss://",
            RedisPlace::Tcp { .. } => "redis://",
        })?;
        if let Some(password) = password {
            write!(f, "{}:{password}@", Encoded(user.as_deref().unwrap_or_default(), ""))?;
        }
        place.fmt(f)?;
        match place {
            RedisPlace::Tcp { .. } if *db != 0 => write!(f, "/{db}")?,
            RedisPlace::Unix(_) if *db != 0 => write!(f, "?db={db}")?,
            _ => {}
        }
        if let Some(file) = ca_file {
            write!(f, "?ca={}", Encoded(&file.to_string_lossy(), "/"))?;
        }
        shard.map_or(Ok(()), |shard| shard.fmt(f))
    }
}

fn split_query(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)))
}

/// The one parameter of a query, its value decoded.
fn parameter(query: Option<&str>) -> Result<Option<(&str, String)>, InvalidRedisUrl> {
    let Some(query) = query else { return Ok(None) };
    let (name, value) = query.split_once('=').ok_or(InvalidRedisUrl::Parameter)?;
    match value.contains('&') {
        true => Err(InvalidRedisUrl::Parameter),
        false => Ok(Some((name, decode(value)?))),
    }
}

/// User, password and what stands behind the `@`.
fn split_login(authority: &str) -> Result<(Option<String>, Option<Secret>, &str), InvalidRedisUrl> {
    // The last one: whoever forgot to encode an @ of the password means that one.
    let Some((login, address)) = authority.rsplit_once('@') else { return Ok((None, None, authority)) };
    let (user, password) = login.split_once(':').ok_or(InvalidRedisUrl::Login)?;
    let (user, password) = (decode(user)?, decode(password)?);
    match password.as_str() {
        "" => Err(InvalidRedisUrl::Login),
        "***" => Err(InvalidRedisUrl::Shown),
        _ => Ok(((!user.is_empty()).then_some(user), Some(Secret::new(password)), address)),
    }
}

/// The host of `host[:port]`, without brackets, and the port.
fn split_port(address: &str) -> Result<(&str, u16), InvalidRedisUrl> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(InvalidRedisUrl::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| InvalidRedisUrl::Host)?;
            let behind = port.strip_prefix(':').ok_or(InvalidRedisUrl::Port);
            (host, if port.is_empty() { None } else { Some(behind?) })
        }
        None => {
            let (host, port) =
                address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
            let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            match is_name && !host.is_empty() {
                true => (host, port),
                false => return Err(InvalidRedisUrl::Host),
            }
        }
    };
    let Some(port) = port else { return Ok((host, PORT)) };
    let number = if is_digits(port) { port.parse().ok() } else { None };
    number.filter(|port| *port != 0).map(|port| (host, port)).ok_or(InvalidRedisUrl::Port)
}

fn parse_db(text: &str) -> Result<u32, InvalidRedisUrl> {
    let number = if is_digits(text) { text.parse().ok() } else { None };
    number.filter(|db| *db <= MAX_DB).ok_or(InvalidRedisUrl::Db)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn decode(text: &str) -> Result<String, InvalidRedisUrl> {
    percent::decode(text).ok_or(InvalidRedisUrl::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RedisUrl, InvalidRedisUrl> {
        text.parse()
    }

    #[test]
    fn urls_are_shown_without_their_password_and_with_all_else() {
        for (text, shown) in [
            ("redis://h", "redis://h:6379"),
            ("redis://h/", "redis://h:6379"),
            ("redis://127.0.0.1:7000/15", "redis://127.0.0.1:7000/15"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("redis://[2001:db8::1]:7/0", "redis://[2001:db8::1]:7"),
            ("redis://:p@h:1", "redis://:***@h:1"),
            ("redis://us%3Aer:p@h", "redis://us%3Aer:***@h:6379"),
            ("redis://user:a@b@h", "redis://user:***@h:6379"),
            ("rediss://h_1.x-y:6380/3", "rediss://h_1.x-y:6380/3"),
            ("rediss://h?ca=/etc/my%20ca.pem", "rediss://h:6379?ca=/etc/my%20ca.pem"),
            ("rediss://h/3?ca=ca.pem", "rediss://h:6379/3?ca=ca.pem"),
            ("unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
            ("redis+unix:///run/a%3Fb?db=4", "redis+unix:///run/a%3Fb?db=4"),
            ("redis+unix://u:p@/run/r.sock", "redis+unix://u:***@/run/r.sock"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            if url.password().is_none() {
                assert_eq!(parse(shown).as_ref(), Ok(&url), "what is shown is read as the same");
            }
        }
    }

    #[test]
    fn the_login_is_percent_decoded_and_shown_nowhere() {
        let url = parse("rediss://g%C3%A4st:hunter2%40%2F%3a%25+@h").unwrap();
        assert_eq!((url.user(), url.password().unwrap().expose()), (Some("gäst"), "hunter2@/:%+"));
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        let no_user = parse("redis://:p@h").unwrap();
        assert_eq!((no_user.user(), no_user.password().unwrap().expose()), (None, "p"));
        assert_eq!(parse(&url.to_string()), Err(InvalidRedisUrl::Shown));
    }

    #[test]
    fn an_exposed_url_is_read_as_the_same_and_a_place_has_no_login() {
        for text in [
            "redis://h:7/3",
            "rediss://g%C3%A4st:a%2A%2A%2A%40%2F@h?ca=/c.pem",
            "redis+unix://:%3A@/run/a%3Fb?db=4",
        ] {
            let url = parse(text).unwrap();
            assert_eq!(parse(&url.expose()).as_ref(), Ok(&url), "{text}");
        }
        let same = |one, other| parse(one).unwrap().is_same_place(&parse(other).unwrap());
        assert!(same("redis://h", "redis://u:p@h:6379/0"));
        for other in ["redis://h/1", "rediss://h", "redis://h:1", "redis://i"] {
            assert!(!same("redis://h", other), "{other}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_by_cause_and_without_its_text() {
        use InvalidRedisUrl::*;
        for (text, error) in [
            ("", Scheme),
            ("hunter2:6379", Scheme),
            ("REDIS://hunter2", Scheme),
            ("http://hunter2", Scheme),
            ("redis://", Host),
            ("redis://:6379", Host),
            ("redis://hunter2 x", Host),
            ("redis://[::1", Host),
            ("redis://[hunter2]", Host),
            ("redis://hunter2#x", Host),
            ("redis://:hunter2/x@h", Host),
            ("redis://h:", Port),
            ("redis://h:0", Port),
            ("redis://h:+1", Port),
            ("redis://h:65536", Port),
            ("redis://[::1]6379", Port),
            ("redis://::1", Host),
            ("redis://hunter2@h", Login),
            ("redis://hunter2:@h", Login),
            ("redis://u:hunter2%@h", Encoding),
            ("redis://u:hunter2%4@h", Encoding),
            ("redis://u:hunter2%ff@h", Encoding),
            ("redis://h/x", Db),
            ("redis://h/-1", Db),
            ("redis://h/65536", Db),
            ("redis://h/1/2", Db),
            ("redis+unix:///s?db=", Db),
            ("redis+unix://run/s", Path),
            ("redis+unix://", Path),
            ("redis+unix:///", Path),
            ("redis+unix:///s%00", Path),
            ("redis://h?ca=x", Parameter),
            ("redis://h?db=1", Parameter),
            ("rediss://h?ca=", Parameter),
            ("rediss://h?ca", Parameter),
            ("rediss://h?ca=a&ca=b", Parameter),
            ("redis+unix:///s?ca=b", Parameter),
            ("redis://:***@h", Shown),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_relative_ca_file_starts_at_the_folder_of_the_configuration() {
        for (file, resolved) in [("ca.pem", "/etc/gannet/ca.pem"), ("/ca.pem", "/ca.pem")] {
            let mut url = parse(&format!("rediss://h?ca={file}")).unwrap();
            url.resolve(Path::new("/etc/gannet"));
            assert_eq!(url.ca_file(), Some(Path::new(resolved)));
        }
    }
}
