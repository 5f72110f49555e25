//! The socket of a connection, of TCP or of Unix.

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A stream socket that does not block.
///
/// Reading, peeking, writing and shutting down are the same system calls for TCP and for Unix (recv(2), send(2), writev(2),
/// shutdown(2)), so the type that mio has for TCP carries either, and no message pays for a branch. Addresses and options
/// are not the same: nothing here asks for them.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Reads what has come and leaves it there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// Whether the peer acknowledges what it is sent is looked at from now on: what it has not after so long ends the connection
    /// (RFC 9293 §3.8.3, tcp(7)). A Unix socket has no such thing, nor a peer that could vanish.
    pub fn give_up_after_ms(&self, ms: u64) {
        let ms = u32::try_from(ms).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&self.0, ms);
    }

    /// Ends one direction, or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self(OwnedFd::from(stream).into())
    }
}

impl From<OwnedFd> for Socket {
    /// One that does not block already.
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.0.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.0.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.0.deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp() -> [Socket; 2] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let one = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        [one, other].map(|stream| TcpStream::from_std(stream).into())
    }

    fn unix() -> [Socket; 2] {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        [one, other].map(|stream| UnixStream::from_std(stream).into())
    }

    #[test]
    fn either_kind_reads_peeks_writes_and_ends() {
        for [mut one, mut other] in [tcp(), unix()] {
            assert_eq!(one.write(b"ab").unwrap(), 2);
            let mut buffer = [0; 8];
            assert_eq!(other.peek(&mut buffer).unwrap(), 2);
            assert_eq!(other.read(&mut buffer).unwrap(), 2);
            assert_eq!(one.write_vectored(&[IoSlice::new(b"c"), IoSlice::new(b"de")]).unwrap(), 3);
            one.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            other.read_to_end(&mut rest).unwrap();
            assert_eq!((&buffer[..2], rest.as_slice()), (b"ab".as_slice(), b"cde".as_slice()));
        }
    }
}
