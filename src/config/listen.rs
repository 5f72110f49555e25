//! Where a port listens, as operators write it: one address, or an array of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What Unix sockets begin with.
const UNIX: &str = "unix:";

/// What a socket that systemd passes is written as.
const SYSTEMD: &str = "systemd";

/// Where one port listens.
///
/// ```
/// use gannet::config::{Config, Listen};
/// let config = Config::from_toml("listen = ['127.0.0.1:9000', 'localhost:9002']").unwrap();
/// assert_eq!(config.listen.endpoints().len(), 2);
/// assert_eq!("127.0.0.1:9000".parse::<Listen>(), Ok(Config::default().listen));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen(Vec<Endpoint>);

/// One of the places where a port listens.
///
/// ```
/// use gannet::config::Endpoint;
/// let endpoint: Endpoint = "game.internal:9000".parse().unwrap();
/// assert_eq!(endpoint, Endpoint::Host { name: "game.internal".to_owned(), port: 9000 });
/// assert_eq!(endpoint.to_string(), "game.internal:9000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `127.0.0.1:9000` or `[::1]:9000`; port 0 takes a free one. An IPv6 address takes IPv6 connections alone.
    Ip(SocketAddr),
    /// `localhost:9000`: every address that the name has at the start; port 0 takes one that is free on all of them.
    Host {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// `*:9000` or `:9000`: every interface, IPv4 and IPv6, as far as the machine has them.
    Any {
        /// The port.
        port: u16,
    },
    /// `unix:/run/gannet.sock`: a Unix socket at this path.
    Unix(PathBuf),
    /// `systemd:NAME`: every socket of this name that systemd passes at the start (sd_listen_fds(3)); `systemd`: the next one
    /// whose name no other endpoint has.
    Systemd(Option<String>),
}

/// Why a text is not an [`Endpoint`].
///
/// ```
/// use gannet::config::{Endpoint, InvalidEndpoint};
/// assert_eq!("127.0.0.1".parse::<Endpoint>(), Err(InvalidEndpoint::Port));
/// assert_eq!("::1:9000".parse::<Endpoint>(), Err(InvalidEndpoint::Brackets));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidEndpoint {
    /// It does not end in a colon and a port.
    Port,
    /// An IPv6 address without brackets.
    Brackets,
    /// What stands before the port is neither an address nor the name of a host.
    Host,
    /// What stands behind `unix:` is no path: it is empty or has a byte 0.
    Path,
    /// A name of Linux's abstract namespace stands behind `unix:`.
    Abstract,
    /// What stands behind `systemd:` is no `FileDescriptorName`.
    PassedName,
}

impl Listen {
    /// On each of them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.0
    }

    /// Gives every address and name another port; Unix sockets have none, passed ones have theirs.
    pub fn set_port(&mut self, new: u16) {
        for endpoint in &mut self.0 {
            match endpoint {
                Endpoint::Ip(address) => address.set_port(new),
                Endpoint::Host { port, .. } | Endpoint::Any { port } => *port = new,
                Endpoint::Unix(_) | Endpoint::Systemd(_) => {}
            }
        }
    }

    /// Lets relative paths start at `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        for endpoint in &mut self.0 {
            if let Endpoint::Unix(path) = endpoint {
                *path = base.join(&path);
            }
        }
    }
}

impl Endpoint {
    /// The name of passed sockets that it takes.
    pub(crate) fn passed_name(&self) -> Option<&str> {
        match self {
            Self::Systemd(name) => name.as_deref(),
            _ => None,
        }
    }

    /// Whether no connection to it can come from another machine; a name says that when it is resolved, and what systemd passes
    /// when it is there.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().is_loopback(),
            Self::Host { .. } | Self::Unix(_) | Self::Systemd(_) => true,
            Self::Any { .. } => false,
        }
    }

    /// Whether a connection that is meant for the other one could come here, to whichever address of the machine it is made.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self.ips(), other.ips()) {
            (Some((one_ips, one_port)), Some((other_ips, other_port))) => {
                let all = |ips: &[IpAddr]| ips.iter().any(IpAddr::is_unspecified);
                let same_ip = all(&one_ips) || all(&other_ips) || one_ips == other_ips;
                one_port != 0 && one_port == other_port && same_ip
            }
            _ => self.is_in_the_way_of(other),
        }
    }

    /// Whether the kernel would not let both be bound.
    pub(super) fn is_in_the_way_of(&self, other: &Self) -> bool {
        let (Some((one_ips, one_port)), Some((other_ips, other_port))) = (self.ips(), other.ips()) else {
            return self == other && self.port() != Some(0) && *self != Self::Systemd(None);
        };
        let clash = |one: IpAddr, other: IpAddr| {
            one.is_ipv4() == other.is_ipv4()
                && (one == other || one.is_unspecified() || other.is_unspecified())
        };
        let clashes = || one_ips.iter().any(|one| other_ips.iter().any(|other| clash(*one, *other)));
        one_port != 0 && one_port == other_port && clashes()
    }

    /// The addresses that it stands for, where they are known, and the port.
    fn ips(&self) -> Option<(Vec<IpAddr>, u16)> {
        match self {
            Self::Ip(address) => Some((vec![address.ip()], address.port())),
            Self::Any { port } => {
                Some((vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()], *port))
            }
            Self::Host { .. } | Self::Unix(_) | Self::Systemd(_) => None,
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Host { port, .. } | Self::Any { port } => Some(*port),
            Self::Unix(_) | Self::Systemd(_) => None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    /// An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2) is the IPv4 address: an IPv6 socket that takes IPv6 connections
    /// alone cannot have it.
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => Self::Ip(SocketAddr::from((v4, address.port()))),
            IpAddr::V6(_) => Self::Ip(address),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path {
                "" => Err(InvalidEndpoint::Path),
                path if path.contains('\0') => Err(InvalidEndpoint::Path),
                path if path.starts_with('@') => Err(InvalidEndpoint::Abstract),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if text == SYSTEMD {
            return Ok(Self::Systemd(None));
        }
        if let Some(name) = text.strip_prefix(SYSTEMD).and_then(|rest| rest.strip_prefix(':')) {
            return match is_passed_name(name) {
                true => Ok(Self::Systemd(Some(name.to_owned()))),
                false => Err(InvalidEndpoint::PassedName),
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (name, port) = text.rsplit_once(':').ok_or(InvalidEndpoint::Port)?;
        if text.parse::<Ipv6Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok() {
            return Err(InvalidEndpoint::Brackets);
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or(InvalidEndpoint::Port)?;
        match name {
            "" | "*" => Ok(Self::Any { port }),
            name if is_host(name) => Ok(Self::Host { name: name.to_owned(), port }),
            _ => Err(InvalidEndpoint::Host),
        }
    }
}

/// Whether it can be a name of systemd.socket(5).
fn is_passed_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b':')
}

/// Whether it can be the name of a host (RFC 1123 §2.1), underscores as some networks have them allowed. One whose last label is a
/// number is an address that is none.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    let last = labels.rsplit('.').next().unwrap_or_default();
    labels.len() <= 253 && labels.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Any { port } => write!(f, "*:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Systemd(None) => f.write_str(SYSTEMD),
            Self::Systemd(Some(name)) => write!(f, "{SYSTEMD}:{name}"),
        }
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "an address ends in a colon and a port, 0 to 65535: write it as 127.0.0.1:9000",
            Self::Brackets => "an IPv6 address stands in brackets: write it as [::1]:9000",
            Self::Host => {
                "before the port stands an address, the name of a host, or * for every interface: write it as \
                 127.0.0.1:9000, localhost:9000 or *:9000"
            }
            Self::PassedName => {
                "behind systemd: stands the FileDescriptorName= of a .socket unit, up to 255 ASCII characters without a \
                 colon: write it as systemd:players"
            }
            Self::Path => "behind unix: stands a path: write it as unix:/run/gannet/players.sock",
            Self::Abstract => {
                "behind unix: stands a path, not a name of the abstract namespace, which has no mode and lets anybody in: \
                 write it as unix:/run/gannet/players.sock"
            }
        })
    }
}

impl std::error::Error for InvalidEndpoint {}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self(vec![address.into()])
    }
}

impl FromIterator<Endpoint> for Listen {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().collect())
    }
}

impl FromStr for Listen {
    type Err = InvalidEndpoint;

    /// One endpoint.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        text.parse().map(|endpoint| Self(vec![endpoint]))
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"127.0.0.1:9000\", or an array of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Listen, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Listen, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Listen)
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_written_as_it_is_read() {
        for text in [
            "127.0.0.1:9000",
            "0.0.0.0:0",
            "[::1]:9000",
            "[::]:65535",
            "[fe80::1%2]:9000",
            "localhost:9000",
            "game.internal:9000",
            "my_host.example.:1",
            "*:9000",
            "unix:/run/gannet/players.sock",
            "unix:players.sock",
            "systemd",
            "systemd:players",
            "systemd:players.socket 2",
            "unix:/a path: with/ö",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for (text, shown) in [(":9000", "*:9000"), ("[::ffff:127.0.0.1]:9000", "127.0.0.1:9000")] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn others_are_no_endpoints() {
        for (text, why) in [
            ("", InvalidEndpoint::Port),
            ("9000", InvalidEndpoint::Port),
            ("localhost", InvalidEndpoint::Port),
            ("localhost:", InvalidEndpoint::Port),
            ("localhost:http", InvalidEndpoint::Port),
            ("localhost:+80", InvalidEndpoint::Port),
            ("localhost:65536", InvalidEndpoint::Port),
            ("[::1]", InvalidEndpoint::Port),
            ("::1", InvalidEndpoint::Brackets),
            ("::1:9000", InvalidEndpoint::Brackets),
            ("2001:db8::1:9000", InvalidEndpoint::Brackets),
            ("127.0.0.1.9:9000", InvalidEndpoint::Host),
            ("300.0.0.1:9000", InvalidEndpoint::Host),
            ("[::g]:9000", InvalidEndpoint::Host),
            ("http://localhost:9000", InvalidEndpoint::Host),
            ("a b:9000", InvalidEndpoint::Host),
            ("a..b:9000", InvalidEndpoint::Host),
            (".:9000", InvalidEndpoint::Host),
            ("größe:9000", InvalidEndpoint::Host),
            ("systemd:", InvalidEndpoint::PassedName),
            ("systemd:a:b", InvalidEndpoint::PassedName),
            ("systemd:\u{e4}", InvalidEndpoint::PassedName),
            ("systemd2", InvalidEndpoint::Port),
            ("unix:", InvalidEndpoint::Path),
            ("unix:/a\0b", InvalidEndpoint::Path),
            ("unix:@gannet", InvalidEndpoint::Abstract),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(why), "{text}");
        }
    }

    #[test]
    fn one_is_a_text_and_more_are_an_array() {
        let listen = |value: &str| {
            toml::from_str::<toml::Table>(&format!("l = {value}")).unwrap()["l"].clone().try_into::<Listen>()
        };
        let read = |value: &str| serde_json::to_value(listen(value).unwrap()).unwrap();
        assert_eq!(read("'localhost:1'"), "localhost:1");
        assert_eq!(read("['localhost:1']"), "localhost:1");
        assert_eq!(read("['localhost:1', ':2']"), serde_json::json!(["localhost:1", "*:2"]));
        for (value, why) in [
            ("9000", "an address such as \"127.0.0.1:9000\", or an array of them"),
            ("'9000'", "an address ends in a colon and a port"),
            ("['localhost:1', 'localhost']", "an address ends in a colon and a port"),
            ("['localhost:1', 2]", "expected a string"),
        ] {
            let error = listen(value).unwrap_err().to_string();
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}
