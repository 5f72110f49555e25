//! What lies between the socket and the bytes that have a meaning: nothing for most, for some a PROXY header first, or
//! TLS. Knows nothing of what the bytes mean.

use super::budgeted::Budgeted;
use super::kept::Keeping;
use super::outbox::Progress;
use super::{Connection, Flag, Outbox, Settlements, Socket, Stream};
use crate::session::Remote;
use crate::timer::Moment;
use crate::tls::{Received, Scratch, Session};
use std::io::{self, IoSlice, Write};

/// How far a connection is from bytes that have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// They are those of the socket.
    Plain,
    /// A PROXY header has to come first.
    ProxyHeader,
    /// A TLS handshake has to be done first.
    Handshake,
    /// They are inside TLS.
    Tls,
}

/// A socket and the TLS state that its bytes go through, as something to write to.
struct Encrypted<'a> {
    session: &'a mut Session,
    socket: &'a mut Socket,
    scratch: &'a mut Scratch,
}

impl Write for Encrypted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.session.write(self.socket, &[IoSlice::new(bytes)], self.scratch)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.write(self.socket, buffers, self.scratch)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.session.flush(self.socket).map(drop)
    }
}

impl Encrypted<'_> {
    fn write_outbox(
        &mut self,
        outbox: &mut Outbox,
        mut stream: Option<&mut Stream>,
        share: usize,
        now: Moment,
        settlements: &mut Settlements,
        mut keeping: Option<Keeping<'_>>,
    ) -> io::Result<(Progress, Flushed)> {
        let mut socket = Budgeted::new(self, share);
        let mut total = Progress::default();
        loop {
            let progress =
                write(outbox, stream.as_deref_mut(), &mut socket, now, settlements, keeping.as_mut())?;
            total.written += progress.written;
            total.writes += progress.writes;
            if socket.get_ref().session.has_unsent() {
                return Ok((total, Flushed::Blocked));
            }
            // TLS takes over no more than it can hold; only a full socket is a reason to wait for it.
            match Flushed::of(&progress, &socket) {
                Flushed::Blocked => {}
                flushed => return Ok((total, flushed)),
            }
        }
    }
}

/// Writes what waits as frames, or as the events of a stream.
fn write(
    outbox: &mut Outbox,
    stream: Option<&mut Stream>,
    socket: &mut impl Write,
    now: Moment,
    settlements: &mut Settlements,
    keeping: Option<&mut Keeping<'_>>,
) -> io::Result<Progress> {
    match stream {
        None => outbox.write_to(socket, now, settlements, keeping),
        Some(stream) => outbox.write_events_to(stream, socket, now, settlements, keeping),
    }
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left that may be written now, or the connection is at its end.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The socket may take more, but the connection has had its share.
    Share,
}

impl Flushed {
    fn of<S: Write>(progress: &Progress, socket: &Budgeted<'_, S>) -> Self {
        match progress.blocked {
            false => Self::All,
            true if socket.is_spent() => Self::Share,
            true => Self::Blocked,
        }
    }
}

impl Connection {
    /// Where the client is: what a proxy has said, else the other end of the socket.
    pub fn remote(&self) -> Remote {
        let said = self.extras.as_ref().and_then(|extras| extras.remote);
        said.map_or_else(|| self.peer.remote(), Remote::Ip)
    }

    /// Whether no byte that has a meaning can have come, and none may be sent.
    pub fn is_wrapping(&self) -> bool {
        matches!(self.transport, Transport::ProxyHeader | Transport::Handshake)
    }

    /// The TLS state and its socket, where there is one.
    pub fn tls(&mut self) -> Option<(&mut Session, &mut Socket)> {
        match self.transport {
            Transport::Plain | Transport::ProxyHeader => None,
            Transport::Handshake | Transport::Tls => Some((self.tls.as_deref_mut()?, &mut self.stream)),
        }
    }

    /// Reads bytes that have a meaning.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if let Some((session, socket)) = self.tls() {
            return session.read(socket, buffer);
        }
        match io::Read::read(&mut self.stream, buffer) {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Bytes { count, more: count == buffer.len() }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Writes bytes that have a meaning, as far as the socket takes them; in `scratch` they are encrypted.
    pub fn write(&mut self, pieces: &[IoSlice<'_>], scratch: &mut Scratch) -> io::Result<usize> {
        match (self.tls(), pieces) {
            (Some((session, socket)), _) => session.write(socket, pieces, scratch),
            // A `send`: there is no vector to be copied in.
            (None, [bytes]) => self.stream.write(bytes),
            (None, _) => self.stream.write_vectored(pieces),
        }
    }

    /// Writes up to about `share` bytes of what waits in the outbox, as far as the socket takes it: what that came to. What has
    /// been written goes into the ring of `keeping`, where its session may resume.
    pub fn write_outbox(
        &mut self,
        share: usize,
        now: Moment,
        settlements: &mut Settlements,
        scratch: &mut Scratch,
        mut keeping: Option<Keeping<'_>>,
    ) -> io::Result<(Progress, Flushed)> {
        let nothing = (Progress::default(), Flushed::All);
        let stream = match self.flags.has(Flag::Stream) {
            true => self.extras.as_mut().and_then(|extras| extras.stream.as_deref_mut()),
            false => None,
        };
        let Some(outbox) = &mut self.outbox else { return Ok(nothing) };
        let (progress, flushed) = if self.transport == Transport::Plain {
            let mut socket = Budgeted::new(&mut self.stream, share);
            let progress = write(outbox, stream, &mut socket, now, settlements, keeping.as_mut())?;
            (progress, Flushed::of(&progress, &socket))
        } else {
            let Some(session) = self.tls.as_deref_mut() else { return Ok(nothing) };
            Encrypted { session, socket: &mut self.stream, scratch }.write_outbox(
                outbox,
                stream,
                share,
                now,
                settlements,
                keeping,
            )?
        };
        match flushed {
            Flushed::Blocked => {
                self.flags.set(Flag::Blocked);
                outbox.wait_for_socket();
            }
            Flushed::All | Flushed::Share => self.flags.clear(Flag::Blocked),
        }
        Ok((progress, flushed))
    }

    /// Whether TLS holds bytes that the socket has not taken.
    pub fn has_unsent(&self) -> bool {
        self.transport != Transport::Plain && self.tls.as_deref().is_some_and(Session::has_unsent)
    }

    /// Sends what TLS holds, as far as the socket takes it.
    pub fn flush_tls(&mut self) -> io::Result<()> {
        if let Some((session, socket)) = self.tls() {
            if session.flush(socket)? {
                self.flags.clear(Flag::Blocked);
            } else {
                self.flags.set(Flag::Blocked);
            }
        }
        Ok(())
    }
}
