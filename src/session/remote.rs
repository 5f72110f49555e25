//! Where the client of a session is.

use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How [`Remote::Unix`] is written.
const UNIX: &str = "unix:";

/// Where a client is, as listings, events and the audit trail show it.
///
/// ```
/// use gannet::session::Remote;
/// assert_eq!("127.0.0.1:5000".parse::<Remote>()?.addr(), Some(([127, 0, 0, 1], 5000).into()));
/// assert_eq!("unix:".parse::<Remote>()?, Remote::Unix);
/// assert_eq!(Remote::Unix.to_string(), "unix:");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remote {
    /// At this address; port 0 where a proxy has said none.
    Ip(SocketAddr),
    /// At the other end of a Unix socket, which has no address. It is written `unix:`.
    Unix,
}

impl Remote {
    /// The address with its port.
    pub fn addr(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Unix => None,
        }
    }

    /// The address alone.
    pub fn ip(self) -> Option<IpAddr> {
        self.addr().map(|address| address.ip())
    }
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl FromStr for Remote {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        if text == UNIX { Ok(Self::Unix) } else { text.parse().map(Self::Ip) }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

impl Serialize for Remote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
