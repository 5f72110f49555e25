//! The backend port that a load publishes to: `--backend`, resolved once. Over TCP or a Unix socket, with TLS or without.

use std::io;
use std::net::{SocketAddr, TcpStream};

use super::error::{BenchError, TargetError};
use super::stream::{Stream, Tls};
use super::target::{connect, resolve};
use crate::cli::address::Address;
use crate::cli::backend::BackendArgs;
use crate::cli::http_client::{open_unix, with_timeouts};

/// See the module.
#[derive(Debug, Clone)]
pub struct Backend {
    host: String,
    place: Place,
    tls: Option<Tls>,
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(String),
}

impl Backend {
    /// Resolves the address, reads the certificates to take.
    ///
    /// # Errors
    /// [`BenchError::Target`]; among others when the host is not this machine and `any_host` is not set.
    pub fn new(args: &BackendArgs, any_host: bool) -> Result<Self, BenchError> {
        let address = Address::parse(args.address());
        let find = || -> Result<Self, TargetError> {
            let place = match address.unix_path() {
                Some(path) => Place::Unix(path.to_owned()),
                None => {
                    let port = if address.is_secure() { 443 } else { 80 };
                    Place::Tcp(resolve(address.place(), port, any_host)?)
                }
            };
            let tls = address.is_secure().then(|| Tls::new(address.host(), &args.trust())).transpose()?;
            Ok(Self { host: address.host().to_owned(), place, tls })
        };
        find().map_err(|error| BenchError::Target { target: args.address().to_owned(), error })
    }

    /// The `Host` of requests.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Begins connection `number`, which does not block.
    pub fn connect(&self, number: usize) -> io::Result<Stream> {
        let socket = match &self.place {
            Place::Tcp(address) => connect(*address, number)?,
            // A Unix socket connects at once, or waits for room in the server's queue.
            Place::Unix(path) => {
                let socket = open_unix(path)?;
                socket.set_nonblocking(true)?;
                mio::net::TcpStream::from_std(socket.into())
            }
        };
        Stream::new(socket, self.tls.as_ref())
    }

    /// Makes a connection that blocks; every wait on it is bounded.
    pub fn connect_blocking(&self) -> io::Result<Stream> {
        let socket = match &self.place {
            Place::Tcp(address) => with_timeouts(TcpStream::connect(address)?)?,
            Place::Unix(path) => open_unix(path)?.into(),
        };
        Stream::new(mio::net::TcpStream::from_std(socket), self.tls.as_ref())
    }
}
