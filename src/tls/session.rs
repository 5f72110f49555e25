//! The TLS state of one connection, over a socket that is lent to it for each call.

use super::{Failed, Received, Shaken};
use crate::metrics::TlsOutcome;
use rustls::{Error, HandshakeKind, InvalidMessage, ServerConfig, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// Bytes that are encrypted and not yet sent, at most: two records' worth. What does not fit stays with the caller.
const MAX_UNSENT: usize = 32 * 1024;

/// Reads of the socket in one look at a handshake, or for one answer about application data: each takes up to 4 KiB, and
/// a peer can send records that carry nothing for ever.
const MAX_READS: usize = 16;

/// See the module.
pub struct Session {
    connection: ServerConnection,
}

impl Session {
    /// Before the first byte.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Self, Error> {
        let mut connection = ServerConnection::new(Arc::clone(config))?;
        connection.set_buffer_limit(Some(MAX_UNSENT));
        Ok(Self { connection })
    }

    /// Goes on with the handshake, as far as what has come allows.
    ///
    /// # Errors
    /// [`Failed`]; the alert that tells the peer why has been sent then, if the socket took it.
    pub fn shake(&mut self, socket: &mut (impl Read + Write)) -> Result<Shaken, Failed> {
        let gone = |message: &str| Failed { outcome: TlsOutcome::Gone, message: message.into() };
        for _ in 0..MAX_READS {
            match self.connection.read_tls(socket) {
                Ok(0) => return Err(gone("the peer ended the connection")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Shaken::NotYet),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(gone(&error.to_string())),
            }
            let processed = self.connection.process_new_packets().map(drop);
            let flushed = self.flush(socket);
            processed
                .map_err(|error| Failed { outcome: outcome_of(&error), message: error.to_string().into() })?;
            flushed.map_err(|error| gone(&error.to_string()))?;
            if !self.connection.is_handshaking() {
                return Ok(Shaken::Done(match self.connection.handshake_kind() {
                    Some(HandshakeKind::Resumed) => TlsOutcome::Resumed,
                    _ => TlsOutcome::Full,
                }));
            }
        }
        Ok(Shaken::Busy)
    }

    /// Reads application data, after the handshake.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` when the peer breaks the rules of TLS.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<Received> {
        for _ in 0..MAX_READS {
            match self.connection.reader().read(buffer) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => return Ok(Received::Bytes(count)),
                // Frames and bodies have lengths of their own: a cut can be told from an end without a close_notify.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Received::End),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match self.connection.read_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let processed = self.connection.process_new_packets().map(drop);
            // An alert, or the answer to an update of keys.
            self.flush(socket)?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Ok(Received::Busy)
    }

    /// Encrypts what there is room for and sends what the socket takes. Answers how many bytes it has taken over: of
    /// these up to 32 KiB may still be [unsent](Self::has_unsent).
    ///
    /// # Errors
    /// `WouldBlock` when what was taken over before has to be sent first, and the socket's.
    pub fn write(&mut self, socket: &mut (impl Read + Write), buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write_vectored(buffers)?;
        self.flush(socket)?;
        Ok(taken)
    }

    /// Sends what is encrypted. Returns whether nothing is left.
    ///
    /// # Errors
    /// The socket's, other than `WouldBlock`.
    pub fn flush(&mut self, socket: &mut (impl Read + Write)) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether something is encrypted and not sent.
    pub fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    /// Says that nothing more comes (RFC 8446 §6.1); to be flushed. A second time it says nothing.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn outcome_of(error: &Error) -> TlsOutcome {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsOutcome::NotTls,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsOutcome::Incompatible,
        Error::AlertReceived(_) => TlsOutcome::Refused,
        _ => TlsOutcome::Misbehaved,
    }
}
