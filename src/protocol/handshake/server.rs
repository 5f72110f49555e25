//! The server's side of the opening handshake: the checks of RFC 6455 §4.2.1 on a request's head that is parsed
//! already, and the 101 response of §4.2.2.

use std::fmt;

use super::{KEY_LENGTH, VERSION, accept_key, is_token, list_elements, parse_extensions, trim_whitespace};

/// A client's valid request to upgrade.
///
/// ```
/// use gannet::protocol::handshake::check_upgrade;
/// let headers = [
///     ("Host", "game.example"),
///     ("Upgrade", "websocket"),
///     ("Connection", "keep-alive, Upgrade"),
///     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
///     ("Sec-WebSocket-Version", "13"),
///     ("Sec-WebSocket-Protocol", "chat, superchat"),
/// ];
/// let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
/// let upgrade = check_upgrade("GET", 1, headers).unwrap();
/// assert_eq!(upgrade.subprotocols, ["chat", "superchat"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade<'h> {
    /// `Sec-WebSocket-Key`: 24 characters of base64.
    pub key: &'h str,
    /// `Sec-WebSocket-Protocol`: tokens, the client's first choice first, no two the same.
    pub subprotocols: Vec<&'h str>,
    /// The values of `Sec-WebSocket-Extensions`, in order, as they came; each conforms to the grammar.
    pub extensions: Vec<&'h str>,
}

/// Why a request is not a valid upgrade, RFC 6455 §4.2.1.
///
/// ```
/// use gannet::protocol::handshake::UpgradeError;
/// assert_eq!(UpgradeError::UnsupportedVersion.status(), 426);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// No `Host`, or more than one.
    Host,
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// No `Sec-WebSocket-Key`, more than one, or not 16 bytes in base64.
    Key,
    /// No `Sec-WebSocket-Version` or more than one.
    Version,
    /// `Sec-WebSocket-Version` is not 13.
    UnsupportedVersion,
    /// `Sec-WebSocket-Protocol` is not a list of tokens, each once.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` does not conform to the grammar of RFC 6455 §9.1.
    Extensions,
}

impl UpgradeError {
    /// The status of the HTTP response. With 426 goes `Sec-WebSocket-Version: 13`, RFC 6455 §4.2.2.
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::UnsupportedVersion => 426,
            _ => 400,
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "use GET to open a WebSocket",
            Self::HttpVersion => "use HTTP/1.1 to open a WebSocket",
            Self::Host => "send the Host header once",
            Self::Upgrade => "this is a WebSocket endpoint: send \"Upgrade: websocket\"",
            Self::Connection => "send \"Connection: Upgrade\"",
            Self::Key => "send Sec-WebSocket-Key once, 16 random bytes in base64",
            Self::Version => "send \"Sec-WebSocket-Version: 13\" once",
            Self::UnsupportedVersion => "only version 13 of the WebSocket protocol is spoken here",
            Self::Subprotocols => "send Sec-WebSocket-Protocol as a list of tokens, each once",
            Self::Extensions => "send Sec-WebSocket-Extensions as a list of extensions with their parameters",
        })
    }
}

impl std::error::Error for UpgradeError {}

/// Checks a request's head. `version_minor` is the 1 of HTTP/1.1.
///
/// # Errors
/// The first check of RFC 6455 §4.2.1 that fails.
pub fn check_upgrade<'h>(
    method: &str,
    version_minor: u8,
    headers: impl Iterator<Item = (&'h str, &'h [u8])> + Clone,
) -> Result<Upgrade<'h>, UpgradeError> {
    let values = |name: &'static str| {
        headers.clone().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| as_text(value))
    };
    if method != "GET" {
        return Err(UpgradeError::Method);
    }
    if version_minor < 1 {
        return Err(UpgradeError::HttpVersion);
    }
    only(values("host")).ok_or(UpgradeError::Host)?;
    if !names_token(values("upgrade"), "websocket") {
        return Err(UpgradeError::Upgrade);
    }
    if !names_token(values("connection"), "upgrade") {
        return Err(UpgradeError::Connection);
    }
    let version = only(values("sec-websocket-version")).ok_or(UpgradeError::Version)?;
    if version != VERSION {
        return Err(UpgradeError::UnsupportedVersion);
    }
    let key = only(values("sec-websocket-key")).filter(|key| is_key(key)).ok_or(UpgradeError::Key)?;

    let mut subprotocols = Vec::new();
    for value in values("sec-websocket-protocol") {
        for name in list_elements(value.ok_or(UpgradeError::Subprotocols)?) {
            // §4.1 item 10: tokens, all unique.
            if !is_token(name) || subprotocols.contains(&name) {
                return Err(UpgradeError::Subprotocols);
            }
            subprotocols.push(name);
        }
    }
    let extensions = values("sec-websocket-extensions")
        // §9.1: a value that does not conform fails the handshake.
        .map(|value| value.filter(|value| parse_extensions(value).is_some()))
        .collect::<Option<_>>()
        .ok_or(UpgradeError::Extensions)?;
    Ok(Upgrade { key, subprotocols, extensions })
}

/// Appends the 101 response to `out`, RFC 6455 §4.2.2. `key` is the client's, `subprotocol` one that it offered,
/// `extension` the value of `Sec-WebSocket-Extensions`.
pub fn write_accept(key: &str, subprotocol: Option<&str>, extension: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_key(key));
    for (name, value) in
        [("\r\nSec-WebSocket-Protocol: ", subprotocol), ("\r\nSec-WebSocket-Extensions: ", extension)]
    {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
}

fn as_text(value: &[u8]) -> Option<&str> {
    if !value.is_ascii() {
        return None;
    }
    std::str::from_utf8(value).ok().map(trim_whitespace)
}

/// The one value of a header that must be there once.
fn only<'h>(mut values: impl Iterator<Item = Option<&'h str>>) -> Option<&'h str> {
    let value = values.next()?;
    if values.next().is_some() { None } else { value }
}

fn names_token<'h>(mut values: impl Iterator<Item = Option<&'h str>>, token: &str) -> bool {
    values.any(|value| {
        value.is_some_and(|value| list_elements(value).any(|element| element.eq_ignore_ascii_case(token)))
    })
}

/// Whether `key` is 16 bytes in base64, §4.2.1 item 5. The last four bits of its 22 characters mean nothing and may be
/// anything: clients draw characters instead of bytes, and the key that §4.1 prints has bits set there.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_LENGTH && key.strip_suffix("==").is_some_and(|text| text.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn valid() -> Vec<(&'static str, &'static [u8])> {
        vec![
            ("Host", b"server.example.com"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Key", KEY.as_bytes()),
            ("Sec-WebSocket-Version", b"13"),
        ]
    }

    fn check<'h>(headers: &[(&'h str, &'h [u8])]) -> Result<Upgrade<'h>, UpgradeError> {
        check_upgrade("GET", 1, headers.iter().copied())
    }

    #[test]
    fn the_request_of_section_1_2_is_accepted() {
        let upgrade = check(&valid()).unwrap();
        assert_eq!(upgrade, Upgrade { key: KEY, subprotocols: vec![], extensions: vec![] });
        let mut out = Vec::new();
        write_accept(upgrade.key, Some("chat"), None, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
    }

    #[test]
    fn method_and_version_of_http() {
        let headers = valid();
        let headers = headers.iter().copied();
        assert_eq!(check_upgrade("POST", 1, headers.clone()), Err(UpgradeError::Method));
        assert_eq!(check_upgrade("get", 1, headers.clone()), Err(UpgradeError::Method));
        assert_eq!(check_upgrade("GET", 0, headers), Err(UpgradeError::HttpVersion));
    }

    #[test]
    fn each_header_is_required_in_its_form() {
        use UpgradeError::*;
        let cases: &[(&str, &[&str], Option<UpgradeError>)] = &[
            ("Host", &[], Some(Host)),
            ("Host", &["a", "b"], Some(Host)),
            ("Host", &[""], None),
            ("Upgrade", &[], Some(Upgrade)),
            ("Upgrade", &["h2c"], Some(Upgrade)),
            ("Upgrade", &["websockets"], Some(Upgrade)),
            ("Upgrade", &["WebSocket"], None),
            ("Upgrade", &["h2c, websocket"], None),
            ("Upgrade", &["h2c", " \tWEBSOCKET "], None),
            ("Connection", &[], Some(Connection)),
            ("Connection", &["keep-alive"], Some(Connection)),
            ("Connection", &["keep-alive, Upgrade"], None),
            ("Connection", &["keep-alive", ",upgrade,"], None),
            ("Connection", &["not-upgrade"], Some(Connection)),
            ("Sec-WebSocket-Version", &[], Some(Version)),
            ("Sec-WebSocket-Version", &["13", "13"], Some(Version)),
            ("Sec-WebSocket-Version", &["8"], Some(UnsupportedVersion)),
            ("Sec-WebSocket-Version", &["013"], Some(UnsupportedVersion)),
            ("Sec-WebSocket-Version", &["13, 8"], Some(UnsupportedVersion)),
            ("Sec-WebSocket-Key", &[], Some(Key)),
            ("Sec-WebSocket-Key", &[KEY, KEY], Some(Key)),
            ("Sec-WebSocket-Key", &[""], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ"], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25j"], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZWZm"], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZ!=="], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ= "], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZ==="], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25j-_=="], Some(Key)),
            ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZR=="], None),
            // The key of §4.1.
            ("Sec-WebSocket-Key", &["AQIDBAUGBwgJCgsMDQ4PEC=="], None),
            ("Sec-WebSocket-Protocol", &["chat", "superchat, v2.json"], None),
            ("Sec-WebSocket-Protocol", &["chat, chat"], Some(Subprotocols)),
            ("Sec-WebSocket-Protocol", &["a b"], Some(Subprotocols)),
            ("Sec-WebSocket-Protocol", &["a/b"], Some(Subprotocols)),
            ("Sec-WebSocket-Extensions", &["permessage-deflate; x=\"é\""], Some(Extensions)),
            ("Sec-WebSocket-Extensions", &["foo; a=1, bar", "baz"], None),
            ("Sec-WebSocket-Extensions", &["foo;"], Some(Extensions)),
            ("Sec-WebSocket-Extensions", &[""], Some(Extensions)),
        ];
        for (name, values, error) in cases {
            let mut headers = valid();
            headers.retain(|(n, _)| n != name);
            headers.extend(values.iter().map(|value| (*name, value.as_bytes())));
            assert_eq!(check(&headers).err(), *error, "{name}: {values:?}");
        }
    }

    #[test]
    fn names_are_compared_without_case() {
        let headers: Vec<(String, &[u8])> =
            valid().into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect();
        assert!(check_upgrade("GET", 1, headers.iter().map(|(name, value)| (name.as_str(), *value))).is_ok());
    }

    #[test]
    fn lists_are_joined_in_order() {
        let mut headers = valid();
        headers.extend([
            ("Sec-WebSocket-Protocol", &b"a, b"[..]),
            ("sec-websocket-extensions", b"x; p=1"),
            ("Sec-WebSocket-Protocol", b" c"),
            ("Sec-WebSocket-Extensions", b"y"),
        ]);
        let upgrade = check(&headers).unwrap();
        assert_eq!(upgrade.subprotocols, ["a", "b", "c"]);
        assert_eq!(upgrade.extensions, ["x; p=1", "y"]);
    }
}
