//! A socket that does not block, of TCP or of Unix, with TLS around its bytes or without. Reading and writing are the same system
//! calls for TCP and for Unix, so the type that mio has for TCP carries either, and no message pays for a branch.

use std::io::{self, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::error::TargetError;
use crate::cli::address::server_name;
use crate::client::Trust;

/// What connections to one server speak.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<rustls::ClientConfig>,
    /// What the server's certificate must be for.
    name: ServerName<'static>,
}

impl Tls {
    /// For the server at `host` or `host:port`; `trust` says which certificates are taken.
    ///
    /// # Errors
    /// [`TargetError::Unknown`] where the host is no name, [`TargetError::Tls`] where the certificates cannot be read.
    pub fn new(host: &str, trust: &Trust) -> Result<Self, TargetError> {
        let name = server_name(host).ok_or_else(|| TargetError::Unknown("it is no name".to_owned()))?;
        Ok(Self { config: trust.config().map_err(TargetError::Tls)?, name })
    }
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
            let processed = connection.process_new_packets();
            // Before an error is told, the server gets the alert that says what is wrong.
            let sent = send(connection, socket);
            processed.map_err(io::Error::other)?;
            sent?;
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
            // `flush` sends what is taken here. rustls takes none while it holds its limit, 64 KiB, of what is not sent.
            Self::Tls(connection, socket) => match connection.writer().write(bytes)? {
                0 if !bytes.is_empty() => {
                    send(connection, socket)?;
                    match connection.writer().write(bytes)? {
                        0 => Err(io::ErrorKind::WouldBlock.into()),
                        count => Ok(count),
                    }
                }
                count => Ok(count),
            },
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
