//! Addresses of TCP: the one that an entry of `listen` is, or all that its name has.

use super::BACKLOG;
use crate::config::Endpoint;
use crate::server::BindError;
use log::warn;
use mio::net::TcpListener;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// How often a port is looked for that is free on every address of a name.
const ATTEMPTS: usize = 32;

/// See the module.
pub struct Addresses {
    all: Vec<SocketAddr>,
    /// Whether an address that the machine does not have is left out, since others stand beside it.
    is_name: bool,
}

impl Addresses {
    /// One that was written down.
    pub fn one(address: SocketAddr) -> Self {
        Self { all: vec![address], is_name: false }
    }

    /// Every interface of both families.
    pub fn any(port: u16) -> Self {
        let (v4, v6) = ((Ipv4Addr::UNSPECIFIED, port), (Ipv6Addr::UNSPECIFIED, port));
        Self { all: vec![v4.into(), v6.into()], is_name: true }
    }

    /// All that the name has now.
    ///
    /// # Errors
    /// [`BindError::Resolve`].
    pub fn resolve(name: &str, port: u16) -> Result<Self, BindError> {
        let failed = |error| BindError::Resolve { name: name.to_owned(), error };
        let mut all = Vec::new();
        for address in (name, port).to_socket_addrs().map_err(failed)? {
            // A name that stands on two lines of /etc/hosts has its address twice.
            if !all.contains(&address) {
                all.push(address);
            }
        }
        match all.is_empty() {
            true => Err(failed(io::Error::new(io::ErrorKind::NotFound, "it has no address"))),
            false => Ok(Self { all, is_name: true }),
        }
    }

    /// Each of its addresses.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.all.iter().map(|address| Endpoint::from(*address))
    }

    /// Binds all of them, on one port.
    ///
    /// # Errors
    /// [`BindError::Listen`].
    pub fn bind(&self, unsent_bytes: usize) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
        let is_taken = |error: &BindError| matches!(error, BindError::Listen { error, .. } if error.kind() == io::ErrorKind::AddrInUse);
        // The port that was free on the first address may be taken on the next.
        let looks_for_port = self.all.len() > 1 && self.all.iter().any(|one| one.port() == 0);
        for _ in 1..ATTEMPTS {
            match self.bind_once(unsent_bytes) {
                Err(error) if looks_for_port && is_taken(&error) => {}
                bound => return bound,
            }
        }
        self.bind_once(unsent_bytes)
    }

    fn bind_once(&self, unsent_bytes: usize) -> Result<Vec<(TcpListener, SocketAddr)>, BindError> {
        let mut bound: Vec<(TcpListener, SocketAddr)> = Vec::new();
        let mut absent = Vec::new();
        for mut address in self.all.iter().copied() {
            if let Some((_, first)) = bound.first() {
                address.set_port(first.port());
            }
            match listen(address, unsent_bytes) {
                Ok(listener) => bound.push(listener),
                Err(error) if self.is_name && is_absent(&error) => absent.push((address, error)),
                Err(error) => return Err(BindError::Listen { address: address.into(), error }),
            }
        }
        let all_absent = bound.is_empty();
        for (address, error) in absent {
            if all_absent {
                return Err(BindError::Listen { address: address.into(), error });
            }
            warn!("does not listen on {address}, which this machine does not have: {error}");
        }
        Ok(bound)
    }
}

/// Whether the machine has no such address, or not its family.
fn is_absent(error: &io::Error) -> bool {
    let of_the_system = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    of_the_system(Errno::ADDRNOTAVAIL) || of_the_system(Errno::AFNOSUPPORT)
}

/// Binds one address. A socket accepted on it takes bytes only while the kernel holds less than `unsent_bytes` of it unsent; with
/// 0 the kernel's own bound holds.
fn listen(address: SocketAddr, unsent_bytes: usize) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and [::] can stand beside each other, and what is said of an address holds for that address.
        socket.set_only_v6(true)?;
    }
    set_tcp_options(&socket, unsent_bytes)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener: std::net::TcpListener = socket.into();
    let bound = listener.local_addr()?;
    Ok((TcpListener::from_std(listener), bound))
}

/// What accepted sockets inherit from their listener.
pub fn set_tcp_options(socket: &Socket, unsent_bytes: usize) -> io::Result<()> {
    // A push must not wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    if let Ok(bytes @ 1..) = u32::try_from(unsent_bytes) {
        // What the kernel does not take stays in the outbox, where it can be replaced, expire and be overtaken.
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::TcpStream;

    /// What the kernel says of a socket that was accepted on a port bound with `unsent_bytes`.
    fn unsent_bytes_of_an_accepted_socket(unsent_bytes: usize) -> u32 {
        let (listener, address) = listen("127.0.0.1:0".parse().unwrap(), unsent_bytes).unwrap();
        let peer = TcpStream::connect(address).unwrap();
        let listener = Socket::from(std::os::fd::OwnedFd::from(listener));
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(peer);
        SockRef::from(&accepted).tcp_notsent_lowat().unwrap()
    }

    #[test]
    fn an_accepted_socket_has_the_bound_of_its_port_on_what_is_unsent() {
        for bytes in [4_096, 16_384, 1 << 30] {
            assert_eq!(unsent_bytes_of_an_accepted_socket(bytes) as usize, bytes);
        }
    }

    #[test]
    fn without_a_bound_of_ours_the_kernels_own_holds() {
        let untouched = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let own = untouched.tcp_notsent_lowat().unwrap();
        assert_eq!(unsent_bytes_of_an_accepted_socket(0), own);
    }

    #[test]
    fn an_address_that_the_machine_does_not_have_is_left_out_beside_others_and_is_an_error_alone() {
        // 192.0.2.0/24 is for documents (RFC 5737): no machine has it.
        let (foreign, own) = ("192.0.2.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
        let bound = Addresses { all: vec![foreign, own], is_name: true }.bind(0).unwrap();
        assert_eq!(
            bound.iter().map(|(_, address)| address.ip().to_string()).collect::<Vec<_>>(),
            ["127.0.0.1"]
        );
        for is_name in [true, false] {
            let refused = Addresses { all: vec![foreign], is_name }.bind(0).unwrap_err().to_string();
            assert!(refused.starts_with("cannot listen on 192.0.2.1:0: "), "{refused}");
        }
        assert!(Addresses { all: vec![foreign, own], is_name: false }.bind(0).is_err());
    }
}
