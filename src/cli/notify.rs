//! The datagrams of sd_notify(3): assignments, one a line, to the socket that `NOTIFY_SOCKET` names.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::time::{ClockId, clock_gettime};

/// The variable that names the socket.
pub const SOCKET: &str = "NOTIFY_SOCKET";
/// The process that the watchdog waits for; without it, whichever asks.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";
const WATCHDOG_PERIOD: &str = "WATCHDOG_USEC";

/// The socket that a value of [`SOCKET`] names: a path, or `@` and the name of an abstract one (unix(7)).
///
/// # Errors
/// It names none.
pub fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => {
            let what = format!("{SOCKET} is neither a path nor @ and a name: {name:?}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

/// Tells the service manager `message`. Without one nothing happens.
///
/// # Errors
/// It cannot be reached.
pub fn tell(message: &str) -> io::Result<()> {
    match env::var_os(SOCKET) {
        Some(name) => send(&address(&name)?, message.as_bytes(), None),
        None => Ok(()),
    }
}

/// The same with a descriptor that goes along.
///
/// # Errors
/// It cannot be reached.
pub fn tell_with(message: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    match env::var_os(SOCKET) {
        Some(name) => send(&address(&name)?, message.as_bytes(), Some(descriptor)),
        None => Ok(()),
    }
}

/// Sends `message` in one datagram, with `descriptor` if there is one.
///
/// # Errors
/// Nobody has got it.
pub fn send(to: &SocketAddr, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(to)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    // A datagram is sent whole or not at all.
    sendmsg(&socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// How often the watchdog wants to hear of this process at least, if there is one.
pub fn watchdog_period() -> Option<Duration> {
    let is_for = |pid: &OsStr| pid.to_str().and_then(|pid| pid.parse().ok()) == Some(process::id());
    let is_ours = env::var_os(WATCHDOG_PID).is_none_or(|pid| is_for(&pid));
    let micros: u64 = env::var(WATCHDOG_PERIOD).ok()?.parse().ok()?;
    (is_ours && micros > 0).then_some(Duration::from_micros(micros))
}

/// The time that systemd wants with `RELOADING=1`, so that it can tell one reload from an earlier one.
pub fn monotonic_usec() -> u128 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32).as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_paths_or_abstract() {
        let abstract_one = address(OsStr::new("@gannet-test")).unwrap();
        assert_eq!(abstract_one.as_abstract_name(), Some(&b"gannet-test"[..]));
        let path = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(path.as_pathname().unwrap().to_str(), Some("/run/systemd/notify"));
        for none in ["", "notify", "vsock:2:1234"] {
            assert!(address(OsStr::new(none)).is_err(), "{none}");
        }
    }

    #[test]
    fn a_message_comes_with_its_descriptor() {
        use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
        use std::io::{IoSliceMut, Read, Write};
        use std::os::fd::AsFd;

        let name = format!("gannet-notify-{}", process::id());
        let to = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&to).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        send(&to, b"FDSTORE=1\n", Some(reader.as_fd())).unwrap();
        let (mut bytes, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got =
            recvmsg(&manager, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
                .unwrap();
        assert_eq!(&bytes[..got.bytes], b"FDSTORE=1\n");
        let Some(RecvAncillaryMessage::ScmRights(mut descriptors)) = ancillary.drain().next() else {
            panic!("no descriptor")
        };
        writer.write_all(b"through").unwrap();
        let mut through = [0; 7];
        io::PipeReader::from(descriptors.next().unwrap()).read_exact(&mut through).unwrap();
        assert_eq!(&through, b"through");
        send(&to, b"READY=1\n", None).unwrap();
        assert_eq!(manager.recv(&mut bytes).unwrap(), 8);
    }
}
