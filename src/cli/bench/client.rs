//! One connection of the load: the upgrade, then messages both ways. It knows nothing of what they are for.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use super::clock::{Clock, Nanos};
use super::error::BenchError;
use super::stream::Stream;
use crate::protocol::handshake::{ClientHandshake, Request, ResponseError};
use crate::protocol::{CloseCode, Event, Input, Limits, ProtocolError, WebSocket};

/// Reads of one connection in one turn; the others have theirs before it goes on.
pub const READS_A_TURN: usize = 16;

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    stage: Stage,
    out: Vec<u8>,
    /// Bytes of `out` that are written; 0 when `out` is empty.
    written: usize,
}

#[derive(Debug)]
enum Stage {
    Handshake(Box<ClientHandshake>),
    Open(WebSocket),
}

/// Something that came.
pub enum Incoming<'a, 'b> {
    /// The server upgraded the connection.
    Opened,
    /// A message, and a way to answer it.
    Message(&'b [u8], Sender<'a>),
}

/// A way to send while a message is read; what is sent goes out when the reading is done.
pub struct Sender<'a> {
    websocket: &'a mut WebSocket,
    out: &'a mut Vec<u8>,
}

/// Whether there is more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Not now.
    Yes,
    /// There may be.
    No,
}

/// Why a connection is gone.
#[derive(Debug)]
pub enum Failure {
    /// The socket.
    Io(io::Error),
    /// The server's answer to the upgrade.
    Response(ResponseError),
    /// The server's frames.
    Protocol(ProtocolError),
    /// The server ended it; with what its Close says, if it sent one that has a code.
    Ended(Option<(CloseCode, String)>),
}

impl Failure {
    /// The same as the failure of connection `number` before it was open.
    pub fn in_handshake(self, number: usize) -> BenchError {
        match self {
            Self::Io(error) => BenchError::Connect { number, error },
            Self::Response(error) => BenchError::Handshake { number, error },
            Self::Protocol(error) => BenchError::Protocol(error),
            Self::Ended(_) => BenchError::Hangup,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Client {
    /// Begins the upgrade on a stream that may still be connecting.
    pub fn start(stream: Stream, request: &Request<'_>) -> Result<Self, BenchError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|error| BenchError::System(io::Error::other(error.to_string())))?;
        let mut out = Vec::new();
        let handshake = ClientHandshake::start(request, nonce, &mut out).map_err(BenchError::Request)?;
        Ok(Self { stream, stage: Stage::Handshake(Box::new(handshake)), out, written: 0 })
    }

    /// The socket, for its registration.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.socket()
    }

    /// Whether the upgrade is done.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.out.len() - self.written
    }

    /// Queues a message; nothing while the connection is not open.
    pub fn send(&mut self, payload: &str, binary: bool) {
        if let Stage::Open(websocket) = &mut self.stage {
            Sender { websocket, out: &mut self.out }.send(payload, binary);
        }
    }

    /// Queues a binary message; nothing while the connection is not open.
    pub fn send_bytes(&mut self, payload: &[u8]) {
        if let Stage::Open(websocket) = &mut self.stage {
            // One that is closing takes nothing more; its end is told by the next read.
            let _ = websocket.send_binary(payload, &mut self.out);
        }
    }

    /// Queues a Close.
    pub fn close(&mut self, code: Option<CloseCode>) {
        if let Stage::Open(websocket) = &mut self.stage {
            // One that is closing already needs no other.
            let _ = websocket.close(code, "", &mut self.out);
        }
    }

    /// Ends the connection with a reset.
    ///
    /// # Errors
    /// What the system said.
    pub fn reset(mut self) -> io::Result<()> {
        SockRef::from(&*self.stream()).set_linger(Some(Duration::ZERO))
    }

    /// Says to the server's socket that nothing more comes. The connection stays, to be read by nobody.
    ///
    /// # Errors
    /// What the system said; among others that the server has ended the connection.
    pub fn end_writing(&mut self) -> io::Result<()> {
        self.stream().shutdown(Shutdown::Write)
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while self.queued() > 0 {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(Failure::Ended(None)),
                Ok(count) => self.written += count,
                // A socket that is still connecting answers so as well.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(self.stream.flush()?)
    }

    /// Reads what has come, hands it over with the time of its read, and writes the answers.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        limits: &Arc<Limits>,
        clock: Clock,
        on: impl FnMut(Incoming<'_, '_>, Nanos),
    ) -> Result<Drained, Failure> {
        self.read_some(READS_A_TURN, buffer, limits, clock, on)
    }

    /// The same with at most so many reads, each of at most `buffer`.
    pub fn read_some(
        &mut self,
        reads: usize,
        buffer: &mut [u8],
        limits: &Arc<Limits>,
        clock: Clock,
        mut on: impl FnMut(Incoming<'_, '_>, Nanos),
    ) -> Result<Drained, Failure> {
        for _ in 0..reads {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(Failure::Ended(None)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained::Yes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let now = clock.now();
            let received = self.receive(&mut buffer[..count], limits, &mut |incoming| on(incoming, now));
            // What was answered before an error goes out, with the Close that says what is wrong.
            let flushed = self.flush();
            received?;
            flushed?;
            if count < buffer.len() && !self.stream.is_in_records() {
                return Ok(Drained::Yes);
            }
        }
        Ok(Drained::No)
    }

    fn receive(
        &mut self,
        bytes: &mut [u8],
        limits: &Arc<Limits>,
        on: &mut impl FnMut(Incoming<'_, '_>),
    ) -> Result<(), Failure> {
        let mut input = Input::new(bytes);
        if let Stage::Handshake(handshake) = &mut self.stage {
            if handshake.receive(&mut input).map_err(Failure::Response)?.is_none() {
                return Ok(());
            }
            self.stage = Stage::Open(WebSocket::client(Arc::clone(limits), mask_keys()));
            on(Incoming::Opened);
        }
        let Stage::Open(websocket) = &mut self.stage else { return Ok(()) };
        while let Some(event) = websocket.receive(&mut input, &mut self.out).map_err(Failure::Protocol)? {
            let sender = Sender { websocket, out: &mut self.out };
            match event {
                Event::Text(text) => on(Incoming::Message(text.as_bytes(), sender)),
                Event::Binary(bytes) => on(Incoming::Message(&bytes, sender)),
                Event::Ping(_) | Event::Pong(_) => {}
                Event::Close(close) => {
                    return Err(Failure::Ended(close.map(|close| (close.code, close.reason.into_owned()))));
                }
            }
        }
        Ok(())
    }
}

impl Sender<'_> {
    /// Queues a message.
    pub fn send(&mut self, payload: &str, binary: bool) {
        // A connection that is closing takes nothing more; its end is told by the next read.
        let _ = match binary {
            true => self.websocket.send_binary(payload.as_bytes(), self.out),
            false => self.websocket.send_text(payload, self.out),
        };
    }
}

/// Masks that differ from frame to frame. The payloads are our own, so a quick generator is random enough (RFC 6455
/// §10.3 guards against payloads that others choose).
fn mask_keys() -> Box<dyn FnMut() -> [u8; 4] + Send> {
    let mut seed = [0; 8];
    // Without randomness the masks are the same on all connections, which no server minds.
    let _ = getrandom::fill(&mut seed);
    let mut state = u64::from_ne_bytes(seed) | 1;
    Box::new(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [a, b, c, d, ..] = state.to_ne_bytes();
        [a, b, c, d]
    })
}
