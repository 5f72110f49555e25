//! `ws://` and `wss://` URLs, RFC 6455 §3.

use std::borrow::Cow;

/// The parts of a URL that a client needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    /// Host and port as they stand in the URL: the `Host` header.
    pub(super) authority: &'u str,
    /// A name or an address, without brackets.
    pub(super) host: &'u str,
    pub(super) port: u16,
    /// `wss://`.
    pub(super) is_secure: bool,
    /// Path and query.
    pub(super) path: Cow<'u, str>,
}

impl<'u> Url<'u> {
    pub(super) fn parse(text: &'u str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        // §3: the port where the URL names none.
        let (is_secure, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "ws" => (false, 80),
            "wss" => (true, 443),
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // §3: a fragment has no meaning.
        if path.contains('#') || authority.contains('@') {
            return None;
        }
        let path = match path.starts_with('/') {
            true => Cow::Borrowed(path),
            false => Cow::Owned(format!("/{path}")),
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
        (!host.is_empty()).then_some(Self { authority, host, port, is_secure, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("ws://localhost:9000/ws?user=ada", Some(("localhost:9000", "localhost", 9000, "/ws?user=ada"))),
            ("WS://game.example", Some(("game.example", "game.example", 80, "/"))),
            ("ws://h?x=1", Some(("h", "h", 80, "/?x=1"))),
            ("ws://[::1]:9000/", Some(("[::1]:9000", "::1", 9000, "/"))),
            ("ws://[::1]", Some(("[::1]", "::1", 80, "/"))),
            ("wss://h/", Some(("h", "h", 443, "/"))),
            ("wss://h:9000/ws", Some(("h:9000", "h", 9000, "/ws"))),
            ("wsss://h/", None),
            ("://h/", None),
            ("http://h/", None),
            ("ws://", None),
            ("ws:///x", None),
            ("ws://h:/", None),
            ("ws://h:99999/", None),
            ("ws://[::1", None),
            ("ws://[::1]9", None),
            ("ws://user@h/", None),
            ("ws://h/#x", None),
            ("", None),
            ("wß://h", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(authority, host, port, path)| Url {
                authority,
                host,
                port,
                is_secure: text.to_lowercase().starts_with("wss"),
                path: path.into(),
            });
            assert_eq!(Url::parse(text), expected, "{text:?}");
        }
    }
}
