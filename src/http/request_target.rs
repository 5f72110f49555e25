//! The target of a request line, taken apart, and what a host may look like.

use super::HeadError;
use std::net::Ipv6Addr;

/// The parts of a target (RFC 9112 §3.2): origin form, `*` for OPTIONS, or absolute form, which a server must accept.
pub struct Target<'b> {
    /// Of absolute form only.
    pub authority: Option<&'b str>,
    pub path: &'b str,
    pub query: Option<&'b str>,
}

impl<'b> Target<'b> {
    /// # Errors
    /// [`HeadError::BadTarget`].
    pub fn split(method: &str, target: &'b str) -> Result<Self, HeadError> {
        if target.contains('#') {
            return Err(HeadError::BadTarget);
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(Self { authority: None, path: target, query: None });
        }
        let (authority, local) = match target.starts_with('/') {
            true => (None, target),
            false => split_authority(target).map(|(authority, local)| (Some(authority), local))?,
        };
        let (path, query) = match local.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (local, None),
        };
        Ok(Self { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

fn split_authority(target: &str) -> Result<(&str, &str), HeadError> {
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::BadTarget)?;
    let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, local) = rest.split_at(authority_len);
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    // RFC 9110 §4.2.1: a URI with an empty host is invalid.
    if !is_web || authority.is_empty() || authority.starts_with(':') || !is_host(authority.as_bytes()) {
        return Err(HeadError::BadTarget);
    }
    Ok((authority, local))
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2); an empty host is legal.
pub fn is_host(value: &[u8]) -> bool {
    let (host_ends, is_name) = match value.strip_prefix(b"[") {
        // An address of IPv6, or of a later version, in brackets.
        Some(literal) => match memchr::memchr(b']', literal) {
            Some(length) if is_literal(&literal[..length]) => (length + 2, true),
            _ => return false,
        },
        None => {
            let length = memchr::memchr(b':', value).unwrap_or(value.len());
            (length, is_registered_name(&value[..length]))
        }
    };
    let port = &value[host_ends..];
    is_name
        && (port.is_empty()
            || port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit)))
}

fn is_literal(text: &[u8]) -> bool {
    let text = str::from_utf8(text).unwrap_or_default();
    let is_future = || {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_address =
            !address.is_empty() && address.bytes().all(|byte| byte == b':' || is_name_byte(byte));
        Some(is_version && is_address)
    };
    text.parse::<Ipv6Addr>().is_ok() || is_future() == Some(true)
}

/// Unreserved characters, sub-delims and escapes (RFC 3986 §3.2.2).
fn is_registered_name(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if is_name_byte(*byte) => rest,
            _ => return false,
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        type Parts = Result<(&'static str, Option<&'static str>), HeadError>;
        let table: &[(&str, &str, Parts)] = &[
            ("GET", "/", Ok(("/", None))),
            ("GET", "/?", Ok(("/", Some("")))),
            ("GET", "/a?b?c", Ok(("/a", Some("b?c")))),
            ("GET", "//a", Ok(("//a", None))),
            ("GET", "/größe", Ok(("/größe", None))),
            ("OPTIONS", "*", Ok(("*", None))),
            ("GET", "*", Err(HeadError::BadTarget)),
            ("GET", "http://host:1/a?b", Ok(("/a", Some("b")))),
            ("GET", "HTTP://host", Ok(("/", None))),
            ("GET", "http://host?b", Ok(("/", Some("b")))),
            ("GET", "http:///a", Err(HeadError::BadTarget)),
            ("GET", "http://u@host/a", Err(HeadError::BadTarget)),
            ("GET", "http://:80/a", Err(HeadError::BadTarget)),
            ("GET", "ftp://host/a", Err(HeadError::BadTarget)),
            ("CONNECT", "host:443", Err(HeadError::BadTarget)),
            ("GET", "a", Err(HeadError::BadTarget)),
            ("GET", "/a#b", Err(HeadError::BadTarget)),
        ];
        for (method, target, expected) in table {
            let parts = Target::split(method, target).map(|target| (target.path, target.query));
            assert_eq!(&parts, expected, "{target}");
        }
    }

    #[test]
    fn hosts() {
        let legal = [
            "",
            "a",
            "a:",
            "a:80",
            ":80",
            "A-b.c_d~",
            "1.2.3.4:99999",
            "%e4",
            "a,b",
            "[::1]",
            "[::1]:80",
            "[v1.a:b]",
        ];
        let broken = [
            "a b", "a/b", "a@b", "a:b", "a:80:90", "::1", "[::1", "[::1]a", "[]", "[a]", "a]", "%e", "%zz",
            "[v.a]", "é",
        ];
        for host in legal {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in broken {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
