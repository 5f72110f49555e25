//! A blocking WebSocket client over `std::net`, with TLS for `wss://` where the feature `tls` is on, for the command line
//! and for tests. It knows nothing of gannet's own messages.

mod config;
mod error;
mod mask;
mod stream;
#[cfg(feature = "tls")]
mod trust;
mod url;

pub use config::ClientConfig;
pub use error::ClientError;
#[cfg(feature = "tls")]
pub use trust::Trust;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::handshake::{Accepted, ClientHandshake, Request};
use crate::protocol::{CloseCode, Event, Input, SendError, WebSocket};
use mask::MaskKeys;
use stream::Stream;
use url::Url;

/// What is read from the socket at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A connection to a WebSocket server. Each call waits until it is done, or until [`ClientConfig::timeout`] is over.
///
/// ```no_run
/// use gannet::client::Client;
/// use gannet::protocol::{CloseCode, Event};
///
/// let mut client = Client::connect("ws://127.0.0.1:9000/echo")?;
/// client.send_text("hello")?;
/// assert_eq!(client.receive()?, Some(Event::Text("hello".into())));
/// client.close(Some(CloseCode::NORMAL), "")?;
/// while client.receive()?.is_some() {}
/// # Ok::<(), gannet::client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    socket: WebSocket,
    subprotocol: Option<String>,
    is_compressed: bool,
    /// What was read; events were made of the first `used` bytes.
    buffer: Vec<u8>,
    used: usize,
    /// What was not written yet; empty between calls.
    out: Vec<u8>,
}

impl Client {
    /// Connects to `url`, which begins with `ws://` or `wss://`, with no more than the standard asks for.
    ///
    /// # Errors
    /// Everything that [`ClientError`] lists but [`ClientError::Protocol`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_with(url, &ClientConfig::default())
    }

    /// Connects to `url` as `config` says.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_with(url: &str, config: &ClientConfig) -> Result<Self, ClientError> {
        let url = Url::parse(url).ok_or(ClientError::Url)?;
        let stream = Stream::new(open(&url, config.timeout)?, &url, config)?;
        Self::handshake(stream, &url, config)
    }

    fn handshake(stream: Stream, url: &Url<'_>, config: &ClientConfig) -> Result<Self, ClientError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| ClientError::Random)?;
        let mask_keys = MaskKeys::new().map_err(|_| ClientError::Random)?;

        let subprotocols: Vec<&str> = config.subprotocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> =
            config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let offer = config.offer();
        let request = Request {
            host: url.authority,
            path: &url.path,
            subprotocols: &subprotocols,
            extensions: offer.as_deref(),
            headers: &headers,
        };
        let mut out = Vec::new();
        let mut handshake = ClientHandshake::start(&request, nonce, &mut out)?;
        let mut client = Self {
            stream,
            socket: WebSocket::client(Arc::new(config.limits.clone()), mask_keys.into_source()),
            subprotocol: None,
            is_compressed: false,
            buffer: Vec::new(),
            used: 0,
            out,
        };
        client.flush()?;
        let Accepted { subprotocol, extensions } = loop {
            client.read()?;
            let mut input = Input::new(&mut client.buffer);
            let accepted = handshake.receive(&mut input)?;
            let remaining = input.remaining();
            client.used = client.buffer.len() - remaining;
            if let Some(accepted) = accepted {
                break accepted;
            }
        };
        client.socket = config.agree(client.socket, extensions.as_deref())?;
        client.subprotocol = subprotocol;
        // What it has accepted is all that was offered.
        client.is_compressed = extensions.is_some();
        Ok(client)
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether permessage-deflate was agreed on.
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// This end's address.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.socket().local_addr()
    }

    /// Waits at most so long for each read and write; `None`: for ever.
    ///
    /// # Errors
    /// When the system refuses, which it does for a duration of zero.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.socket().set_read_timeout(timeout)?;
        self.stream.socket().set_write_timeout(timeout)
    }

    /// Waits at most so long for each read, and as long as before for each write; `None`: for ever. After
    /// [`Client::receive`] has failed with that, nothing is lost, and [`AsFd`] tells when there is more.
    ///
    /// # Errors
    /// As [`Client::set_timeout`].
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.socket().set_read_timeout(timeout)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`ClientError::Send`] after a Close, [`ClientError::Io`].
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send(|socket, out| socket.send_text(text, out))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`Client::send_text`].
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.send(|socket, out| socket.send_binary(bytes, out))
    }

    /// Sends a Ping of at most 125 bytes.
    ///
    /// # Errors
    /// As [`Client::send_text`], and when the payload is too long.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send(|socket, out| socket.ping(payload, out))
    }

    /// Sends a Close; [`Client::receive`] tells when the server has answered.
    ///
    /// # Errors
    /// As [`Client::send_text`], and when the code or the reason may not be sent.
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str) -> Result<(), ClientError> {
        self.send(|socket, out| socket.close(code, reason, out))
    }

    /// Sends `bytes` as they are, past all rules: for tests of servers.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    /// The next event; Pings and the server's Close are answered on the way. `None`: the closing handshake is
    /// complete.
    ///
    /// # Errors
    /// [`ClientError::Protocol`], [`ClientError::Disconnected`] when the stream ends without a Close, and
    /// [`ClientError::Io`], also when the timeout is over: then it can be called again.
    pub fn receive(&mut self) -> Result<Option<Event<'static>>, ClientError> {
        loop {
            let mut input = Input::new(&mut self.buffer[self.used..]);
            let received = self.socket.receive(&mut input, &mut self.out);
            let remaining = input.remaining();
            let received = received.map(|event| event.map(Event::into_owned));
            self.used = self.buffer.len() - remaining;
            // An answer that does not get through is the lesser news.
            let flushed = self.flush();
            if let Some(event) = received? {
                return Ok(Some(event));
            }
            if self.socket.is_closed() {
                return Ok(None);
            }
            flushed?;
            self.read()?;
        }
    }

    /// The socket, when there is nothing more to say in frames: to shut it down in parts, or to drain it. With `wss://` its
    /// bytes are TLS.
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_socket()
    }

    fn send(
        &mut self,
        write: impl FnOnce(&mut WebSocket, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        write(&mut self.socket, &mut self.out)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        let written = self.stream.write_all(&self.out).and_then(|()| self.stream.flush());
        self.out.clear();
        Ok(written?)
    }

    /// Reads more; everything read before was used.
    fn read(&mut self) -> Result<(), ClientError> {
        self.used = 0;
        self.buffer.resize(READ_BYTES, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read? {
            0 => {
                self.socket.end_of_input();
                Err(ClientError::Disconnected)
            }
            _ => Ok(()),
        }
    }
}

/// The socket, to wait for what comes on it. What has been read from it already, [`Client::receive`] answers at once.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.socket().as_fd()
    }
}

/// The first of the host's addresses that answers.
fn open(url: &Url<'_>, timeout: Option<Duration>) -> Result<TcpStream, ClientError> {
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (url.host, url.port).to_socket_addrs()? {
        let connected = match timeout {
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                return Ok(stream);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error.into())
}

#[cfg(test)]
mod tests;
