//! A listening socket, of TCP or of Unix.

use crate::connection::{Peer, Socket};
use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// See the module. It does not block.
pub enum Listener {
    /// Of TCP.
    Tcp(TcpListener),
    /// Of Unix.
    Unix {
        /// Its file, where it is this server's. Dropped before the listener is closed: in between another server could take it
        /// for one that has been left behind.
        _file: Option<SocketFile>,
        /// The listener itself.
        listener: UnixListener,
    },
}

impl Listener {
    /// The next connection, and where its other end is.
    pub fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((stream.into(), address.into()))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((stream.into(), Peer::unix()))
            }
        }
    }

    /// Another descriptor of it.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn share(&self) -> io::Result<OwnedFd> {
        let own = match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        };
        own.try_clone_to_owned()
    }

    /// It is closed here, and its file stays: another process listens there.
    pub fn leave(self) {
        if let Self::Unix { _file: Some(file), .. } = self {
            file.leave();
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix { listener, .. } => listener,
        }
    }
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// The file of a Unix socket that this server has bound; removed when it is dropped, unless another one is at its path by then.
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The one that has just been bound at `path`.
    pub fn bound(path: PathBuf) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self { path, device: metadata.dev(), inode: metadata.ino() })
    }

    /// It stays where it is.
    fn leave(self) {
        // Its own end would remove it.
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // A file that stays is replaced by the next server there.
            let _ = fs::remove_file(&self.path);
        }
    }
}
