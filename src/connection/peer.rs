//! Where the other end of a socket is, as accept(2) said. It is kept because the kernel forgets it: once the peer has reset
//! the connection getpeername(2) fails, and what is counted by address would not be counted.

use crate::session::Remote;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address and a port, or the other end of a Unix socket; not the flow and the scope of IPv6, which nothing here needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `None` where it is in `v4`: every idle session has this, and most come over IPv4.
    other: Option<Box<IpAddr>>,
    v4: Ipv4Addr,
    port: u16,
    /// Then the rest says nothing.
    is_unix: bool,
}

impl Peer {
    /// The other end of a Unix socket.
    pub fn unix() -> Self {
        Self { other: None, v4: Ipv4Addr::UNSPECIFIED, port: 0, is_unix: true }
    }

    /// The address with the port, where it has one.
    pub fn remote(&self) -> Remote {
        if self.is_unix {
            return Remote::Unix;
        }
        let ip = self.other.as_deref().copied().unwrap_or(IpAddr::V4(self.v4));
        Remote::Ip(SocketAddr::new(ip, self.port))
    }

    /// The address alone.
    pub fn ip(&self) -> Option<IpAddr> {
        self.remote().ip()
    }
}

impl From<SocketAddr> for Peer {
    /// An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2), which a passed socket for both families gives, is the IPv4 address.
    fn from(address: SocketAddr) -> Self {
        let port = address.port();
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => Self { other: None, v4, port, is_unix: false },
            other => Self { other: Some(Box::new(other)), v4: Ipv4Addr::UNSPECIFIED, port, is_unix: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_kept() {
        for text in ["192.0.2.1:4711", "[2001:db8::1]:1", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Peer::from(address).remote(), Remote::Ip(address));
        }
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:65535".parse().unwrap();
        assert_eq!(Peer::from(mapped).remote().to_string(), "192.0.2.1:65535");
        assert_eq!((Peer::unix().remote(), Peer::unix().ip()), (Remote::Unix, None));
    }
}
