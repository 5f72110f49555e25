//! The socket of a link, with TLS around its bytes or without.

use super::super::fault::{Fault, FaultKind};
use crate::config::RedisUrl;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

#[cfg(feature = "tls")]
use {crate::client::Trust, crate::config::RedisPlace, rustls::pki_types::ServerName, std::sync::Arc};

/// Which certificates are believed, and for which name.
#[cfg(feature = "tls")]
#[derive(Debug, Clone)]
pub struct Security {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

/// There is none in a build without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Debug, Clone)]
pub enum Security {}

#[cfg(feature = "tls")]
impl Security {
    /// Reads the authorities from the disk: blocks.
    pub fn load(url: &RedisUrl) -> Result<Self, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::new(FaultKind::Tls, format!("no TLS: {error}"));
        let RedisPlace::Tcp { host, .. } = url.place() else { unreachable!("a path has no TLS") };
        let name = host.clone().try_into().map_err(|error| failed(&error))?;
        let trust = url.ca_file().map_or(Trust::System, |file| Trust::File(file.into()));
        let mut config = Arc::unwrap_or_clone(trust.config().map_err(|error| failed(&error))?);
        // Redis has no name of a protocol, and a proxy before it may refuse one that it does not know.
        config.alpn_protocols.clear();
        Ok(Self { config: Arc::new(config), name })
    }
}

#[cfg(not(feature = "tls"))]
impl Security {
    /// There is none.
    pub fn load(_url: &RedisUrl) -> Result<Self, Fault> {
        let text = "this build has no TLS: build it with the feature `tls`, or write redis://";
        Err(Fault::new(FaultKind::Tls, text))
    }
}

/// A connection that has been made.
#[derive(Debug)]
pub enum Wire {
    /// Its bytes are those of Redis.
    Plain(TcpStream),
    /// Its bytes are TLS.
    #[cfg(feature = "tls")]
    Tls(Box<rustls::ClientConnection>, TcpStream),
}

impl Wire {
    /// What is spoken over `socket`.
    pub fn new(socket: TcpStream, security: Option<&Security>) -> Result<Self, Fault> {
        match security {
            None => Ok(Self::Plain(socket)),
            #[cfg(feature = "tls")]
            Some(Security { config, name }) => {
                let connection = rustls::ClientConnection::new(Arc::clone(config), name.clone());
                let connection =
                    connection.map_err(|error| Fault::new(FaultKind::Tls, format!("no TLS: {error}")))?;
                Ok(Self::Tls(Box::new(connection), socket))
            }
            #[cfg(not(feature = "tls"))]
            Some(security) => match *security {},
        }
    }

    /// What was sent by the peer; 0 is its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(connection, socket) => loop {
                match connection.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // An answer that was cut is none: an end without a close_notify is no other than one with it.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    read => return read,
                }
                // At the end of input the reader above knows.
                connection.read_tls(socket)?;
                connection.process_new_packets().map_err(invalid)?;
                // The handshake and a new key of the peer want an answer.
                send(connection, socket)?;
            },
        }
    }

    /// Takes some of `bytes`, at least one.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(connection, socket) => {
                let written = connection.writer().write(bytes)?;
                send(connection, socket)?;
                // rustls holds as much as it may.
                if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
            }
        }
    }

    /// Sends what was written and has not gone yet, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(connection, socket) => send(connection, socket),
        }
    }
}

/// Sends records until there are none, or the socket is full.
#[cfg(feature = "tls")]
fn send(connection: &mut rustls::ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(feature = "tls")]
fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
