//! A small blocking HTTP/1.1 client, over TLS for `https://`: one request a connection, every wait bounded. It knows nothing of
//! what it asks for.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use crate::client::Trust;
use crate::config::Secret;
use crate::http::{HeadLimits, MessageLimits, ResponseError, ResponseProgress, ResponseReader};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may let one read or write wait.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bounds of an answer.
const LIMITS: MessageLimits = MessageLimits { head: HeadLimits::DEFAULT, max_body_bytes: 64 * 1024 * 1024 };
const READ_BYTES: usize = 16 * 1024;

/// Where requests go.
pub struct HttpClient<'a> {
    address: Address<'a>,
    key: Option<&'a Secret>,
    /// Which certificates it takes over TLS.
    trust: &'a Trust,
    /// How long it waits for more of an answer, if not for ever.
    silence: Option<Duration>,
    /// How long a connection may take.
    patience: Duration,
}

/// A connection, whatever lies between it and its socket.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// What a request carries.
pub struct Body<'a> {
    /// Its media type.
    pub content_type: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body, decoded.
    pub body: Vec<u8>,
}

impl<'a> HttpClient<'a> {
    /// A client for the server at `address`, which [`Address::parse`] reads. It shows `key` as a bearer; over TLS it takes the
    /// certificates that `trust` says.
    pub fn new(address: &'a str, key: Option<&'a Secret>, trust: &'a Trust) -> Self {
        Self {
            address: Address::parse(address),
            key,
            trust,
            silence: Some(SILENCE_TIMEOUT),
            patience: CONNECT_TIMEOUT,
        }
    }

    /// The same, for what takes as long as the server's own configuration lets it: it waits for an answer until the connection
    /// ends.
    pub fn patient(self) -> Self {
        Self { silence: None, ..self }
    }

    /// The same, with another bound for the connection, and then for each wait.
    pub fn within(self, bound: Duration) -> Self {
        Self { silence: Some(bound), patience: bound, ..self }
    }

    /// Sends one request and waits for the whole answer.
    pub fn request(&self, method: &str, target: &str, body: Option<Body<'_>>) -> Result<Reply, ClientError> {
        let request = self.encode(method, target, body)?;
        let mut stream = self.connect()?;
        // A server that refuses a large body answers and closes before it has read it all: the answer counts more than
        // the failed write.
        let sent = stream.write_all(&request);
        let sent = sent.and_then(|()| stream.flush());
        match (read_reply(&mut stream, method), sent) {
            (Ok(reply), _) => Ok(reply),
            (Err(ReplyError::Lost(_) | ReplyError::Response(ResponseError::Truncated)), Err(error))
            | (Err(ReplyError::Lost(error)), _) => Err(self.lost(error)),
            (Err(ReplyError::Response(ResponseError::Truncated)), Ok(())) => {
                Err(self.lost(io::Error::from(io::ErrorKind::UnexpectedEof)))
            }
            (Err(ReplyError::Response(_)), _) => Err(self.not_http()),
        }
    }

    /// Sends a request without a body; the answer is still to be read.
    pub(super) fn send(&self, method: &str, target: &str) -> Result<Box<dyn Stream>, ClientError> {
        let request = self.encode(method, target, None)?;
        let mut stream = self.connect()?;
        stream.write_all(&request).and_then(|()| stream.flush()).map_err(|error| self.lost(error))?;
        Ok(stream)
    }

    fn encode(&self, method: &str, target: &str, body: Option<Body<'_>>) -> Result<Vec<u8>, ClientError> {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address.host());
        if let Some(key) = self.key {
            request.push_str(&format!("Authorization: Bearer {}\r\n", checked_key(key)?));
        }
        if let Some(body) = &body {
            let length = body.bytes.len();
            request.push_str(&format!("Content-Type: {}\r\nContent-Length: {length}\r\n", body.content_type));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body.map_or(&[], |body| body.bytes));
        Ok(request)
    }

    fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let socket = self.open()?;
        if !self.address.is_secure() {
            return Ok(socket);
        }
        let untrusted = |error: String| ClientError::Untrusted { address: self.place(), error };
        let config = self.trust.config().map_err(|error| untrusted(error.to_string()))?;
        let name = self.address.server_name();
        let name = name.ok_or_else(|| untrusted("that is no name of a server".to_owned()))?;
        let connection =
            rustls::ClientConnection::new(config, name).map_err(|error| untrusted(error.to_string()))?;
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // The handshake now: what is wrong with it is no broken connection.
        stream.conn.complete_io(&mut stream.sock).map_err(|error| untrusted(error.to_string()))?;
        Ok(Box::new(stream))
    }

    fn place(&self) -> String {
        self.address.place().to_owned()
    }

    fn open(&self) -> Result<Box<dyn Stream>, ClientError> {
        let address = self.place();
        if let Some(path) = self.address.unix_path() {
            let stream = open_unix_within(path, self.patience).and_then(|stream| {
                stream.set_read_timeout(self.silence)?;
                Ok(stream)
            });
            return Ok(Box::new(stream.map_err(|error| ClientError::Unreachable { address, error })?));
        }
        let candidates = match self.address.place().to_socket_addrs() {
            Ok(candidates) => candidates,
            Err(error) => return Err(ClientError::BadAddress { address, error }),
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for candidate in candidates {
            let stream = TcpStream::connect_timeout(&candidate, self.patience).and_then(|stream| {
                let stream = with_timeouts(stream)?;
                stream.set_read_timeout(self.silence)?;
                Ok(stream)
            });
            match stream {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => last = error,
            }
        }
        Err(ClientError::Unreachable { address, error: last })
    }

    pub(super) fn not_http(&self) -> ClientError {
        ClientError::NotHttp { address: self.place() }
    }

    pub(super) fn lost(&self, error: io::Error) -> ClientError {
        let address = self.place();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Silent { address, within: self.silence.unwrap_or(SILENCE_TIMEOUT) }
            }
            _ => ClientError::Lost { address, error },
        }
    }
}

/// A key as a header field can carry it.
///
/// # Errors
/// [`ClientError::BadKey`].
pub fn checked_key(key: &Secret) -> Result<&str, ClientError> {
    let key = key.expose();
    let is_fit = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_fit { Ok(key) } else { Err(ClientError::BadKey) }
}

/// Sends a GET request on a connection that stays open, and waits for the answer.
///
/// # Errors
/// What the system says; for an answer that is none, `InvalidData`.
pub fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Reply> {
    stream.write_all(request)?;
    stream.flush()?;
    read_reply(stream, "GET").map_err(|error| match error {
        ReplyError::Lost(error) => error,
        ReplyError::Response(ResponseError::Truncated) => io::ErrorKind::UnexpectedEof.into(),
        ReplyError::Response(error) => io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// Connects to the Unix socket at `path`; every wait on it is bounded.
pub fn open_unix(path: &str) -> io::Result<Socket> {
    open_unix_within(path, CONNECT_TIMEOUT)
}

fn open_unix_within(path: &str, patience: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Connecting waits, where the server's queue is full, as long as writing does.
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_write_timeout(Some(SILENCE_TIMEOUT))?;
    socket.set_read_timeout(Some(SILENCE_TIMEOUT))?;
    Ok(socket)
}

/// Bounds every wait on a stream.
pub fn with_timeouts(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(SILENCE_TIMEOUT))?;
    stream.set_write_timeout(Some(SILENCE_TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Not an address.
    BadAddress {
        /// As given.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// No connection.
    Unreachable {
        /// As given.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The connection broke before the answer was whole.
    Lost {
        /// As given.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// TLS could not begin: the certificate is not believed, or there is no TLS there.
    Untrusted {
        /// As given.
        address: String,
        /// What is wrong.
        error: String,
    },
    /// No answer in time.
    Silent {
        /// As given.
        address: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The answer is no HTTP/1.1, or beyond its bounds.
    NotHttp {
        /// As given.
        address: String,
    },
    /// A key that no header field can carry.
    BadKey,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress { address, error } => {
                write!(f, "\"{address}\" is no address such as 127.0.0.1:9001 or unix:/run/gannet/backend.sock: {error}")
            }
            Self::Unreachable { address, error } => {
                write!(f, "cannot reach {address}: is the server running, and is this its backend port? ({error})")
            }
            Self::Lost { address, error } => {
                write!(f, "{address} hung up before its answer was whole: see the server's log ({error})")
            }
            Self::Untrusted { address, error } => {
                write!(
                    f,
                    "no TLS with {address}: {error}; give the certificate, or that of its authority, with --cacert"
                )
            }
            Self::Silent { address, within } => write!(f, "no answer from {address} within {within:?}"),
            Self::NotHttp { address } => {
                write!(f, "what {address} answers is not HTTP/1.1: is this the backend port of a gannet server?")
            }
            Self::BadKey => f.write_str(
                "the key must be one or more visible ASCII characters without spaces: check GANNET_KEY or the file of --key-file",
            ),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadAddress { error, .. } | Self::Unreachable { error, .. } | Self::Lost { error, .. } => {
                Some(error)
            }
            Self::Untrusted { .. } | Self::Silent { .. } | Self::NotHttp { .. } | Self::BadKey => None,
        }
    }
}

/// Why there is no answer to a request that was sent.
enum ReplyError {
    Lost(io::Error),
    /// What came is no answer, or not all of one.
    Response(ResponseError),
}

/// Waits for one answer. The `method` is that of the request.
fn read_reply(stream: &mut impl Read, method: &str) -> Result<Reply, ReplyError> {
    let mut reader = ResponseReader::default();
    let mut buffer = [0; READ_BYTES];
    loop {
        match reader.read(method, &LIMITS).map_err(ReplyError::Response)? {
            ResponseProgress::Whole(head, body) => {
                return Ok(Reply { status: head.status, body: std::mem::take(body) });
            }
            ResponseProgress::Head(_) => {}
            ResponseProgress::NeedsMore => match stream.read(&mut buffer) {
                Ok(0) => reader.end(),
                Ok(count) => reader.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReplyError::Lost(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one connection with `answer` and hands over what it was asked, up to the end of `body`.
    fn serve_once(answer: &'static [u8], body: &'static [u8]) -> (String, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !(asked.windows(4).any(|window| window == b"\r\n\r\n") && asked.ends_with(body)) {
                let mut piece = [0; 1024];
                let count = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..count]);
                if count == 0 {
                    break;
                }
            }
            stream.write_all(answer).unwrap();
            asked
        });
        (address, server)
    }

    fn get(answer: &'static [u8]) -> Result<(u16, String), ClientError> {
        let (address, server) = serve_once(answer, b"");
        let reply = HttpClient::new(&address, None, &Trust::System).request("GET", "/", None);
        server.join().unwrap();
        reply.map(|reply| (reply.status, String::from_utf8(reply.body).unwrap()))
    }

    #[test]
    fn a_request_byte_by_byte() {
        let (address, server) = serve_once(b"HTTP/1.1 204 No Content\r\n\r\n", b"hello");
        let key = Secret::new("k1");
        let client = HttpClient::new(&address, Some(&key), &Trust::System);
        let body = Body { content_type: "text/plain", bytes: b"hello" };
        let reply = client.request("POST", "/v1/push?all=1", Some(body)).unwrap();
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        assert_eq!(
            String::from_utf8(server.join().unwrap()).unwrap(),
            format!(
                "POST /v1/push?all=1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer k1\r\n\
                 Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
            )
        );
    }

    #[test]
    fn answers_in_every_framing() {
        let table: &[(&[u8], u16, &str)] = &[
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", 200, "hi"),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, "hi"),
            (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x"),
        ];
        for (answer, status, body) in table {
            assert_eq!(get(answer).unwrap(), (*status, (*body).to_owned()));
        }
    }

    #[test]
    fn answers_that_are_none() {
        let cut: &[&[u8]] = &[
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        ];
        for answer in cut {
            assert!(matches!(get(answer), Err(ClientError::Lost { .. })));
        }
        let alien: &[&[u8]] = &[
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"hello\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhi",
        ];
        for answer in alien {
            assert!(matches!(get(answer), Err(ClientError::NotHttp { .. })));
        }
    }

    #[test]
    fn nobody_there() {
        // Bound, so that nobody else can listen there meanwhile.
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = bound.local_addr().unwrap().as_socket().unwrap().to_string();
        let error = HttpClient::new(&address, None, &Trust::System).request("GET", "/", None).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot reach {address}: is the server running")));
        let error = HttpClient::new("9001", None, &Trust::System).request("GET", "/", None).unwrap_err();
        assert!(matches!(error, ClientError::BadAddress { .. }));
    }

    #[test]
    fn a_key_cannot_smuggle_fields() {
        for key in ["", "a\r\nX: b", "a b", "schlüssel"] {
            let key = Secret::new(key);
            let error = HttpClient::new("127.0.0.1:1", Some(&key), &Trust::System)
                .request("GET", "/", None)
                .unwrap_err();
            assert!(matches!(error, ClientError::BadKey));
        }
    }
}
