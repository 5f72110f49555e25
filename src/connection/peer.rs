//! Where the other end of a socket is, as accept(2) said. It is kept because the kernel forgets it: once the peer has reset
//! the connection getpeername(2) fails, and what is counted by address would not be counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address and a port; not the flow and the scope of IPv6, which nothing here needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `None` where it is in `v4`: every idle session has this, and most come over IPv4.
    other: Option<Box<IpAddr>>,
    v4: Ipv4Addr,
    port: u16,
}

impl Peer {
    /// The address with the port.
    pub fn address(&self) -> SocketAddr {
        let ip = self.other.as_deref().copied().unwrap_or(IpAddr::V4(self.v4));
        SocketAddr::new(ip, self.port)
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        let port = address.port();
        match address.ip() {
            IpAddr::V4(v4) => Self { other: None, v4, port },
            other => Self { other: Some(Box::new(other)), v4: Ipv4Addr::UNSPECIFIED, port },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_kept() {
        for text in ["192.0.2.1:4711", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Peer::from(address).address(), address);
        }
    }
}
