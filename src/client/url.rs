//! `ws://` URLs, RFC 6455 §3.

use std::borrow::Cow;

/// The port where the URL names none.
const DEFAULT_PORT: u16 = 80;

/// The parts of a URL that a client needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    /// Host and port as they stand in the URL: the `Host` header.
    pub(super) authority: &'u str,
    /// A name or an address, without brackets.
    pub(super) host: &'u str,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: Cow<'u, str>,
}

impl<'u> Url<'u> {
    pub(super) fn parse(text: &'u str) -> Option<Self> {
        const SCHEME: &str = "ws://";
        let scheme = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME))?;
        let rest = &text[scheme.len()..];
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
        let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
        (!host.is_empty()).then_some(Self { authority, host, port, path })
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
            ("wss://h/", None),
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
                path: path.into(),
            });
            assert_eq!(Url::parse(text), expected, "{text:?}");
        }
    }
}
