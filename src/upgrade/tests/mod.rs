//! The stream over real sockets, with real descriptors.

mod batches;
mod messages;
mod processes;
mod refused;
mod roles;
mod token;

use super::message::Message;
use super::{Counts, Formats, Hello, Line, PROTOCOL, Peer, frame, socket};
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use std::fs::File;
use std::io::{IoSlice, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// More bytes of state than any test sends.
const ROOM: u64 = 1 << 30;

/// Both ends of a line.
fn pair() -> (Line, Line) {
    let (mut old, far_end) = Line::pair().unwrap();
    let mut new = Line::new(far_end, Peer::Old);
    for line in [&mut old, &mut new] {
        line.set_deadline(Instant::now() + PATIENCE);
    }
    (old, new)
}

/// A line whose other end sends these bytes, and descriptors with the first of them, and then no more.
fn receiving(bytes: &[u8], descriptors: &[OwnedFd]) -> (Line, OwnedFd) {
    let (near, far) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    if !bytes.is_empty() {
        let sent = socket::send(far.as_fd(), &[IoSlice::new(bytes)], &borrowed(descriptors));
        assert_eq!(sent, Ok(bytes.len()));
    }
    shutdown(&far, Shutdown::Write).unwrap();
    let mut line = Line::new(near, Peer::Old);
    line.set_deadline(Instant::now() + PATIENCE);
    (line, far)
}

/// What a message is on the stream, with so many descriptors.
fn framed(message: &Message, descriptors: usize) -> Vec<u8> {
    frame::encode(message, descriptors).unwrap()
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        formats: Formats { written: 3, oldest_read: 1, oldest_reader: 2 },
        version: "0.1.0".to_owned(),
        reactors: 4,
        node: "here".to_owned(),
        capabilities: vec!["tls".to_owned()],
        listeners: vec!["clients".to_owned(), "backends".to_owned()],
    }
}

const COUNTS: Counts = Counts { sessions: 7, connections: 9 };

/// A file that says which it is.
fn marked(mark: &str) -> OwnedFd {
    let mut file = File::from(rustix::fs::memfd_create("marked", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(mark.as_bytes()).unwrap();
    file.into()
}

fn mark_of(descriptor: &OwnedFd) -> String {
    let mut file = File::from(descriptor.try_clone().unwrap());
    let mut mark = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut mark).unwrap();
    mark
}

fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(AsFd::as_fd).collect()
}
