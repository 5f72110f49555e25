//! A backend's connection that publishes while the load runs: pipelined HTTP requests on a connection that stays open, or
//! commands of gannet's link. Answers are counted, refusals are kept.

use std::io;
use std::sync::Arc;

use mio::net::TcpStream;

use super::client::{Client, Drained, Failure, Incoming};
use super::clock::Clock;
use super::error::BenchError;
use super::pipeline::Pipeline;
use super::stream::Stream;
use super::template::Template;
use crate::dispatch::ReceiptMode;
use crate::link_bin::{Command, Payload, Push, Reply, Request as LinkRequest, Selector};
use crate::protocol::Limits;
use crate::protocol::handshake::Request;
use crate::session::SessionId;

/// Publishes that one connection may have without an answer; what is beyond waits.
const MOST_UNANSWERED: usize = 128;
/// Of the first refusal, so much is kept.
const REFUSAL_BYTES: usize = 300;

/// A publishing connection.
pub struct Publisher {
    speech: Speech,
    wording: Wording,
    unanswered: usize,
    refused: u64,
    first_refusal: Option<String>,
}

/// What a publish looks like.
#[derive(Debug, Clone)]
pub enum Wording {
    /// Text with places to fill in.
    Text(Arc<Template>),
    /// A command of the binary link.
    Binary {
        /// To a group; without one, to a session.
        group: Option<Arc<str>>,
        /// What it is answered after.
        receipt: ReceiptMode,
    },
}

impl Wording {
    fn render(&self, session: &str, payload: &str, out: &mut Vec<u8>) {
        match self {
            Self::Text(template) => template.render(session, payload, out),
            Self::Binary { group, receipt } => {
                let selector = match group {
                    Some(group) => Selector::Group(group),
                    // The welcome gave it; anything else is somebody who is never there.
                    None => {
                        Selector::Session(session.parse().unwrap_or_else(|_| SessionId::from_u64(u64::MAX)))
                    }
                };
                let target = std::iter::once(selector).collect();
                let push = Push { receipt: *receipt, ..Push::new(target, Payload::Text(payload)) };
                // A group with a name too long for the layout is refused by its absence.
                let _ = LinkRequest::new(1, Command::Push(push)).encode(out);
            }
        }
    }

    /// A reply of the link, if it is a refusal, for a person to read.
    fn refusal(&self, reply: &[u8]) -> Option<String> {
        match self {
            Self::Text(_) => {
                let is_refusal = memchr::memmem::find(reply, b"\"error\":").is_some();
                is_refusal.then(|| String::from_utf8_lossy(reply).into_owned())
            }
            Self::Binary { .. } => match Reply::decode(reply) {
                Ok((_, Reply::Error { code, message })) => Some(format!("{}: {message}", code.as_str())),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            },
        }
    }
}

enum Speech {
    Http(Pipeline),
    Link { client: Client, limits: Arc<Limits>, command: Vec<u8> },
}

impl Publisher {
    /// Publishes by HTTP requests.
    pub fn http(stream: Stream, wording: Wording) -> Self {
        Self::new(Speech::Http(Pipeline::new(stream)), wording)
    }

    /// Publishes by commands of gannet's link, in the form of the wording.
    pub fn link(stream: Stream, request: &Request<'_>, wording: Wording) -> Result<Self, BenchError> {
        let client = Client::start(stream, request)?;
        let limits = Arc::new(Limits::default());
        Ok(Self::new(Speech::Link { client, limits, command: Vec::new() }, wording))
    }

    fn new(speech: Speech, wording: Wording) -> Self {
        Self { speech, wording, unanswered: 0, refused: 0, first_refusal: None }
    }

    /// The socket, for its registration.
    pub fn stream(&mut self) -> &mut TcpStream {
        match &mut self.speech {
            Speech::Http(http) => http.stream(),
            Speech::Link { client, .. } => client.stream(),
        }
    }

    /// Whether it takes another message.
    pub fn has_room(&self) -> bool {
        let is_open = match &self.speech {
            Speech::Http(_) => true,
            Speech::Link { client, .. } => client.is_open(),
        };
        is_open && self.unanswered < MOST_UNANSWERED
    }

    /// Messages that were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The first refusal, as an error.
    pub fn first_refusal(&self) -> Result<(), BenchError> {
        match &self.first_refusal {
            Some(answer) => Err(BenchError::PublishRefused { answer: answer.clone() }),
            None => Ok(()),
        }
    }

    /// Queues a message for `session`.
    pub fn publish(&mut self, session: &str, payload: &str) {
        self.unanswered += 1;
        match &mut self.speech {
            Speech::Http(http) => self.wording.render(session, payload, http.request()),
            Speech::Link { client, command, .. } => {
                command.clear();
                self.wording.render(session, payload, command);
                match &self.wording {
                    // Rendered from strings, it is one.
                    Wording::Text(_) => client.send(&String::from_utf8_lossy(command), false),
                    Wording::Binary { .. } => client.send_bytes(command),
                }
            }
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), BenchError> {
        match &mut self.speech {
            Speech::Http(http) => http.flush().map_err(BenchError::Publisher),
            Speech::Link { client, .. } => client.flush().map_err(link_failure),
        }
    }

    /// The socket is readable or writable.
    pub fn ready(&mut self, buffer: &mut [u8], clock: Clock) -> Result<(), BenchError> {
        self.flush()?;
        match &mut self.speech {
            Speech::Http(http) => {
                let closed = http.fill(buffer).map_err(BenchError::Publisher)?;
                while let Some((status, body)) = self.next_answer()? {
                    self.count((200..300).contains(&status), || {
                        format!("{status} {}", String::from_utf8_lossy(&body))
                    });
                }
                let ended = || BenchError::Publisher(io::ErrorKind::UnexpectedEof.into());
                if closed { Err(self.first_refusal().err().unwrap_or_else(ended)) } else { Ok(()) }
            }
            Speech::Link { client, limits, .. } => {
                let (mut replies, wording) = (Vec::new(), &self.wording);
                let mut on = |incoming: Incoming<'_, '_>, _| {
                    if let Incoming::Message(reply, _) = incoming {
                        replies.push(wording.refusal(reply));
                    }
                };
                let read = loop {
                    match client.read(buffer, limits, clock, &mut on) {
                        Ok(Drained::No) => {}
                        read => break read,
                    }
                };
                for refusal in replies {
                    self.count(refusal.is_none(), || refusal.unwrap_or_default());
                }
                read.map(drop).map_err(link_failure)
            }
        }
    }

    fn next_answer(&mut self) -> Result<Option<(u16, Vec<u8>)>, BenchError> {
        match &mut self.speech {
            Speech::Http(http) => http.next_answer(),
            Speech::Link { .. } => Ok(None),
        }
    }

    fn count(&mut self, is_taken: bool, refusal: impl FnOnce() -> String) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if !is_taken {
            self.refused += 1;
            self.first_refusal.get_or_insert_with(|| refusal().chars().take(REFUSAL_BYTES).collect());
        }
    }
}

fn link_failure(failure: Failure) -> BenchError {
    match failure {
        Failure::Io(error) => BenchError::Publisher(error),
        Failure::Response(error) => BenchError::PublishRefused { answer: error.to_string() },
        Failure::Protocol(error) => BenchError::Protocol(error),
        Failure::Ended(_) => BenchError::Publisher(io::ErrorKind::UnexpectedEof.into()),
    }
}
