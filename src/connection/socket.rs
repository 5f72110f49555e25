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
///
/// A session whose client is away has none: nothing comes from it then, and it takes nothing.
#[derive(Debug, Default)]
pub struct Socket(Option<TcpStream>);

const _: () = assert!(cfg!(debug_assertions) || size_of::<Socket>() == size_of::<OwnedFd>());

impl Socket {
    /// Reads what has come and leaves it there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream()?.peek(buffer)
    }

    /// Whether the peer acknowledges what it is sent is looked at from now on: what it has not after so long ends the connection
    /// (RFC 9293 §3.8.3, tcp(7)). A Unix socket has no such thing, nor a peer that could vanish.
    pub fn give_up_after_ms(&self, ms: u64) {
        let ms = u32::try_from(ms).unwrap_or(u32::MAX);
        if let Some(stream) = &self.0 {
            let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, ms);
        }
    }

    /// Ends one direction, or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream()?.shutdown(how)
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Takes it out: there is none from then on.
    pub fn take_out(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        self.0.as_ref().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn stream_mut(&mut self) -> io::Result<&mut TcpStream> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Some(stream))
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self(Some(OwnedFd::from(stream).into()))
    }
}

impl From<OwnedFd> for Socket {
    /// One that does not block already.
    fn from(descriptor: OwnedFd) -> Self {
        Self(Some(descriptor.into()))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream_mut()?.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream_mut()?.write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream_mut()?.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream_mut()?.flush()
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.stream_mut()?.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.stream_mut()?.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream_mut()?.deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_acknowledges_nothing_is_given_up() {
        for (socket, watched) in tcp().into_iter().zip([4_321, u64::MAX]) {
            socket.give_up_after_ms(watched);
            let descriptor = socket.descriptor().unwrap();
            let set = rustix::net::sockopt::tcp_user_timeout(descriptor);
            assert!(set == Ok(watched as u32) || watched == u64::MAX, "{set:?}");
        }
        Socket::default().give_up_after_ms(1);
    }

    #[test]
    fn without_one_nothing_comes_and_nothing_is_taken() {
        let mut socket = tcp().into_iter().next().unwrap();
        let taken = socket.take_out();
        assert!(socket.is_none() && socket.descriptor().is_none() && !taken.is_none());
        let blocked = |result: io::Result<usize>| result.unwrap_err().kind() == io::ErrorKind::WouldBlock;
        assert!(blocked(socket.read(&mut [0; 8])) && blocked(socket.write(b"ab")));
    }

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
