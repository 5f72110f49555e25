//! A client that polls: requests one after another on one connection, as a browser's fetch makes them.

use crate::raw::{Answer, Raw};
use serde_json::Value;
use std::net::SocketAddr;

/// See the module.
pub struct Poller {
    address: SocketAddr,
    /// The app and who it is: `?user=ada`, `/chess?token=…`.
    who: String,
    /// Field lines of each request.
    fields: String,
    connection: Option<Raw>,
    pub ticket: String,
    pub received: u64,
    pub session: String,
}

impl Poller {
    /// Opens a session.
    pub fn open(address: SocketAddr, who: &str, fields: &str) -> Self {
        let mut poller = Self { fields: fields.to_owned(), ..Self::with(address, who, "", 0) };
        let answer = poller.request("GET", &format!("/poll{who}"), "", b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let document = answer.json();
        poller.takes(&document);
        assert_eq!((document["messages"].as_array().map(Vec::len), poller.received), (Some(0), 0));
        poller
    }

    /// One that has this ticket, and has read so many messages.
    pub fn with(address: SocketAddr, who: &str, ticket: &str, received: u64) -> Self {
        Self {
            address,
            who: who.to_owned(),
            fields: String::new(),
            connection: None,
            ticket: ticket.to_owned(),
            received,
            session: String::new(),
        }
    }

    /// Its next request goes to another server.
    pub fn moves_to(&mut self, address: SocketAddr) {
        (self.address, self.connection) = (address, None);
    }

    fn takes(&mut self, document: &Value) {
        let text = |name: &str| document[name].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
        (self.ticket, self.session) = (text("resume"), text("session"));
        self.received = document["received"].as_u64().unwrap();
    }

    /// The target of the next poll.
    pub fn target(&self, wait_ms: u64) -> String {
        let join = if self.who.contains('?') { '&' } else { '?' };
        let Self { who, ticket, received, .. } = self;
        format!("/poll{who}{join}resume={ticket}&received={received}&wait_ms={wait_ms}")
    }

    /// Sends a poll, and does not wait for its answer.
    pub fn begin(&mut self, wait_ms: u64) {
        let target = self.target(wait_ms);
        self.send("GET", &target, "", b"");
    }

    /// The document that answers it.
    pub fn document(&mut self) -> Value {
        let answer = self.answer("GET");
        assert_eq!(answer.status, 200, "{answer:?}");
        let document = answer.json();
        self.takes(&document);
        document
    }

    /// The texts of the next document.
    pub fn poll(&mut self, wait_ms: u64) -> Vec<String> {
        self.begin(wait_ms);
        let document = self.document();
        let texts = document["messages"].as_array().unwrap().iter();
        texts
            .map(|message| message["text"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned())
            .collect()
    }

    /// The answer to a message.
    pub fn say(&mut self, content_type: &str, body: &[u8]) -> Answer {
        let target = format!("/send?resume={}", self.ticket);
        self.request("POST", &target, &format!("Content-Type: {content_type}\r\n"), body)
    }

    /// The answer to a request.
    pub fn request(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        self.send(method, target, fields, body);
        self.answer(method)
    }

    /// Sends a request on the connection, or on a new one.
    pub fn send(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) {
        let own = &self.fields;
        let length = match method {
            "POST" => format!("Content-Length: {}\r\n", body.len()),
            _ => String::new(),
        };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{own}{fields}{length}\r\n");
        let connection = self.connection.get_or_insert_with(|| Raw::connect(self.address));
        connection.send([head.as_bytes(), body].concat());
    }

    /// The answer that must come next.
    pub fn answer(&mut self, method: &str) -> Answer {
        let connection = self.connection.as_mut().expect("a request was sent");
        let mut answer = connection.answer_to(method);
        if answer.header("content-encoding") == Some("gzip") {
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*answer.body), &mut body).unwrap();
            answer.body = body;
        }
        if answer.header("connection") == Some("close") {
            self.connection = None;
        }
        answer
    }

    /// The connection goes, whatever waits on it.
    pub fn vanish(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.reset();
        }
    }
}
