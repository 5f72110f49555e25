//! A stream that waits for its reader: descriptors lie in a socketpair, their state in a memfd. The service manager's store
//! keeps one descriptor, the reading end. All else is in it.

use super::InvalidState;
use super::fault::{Cause, Fault, Peer};
use super::frame::{self, Incoming};
use super::line::check_protocol;
use super::message::{Ack, Hello, Listeners, Message};
use super::receiver::Batches;
use super::socket;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The room asked of the kernel for parked messages, in bytes; it gives at most twice `net.core.wmem_max`. A short
/// message takes 768 bytes of it, with 253 descriptors or none.
const BUFFER: usize = 8 << 20;

/// What no process may do to the state any more when it is parked.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// The writing side of a parked stream.
#[derive(Debug)]
pub struct Parking {
    reading: OwnedFd,
    writing: OwnedFd,
    memory: File,
}

impl Parking {
    /// A stream that begins with `hello` and these listeners, by label.
    pub fn new(hello: &Hello, listeners: &[(&str, BorrowedFd<'_>)]) -> Result<Self, Fault> {
        let make = || -> Result<_, Errno> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (writing, reading) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            // What the kernel gives is enough for 10,000 sockets, even unasked.
            let _ = set_socket_send_buffer_size(&writing, BUFFER);
            let memory = memfd_create("gannet-state", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
            Ok(Self { reading, writing, memory: File::from(memory) })
        };
        let parking = make().map_err(|error| fault(Cause::system("make room for the players", error)))?;
        parking.send(&Message::Hello(hello.clone()), &[parking.memory.as_fd()])?;
        let labels = listeners.iter().map(|(label, _)| (*label).to_owned()).collect();
        let descriptors: Vec<_> = listeners.iter().map(|(_, descriptor)| *descriptor).collect();
        parking.send(&Message::Listeners(Listeners { labels }), &descriptors)?;
        Ok(parking)
    }

    pub(super) fn batch(
        &mut self,
        batch: &Message,
        descriptors: &[BorrowedFd<'_>],
        state: &[u8],
    ) -> Result<(), Fault> {
        self.memory.write_all(state).map_err(|error| fault(Cause::system("park the state", error)))?;
        self.send(batch, descriptors)
    }

    pub(super) fn end(&self, end: &Message) -> Result<(), Fault> {
        self.send(end, &[])?;
        fcntl_add_seals(&self.memory, SEALS).map_err(|error| fault(Cause::system("seal the state", error)))
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.reading
    }

    fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Fault> {
        let bytes = frame::encode(message, descriptors.len()).map_err(fault)?;
        loop {
            let sent = socket::send(self.writing.as_fd(), &[IoSlice::new(&bytes)], descriptors);
            return match sent {
                Ok(count) if count == bytes.len() => Ok(()),
                Err(Errno::INTR) => continue,
                // A part of a message is as good as nothing. TOOMANYREFS: more descriptors on the way than may be open.
                Ok(_) | Err(Errno::AGAIN | Errno::TOOMANYREFS) => Err(fault(Cause::Full)),
                Err(error) => Err(fault(Cause::system("park", error))),
            };
        }
    }
}

/// The reading side of a parked stream.
#[derive(Debug)]
pub struct Unparking {
    socket: OwnedFd,
    memory: File,
    /// How much of the state has been read.
    offset: u64,
}

/// What lies before the batches of a parked stream.
#[derive(Debug)]
pub struct Unparked {
    /// Who has parked.
    pub hello: Hello,
    /// Its listeners, by label.
    pub listeners: Vec<(String, OwnedFd)>,
    /// The batches.
    pub unparking: Unparking,
}

impl Unparked {
    /// Reads the beginning of the stream that the service manager has kept.
    ///
    /// # Errors
    /// Also if it speaks another protocol, or if its state can still be changed.
    pub fn read(socket: OwnedFd) -> Result<Self, Fault> {
        Self::begin(socket).map_err(fault)
    }

    fn begin(socket: OwnedFd) -> Result<Self, Cause> {
        let mut incoming = Stored(socket.as_fd());
        let first = frame::receive(&mut incoming)?;
        let (Message::Hello(hello), Some(memory)) = (first.message, first.descriptors.into_iter().next())
        else {
            return Err(InvalidState::new("it does not begin with a hello and its memory").into());
        };
        check_protocol(&hello)?;
        if !fcntl_get_seals(&memory).is_ok_and(|seals| seals.contains(SEALS)) {
            return Err(InvalidState::new("the state is not sealed").into());
        }
        let second = frame::receive(&mut incoming)?;
        let Message::Listeners(Listeners { labels }) = second.message else {
            return Err(Cause::Unexpected(second.message.name()));
        };
        let listeners = labels.into_iter().zip(second.descriptors).collect();
        Ok(Self { hello, listeners, unparking: Unparking { socket, memory: File::from(memory), offset: 0 } })
    }
}

impl Unparking {
    pub(super) fn fault(&self, cause: Cause) -> Fault {
        fault(cause)
    }
}

/// Reads a socket to which nobody writes any more: what is not there is lost.
struct Stored<'s>(BorrowedFd<'s>);

impl Incoming for Stored<'_> {
    type Descriptor = OwnedFd;

    fn read(&mut self, into: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, Cause> {
        loop {
            return match socket::receive(self.0, into, descriptors) {
                Ok(0) | Err(Errno::AGAIN | Errno::CONNRESET) => Err(Cause::Lost),
                Ok(count) => Ok(count),
                Err(Errno::INTR) => continue,
                Err(error) => Err(Cause::system("receive", error)),
            };
        }
    }
}

impl Incoming for Unparking {
    type Descriptor = OwnedFd;

    fn read(&mut self, into: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, Cause> {
        Stored(self.socket.as_fd()).read(into, descriptors)
    }
}

impl Batches for Unparking {
    fn read_state(&mut self, into: &mut [u8]) -> Result<(), Cause> {
        let read = self.memory.read_exact_at(into, self.offset);
        self.offset += into.len() as u64;
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Cause::Lost,
            _ => Cause::system("read the state", error),
        })
    }

    fn acknowledge(&mut self, _ack: Ack) -> Result<(), Cause> {
        Ok(())
    }
}

fn fault(cause: Cause) -> Fault {
    Fault { peer: Peer::Store, step: "", cause }
}
