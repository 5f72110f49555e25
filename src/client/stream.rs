//! The socket of a client, with TLS around its bytes or without.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::url::Url;
use super::{ClientConfig, ClientError};

/// See the module.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    #[cfg(feature = "tls")]
    pub(super) fn new(socket: TcpStream, url: &Url<'_>, config: &ClientConfig) -> Result<Self, ClientError> {
        if !url.is_secure {
            return Ok(Self::Plain(socket));
        }
        let name = url.host.to_owned().try_into().map_err(|_| ClientError::Url)?;
        let connection = rustls::ClientConnection::new(config.trust.config()?, name)
            .map_err(|error| ClientError::Tls(error.to_string().into()))?;
        Ok(Self::Tls(Box::new(rustls::StreamOwned::new(connection, socket))))
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn new(socket: TcpStream, url: &Url<'_>, _config: &ClientConfig) -> Result<Self, ClientError> {
        match url.is_secure {
            true => Err(ClientError::Tls("this build has no TLS: build it with the feature `tls`".into())),
            false => Ok(Self::Plain(socket)),
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => &stream.sock,
        }
    }

    pub(super) fn into_socket(self) -> TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            // A close of WebSocket has been said inside: a cut without a close_notify is the same end as one with it.
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
