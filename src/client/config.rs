//! What a client asks for, and what it is willing to take.

use std::time::Duration;

use super::ClientError;
#[cfg(feature = "tls")]
use super::Trust;
#[cfg(feature = "deflate")]
use crate::protocol::{DeflateConfig, DeflateEngine};
use crate::protocol::{Limits, WebSocket};

/// How a [`Client`](super::Client) connects.
///
/// ```
/// use gannet::client::ClientConfig;
/// let config =
///     ClientConfig { subprotocols: vec!["gannet.raw".to_owned()], ..ClientConfig::default() };
/// assert!(config.timeout.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// Offered to the server, the first choice first.
    pub subprotocols: Vec<String>,
    /// Further headers of the request, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// Bounds on what the server may send.
    pub limits: Limits,
    /// For connecting, and for each read and write; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Whom to believe with `wss://`.
    #[cfg(feature = "tls")]
    pub trust: Trust,
    /// Offers permessage-deflate.
    #[cfg(feature = "deflate")]
    pub deflate: Option<DeflateConfig>,
}

#[cfg(feature = "deflate")]
impl ClientConfig {
    pub(super) fn offer(&self) -> Option<String> {
        self.deflate.as_ref().map(DeflateConfig::offer)
    }

    /// Gives `socket` what the server's answer agrees on.
    pub(super) fn agree(&self, socket: WebSocket, answer: Option<&str>) -> Result<WebSocket, ClientError> {
        let (Some(config), Some(answer)) = (&self.deflate, answer) else { return Ok(socket) };
        let agreed = config.agree(answer).map_err(|_| ClientError::Extensions)?;
        Ok(socket.with_deflate(agreed, DeflateEngine::new(config.clone()).into()))
    }
}

#[cfg(not(feature = "deflate"))]
impl ClientConfig {
    pub(super) fn offer(&self) -> Option<String> {
        None
    }

    pub(super) fn agree(&self, socket: WebSocket, answer: Option<&str>) -> Result<WebSocket, ClientError> {
        match answer {
            Some(_) => Err(ClientError::Extensions),
            None => Ok(socket),
        }
    }
}
