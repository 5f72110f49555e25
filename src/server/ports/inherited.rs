//! Listeners that another process has bound, and that this one takes over: each under the entry of the configuration that it
//! stands for.

use super::tcp::set_tcp_options;
use crate::config::{Endpoint, UnixMode};
use crate::reactor::{Listener, SocketFile};
use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, SockRef};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

/// Those that no entry has taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, OwnedFd)>);

/// One of them, ready to be polled, and where it listens; `None` for a Unix socket that has no path.
pub type Taken = (Listener, Option<Endpoint>);

impl Inherited {
    /// All of them, with their labels.
    pub fn new(listeners: Vec<(String, OwnedFd)>) -> Self {
        Self(listeners)
    }

    /// Those with this label, none where the other process did not listen there. `mode` is that of Unix sockets, whose files are
    /// this server's where they are not `passed` by the service manager.
    ///
    /// # Errors
    /// What the system says of one.
    pub fn claim(
        &mut self,
        label: &str,
        mode: UnixMode,
        unsent_bytes: usize,
        passed: bool,
    ) -> io::Result<Vec<Taken>> {
        let claimed = self.0.extract_if(.., |(other, _)| other == label);
        claimed.map(|(_, socket)| listener(socket, mode, unsent_bytes, passed)).collect()
    }

    /// The labels of those that no entry of this configuration has.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(label, _)| label.as_str())
    }
}

fn listener(socket: OwnedFd, mode: UnixMode, unsent_bytes: usize, passed: bool) -> io::Result<Taken> {
    if SockRef::from(&socket).domain()? != Domain::UNIX {
        let listener = std::net::TcpListener::from(socket);
        set_tcp_options(&SockRef::from(&listener), unsent_bytes)?;
        let addr = listener.local_addr()?.into();
        return Ok((Listener::Tcp(TcpListener::from_std(listener)), Some(addr)));
    }
    let listener = std::os::unix::net::UnixListener::from(socket);
    let path = listener.local_addr()?.as_pathname().map(|path| path.to_owned());
    let own = path.as_ref().filter(|_| !passed);
    // Where somebody has removed the file, nobody can connect to it, and there is nothing to remove at the end.
    let file = own.and_then(|path| SocketFile::bound(path.clone()).ok());
    if let (Some(path), Some(_)) = (own, &file) {
        fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    }
    let listener = Listener::Unix { _file: file, listener: UnixListener::from_std(listener) };
    Ok((listener, path.map(Endpoint::Unix)))
}
