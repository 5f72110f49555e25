//! The address of a backend port, as `--backend` takes it.

use rustls::pki_types::ServerName;

/// What the address of a Unix socket begins with; its path follows.
const UNIX: &str = "unix:";

/// `host:port` or `unix:/path`, with `http://` or `https://` before it or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    place: &'a str,
    is_secure: bool,
}

impl<'a> Address<'a> {
    /// Takes the text apart; whether there is such a place, connecting tells.
    pub fn parse(text: &'a str) -> Self {
        let (place, is_secure) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(place), _) => (place, true),
            (None, plain) => (plain.unwrap_or(text), false),
        };
        Self { place: place.trim_end_matches('/'), is_secure }
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(self) -> bool {
        self.is_secure
    }

    /// `host:port` or `unix:/path`.
    pub fn place(self) -> &'a str {
        self.place
    }

    /// The path, if it is that of a Unix socket.
    pub fn unix_path(self) -> Option<&'a str> {
        self.place.strip_prefix(UNIX)
    }

    /// The `Host` of requests. Behind a Unix socket it is this machine.
    pub fn host(self) -> &'a str {
        if self.unix_path().is_some() { "localhost" } else { self.place }
    }

    /// The name that the server's certificate must be for; `None` where [`Address::host`] is no name.
    pub fn server_name(self) -> Option<ServerName<'static>> {
        server_name(self.host())
    }
}

/// The name in `host` or `host:port`.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    let has_port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let name = has_port.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name.to_owned().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let table = [
            ("127.0.0.1:9001", false, "127.0.0.1:9001", None, "127.0.0.1:9001"),
            ("http://127.0.0.1:9001/", false, "127.0.0.1:9001", None, "127.0.0.1:9001"),
            ("https://game.example:9001", true, "game.example:9001", None, "game.example:9001"),
            ("unix:/run/gannet.sock", false, "unix:/run/gannet.sock", Some("/run/gannet.sock"), "localhost"),
            ("https://unix:/run/g", true, "unix:/run/g", Some("/run/g"), "localhost"),
        ];
        for (text, is_secure, place, path, host) in table {
            let address = Address::parse(text);
            let found = (address.is_secure(), address.place(), address.unix_path(), address.host());
            assert_eq!(found, (is_secure, place, path, host), "{text}");
        }
    }

    #[test]
    fn a_certificate_is_for_the_host_without_its_port() {
        let table = [
            ("game.example:9001", Some("game.example")),
            ("game.example", Some("game.example")),
            ("[::1]:9001", Some("::1")),
            ("[::1]", Some("::1")),
            ("127.0.0.1:9001", Some("127.0.0.1")),
            ("a b:1", None),
        ];
        for (host, name) in table {
            let name = name.map(|name| ServerName::try_from(name).unwrap());
            assert_eq!(server_name(host), name, "{host}");
        }
    }
}
