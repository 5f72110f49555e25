//! The stream over real sockets, with real descriptors.

mod batches;

use super::{Counts, Formats, Hello, Line, PROTOCOL, Peer};
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of a line.
fn pair() -> (Line, Line) {
    let (mut old, far_end) = Line::pair().unwrap();
    let mut new = Line::new(far_end, Peer::Old);
    for line in [&mut old, &mut new] {
        line.set_deadline(Instant::now() + PATIENCE);
    }
    (old, new)
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
