//! A socket that is being connected, to one address after the other.

use super::super::fault::{Fault, FaultKind};
use super::lookup::Target;
use super::wire::{Security, Wire};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::{SockRef, TcpKeepalive};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection is idle before the kernel asks the peer whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A place that is still to be tried.
#[derive(Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A try to connect.
#[derive(Debug)]
pub struct Connecting {
    /// The one that is being connected. `None`: the next place is to be tried.
    socket: Option<TcpStream>,
    left: VecDeque<Place>,
    security: Option<Security>,
    deadline_ms: u64,
    /// Why the last place failed.
    last: Option<io::Error>,
}

impl Connecting {
    /// Begins with the place number `first`, modulo their number, so that one that does not answer is not always waited for.
    pub fn new(target: Target, first: usize, deadline_ms: u64) -> Self {
        let (mut left, security) = match target {
            Target::Unix(path) => (VecDeque::from([Place::Unix(path)]), None),
            Target::Tcp(addresses, security) => {
                (addresses.into_iter().map(Place::Tcp).collect::<VecDeque<_>>(), security)
            }
        };
        let first = first.checked_rem(left.len()).unwrap_or(0);
        left.rotate_left(first);
        Self { socket: None, left, security, deadline_ms, last: None }
    }

    /// When [`go_on`](Self::go_on) has something to do.
    pub fn due_ms(&self) -> u64 {
        if self.socket.is_some() { self.deadline_ms } else { 0 }
    }

    /// Until when it may take.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Begins with the next place if there is no socket.
    ///
    /// # Errors
    /// No place is left, or no time.
    pub fn go_on(
        &mut self,
        registry: &Registry,
        token: Token,
        user_ms: u64,
        now_ms: u64,
    ) -> Result<(), Fault> {
        while self.socket.is_none() {
            let Some(place) = self.left.pop_front() else {
                let error = self.last.take().unwrap_or(io::ErrorKind::NotFound.into());
                return Err(Fault::refused(&error));
            };
            let socket = match &place {
                Place::Tcp(address) => open_tcp(*address, user_ms),
                Place::Unix(path) => open_unix(path),
            };
            let registered = socket.and_then(|mut socket| {
                registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(socket)
            });
            match registered {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => self.last = Some(error),
            }
        }
        match now_ms >= self.deadline_ms {
            true => Err(Fault::new(
                FaultKind::Refused,
                "no connection was made in time: check the host, the port and firewalls",
            )),
            false => Ok(()),
        }
    }

    /// After an event of the socket: whether it is connected. If it failed, the next place is due.
    pub fn is_made(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let failed = match socket.take_error() {
            Ok(None) => match rustix::net::getpeername(socket) {
                Ok(_) => return true,
                Err(rustix::io::Errno::NOTCONN) => return false,
                Err(error) => error.into(),
            },
            Ok(Some(error)) | Err(error) => error,
        };
        (self.socket, self.last) = (None, Some(failed));
        false
    }

    /// The connection that was made.
    ///
    /// # Errors
    /// TLS cannot begin on it.
    pub fn into_wire(self) -> Result<Wire, Fault> {
        let Self { socket: Some(socket), security, .. } = self else {
            return Err(Fault::refused(&io::ErrorKind::NotConnected.into()));
        };
        Wire::new(socket, security.as_ref())
    }
}

fn open_tcp(address: SocketAddr, user_ms: u64) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    // What the peer has not acknowledged after so long ends the connection (tcp(7)); what is idle is looked after by keepalive.
    let user_ms = u32::try_from(user_ms).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&socket, user_ms)?;
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(socket)
}

/// Reading and writing are the same for both kinds of stream socket, so the type that mio has for TCP carries a Unix one.
fn open_unix(path: &Path) -> io::Result<TcpStream> {
    Ok(OwnedFd::from(UnixStream::connect(path)?).into())
}
