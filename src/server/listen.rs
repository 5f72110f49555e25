//! What a server takes from the machine before it runs: ports, descriptors, cores.

use super::BindError;
use log::{error, info};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The cores that this process may run on.
pub fn one_a_core() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A generation to start from that an earlier run of the server is unlikely to have used, so that its ids are stale.
pub fn first_generation() -> io::Result<u32> {
    getrandom::u32().map_err(io::Error::other)
}

/// Binds a port. A socket accepted on it takes bytes only while the kernel holds less than `unsent_bytes` of it unsent; with
/// 0 the kernel's own bound holds.
pub fn listen(
    address: SocketAddr,
    unsent_bytes: usize,
) -> Result<(mio::net::TcpListener, SocketAddr), BindError> {
    let listener = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit it: a push must not wait for the acknowledgement of the one before.
        socket.set_tcp_nodelay(true)?;
        if let Ok(bytes @ 1..) = u32::try_from(unsent_bytes) {
            // Inherited too. What the kernel does not take stays in the outbox, where it can be replaced, expire and be
            // overtaken.
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    let listener = listener().map_err(|error| BindError::Listen { address, error })?;
    let bound = listener.local_addr().map_err(|error| BindError::Listen { address, error })?;
    Ok((mio::net::TcpListener::from_std(listener), bound))
}

/// A session is a descriptor: takes as many as the machine allows, and says how many those are.
pub fn raise_open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            info!("the limit of open files stays as it is: {error}");
        }
    }
    // What it is now, whatever became of that.
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// Keeps this thread on the core whose turn it is.
pub fn pin_to_core(index: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let mut one = CpuSet::new();
        if let Some(core) = cores.get(index % cores.len().max(1)) {
            one.set(*core);
        }
        sched_setaffinity(None, &one)
    });
    if let Err(error) = pinned {
        error!("reactor {index} runs unpinned: {error}");
    }
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
}
