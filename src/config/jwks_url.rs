//! The URL of a JWK set.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where an issuer publishes its keys: `https://`, or `http://` on this machine, where nobody is on the way.
///
/// ```
/// use gannet::config::JwksUrl;
/// let url: JwksUrl = "https://id.example/keys.json".parse().unwrap();
/// assert_eq!((url.host(), url.port(), url.path()), ("id.example", 443, "/keys.json"));
/// assert!("http://id.example/keys.json".parse::<JwksUrl>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwksUrl {
    text: String,
    is_secure: bool,
    /// Where host and port begin in the text, and where they end.
    authority: (usize, usize),
    host: String,
    port: u16,
}

/// Why a text is no such URL.
///
/// ```
/// let error = "id.example".parse::<gannet::config::JwksUrl>().unwrap_err();
/// assert!(error.to_string().starts_with("write it as https://"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidJwksUrl {
    /// Not `https://HOST[:PORT][/PATH]`.
    Form,
    /// `http://` to another machine: whoever is on the way could publish keys of its own.
    Plain,
}

impl fmt::Display for InvalidJwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "write it as https://HOST[:PORT]/PATH, in ASCII, without user and fragment",
            Self::Plain => "http:// is for this machine only, as http://127.0.0.1:8080/keys: use https://",
        })
    }
}

impl std::error::Error for InvalidJwksUrl {}

impl JwksUrl {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https://`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Host and port as they were written: the value of `Host`.
    pub fn authority(&self) -> &str {
        &self.text[self.authority.0..self.authority.1]
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, which the scheme gives where the text does not.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query; empty where there is none.
    pub fn path(&self) -> &str {
        &self.text[self.authority.1..]
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for JwksUrl {
    type Err = InvalidJwksUrl;

    fn from_str(text: &str) -> Result<Self, InvalidJwksUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidJwksUrl::Form)?;
        let is_secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidJwksUrl::Form),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A target in origin form (RFC 9112 §3.2.1) begins with a slash; what has a space or a line end would be another request.
        let is_target = path.is_empty() || path.starts_with('/');
        if !is_target || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['@', '#', '\\'])
        {
            return Err(InvalidJwksUrl::Form);
        }
        let (host, port) = split_port(authority).ok_or(InvalidJwksUrl::Form)?;
        let port = match port {
            None if is_secure => 443,
            None => 80,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(InvalidJwksUrl::Form)?,
        };
        let is_here =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_secure && !is_here {
            return Err(InvalidJwksUrl::Plain);
        }
        let start = text.len() - rest.len();
        let (text, host, authority) = (text.to_owned(), host.to_owned(), (start, start + end));
        Ok(Self { text, is_secure, authority, host, port })
    }
}

/// The host of `host[:port]`, without brackets, and the port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (!host.is_empty() && port.is_none_or(is_digits)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        use InvalidJwksUrl::{Form, Plain};
        for (text, expected) in [
            ("https://id.example/a?b=c", Ok(("id.example", "id.example", 443, "/a?b=c"))),
            ("https://id.example", Ok(("id.example", "id.example", 443, ""))),
            ("https://id.example:8443/", Ok(("id.example:8443", "id.example", 8443, "/"))),
            ("https://[2001:db8::1]:1/k", Ok(("[2001:db8::1]:1", "2001:db8::1", 1, "/k"))),
            ("http://127.0.0.1:8080/k", Ok(("127.0.0.1:8080", "127.0.0.1", 8080, "/k"))),
            ("http://localhost/k", Ok(("localhost", "localhost", 80, "/k"))),
            ("http://[::1]/k", Ok(("[::1]", "::1", 80, "/k"))),
            ("http://id.example/k", Err(Plain)),
            ("http://10.0.0.1/k", Err(Plain)),
            ("http://localhost.example/k", Err(Plain)),
            ("HTTPS://id.example/", Err(Form)),
            ("ftp://id.example/", Err(Form)),
            ("id.example/k", Err(Form)),
            ("https://", Err(Form)),
            ("https:///k", Err(Form)),
            ("https://id.example?k", Err(Form)),
            ("https://id.example:0/", Err(Form)),
            ("https://id.example:/", Err(Form)),
            ("https://id.example:+1/", Err(Form)),
            ("https://id.example:99999/", Err(Form)),
            ("https://[::1/", Err(Form)),
            ("https://[x]/", Err(Form)),
            ("https://user@id.example/", Err(Form)),
            ("https://id.example/#k", Err(Form)),
            ("https://id.example/a b", Err(Form)),
            ("https://id.example/a\r\nX: y", Err(Form)),
            ("https://\u{69}d\u{e9}.example/", Err(Form)),
            ("", Err(Form)),
        ] {
            let url = text.parse::<JwksUrl>();
            let parts = url.as_ref().map(|url| (url.authority(), url.host(), url.port(), url.path()));
            assert_eq!(parts.map_err(|error| *error), expected, "{text:?}");
        }
    }
}
