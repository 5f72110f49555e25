//! A game server's HTTP connection: keep-alive, and pipelined where a test wants that.

use super::{DEADLINE, Scrape, read_on};
use serde::Deserialize;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tungstenite::Message;

/// One connection to the backend port.
pub struct Backend<S = TcpStream> {
    stream: S,
    /// Read, but not taken yet.
    input: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// What the answer to a push counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Sessions that the target named.
    pub matched: u32,
    /// Of these, those whose socket or queue took the message.
    pub queued: u32,
    /// Conflated.
    pub replaced: u32,
    /// No room.
    pub dropped: u32,
    /// Too late.
    pub expired: u32,
    /// Named sessions and users that have no session.
    pub offline: u32,
    /// Only with `receipt=written`.
    pub written: Option<u32>,
    /// Only with `receipt=written`.
    pub closed: Option<u32>,
    /// Only with `receipt=written`: not settled when the receipt was due.
    #[serde(default)]
    pub pending: u32,
    /// Reactors whose mailbox took no more; their sessions are not in `matched`.
    #[serde(default)]
    pub unreached: u32,
    /// Of the matched, those whose client is away.
    #[serde(default)]
    pub away: u32,
    /// The number of the push in a group that remembers.
    pub offset: Option<u64>,
    /// The epoch of that number.
    pub epoch: Option<String>,
    /// Who missed it, where that was asked for.
    pub missed: Option<Vec<Value>>,
    /// How many more.
    #[serde(default)]
    pub missed_more: u32,
}

impl Receipt {
    /// Every session that was matched has exactly one fate.
    pub fn adds_up(&self) -> bool {
        match (self.written, self.closed) {
            (Some(written), Some(closed)) => {
                let lost = self.replaced + self.dropped + self.expired;
                self.matched == written + lost + closed + self.pending
            }
            _ => self.matched == self.queued + self.dropped,
        }
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Backend {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// The same over a stream that is connected.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self::on(stream)
    }
}

impl<S: Read + Write> Backend<S> {
    /// The same on any stream that does not wait for ever.
    pub fn on(stream: S) -> Self {
        Self { stream, input: Vec::new() }
    }

    /// Sends a request and does not wait.
    pub fn send(&mut self, method: &str, target: &str, content_type: &str, body: &[u8]) {
        let length = body.len();
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).unwrap();
    }

    /// The answer to the first request that has not been answered.
    pub fn receive(&mut self) -> Reply {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(head) = response.parse(&self.input).unwrap() {
                let length =
                    response.headers.iter().find(|one| one.name.eq_ignore_ascii_case("content-length"));
                let length: usize =
                    length.map_or(0, |one| std::str::from_utf8(one.value).unwrap().parse().unwrap());
                let status = response.code.unwrap();
                while self.input.len() < head + length {
                    self.read();
                }
                let body = self.input[head..head + length].to_vec();
                self.input.drain(..head + length);
                return Reply { status, body };
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 16 * 1024];
        let count = read_on(&mut self.stream, &mut chunk).unwrap();
        assert!(count > 0, "the backend port closed: {}", String::from_utf8_lossy(&self.input));
        self.input.extend_from_slice(&chunk[..count]);
    }

    /// A request without a body, and its answer.
    pub fn request(&mut self, method: &str, target: &str) -> Reply {
        self.send(method, target, "text/plain", b"");
        self.receive()
    }

    /// A request that must succeed.
    pub fn ok(&mut self, method: &str, target: &str) -> Value {
        let reply = self.request(method, target);
        assert_eq!(reply.status, 200, "{method} {target}: {}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }

    /// A request that changes sessions: how many it changed.
    pub fn change(&mut self, method: &str, target: &str) -> u64 {
        self.ok(method, target)["sessions"].as_u64().unwrap()
    }

    /// Sends a push and does not wait; `target` is the query.
    pub fn send_push(&mut self, target: &str, message: &Message) {
        let (content_type, bytes) = match message {
            Message::Text(text) => ("text/plain", text.as_bytes()),
            Message::Binary(bytes) => ("application/octet-stream", bytes.as_ref()),
            other => panic!("{other:?} cannot be pushed"),
        };
        self.send("POST", &format!("/v1/push?{target}"), content_type, bytes);
    }

    /// The receipt of the first push that has not been answered.
    pub fn receive_receipt(&mut self) -> Receipt {
        let reply = self.receive();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Pushes, and waits for the receipt.
    pub fn push(&mut self, target: &str, message: &Message) -> Receipt {
        self.send_push(target, message);
        self.receive_receipt()
    }

    /// Pushes a text, and waits for the receipt.
    pub fn push_text(&mut self, target: &str, text: &str) -> Receipt {
        self.push(target, &Message::text(text))
    }

    /// The samples of `GET /metrics`.
    pub fn scrape(&mut self) -> Scrape {
        let reply = self.request("GET", "/metrics");
        assert_eq!(reply.status, 200);
        Scrape::new(reply.body)
    }

    /// The totals of `GET /v1/stats`.
    pub fn stats(&mut self) -> Value {
        self.ok("GET", "/v1/stats")
    }
}
