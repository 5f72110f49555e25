//! Where the load goes: a WebSocket URL, resolved once, and where it comes from. Load goes to this
//! machine, unless whoever runs it says that the server is theirs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use super::error::{BenchError, TargetError};
use super::proof;
use super::stream::{Stream, Tls};
use crate::client::Trust;

/// What stands in a URL for the number of the connection.
const SESSION: &str = "{session}";
/// The group that connections join where nothing else is said.
const GROUP: &str = "bench";
/// Source addresses that connections to a loopback address come from: each has ports of its own, so that none is
/// searched for among many taken ones.
const SOURCES: usize = 4096;

/// A WebSocket URL, resolved.
#[derive(Debug, Clone)]
pub struct Target {
    /// As given.
    pub url: String,
    /// `Host` of the upgrade.
    pub host: String,
    /// Where it is.
    pub address: SocketAddr,
    path: String,
    tls: Option<Tls>,
}

impl Target {
    /// Parses and resolves `ws://host[:port][/path][?query]`, or the same with `wss://`; `trust` says whom to believe then.
    ///
    /// # Errors
    /// [`BenchError::Target`]; among others when the host is not this machine and `any_host` is not set.
    pub fn new(url: &str, any_host: bool, trust: &Trust) -> Result<Self, BenchError> {
        let parse = || {
            let (is_secure, rest) = match url.strip_prefix("wss://") {
                Some(rest) => (true, rest),
                None => (false, url.strip_prefix("ws://").ok_or(TargetError::Scheme)?),
            };
            let rest = rest.split('#').next().unwrap_or_default();
            let (host, path) = match rest.find(['/', '?']) {
                Some(at) if rest[at..].starts_with('?') => (&rest[..at], format!("/{}", &rest[at..])),
                Some(at) => (&rest[..at], rest[at..].to_owned()),
                None => (rest, "/".to_owned()),
            };
            let address = resolve(host, if is_secure { 443 } else { 80 }, any_host)?;
            let tls = is_secure.then(|| Tls::new(host, trust)).transpose()?;
            Ok(Self { url: url.to_owned(), host: host.to_owned(), address, path, tls })
        };
        parse().map_err(|error| BenchError::Target { target: url.to_owned(), error })
    }

    /// The same with one more pair in its query.
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        crate::http::percent_encode(value, &mut self.path);
        self
    }

    /// The same with all connections in a group, and that group. A proof in the URL names it, since beside one nothing may;
    /// another server's groups are its own.
    ///
    /// # Errors
    /// [`BenchError::NoGroup`].
    pub fn in_group(self, wanted: Option<&str>, is_foreign: bool) -> Result<(Self, String), BenchError> {
        let group = wanted.unwrap_or(GROUP);
        if is_foreign {
            return Ok((self, group.to_owned()));
        }
        match proof::group(&self.path, wanted).map_err(BenchError::NoGroup)? {
            Some(group) => Ok((self, group)),
            None => Ok((self.with_query("group", group), group.to_owned())),
        }
    }

    /// The same with `path` where the URL has none.
    pub fn with_default_path(mut self, path: &str) -> Self {
        if self.path == "/" {
            self.path = path.to_owned();
        }
        self
    }

    /// Whether each connection has a path of its own.
    pub fn numbers_sessions(&self) -> bool {
        self.path.contains(SESSION)
    }

    /// Path and query of connection `number`.
    pub fn path(&self, number: usize) -> String {
        self.path.replace(SESSION, &number.to_string())
    }

    /// Begins connection `number`.
    pub fn connect(&self, number: usize) -> io::Result<Stream> {
        Stream::new(connect(self.address, number)?, self.tls.as_ref())
    }
}

/// Begins a connection that does not block, from a source address by its number.
pub fn connect(to: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), None)?;
    if let Some(source) = source(to.ip(), number) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn source(to: IpAddr, number: usize) -> Option<IpAddr> {
    let IpAddr::V4(v4) = to else { return None };
    let [_, _, high, low] = u32::try_from(number % SOURCES).unwrap_or_default().to_be_bytes();
    v4.is_loopback().then(|| Ipv4Addr::new(127, 64, high, low).into())
}

/// The address of `host` or `host:port`.
///
/// # Errors
/// [`TargetError::Unknown`]; [`TargetError::NotLoopback`] when it is not this machine and `any_host` is not set.
pub fn resolve(host: &str, default_port: u16, any_host: bool) -> Result<SocketAddr, TargetError> {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let found = match has_port {
        true => host.to_socket_addrs(),
        false => (host.trim_matches(['[', ']']), default_port).to_socket_addrs(),
    };
    let found: Vec<SocketAddr> = found.map_err(|error| TargetError::Unknown(error.to_string()))?.collect();
    let is_here = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
    if !any_host && !found.iter().all(|address| is_here(&address)) {
        return Err(TargetError::NotLoopback);
    }
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| TargetError::Unknown("it has no address".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, TargetError> {
        Target::new(url, false, &Trust::Anybody).map_err(|error| match error {
            BenchError::Target { error, .. } => error,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn urls_are_taken_apart() {
        let table = [
            ("ws://127.0.0.1:9000/ws", "127.0.0.1:9000", "127.0.0.1:9000", "/ws"),
            ("ws://127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:9000", "/"),
            ("ws://127.0.0.1?user=a", "127.0.0.1", "127.0.0.1:80", "/?user=a"),
            ("ws://127.0.0.1/a?b=/c#d", "127.0.0.1", "127.0.0.1:80", "/a?b=/c"),
            ("ws://[::1]:81/ws", "[::1]:81", "[::1]:81", "/ws"),
            ("ws://[::1]/ws", "[::1]", "[::1]:80", "/ws"),
            ("wss://127.0.0.1/ws", "127.0.0.1", "127.0.0.1:443", "/ws"),
            ("wss://[::1]:81/ws", "[::1]:81", "[::1]:81", "/ws"),
        ];
        for (url, host, address, path) in table {
            let target = target(url).expect(url);
            let found = (target.host.as_str(), target.address, target.path(7));
            assert_eq!(found, (host, address.parse().unwrap(), path.to_owned()), "{url}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for url in ["127.0.0.1:9000", "http://127.0.0.1/", ""] {
            assert!(matches!(target(url), Err(TargetError::Scheme)), "{url}");
        }
        assert!(matches!(target("ws://"), Err(TargetError::Unknown(_))));
    }

    #[test]
    fn load_stays_on_this_machine_unless_the_server_is_ones_own() {
        for url in ["ws://192.0.2.1:9000/ws", "ws://0.0.0.0:9000/", "ws://[2001:db8::1]/", "ws://10.0.0.1"] {
            assert!(matches!(target(url), Err(TargetError::NotLoopback)), "{url}");
            assert!(Target::new(url, true, &Trust::Anybody).is_ok(), "{url}");
        }
    }

    #[test]
    fn connections_have_numbers() {
        let target = target("ws://127.0.0.1/sub/{session}?n={session}").unwrap();
        assert!(target.numbers_sessions());
        assert_eq!(target.path(12), "/sub/12?n=12");
        assert_eq!(target.with_query("group", "a b").path(1), "/sub/1?n=1&group=a%20b");
    }

    #[test]
    fn sources_are_spread_where_the_target_is_here() {
        let from = |number| source("127.0.0.1".parse().unwrap(), number).unwrap().to_string();
        assert_eq!(
            [from(0), from(255), from(256), from(4096)],
            ["127.64.0.0", "127.64.0.255", "127.64.1.0", "127.64.0.0"]
        );
        assert_eq!(source("192.0.2.1".parse().unwrap(), 1), None);
        assert_eq!(source("::1".parse().unwrap(), 1), None);
    }
}
