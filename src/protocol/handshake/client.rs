//! The client's side of the opening handshake: the request of RFC 6455 §4.1, and the checks on the response, which
//! may come in any pieces.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use super::{KEY_LENGTH, VERSION, accept_key, is_token, list_elements, trim_whitespace};
use crate::protocol::Input;

/// The longest head of a response that is read, in bytes.
const MAX_RESPONSE_HEAD: usize = 16 * 1024;

/// The most headers in a response.
const MAX_RESPONSE_HEADERS: usize = 64;

/// What a client asks for.
///
/// ```
/// use gannet::protocol::handshake::Request;
/// let request = Request {
///     host: "game.example:9000",
///     path: "/ws?group=lobby",
///     subprotocols: &["gannet.raw"],
///     extensions: None,
///     headers: &[("Authorization", "Bearer abc")],
/// };
/// assert!(request.path.starts_with('/'));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The value of `Host`: a name and, unless it is the scheme's own, a port.
    pub host: &'a str,
    /// Path and query, from the `/` on.
    pub path: &'a str,
    /// Subprotocols, the first choice first: tokens, each once.
    pub subprotocols: &'a [&'a str],
    /// The value of `Sec-WebSocket-Extensions`, when an extension is offered.
    pub extensions: Option<&'a str>,
    /// Further headers, such as `Authorization`, `Cookie` or `Origin`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    fn check(&self) -> Result<(), RequestError> {
        let is_value = |text: &str| text.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte));
        if self.host.is_empty() || !self.host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RequestError::Host);
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RequestError::Path);
        }
        for (index, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name) || self.subprotocols[..index].contains(name) {
                return Err(RequestError::Subprotocols);
            }
        }
        let is_header = |(name, value): &(&str, &str)| is_token(name) && is_value(value);
        if !self.headers.iter().all(is_header) || !self.extensions.is_none_or(is_value) {
            return Err(RequestError::Header);
        }
        Ok(())
    }

    fn encode(&self, key: &str, out: &mut Vec<u8>) {
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        put(&["GET ", self.path, " HTTP/1.1\r\nHost: ", self.host]);
        put(&["\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ", key]);
        put(&["\r\nSec-WebSocket-Version: ", VERSION]);
        if !self.subprotocols.is_empty() {
            put(&["\r\nSec-WebSocket-Protocol: ", &self.subprotocols.join(", ")]);
        }
        if let Some(extensions) = self.extensions {
            put(&["\r\nSec-WebSocket-Extensions: ", extensions]);
        }
        for (name, value) in self.headers {
            put(&["\r\n", name, ": ", value]);
        }
        put(&["\r\n\r\n"]);
    }
}

/// Why a request cannot be sent.
///
/// ```
/// use gannet::protocol::handshake::{ClientHandshake, Request, RequestError};
/// let request = Request { host: "h", path: "ws", subprotocols: &[], extensions: None, headers: &[] };
/// let refused = ClientHandshake::start(&request, [0; 16], &mut Vec::new()).unwrap_err();
/// assert_eq!(refused, RequestError::Path);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// The host is empty or has characters that a host has not.
    Host,
    /// The path does not begin with `/` or has characters that need percent-encoding.
    Path,
    /// The subprotocols are not tokens, each once.
    Subprotocols,
    /// A header's name is not a token, or its value has line breaks or is not ASCII.
    Header,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "give the host as a name or an address, with a port if needed",
            Self::Path => "begin the path with '/' and percent-encode what is not ASCII",
            Self::Subprotocols => "give each subprotocol once, as a token",
            Self::Header => "give headers as a token and a value of one line of ASCII",
        })
    }
}

impl std::error::Error for RequestError {}

/// A client's opening handshake, from the request to the response's last byte.
///
/// ```
/// use gannet::protocol::Input;
/// use gannet::protocol::handshake::{ClientHandshake, Request, accept_key, write_accept};
///
/// let request =
///     Request { host: "game.example", path: "/ws", subprotocols: &[], extensions: None, headers: &[] };
/// let mut to_server = Vec::new();
/// let mut handshake = ClientHandshake::start(&request, *b"the sample nonce", &mut to_server).unwrap();
///
/// let mut from_server = Vec::new();
/// write_accept("dGhlIHNhbXBsZSBub25jZQ==", None, None, &mut from_server);
/// let accepted = handshake.receive(&mut Input::new(&mut from_server)).unwrap();
/// assert!(accepted.is_some());
/// ```
#[derive(Debug)]
pub struct ClientHandshake {
    accept: [u8; 28],
    subprotocols: Vec<String>,
    offered_extensions: bool,
    /// The response's head so far; at most [`MAX_RESPONSE_HEAD`] bytes.
    head: Vec<u8>,
}

/// What the server agreed to; see [`ClientHandshake`].
///
/// ```
/// use gannet::protocol::Input;
/// use gannet::protocol::handshake::{ClientHandshake, Request, write_accept};
///
/// let request =
///     Request { host: "game.example", path: "/ws", subprotocols: &["chat"], extensions: None, headers: &[] };
/// let mut handshake = ClientHandshake::start(&request, *b"the sample nonce", &mut Vec::new()).unwrap();
/// let mut from_server = Vec::new();
/// write_accept("dGhlIHNhbXBsZSBub25jZQ==", Some("chat"), None, &mut from_server);
/// let accepted = handshake.receive(&mut Input::new(&mut from_server)).unwrap().expect("it is whole");
/// assert_eq!(accepted.subprotocol.as_deref(), Some("chat"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// One of the subprotocols that were offered, or none.
    pub subprotocol: Option<String>,
    /// The value of `Sec-WebSocket-Extensions`, which only answers to an offer may carry.
    pub extensions: Option<String>,
}

impl ClientHandshake {
    /// Appends the request to `out`. `nonce` must be fresh and random, RFC 6455 §4.1.
    ///
    /// # Errors
    /// When a part of the request would not be valid HTTP.
    pub fn start(request: &Request<'_>, nonce: [u8; 16], out: &mut Vec<u8>) -> Result<Self, RequestError> {
        request.check()?;
        let key = STANDARD.encode(nonce);
        debug_assert_eq!(key.len(), KEY_LENGTH);
        request.encode(&key, out);
        Ok(Self {
            accept: accept_key(&key),
            subprotocols: request.subprotocols.iter().map(|&name| name.to_owned()).collect(),
            offered_extensions: request.extensions.is_some(),
            head: Vec::new(),
        })
    }

    /// Reads the response out of `input`, up to the end of its head and not a byte further; `None` when more is
    /// needed.
    ///
    /// # Errors
    /// When the server refused, or its response is not what RFC 6455 §4.1 demands.
    pub fn receive(&mut self, input: &mut Input<'_>) -> Result<Option<Accepted>, ResponseError> {
        const END: &[u8] = b"\r\n\r\n";
        let seen = self.head.len();
        let room = MAX_RESPONSE_HEAD - seen;
        self.head.extend_from_slice(&input.as_slice()[..input.remaining().min(room)]);
        let from = seen.saturating_sub(END.len() - 1);
        let Some(end) = memmem::find(&self.head[from..], END) else {
            input.discard();
            return if self.head.len() == MAX_RESPONSE_HEAD {
                Err(ResponseError::TooLarge)
            } else {
                Ok(None)
            };
        };
        self.head.truncate(from + end + END.len());
        input.take(self.head.len() - seen);
        self.check(&self.head).map(Some)
    }

    /// The checks of RFC 6455 §4.1 on the response, in its order.
    fn check(&self, head: &[u8]) -> Result<Accepted, ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_RESPONSE_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(ResponseError::Malformed),
            Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooLarge),
            Err(_) => return Err(ResponseError::Malformed),
        }
        let status = response.code.ok_or(ResponseError::Malformed)?;
        if status != 101 {
            return Err(ResponseError::Refused { status });
        }
        if response.version != Some(1) {
            return Err(ResponseError::Malformed);
        }
        let headers = &*response.headers;
        if !values(headers, "upgrade").any(|value| value.eq_ignore_ascii_case("websocket")) {
            return Err(ResponseError::Upgrade);
        }
        let names_upgrade =
            |value| list_elements(value).any(|element| element.eq_ignore_ascii_case("upgrade"));
        if !values(headers, "connection").any(names_upgrade) {
            return Err(ResponseError::Connection);
        }
        let mut accepts = values(headers, "sec-websocket-accept");
        if accepts.next().map(str::as_bytes) != Some(&self.accept[..]) || accepts.next().is_some() {
            return Err(ResponseError::Accept);
        }
        let extensions: Vec<&str> = values(headers, "sec-websocket-extensions").collect();
        if !extensions.is_empty() && !self.offered_extensions {
            return Err(ResponseError::Extensions);
        }
        let mut subprotocols = values(headers, "sec-websocket-protocol");
        let subprotocol = subprotocols.next();
        let was_offered = |name: &str| self.subprotocols.iter().any(|offered| offered == name);
        if !subprotocol.is_none_or(was_offered) || subprotocols.next().is_some() {
            return Err(ResponseError::Subprotocol);
        }
        Ok(Accepted {
            subprotocol: subprotocol.map(str::to_owned),
            extensions: (!extensions.is_empty()).then(|| extensions.join(", ")),
        })
    }
}

/// The values of a header; one that is not ASCII is taken for empty, which no check accepts.
fn values<'h>(headers: &[httparse::Header<'h>], name: &str) -> impl Iterator<Item = &'h str> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| {
        std::str::from_utf8(header.value).ok().filter(|value| value.is_ascii()).map_or("", trim_whitespace)
    })
}

/// Why the server's response does not open a WebSocket.
///
/// ```
/// use gannet::protocol::handshake::ResponseError;
/// let refused = ResponseError::Refused { status: 401 };
/// assert_eq!(refused.to_string(), "the server refused the upgrade with status 401");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// The head is longer than 16 KiB or has more than 64 headers.
    TooLarge,
    /// Not an HTTP/1.1 response.
    Malformed,
    /// A status other than 101.
    Refused {
        /// The status.
        status: u16,
    },
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` does not answer our key.
    Accept,
    /// An extension that was not offered.
    Extensions,
    /// A subprotocol that was not offered, or more than one.
    Subprotocol,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the head of the response is too large for a WebSocket server's",
            Self::Malformed => "the answer is not HTTP/1.1: is this a WebSocket server?",
            Self::Refused { status } => {
                return write!(f, "the server refused the upgrade with status {status}");
            }
            Self::Upgrade => "the response lacks \"Upgrade: websocket\"",
            Self::Connection => "the response lacks \"Connection: Upgrade\"",
            Self::Accept => "Sec-WebSocket-Accept does not answer the key that was sent",
            Self::Extensions => "the server chose an extension that was not offered",
            Self::Subprotocol => "the server chose a subprotocol that was not offered",
        })
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 16] = *b"the sample nonce";
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

    fn start(subprotocols: &[&str], extensions: Option<&str>) -> ClientHandshake {
        let request =
            Request { host: "server.example.com", path: "/chat", subprotocols, extensions, headers: &[] };
        ClientHandshake::start(&request, NONCE, &mut Vec::new()).unwrap()
    }

    fn answer(status: &str, headers: &[&str]) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\n{}\r\n", headers.concat()).into_bytes()
    }

    #[test]
    fn the_request_has_what_section_4_1_demands() {
        let request = Request {
            host: "server.example.com",
            path: "/chat?x=1",
            subprotocols: &["chat", "superchat"],
            extensions: Some("permessage-deflate"),
            headers: &[("Origin", "http://example.com")],
        };
        let mut out = Vec::new();
        ClientHandshake::start(&request, NONCE, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /chat?x=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
             Origin: http://example.com\r\n\r\n"
        );
    }

    #[test]
    fn nothing_can_be_smuggled_into_the_request() {
        let good = Request { host: "h", path: "/", subprotocols: &[], extensions: None, headers: &[] };
        let cases = [
            (Request { host: "", ..good }, RequestError::Host),
            (Request { host: "a\r\nX: y", ..good }, RequestError::Host),
            (Request { path: "chat", ..good }, RequestError::Path),
            (Request { path: "/a b", ..good }, RequestError::Path),
            (Request { path: "/\r\n", ..good }, RequestError::Path),
            (Request { path: "/ü", ..good }, RequestError::Path),
            (Request { subprotocols: &["a", "a"], ..good }, RequestError::Subprotocols),
            (Request { subprotocols: &["a,b"], ..good }, RequestError::Subprotocols),
            (Request { extensions: Some("x\n"), ..good }, RequestError::Header),
            (Request { headers: &[("X", "a\r\nY: b")], ..good }, RequestError::Header),
            (Request { headers: &[("X:", "a")], ..good }, RequestError::Header),
        ];
        for (request, error) in cases {
            let mut out = Vec::new();
            assert_eq!(ClientHandshake::start(&request, NONCE, &mut out).err(), Some(error), "{request:?}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn responses_are_judged_as_section_4_1_demands() {
        use ResponseError::*;
        let ok = "101 Switching Protocols";
        let cases: Vec<(Vec<u8>, Option<ResponseError>)> = vec![
            (answer(ok, &[UPGRADE, ACCEPT]), None),
            (answer(ok, &["UPGRADE: WebSocket\r\nconnection: x, upgrade\r\n", ACCEPT]), None),
            (answer("200 OK", &[UPGRADE, ACCEPT]), Some(Refused { status: 200 })),
            (answer("401 Unauthorized", &[]), Some(Refused { status: 401 })),
            (answer(ok, &["Connection: Upgrade\r\n", ACCEPT]), Some(Upgrade)),
            (answer(ok, &["Upgrade: h2c\r\nConnection: Upgrade\r\n", ACCEPT]), Some(Upgrade)),
            (answer(ok, &["Upgrade: websocket\r\n", ACCEPT]), Some(Connection)),
            (answer(ok, &[UPGRADE]), Some(Accept)),
            (answer(ok, &[UPGRADE, ACCEPT, ACCEPT]), Some(Accept)),
            (answer(ok, &[UPGRADE, "Sec-WebSocket-Accept: dGhl\r\n"]), Some(Accept)),
            (answer(ok, &[UPGRADE, ACCEPT, "Sec-WebSocket-Extensions: x\r\n"]), Some(Extensions)),
            (answer(ok, &[UPGRADE, ACCEPT, "Sec-WebSocket-Protocol: chat\r\n"]), Some(Subprotocol)),
            (b"HTTP/1.0 101 OK\r\n\r\n".to_vec(), Some(Malformed)),
            (b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), Some(Malformed)),
            (b"\r\n\r\n".to_vec(), Some(Malformed)),
            (answer(ok, &vec!["X: y\r\n"; 65]), Some(TooLarge)),
            (answer(ok, &[&format!("X: {}\r\n", "y".repeat(16 * 1024))]), Some(TooLarge)),
        ];
        for (mut bytes, error) in cases {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(start(&[], None).receive(&mut Input::new(&mut bytes)).err(), error, "{text}");
        }
    }

    #[test]
    fn only_what_was_offered_can_be_chosen() {
        let head = |protocol: &str| {
            answer("101 OK", &[UPGRADE, ACCEPT, "Sec-WebSocket-Protocol: ", protocol, "\r\n"])
        };
        for (protocol, is_accepted) in
            [("chat", true), ("superchat", true), ("Chat", false), ("chat, superchat", false), ("", false)]
        {
            let mut bytes = head(protocol);
            let result = start(&["chat", "superchat"], None).receive(&mut Input::new(&mut bytes));
            assert_eq!(result.is_ok(), is_accepted, "{protocol:?}");
        }
        let mut bytes =
            answer("101 OK", &[UPGRADE, ACCEPT, "Sec-WebSocket-Extensions: permessage-deflate\r\n"]);
        let accepted = start(&[], Some("permessage-deflate")).receive(&mut Input::new(&mut bytes));
        assert_eq!(accepted.unwrap().unwrap().extensions.as_deref(), Some("permessage-deflate"));
    }

    #[test]
    fn every_cut_of_the_response_leaves_the_same_frames() {
        let head = answer("101 Switching Protocols", &[UPGRADE, ACCEPT]);
        let bytes = [&head[..], b"\x81\x02hi"].concat();
        for cut in 0..=bytes.len() {
            let mut handshake = start(&[], None);
            let (mut first, mut second) = (bytes[..cut].to_vec(), bytes[cut..].to_vec());
            let mut input = Input::new(&mut first);
            let mut accepted = handshake.receive(&mut input).unwrap();
            let mut frames = input.as_slice().to_vec();
            let mut input = Input::new(&mut second);
            if accepted.is_none() {
                accepted = handshake.receive(&mut input).unwrap();
            }
            frames.extend_from_slice(input.as_slice());
            assert!(accepted.is_some(), "cut at {cut}");
            assert_eq!(frames, b"\x81\x02hi", "cut at {cut}");
        }
    }
}
