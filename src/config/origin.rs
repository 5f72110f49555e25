//! The origins that an app's pages may have: exact ones, and all below a domain.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An origin (RFC 6454 §6.1); with `*.` before its host every origin below that domain, at any depth, the domain itself not
/// among them; or `*`, every origin there is.
///
/// ```
/// use gannet::config::OriginPattern;
/// let below: OriginPattern = "https://*.game.example".parse().unwrap();
/// assert!(below.matches(b"https://eu.game.example"));
/// assert!(!below.matches(b"https://game.example"));
/// assert!(!below.matches(b"http://eu.game.example"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// In lower case, without the port that is the scheme's own. `scheme://` where `below` is set; `*` is every origin.
    start: Box<str>,
    /// `.domain` and perhaps a port, when every host below is meant.
    below: Option<Box<str>>,
}

/// The pattern of every origin.
const ANY: &str = "*";

/// Whether the value of an `Origin` header is that of a page that this machine serves to itself: `http` or `https` from
/// `localhost` or a loopback address, whatever the port.
pub(crate) fn is_loopback(origin: &[u8]) -> bool {
    let Ok(origin) = str::from_utf8(origin) else { return false };
    let origin = origin.to_ascii_lowercase();
    let Some(authority) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
        return false;
    };
    let (host, port) = match authority.strip_prefix("[::1]") {
        Some(port) => ("localhost", port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    let is_host = host == "localhost" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
    has_port && is_host
}

/// A text that is neither an origin nor one with `*.` before its host.
///
/// ```
/// use gannet::config::{InvalidOrigin, OriginPattern};
/// assert_eq!("game.example".parse::<OriginPattern>(), Err(InvalidOrigin));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrigin;

impl OriginPattern {
    /// Whether the value of an `Origin` header is meant.
    pub fn matches(&self, origin: &[u8]) -> bool {
        if &*self.start == ANY {
            return true;
        }
        let Some(below) = &self.below else { return origin.eq_ignore_ascii_case(self.start.as_bytes()) };
        let Some((start, rest)) = origin.split_at_checked(self.start.len()) else { return false };
        let Some((labels, end)) =
            rest.len().checked_sub(below.len()).and_then(|middle| rest.split_at_checked(middle))
        else {
            return false;
        };
        start.eq_ignore_ascii_case(self.start.as_bytes())
            && end.eq_ignore_ascii_case(below.as_bytes())
            && !labels.is_empty()
            && labels.iter().all(|byte| is_host_byte(*byte))
    }
}

impl OriginPattern {
    /// The origin of the pages of `authority`, `host[:port]`, over `scheme`; `None` where that is none.
    pub(crate) fn exact(scheme: &str, authority: &str) -> Option<Self> {
        let pattern: Self = format!("{scheme}://{authority}").parse().ok()?;
        pattern.below.is_none().then_some(pattern)
    }
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.to_ascii_lowercase();
        // What a sandboxed page and a local file have (RFC 6454 §7.1).
        if text == "null" || text == ANY {
            return Ok(Self { start: text.into(), below: None });
        }
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
        let known = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(authority) => (true, authority),
            None => (false, authority),
        };
        if scheme.is_empty() || !known {
            return Err(InvalidOrigin);
        }
        let host = without_own_port(scheme, authority).ok_or(InvalidOrigin)?;
        Ok(match below {
            true => Self { start: format!("{scheme}://").into(), below: Some(format!(".{host}").into()) },
            false => Self { start: format!("{scheme}://{host}").into(), below: None },
        })
    }
}

/// The authority, if it is one, without the port that its scheme has anyway: a browser never says that (RFC 6454 §6.2).
fn without_own_port<'a>(scheme: &str, authority: &'a str) -> Option<&'a str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[end..].find(':') {
        None => (authority, None),
        Some(colon) => (&authority[..end + colon], Some(&authority[end + colon + 1..])),
    };
    let is_v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::parse::<Ipv6Addr>);
    let is_host = match is_v6 {
        Some(parsed) => parsed.is_ok(),
        None => !host.is_empty() && !host.starts_with('.') && host.bytes().all(is_host_byte),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_host || !port.is_none_or(is_port) {
        return None;
    }
    match (scheme, port) {
        ("https", Some("443")) | ("http", Some("80")) => Some(host),
        _ => Some(authority),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.below {
            None => f.write_str(&self.start),
            Some(below) => write!(f, "{}*{below}", self.start),
        }
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "write an origin as https://game.example, https://game.example:8443 or https://*.game.example",
        )
    }
}

impl std::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exact_or_below_a_domain() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "https://game.example",
                &["https://game.example", "HTTPS://Game.Example"],
                &[
                    "http://game.example",
                    "https://game.example:8443",
                    "https://game.example.evil.example",
                    "https://evilgame.example",
                    "https://game.example/",
                    "https://a.game.example",
                    "null",
                    "",
                ],
            ),
            ("https://game.example:443", &["https://game.example"], &["https://game.example:443"]),
            (
                "http://localhost:8080",
                &["http://localhost:8080"],
                &["http://localhost", "http://localhost:80801"],
            ),
            ("http://[::1]:8080", &["http://[::1]:8080"], &["http://[::2]:8080"]),
            (
                "https://*.game.example",
                &["https://a.game.example", "https://a.b.GAME.example"],
                &[
                    "https://game.example",
                    "https://.game.example.",
                    "https://.game.example",
                    "https://evilgame.example",
                    "https://a.game.example:8443",
                    "https://a.game.example.evil",
                    "https://evil.example/.game.example",
                    "https://evil.example#.game.example",
                    "http://a.game.example",
                    "https://",
                ],
            ),
            ("https://*.game.example:8443", &["https://a.game.example:8443"], &["https://a.game.example"]),
            ("null", &["null"], &["https://null"]),
            ("*", &["null", "https://game.example", "file://"], &[]),
        ];
        for (pattern, same, others) in table {
            let pattern: OriginPattern = pattern.parse().unwrap();
            for origin in *same {
                assert!(pattern.matches(origin.as_bytes()), "{origin} is {pattern}");
            }
            for origin in *others {
                assert!(!pattern.matches(origin.as_bytes()), "{origin} is not {pattern}");
            }
        }
    }

    #[test]
    fn pages_of_this_machine_have_loopback_origins() {
        for origin in [
            "http://localhost",
            "https://LOCALHOST:3000",
            "http://127.0.0.1",
            "https://127.255.0.9:65535",
            "http://[::1]",
            "http://[::1]:8080",
        ] {
            assert!(is_loopback(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "",
            "null",
            "file://",
            "ws://localhost",
            "http://localhost.evil.example",
            "http://localhost:evil",
            "http://localhost:",
            "http://localhost/",
            "http://localhost:80/",
            "http://user@localhost",
            "http://127.0.0.1.evil.example",
            "http://127.1",
            "http://128.0.0.1",
            "http://[::2]",
            "http://[::1].evil.example",
            "http://[::1",
            "http://0.0.0.0",
        ] {
            assert!(!is_loopback(origin.as_bytes()), "{origin}");
        }
    }

    #[test]
    fn others_are_no_origins() {
        for text in [
            "",
            "**",
            "*.example",
            "game.example",
            "https://",
            "https://*",
            "https://*.",
            "https://*.*.example",
            "https://a.*.example",
            "https://game.example/",
            "https://user@game.example",
            "://game.example",
            "https://.example",
            "ht tp://game.example",
            "https://gäme.example",
            "https://game.example:443:443",
            "https://game.example:",
            "https://game.example:https",
            "https://[::1",
            "https://[::1]x",
            "https://*.",
        ] {
            assert_eq!(text.parse::<OriginPattern>(), Err(InvalidOrigin), "{text}");
        }
    }
}
