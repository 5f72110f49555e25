//! Who may open no session of an app, and until when.

use super::Quoted;
use crate::session::{Name, Network};
use std::fmt;
use std::str::FromStr;

/// Who is banned.
///
/// ```
/// use gannet::dispatch::Banned;
/// let banned: Banned = "a:10.0.0.0/8".parse().unwrap();
/// assert_eq!(banned.to_string(), "a:10.0.0.0/8");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Banned {
    /// A user.
    User(Name),
    /// Whoever comes from there.
    Address(Network),
}

/// A ban.
///
/// ```
/// use gannet::dispatch::Ban;
///
/// fn is_for_ever(ban: &Ban) -> bool {
///     ban.until_unix_ms.is_none()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub whom: Banned,
    /// Until when, in milliseconds since the Unix epoch; `None`: until it is taken back.
    pub until_unix_ms: Option<u64>,
    /// Why, as the one who is refused is told: at most 123 bytes.
    pub reason: Box<str>,
}

/// A page of bans, the users before the addresses.
///
/// ```
/// use gannet::dispatch::BanPage;
/// assert!(BanPage::default().next.is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BanPage {
    /// Bans of the app in all.
    pub count: u32,
    /// Those on this page.
    pub bans: Vec<Ban>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<Banned>,
}

/// Users as `u:` and the name, addresses as `a:` and the network: where a page ends.
impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "u:{user}"),
            Self::Address(network) => write!(f, "a:{network}"),
        }
    }
}

impl FromStr for Banned {
    type Err = NotBanned;

    fn from_str(text: &str) -> Result<Self, NotBanned> {
        let wrong = || NotBanned(Quoted(text).to_string().into());
        match text.split_once(':') {
            Some(("u", user)) => Name::new(user).map(Self::User).map_err(|_| wrong()),
            Some(("a", network)) => network.parse().map(Self::Address).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// A text that is no [`Banned`].
///
/// ```
/// use gannet::dispatch::Banned;
/// assert!("x".parse::<Banned>().unwrap_err().to_string().contains("u:"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBanned(Box<str>);

impl fmt::Display for NotBanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not what a page of bans gave as next: u: and a user, or a: and a network", self.0)
    }
}

impl std::error::Error for NotBanned {}
