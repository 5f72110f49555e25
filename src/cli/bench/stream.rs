//! A socket that does not block, with TLS around its bytes or without.

use std::io::{self, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

/// Whose servers, and under which name.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What is spoken, and who is believed.
    pub config: Arc<rustls::ClientConfig>,
    /// Whom it has to be.
    pub name: ServerName<'static>,
}

/// See the module.
#[derive(Debug)]
pub enum Stream {
    /// The socket alone.
    Plain(TcpStream),
    /// And its TLS.
    Tls(Box<ClientConnection>, TcpStream),
}

impl Stream {
    /// A stream over a socket that may still be connecting.
    pub fn new(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        let Some(Tls { config, name }) = tls else { return Ok(Self::Plain(socket)) };
        let connection = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(connection), socket))
    }

    /// The socket, for its registration.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) | Self::Tls(_, socket) => socket,
        }
    }

    /// Whether a short read says nothing about what is left: TLS gives a record at a time.
    pub fn is_in_records(&self) -> bool {
        matches!(self, Self::Tls(..))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (connection, socket) = match self {
            Self::Plain(socket) => return socket.read(buffer),
            Self::Tls(connection, socket) => (connection, socket),
        };
        loop {
            match connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            let ended = connection.read_tls(socket)? == 0;
            connection.process_new_packets().map_err(io::Error::other)?;
            send(connection, socket)?;
            if ended && connection.is_handshaking() {
                return Ok(0);
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            // All of it is taken over; what the socket does not take is sent by `flush`.
            Self::Tls(connection, _) => connection.writer().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(connection, socket) => send(connection, socket),
        }
    }
}

fn send(connection: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Ok(_) => {}
            // A socket that is still connecting answers so as well.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
