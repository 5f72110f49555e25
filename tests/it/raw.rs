//! A peer that says exactly what a test wants, byte for byte, and reads back HTTP answers and WebSocket frames.

use crate::support::{DEADLINE, ServerProcess, read_on};
use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Opcodes with FIN (RFC 6455 §5.2).
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// One socket.
pub struct Raw {
    stream: TcpStream,
    /// Read, but not taken yet.
    input: Vec<u8>,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A frame from the server: the first byte of its header, and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Answer {
    /// The value of a header that is there at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(each, _)| each == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error, whose answer has the form of all errors.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json = self.json();
        assert!(!json["error"]["message"].as_str().unwrap().is_empty(), "{json}");
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
        assert_eq!(json["error"].as_object().unwrap().len(), 2, "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Frame {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// The code and reason of a Close frame.
    pub fn close(&self) -> (u16, &str) {
        assert_eq!(self.first, CLOSE, "{self:?}");
        let [high, low, reason @ ..] = &self.payload[..] else { panic!("a Close without a code") };
        (u16::from_be_bytes([*high, *low]), std::str::from_utf8(reason).unwrap())
    }
}

impl Raw {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Connects, and has sent `bytes` when the server, which stands meanwhile, accepts the connection: on a busy machine too
    /// they are there before its first deadline has passed.
    pub fn begun(server: &ServerProcess, address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let _frozen = server.freeze();
        let mut raw = Self::connect(address);
        raw.send(bytes);
        raw
    }

    /// Connects with a small receive buffer: who does not read is behind soon.
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    /// Over a stream that is connected.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, input: Vec::new() }
    }

    /// Connects, upgrades and takes the welcome.
    pub fn player(address: SocketAddr, target: &str) -> Self {
        Self::connect(address).upgraded(target)
    }

    /// The same behind a small receive buffer.
    pub fn narrow_player(address: SocketAddr, target: &str) -> Self {
        Self::connect_narrow(address).upgraded(target)
    }

    /// Upgrades and takes the welcome.
    pub fn upgraded(mut self, target: &str) -> Self {
        self.send(upgrade(target, ""));
        assert_eq!(self.answer().status, 101);
        assert!(self.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
        self
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends all of `bytes` unless the server has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The same stream, for a thread that sends while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Ends this side of the stream.
    pub fn end_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Vanishes with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Whether something has come, or the end; does not wait.
    pub fn is_readable(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        let nothing = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        !self.input.is_empty() || !nothing
    }

    /// The stream, where nothing of what has come is left.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.input.is_empty(), "{:?}", self.input);
        self.stream
    }

    /// The next answer, with its body.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer to a request with `method`.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(head) = response.parse(&self.input).unwrap() {
                let status = response.code.unwrap();
                let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
                let headers: Vec<_> = response
                    .headers
                    .iter()
                    .map(|one| (one.name.to_ascii_lowercase(), text(one.value)))
                    .collect();
                let mut answer = Answer { status, headers, body: Vec::new() };
                let length: usize = answer.header("content-length").map_or(0, |value| value.parse().unwrap());
                let length = if method == "HEAD" { 0 } else { length };
                self.fill(head + length);
                answer.body = self.input[head..head + length].to_vec();
                self.input.drain(..head + length);
                return answer;
            }
            self.fill(self.input.len() + 1);
        }
    }

    /// The next frame; `None` at the end of the stream.
    pub fn frame(&mut self) -> Option<Frame> {
        if !self.try_fill(2) {
            assert!(self.input.is_empty(), "half a frame: {:?}", self.input);
            return None;
        }
        let (first, length) = (self.input[0], self.input[1]);
        assert_eq!(length & 0x80, 0, "a server does not mask (RFC 6455 §5.1)");
        let (header, length) = match length {
            126 => {
                self.fill(4);
                (4, usize::from(u16::from_be_bytes([self.input[2], self.input[3]])))
            }
            127 => {
                self.fill(10);
                (10, u64::from_be_bytes(self.input[2..10].try_into().unwrap()) as usize)
            }
            length => (2, usize::from(length)),
        };
        self.fill(header + length);
        let payload = self.input[header..header + length].to_vec();
        self.input.drain(..header + length);
        Some(Frame { first, payload })
    }

    /// The code and reason of the Close frame that must come next, and then the end.
    pub fn closed(&mut self) -> (u16, String) {
        let frame = self.frame().expect("a Close frame");
        let (code, reason) = frame.close();
        let closed = (code, reason.to_owned());
        assert_eq!(self.rest(), b"", "after the Close");
        closed
    }

    /// Everything up to the end of the stream or its reset.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.read() {}
        std::mem::take(&mut self.input)
    }

    fn fill(&mut self, length: usize) {
        assert!(self.try_fill(length), "the stream ended after {:?}", String::from_utf8_lossy(&self.input));
    }

    fn try_fill(&mut self, length: usize) -> bool {
        while self.input.len() < length {
            if !self.read() {
                return false;
            }
        }
        true
    }

    /// Whether there was more.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match read_on(&mut self.stream, &mut chunk) {
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.input)),
        }
    }
}

/// A valid upgrade request for `target` with `more` header lines.
pub fn upgrade(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A request of the backend port without a body.
pub fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The same with one.
pub fn request_with(line: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A frame as a client sends it: masked.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
