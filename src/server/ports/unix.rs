//! Unix sockets: a file is made for each, and one that no server listens on any more is replaced.

use super::BACKLOG;
use crate::config::UnixMode;
use crate::reactor::{Listener, SocketFile};
use mio::net::UnixListener;
use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How long, and how often in it, another server that starts in the same folder is waited for.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Binds a socket at `path` that may be connected to as `mode` says.
///
/// # Errors
/// What the system says; `AddrInUse` where a server listens there, `AlreadyExists` where there is something that is no socket.
pub fn listen(path: &Path, mode: UnixMode) -> io::Result<Listener> {
    let _lock = lock_folder(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_abandoned(path, &address)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = SocketFile::bound(path.to_owned())?;
    // Nobody can connect before it listens: it never stands open to more than `mode` says.
    fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Unix { _file: Some(file), listener: UnixListener::from_std(socket.into()) })
}

/// Whether a socket could be bound at `path`, as far as that can be said without trying. A server may listen there now.
///
/// # Errors
/// `NotFound` where its folder does not exist, `AlreadyExists` as [`listen`].
pub fn check(path: &Path) -> io::Result<()> {
    fs::metadata(folder_of(path))?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(no_socket()),
        _ => Ok(()),
    }
}

/// Removes a socket on which nobody listens, and nothing else.
fn remove_abandoned(path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(no_socket()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => _ = found?,
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // One whose queue is full says so at once instead of letting us wait.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn no_socket() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there")
}

/// Of two servers that start at the same path at once, the one that comes second must not take the socket of the first, which
/// is bound and does not listen yet, for one that has been left behind. Held until it is dropped. Without the lock, where the
/// folder cannot be read or another program holds it, only that is missing.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(folder_of(path)).ok()?;
    let is_locked = (0..LOCK_TRIES).any(|number| {
        if number > 0 {
            thread::sleep(LOCK_PAUSE);
        }
        flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok()
    });
    is_locked.then_some(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
