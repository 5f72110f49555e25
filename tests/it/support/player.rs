//! One player: tungstenite over a blocking socket.

use super::DEADLINE;
use gannet::session::SessionId;
use serde_json::Value;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::{IntoClientRequest, client_with_config};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{HandshakeError, Message, WebSocket};

/// A session as its client sees it.
pub struct Player<S = TcpStream> {
    /// What the welcome said.
    pub id: SessionId,
    /// The user that the welcome named.
    pub user: Option<String>,
    /// The whole welcome.
    pub welcome: Value,
    pub(super) socket: WebSocket<S>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A Close frame came; 1005 where it had no code.
    Closed(u16, String),
    /// The stream ended without one.
    Lost,
}

/// Why there is no session.
#[derive(Debug)]
pub enum Refusal {
    /// An HTTP answer that is no 101.
    Http {
        /// Its status.
        status: u16,
        /// The code of the error in its body.
        code: String,
    },
    /// No answer at all.
    Io(io::Error),
}

impl Refusal {
    /// The status of the answer; there must be one.
    pub fn status(&self) -> u16 {
        match self {
            Self::Http { status, .. } => *status,
            Self::Io(error) => panic!("no answer: {error}"),
        }
    }
}

impl Player {
    /// Connects to `/ws?query` and takes the welcome.
    pub fn connect(address: SocketAddr, query: &str) -> Self {
        Self::try_connect(address, &format!("/ws?{query}"))
            .unwrap_or_else(|refusal| panic!("{query}: {refusal:?}"))
    }

    /// Connects and takes the welcome, unless it is refused.
    pub fn try_connect(address: SocketAddr, target: &str) -> Result<Self, Refusal> {
        Self::over(TcpStream::connect(address).map_err(Refusal::Io)?, target)
    }

    /// The same over a stream that is connected.
    pub fn over(stream: TcpStream, target: &str) -> Result<Self, Refusal> {
        Self::on(prepared(stream), target)
    }

    /// The same with a subprotocol.
    pub fn speaking(stream: TcpStream, target: &str, subprotocol: &str) -> Result<Self, Refusal> {
        Self::welcomed(upgrade(prepared(stream), "localhost", target, &[subprotocol])?)
    }

    /// Vanishes with a reset instead of a FIN.
    pub fn reset(self) {
        reset_on_drop(self.socket.get_ref());
    }
}

impl<S: Read + Write> Player<S> {
    /// The same on any stream that is ready for the upgrade.
    pub fn on(stream: S, target: &str) -> Result<Self, Refusal> {
        Self::welcomed(upgrade(stream, "localhost", target, &[])?)
    }

    fn welcomed(mut socket: WebSocket<S>) -> Result<Self, Refusal> {
        let welcome = match read(&mut socket) {
            Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
            Ok(other) => panic!("no welcome but {other:?}"),
            Err(Error::Io(error)) => return Err(Refusal::Io(error)),
            Err(error) => panic!("no welcome: {error}"),
        };
        assert_eq!(welcome["type"], "welcome");
        let id = welcome["session"].as_str().unwrap().parse().unwrap();
        let user = welcome["user"].as_str().map(str::to_owned);
        Ok(Self { id, user, welcome, socket })
    }

    /// The next text or binary message.
    pub fn recv(&mut self) -> Message {
        self.next().unwrap_or_else(|end| panic!("{}: no message but {end:?}", self.id))
    }

    /// The next message, which must be text.
    pub fn recv_text(&mut self) -> String {
        match self.recv() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{}: no text but {other:?}", self.id),
        }
    }

    /// The next message, which must be text; `None` where none comes before the read timeout of the stream.
    pub fn text_in_time(&mut self) -> Option<String> {
        loop {
            match read(&mut self.socket) {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Err(Error::Io(error)) if is_timeout(&error) => return None,
                other => panic!("{}: no text but {other:?}", self.id),
            }
        }
    }

    /// The end, which must come next.
    pub fn recv_end(&mut self) -> End {
        match self.next() {
            Ok(message) => panic!("{}: no end but {message:?}", self.id),
            Err(end) => end,
        }
    }

    /// The next message, or the end. A Close frame is answered.
    pub fn next(&mut self) -> Result<Message, End> {
        let (mut end, started) = (End::Lost, Instant::now());
        loop {
            match read(&mut self.socket) {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(message),
                Ok(Message::Close(frame)) => end = closed(frame),
                Ok(_) => {
                    assert!(started.elapsed() < DEADLINE, "{}: nothing but pings in {DEADLINE:?}", self.id)
                }
                Err(Error::Io(error)) if is_timeout(&error) => {
                    panic!("{}: nothing came in {DEADLINE:?}", self.id)
                }
                Err(error) if is_end(&error) => return Err(end),
                Err(error) => panic!("{}: {error}", self.id),
            }
        }
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).unwrap();
    }

    /// Closes with `code` and waits for the server's end; messages that still come are given back.
    pub fn close(mut self, code: u16, reason: &str) -> Vec<Message> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.socket.close(Some(frame)).unwrap();
        std::iter::from_fn(|| self.next().ok()).collect()
    }

    /// The same with a Close frame that says nothing.
    pub fn close_without_code(mut self) {
        self.socket.close(None).unwrap();
        while self.next().is_ok() {}
    }

    /// The socket itself.
    pub fn stream(&self) -> &S {
        self.socket.get_ref()
    }

    /// The same to act on. What it is given goes between two messages.
    pub fn stream_mut(&mut self) -> &mut S {
        self.socket.get_mut()
    }
}

/// What comes next. A process that was stopped and goes on reads again: signal(7), of a socket that has a timeout.
pub(super) fn read<S: Read + Write>(socket: &mut WebSocket<S>) -> Result<Message, Error> {
    loop {
        match socket.read() {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The stream under `socket` sends RST when it is closed.
pub(super) fn reset_on_drop(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A stream as players have it: it does not wait for ever, nor with small writes.
pub fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// A WebSocket to `target`, with `subprotocols`.
pub(super) fn open(
    stream: TcpStream,
    target: &str,
    subprotocols: &[&str],
) -> Result<WebSocket<TcpStream>, Refusal> {
    open_with(stream, target, subprotocols, None)
}

/// The same with a key of the backend port.
pub(super) fn open_with(
    stream: TcpStream,
    target: &str,
    subprotocols: &[&str],
    key: Option<&str>,
) -> Result<WebSocket<TcpStream>, Refusal> {
    let address = stream.peer_addr().map_err(Refusal::Io)?;
    upgrade_with(prepared(stream), &address.to_string(), target, subprotocols, key)
}

fn upgrade<S: Read + Write>(
    stream: S,
    host: &str,
    target: &str,
    subprotocols: &[&str],
) -> Result<WebSocket<S>, Refusal> {
    upgrade_with(stream, host, target, subprotocols, None)
}

fn upgrade_with<S: Read + Write>(
    stream: S,
    host: &str,
    target: &str,
    subprotocols: &[&str],
    key: Option<&str>,
) -> Result<WebSocket<S>, Refusal> {
    let mut request = format!("ws://{host}{target}").into_client_request().unwrap();
    if !subprotocols.is_empty() {
        let offer = subprotocols.join(", ").parse().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", offer);
    }
    if let Some(key) = key {
        request.headers_mut().insert("Authorization", format!("Bearer {key}").parse().unwrap());
    }
    // Thousands of them share this process; the default is 128 KiB each.
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
    match client_with_config(request, stream, Some(config)) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(response))) => {
            let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap();
            let code = body["error"]["code"].as_str().unwrap().to_owned();
            Err(Refusal::Http { status: response.status().as_u16(), code })
        }
        Err(HandshakeError::Failure(Error::Io(error))) => Err(Refusal::Io(error)),
        Err(HandshakeError::Failure(Error::Protocol(ProtocolError::HandshakeIncomplete))) => {
            Err(Refusal::Io(io::ErrorKind::UnexpectedEof.into()))
        }
        Err(error) => panic!("{target}: {error}"),
    }
}

pub(super) fn closed(frame: Option<CloseFrame>) -> End {
    match frame {
        Some(frame) => End::Closed(frame.code.into(), frame.reason.as_str().to_owned()),
        None => End::Closed(1005, String::new()),
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether the stream has ended, with or without a closing handshake.
pub(super) fn is_end(error: &Error) -> bool {
    let gone = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    };
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => true,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => true,
        Error::Io(error) => gone(error),
        _ => false,
    }
}
