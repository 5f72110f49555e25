//! Where a server listens, and how to get at it.

use super::{Backend, DEADLINE, Link, Player, Refusal};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::Instant;

/// The two addresses of a server.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// For players.
    pub client: SocketAddr,
    /// For backends.
    pub backend: SocketAddr,
}

impl Ports {
    /// A player who has been welcomed; `query` says who it is: `user=ada&group=g`.
    pub fn player(self, query: &str) -> Player {
        Player::connect(self.client, query)
    }

    /// A player who asks for `target`, or why there is none.
    pub fn try_player(self, target: &str) -> Result<Player, Refusal> {
        Player::try_connect(self.client, target)
    }

    /// An HTTP connection to the backend port.
    pub fn backend(self) -> Backend {
        Backend::connect(self.backend)
    }

    /// A link.
    pub fn link(self) -> Link {
        Link::connect(self.backend)
    }

    /// A link of the binary form.
    pub fn binary_link(self) -> Link {
        Link::connect_binary(self.backend)
    }

    /// Asks for the totals of `GET /v1/stats` until `enough` says so.
    pub fn await_stats(self, what: &str, mut enough: impl FnMut(&Value) -> bool) -> Value {
        let mut backend = self.backend();
        let started = Instant::now();
        loop {
            let totals = backend.stats();
            if enough(&totals) {
                return totals;
            }
            assert!(started.elapsed() < DEADLINE, "{what} did not come about: {totals:#}");
        }
    }
}

/// A port at which connections are refused. It is bound, and nobody else can listen there before this is dropped.
pub struct ClosedPort(Socket);

impl ClosedPort {
    /// One that the kernel chooses.
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}

/// `text` as it goes into a query or a path.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
