//! What `gannet serve` says once its ports are open.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::Endpoint;

/// The addresses, the number of reactors, and one line to try. Its lines end without a line break at the end.
#[derive(Debug)]
pub struct Banner {
    /// The client port as it was bound.
    pub clients: Vec<Endpoint>,
    /// The backend port as it was bound.
    pub backends: Vec<Endpoint>,
    /// Reactor threads.
    pub reactors: usize,
    /// Whether the backend asks for a key.
    pub with_key: bool,
    /// Whether clients speak TLS.
    pub client_tls: bool,
    /// The certificate of the backend port, where it speaks TLS.
    pub backend_cert: Option<PathBuf>,
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.with_key { " -H \"Authorization: Bearer $GANNET_KEY\"" } else { "" };
        let (ws, http) = (
            if self.client_tls { "wss" } else { "ws" },
            if self.backend_cert.is_some() { "https" } else { "http" },
        );
        let cert = self.backend_cert.as_ref().map(|cert| format!(" --cacert '{}'", cert.display()));
        let cert = cert.unwrap_or_default();
        writeln!(f, "gannet {}", env!("CARGO_PKG_VERSION"))?;
        for client in &self.clients {
            writeln!(f, "  clients   {}", url(ws, client, "/ws"))?;
        }
        for backend in &self.backends {
            writeln!(f, "  backend   {}", url(http, backend, ""))?;
        }
        write!(f, "  reactors  {}", self.reactors)?;
        let socket = self.backends.iter().find_map(|endpoint| match endpoint {
            Endpoint::Unix(path) => Some(format!(" --unix-socket '{}'", path.display())),
            _ => None,
        });
        let address = self.backends.iter().find_map(reachable);
        let (socket, host) = match (address, socket) {
            (Some(address), _) => (String::new(), address.to_string()),
            (None, Some(socket)) => (socket, "localhost".to_owned()),
            // A passed socket without a path.
            (None, None) => return Ok(()),
        };
        write!(f, "\n  try       curl{socket}{cert}{key} -d hello '{http}://{host}/v1/push?all=1'")
    }
}

/// What connects to a place: a URL, behind a Unix socket with the way to it.
fn url(scheme: &str, endpoint: &Endpoint, path: &str) -> String {
    match endpoint {
        Endpoint::Unix(_) | Endpoint::Systemd(_) => format!("{scheme}://localhost{path} over {endpoint}"),
        _ => format!("{scheme}://{endpoint}{path}"),
    }
}

/// An address that a program on this machine can connect to.
fn reachable(endpoint: &Endpoint) -> Option<SocketAddr> {
    let Endpoint::Ip(address) = endpoint else { return None };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Some(SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(clients: &[&str], backends: &[&str], with_key: bool) -> String {
        let all =
            |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a table's address")).collect();
        let (clients, backends) = (all(clients), all(backends));
        Banner { clients, backends, reactors: 4, with_key, client_tls: false, backend_cert: None }.to_string()
    }

    #[test]
    fn it_names_addresses_reactors_and_a_line_to_try() {
        assert_eq!(
            banner(&["127.0.0.1:9000", "[::1]:9000"], &["127.0.0.1:9001", "10.0.0.5:9001"], false),
            format!(
                "gannet {}\n  clients   ws://127.0.0.1:9000/ws\n  clients   ws://[::1]:9000/ws\n  backend   \
                 http://127.0.0.1:9001\n  backend   http://10.0.0.5:9001\n  reactors  4\n  try       curl -d hello \
                 'http://127.0.0.1:9001/v1/push?all=1'",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn a_unix_socket_is_named_with_its_path_and_tried_where_there_is_no_address() {
        let told = banner(&["unix:/run/p.sock"], &["unix:/run/b.sock"], false);
        assert!(told.contains("  clients   ws://localhost/ws over unix:/run/p.sock\n"), "{told}");
        assert!(told.contains("  backend   http://localhost over unix:/run/b.sock\n"), "{told}");
        let line = "curl --unix-socket '/run/b.sock' -d hello 'http://localhost/v1/push?all=1'";
        assert!(told.ends_with(line), "{told}");
        let both = banner(&["127.0.0.1:1"], &["unix:/run/b.sock", "127.0.0.1:7"], false);
        assert!(both.ends_with("curl -d hello 'http://127.0.0.1:7/v1/push?all=1'"), "{both}");
    }

    #[test]
    fn the_line_to_try_works_from_this_machine_and_shows_no_key() {
        let line =
            "curl -H \"Authorization: Bearer $GANNET_KEY\" -d hello 'http://127.0.0.1:7/v1/push?all=1'";
        assert!(banner(&["0.0.0.0:9000"], &["0.0.0.0:7"], true).ends_with(line));
        assert!(
            banner(&["[::]:9000"], &["[::]:7"], false)
                .ends_with("curl -d hello 'http://[::1]:7/v1/push?all=1'")
        );
    }
}
