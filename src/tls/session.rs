//! The TLS state of one connection: a handshake, by rustls, and when that is done the [record layer](super::record), which takes
//! its place at once. The socket is lent to it for each call.

use super::established::{Established, Scratch};
use super::handshake::{Handshake, Step};
use super::{Failed, Received, Shaken};
use rustls::{Error, ServerConfig};
use std::io::{self, IoSlice, Read, Write};

/// See the module.
pub struct Session(pub(super) State);

/// Where a session stands.
#[expect(
    clippy::large_enum_variant,
    reason = "the session is in a box already, and few are in the other state"
)]
pub(super) enum State {
    /// It has no keys yet.
    Handshake(Box<Handshake>),
    /// Data may be read and written.
    Established(Established),
}

// What an idle session over TLS costs beside one without, but for the allocator's own 16 bytes.
const _: () = assert!(size_of::<Session>() <= 256);

impl Session {
    /// Before the first byte.
    ///
    /// # Errors
    /// What rustls says of the configuration.
    pub fn new(config: &ServerConfig) -> Result<Self, Error> {
        Ok(Self(State::Handshake(Box::new(Handshake::new(config)?))))
    }

    /// Goes on with the handshake, as far as what has come allows.
    ///
    /// # Errors
    /// [`Failed`]; the alert that tells the peer why has been sent then, if the socket took it.
    pub fn shake(&mut self, socket: &mut (impl Read + Write)) -> Result<Shaken, Failed> {
        let State::Handshake(handshake) = &mut self.0 else { return Ok(Shaken::NotYet) };
        Ok(match handshake.step(socket)? {
            Step::Done(finished) => {
                self.0 = State::Established(Established::new(finished.layer, finished.unsent));
                Shaken::Done(finished.outcome)
            }
            Step::NotYet => Shaken::NotYet,
            Step::Busy => Shaken::Busy,
        })
    }

    /// Reads data, after the handshake.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` when the peer breaks the rules of TLS.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<Received> {
        match &mut self.0 {
            State::Established(session) => session.read(socket, buffer),
            State::Handshake(_) => Ok(Received::Nothing),
        }
    }

    /// Encrypts what there is room for, in `scratch`, and sends what the socket takes. Answers how many bytes it has taken
    /// over: of these up to 32 KiB may still be [unsent](Self::has_unsent).
    ///
    /// # Errors
    /// `WouldBlock` when what was taken over before has to be sent first, `BrokenPipe` when nothing may be sent any more,
    /// and the socket's.
    pub fn write(
        &mut self,
        socket: &mut (impl Read + Write),
        buffers: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match &mut self.0 {
            State::Established(session) => session.write(socket, buffers, scratch),
            State::Handshake(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Sends what is encrypted. Returns whether nothing is left.
    ///
    /// # Errors
    /// The socket's, other than `WouldBlock`.
    pub fn flush(&mut self, socket: &mut (impl Read + Write)) -> io::Result<bool> {
        match &mut self.0 {
            State::Established(session) => session.flush(socket),
            State::Handshake(handshake) => handshake.flush(socket),
        }
    }

    /// Whether something is encrypted and not sent.
    pub fn has_unsent(&self) -> bool {
        match &self.0 {
            State::Established(session) => session.has_unsent(),
            State::Handshake(handshake) => handshake.has_unsent(),
        }
    }

    /// Says that nothing more comes (RFC 8446 §6.1); to be flushed. A second time it says nothing.
    pub fn close(&mut self) {
        match &mut self.0 {
            State::Established(session) => session.close(),
            State::Handshake(handshake) => handshake.close(),
        }
    }

    /// Whether nothing has come yet: any acceptor can begin the handshake, in another process too. In the middle of a
    /// handshake a session can neither begin again nor be [carried](Self::carry).
    pub fn is_untouched(&self) -> bool {
        matches!(&self.0, State::Handshake(handshake) if !handshake.has_read())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
