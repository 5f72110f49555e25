//! One GET of a JWK set over HTTP/1.1, within one deadline. Blocks: for the thread that fetches, never for a reactor.

use crate::auth::{JwksLimits, KeyError, KeySet};
use crate::config::JwksUrl;
use crate::http::{HeadLimits, MessageLimits, ResponseProgress, ResponseReader};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const READ_BYTES: usize = 16 * 1024;

/// How sets are fetched.
#[derive(Debug, Clone)]
pub struct FetchRules {
    /// A set is fetched again after so long.
    pub refresh: Duration,
    /// And not sooner than this after the last try, whatever happens.
    pub retry: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// The authorities to believe; `None` is the system's.
    pub ca_file: Option<PathBuf>,
    /// The bounds of a set.
    pub limits: JwksLimits,
}

/// Why a set has not been fetched.
#[derive(Debug)]
pub enum FetchError {
    /// No connection, or one that broke or said nothing in time.
    Io(io::Error),
    /// TLS could not begin.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no TLS"))]
    Tls(Box<str>),
    /// An answer without a set.
    Status(u16),
    /// No HTTP/1.1, or a body beyond its bound.
    Http(Box<str>),
    /// The body is none.
    Keys(KeyError),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                f.write_str("no answer in auth.jwks_timeout_ms")
            }
            Self::Io(error) => write!(f, "cannot be reached: {error}"),
            Self::Tls(error) => write!(f, "no TLS: {error}"),
            Self::Status(status @ 300..=399) => {
                write!(f, "the answer is {status}, and redirects are not followed: configure where they lead")
            }
            Self::Status(status) => write!(f, "the answer is {status} instead of 200"),
            Self::Http(error) => write!(f, "the answer is none: {error}"),
            Self::Keys(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What stands at `url`: the keys, and the document that they are in.
///
/// # Errors
/// [`FetchError`].
pub fn fetch(url: &JwksUrl, rules: &FetchRules) -> Result<(KeySet, Vec<u8>), FetchError> {
    let deadline = Instant::now() + rules.timeout;
    let mut stream = connect(url, deadline, rules)?;
    let (authority, path) = (url.authority(), if url.path().is_empty() { "/" } else { url.path() });
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: gannet/{version}\r\nAccept: application/jwk-set+json, \
         application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let document = read_body(&mut stream, rules.limits.max_bytes)?;
    let keys = KeySet::parse(&document, &rules.limits).map_err(FetchError::Keys)?;
    Ok((keys, document))
}

/// The body of a 200.
fn read_body(stream: &mut impl Read, max_body_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let limits = MessageLimits { head: HeadLimits::DEFAULT, max_body_bytes };
    let mut reader = ResponseReader::default();
    let mut buffer = [0; READ_BYTES];
    loop {
        match reader.read("GET", &limits).map_err(|error| FetchError::Http(error.to_string().into()))? {
            ResponseProgress::Head(head) if head.status != 200 => {
                return Err(FetchError::Status(head.status));
            }
            ResponseProgress::Head(_) => {}
            ResponseProgress::Whole(_, body) => return Ok(std::mem::take(body)),
            ResponseProgress::NeedsMore => match stream.read(&mut buffer) {
                Ok(0) => reader.end(),
                Ok(count) => reader.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A body with a length tells a cut from its end; rustls reports one without a close_notify.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => reader.end(),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// A socket on which no call lasts beyond the deadline.
#[derive(Debug)]
struct Timed {
    socket: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A connection, whatever lies between it and its socket.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

fn connect(url: &JwksUrl, deadline: Instant, rules: &FetchRules) -> Result<Box<dyn Stream>, FetchError> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (url.host(), url.port()).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FetchError::Io(io::ErrorKind::TimedOut.into()));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => return wrap(Timed { socket, deadline }, url, rules),
            Err(error) => last = error,
        }
    }
    Err(FetchError::Io(last))
}

#[cfg(feature = "tls")]
fn wrap(socket: Timed, url: &JwksUrl, rules: &FetchRules) -> Result<Box<dyn Stream>, FetchError> {
    use crate::client::Trust;
    if !url.is_secure() {
        return Ok(Box::new(socket));
    }
    let failed = |error: &dyn fmt::Display| FetchError::Tls(error.to_string().into());
    let trust = rules.ca_file.clone().map_or(Trust::System, Trust::File);
    let config = trust.config().map_err(|error| failed(&error))?;
    let name = url.host().to_owned().try_into().map_err(|error| failed(&error))?;
    let connection = rustls::ClientConnection::new(config, name).map_err(|error| failed(&error))?;
    let mut stream = rustls::StreamOwned::new(connection, socket);
    // The handshake now: what is wrong with it is no broken connection.
    match stream.conn.complete_io(&mut stream.sock) {
        Ok(_) => Ok(Box::new(stream)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(failed(&error)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(feature = "tls"))]
fn wrap(socket: Timed, url: &JwksUrl, rules: &FetchRules) -> Result<Box<dyn Stream>, FetchError> {
    // `Config::validate` refuses https:// and authorities in a build without TLS.
    debug_assert!(!url.is_secure() && rules.ca_file.is_none());
    Ok(Box::new(socket))
}
