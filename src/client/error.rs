//! What can go wrong with a client.

use std::{fmt, io};

use crate::protocol::handshake::{RequestError, ResponseError};
use crate::protocol::{ProtocolError, SendError};

/// Why a client's call failed.
///
/// ```
/// use gannet::client::{Client, ClientError};
/// assert!(matches!(Client::connect("http://localhost"), Err(ClientError::Url)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// Not a `ws://` or `wss://` URL with a host.
    Url,
    /// TLS cannot begin: the message says why.
    Tls(Box<str>),
    /// The system has no randomness to give.
    Random,
    /// The socket failed, or the timeout is over.
    Io(io::Error),
    /// The request would not be valid.
    Request(RequestError),
    /// The server refused, or does not speak the protocol.
    Response(ResponseError),
    /// The server's extensions do not answer the offer.
    Extensions,
    /// The server broke the protocol; it was told, and the connection is over.
    Protocol(ProtocolError),
    /// The frame may not be sent.
    Send(SendError),
    /// The stream ended without a Close.
    Disconnected,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("give the server as ws://HOST[:PORT][/PATH] or wss://…"),
            Self::Tls(message) => f.write_str(message),
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Io(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::Extensions => f.write_str("the server's extensions do not answer the offer"),
            Self::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            Self::Send(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the server ended the connection without a close"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Response(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Url | Self::Tls(_) | Self::Random | Self::Extensions | Self::Disconnected => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ResponseError> for ClientError {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl From<ProtocolError> for ClientError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<SendError> for ClientError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
