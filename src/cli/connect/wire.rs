//! The connection: what is sent on it, and what has come, in gannet's terms. It keeps what a session needs to be resumed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::event::Happened;
use crate::client::{Client, ClientConfig, ClientError};
use crate::http::percent_encode;
use crate::protocol::{CloseCode, Event};

/// What a text of gannet's own begins with.
const OWN: char = '\u{1e}';
/// The subprotocol with which there are such texts.
pub const SUBPROTOCOL: &str = "gannet.v1";
/// How long a read waits for what may be there: the shortest that the system knows.
const GLANCE: Duration = Duration::from_millis(1);
/// Pings without their Pongs that are remembered.
const MOST_PINGS: usize = 64;

/// What is kept of a session from one connection to the next.
#[derive(Debug, Default)]
pub struct Seat {
    /// The ticket of the last welcome.
    pub ticket: Option<String>,
    /// The session's messages that have come.
    pub received: u64,
    /// Its id.
    pub session: Option<String>,
}

/// A connection.
pub struct Wire {
    client: Client,
    speaks_own: bool,
    /// Whether a first message can be a welcome.
    is_fresh: bool,
    /// Pings under way, the oldest first.
    pings: VecDeque<(Vec<u8>, Instant)>,
    /// Whether a Close has been sent.
    is_closing: bool,
}

/// What a look at a connection found.
pub struct Found {
    /// What has come.
    pub events: Vec<Happened>,
    /// Whether that was all.
    pub is_over: bool,
}

impl Wire {
    /// Connects to `url`, for the session of `seat` if it has a ticket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open(url: &str, config: &ClientConfig, seat: &Seat) -> Result<Self, ClientError> {
        let client = Client::connect_with(&resuming(url, seat), config)?;
        client.set_read_timeout(Some(GLANCE))?;
        let speaks_own = client.subprotocol() == Some(SUBPROTOCOL);
        let pings = VecDeque::new();
        Ok(Self { client, speaks_own, is_fresh: true, pings, is_closing: false })
    }

    /// What the server has chosen.
    pub fn subprotocol(&self) -> Option<&str> {
        self.client.subprotocol()
    }

    /// Whether messages may be compressed.
    pub fn is_compressed(&self) -> bool {
        self.client.is_compressed()
    }

    /// Whether a Close of ours is under way.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Sends a text message of the game's.
    ///
    /// # Errors
    /// [`ClientError`], as all that send.
    pub fn text(&mut self, text: &str) -> Result<(), ClientError> {
        match self.speaks_own && text.starts_with(OWN) {
            true => self.client.send_text(&format!("{OWN}{text}")),
            false => self.client.send_text(text),
        }
    }

    /// Sends a binary message.
    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.client.send_binary(bytes)
    }

    /// Sends a message to gannet itself; `false` if it is not spoken here.
    pub fn own(&mut self, own: &Value) -> Result<bool, ClientError> {
        if self.speaks_own {
            self.client.send_text(&format!("{OWN}{own}"))?;
        }
        Ok(self.speaks_own)
    }

    /// Sends a Ping.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.client.ping(payload)?;
        if self.pings.len() == MOST_PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((payload.to_owned(), Instant::now()));
        Ok(())
    }

    /// Begins the closing handshake.
    pub fn close(&mut self, code: Option<u16>, reason: &str) -> Result<(), ClientError> {
        self.client.close(code.map(CloseCode), reason)?;
        self.is_closing = true;
        Ok(())
    }

    /// Takes all that has come.
    pub fn look(&mut self, seat: &mut Seat) -> Found {
        let mut events = Vec::new();
        loop {
            match self.client.receive() {
                Ok(Some(event)) => {
                    let is_close = matches!(event, Event::Close(_));
                    events.push(self.happened(event, seat));
                    if is_close {
                        return Found { events, is_over: true };
                    }
                }
                Ok(None) => return Found { events, is_over: true },
                Err(ClientError::Io(error)) if is_nothing_yet(&error) => {
                    return Found { events, is_over: false };
                }
                Err(error) => {
                    events.push(Happened::Lost(error.to_string()));
                    return Found { events, is_over: true };
                }
            }
        }
    }

    fn happened(&mut self, event: Event<'_>, seat: &mut Seat) -> Happened {
        let is_first = std::mem::take(&mut self.is_fresh);
        match event {
            Event::Text(text) => {
                if let Some(welcome) = is_first.then(|| welcome(&text)).flatten() {
                    seat.take(&welcome);
                    return Happened::Welcome(welcome);
                }
                match (self.speaks_own, text.strip_prefix(OWN)) {
                    (true, Some(own)) if !own.starts_with(OWN) => own_message(own),
                    (true, Some(rest)) => {
                        seat.received += 1;
                        Happened::Text(rest.to_owned())
                    }
                    _ => {
                        seat.received += 1;
                        Happened::Text(text.into_owned())
                    }
                }
            }
            Event::Binary(bytes) => {
                seat.received += 1;
                Happened::Binary(bytes.into_owned())
            }
            Event::Ping(bytes) => {
                self.is_fresh = is_first;
                Happened::Ping(bytes.into_owned())
            }
            Event::Pong(bytes) => {
                self.is_fresh = is_first;
                Happened::Pong(bytes.to_vec(), self.round_trip(&bytes))
            }
            Event::Close(close) => {
                let (code, reason) = close.map(|close| (close.code.0, close.reason.into_owned())).unzip();
                Happened::Closed { code, reason: reason.unwrap_or_default(), by_us: self.is_closing }
            }
        }
    }

    /// How long ago the Ping was sent that a Pong answers. One Pong may answer several: those before it are forgotten (RFC 6455
    /// §5.5.3).
    fn round_trip(&mut self, payload: &[u8]) -> Option<Duration> {
        let at = self.pings.iter().position(|(sent, _)| sent == payload)?;
        let (_, sent) = self.pings.drain(..=at).next_back()?;
        Some(sent.elapsed())
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }
}

impl Seat {
    /// A welcome says which session this is, and with which ticket it comes back.
    fn take(&mut self, welcome: &Value) {
        if welcome["resumed"].as_bool() != Some(true) {
            self.received = 0;
        }
        self.session = welcome["session"].as_str().map(str::to_owned);
        self.ticket = welcome["resume"].as_str().map(str::to_owned);
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// `url` with what resumes a session.
fn resuming(url: &str, seat: &Seat) -> String {
    let mut url = url.to_owned();
    if let Some(ticket) = &seat.ticket {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("resume=");
        percent_encode(ticket, &mut url);
        url.push_str(&format!("&received={}", seat.received));
    }
    url
}

fn welcome(text: &str) -> Option<Value> {
    let message = serde_json::from_str::<Value>(text).ok()?;
    (message["type"] == "welcome" && message["session"].is_string()).then_some(message)
}

/// One of gannet's own messages; a time that answers [`question`] is one.
fn own_message(text: &str) -> Happened {
    let Ok(own) = serde_json::from_str::<Value>(text) else { return Happened::Own(Value::from(text)) };
    let asked = own["t"].as_f64().filter(|_| own["type"] == "time");
    match (asked, own["server_unix_ms"].as_f64()) {
        (Some(asked), Some(server)) => {
            let round_trip = (now_unix_ms() - asked).max(0.0);
            let ahead_ms = server - (asked + round_trip / 2.0);
            Happened::Time { round_trip: Duration::from_secs_f64(round_trip / 1e3), ahead_ms }
        }
        _ => Happened::Own(own),
    }
}

/// What asks for the server's clock.
pub fn question() -> Value {
    serde_json::json!({ "type": "time", "t": now_unix_ms() })
}

fn now_unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_follows_the_welcomes() {
        let mut seat = Seat { ticket: None, received: 7, session: None };
        assert_eq!(resuming("ws://h/ws", &seat), "ws://h/ws");
        let mut take = |text: &str| {
            seat.take(&welcome(text).unwrap());
            (seat.received, resuming("ws://h/ws?user=a", &seat))
        };
        let (received, url) = take(r#"{"type":"welcome","session":"0a","resume":"A+B","resumed":true}"#);
        assert_eq!((received, url.as_str()), (7, "ws://h/ws?user=a&resume=A%2BB&received=7"));
        let (received, url) = take(r#"{"type":"welcome","session":"0b","resumed":false,"why":"gap"}"#);
        assert_eq!((received, url.as_str()), (0, "ws://h/ws?user=a"));
        for text in ["hi", r#"{"type":"welcome"}"#, r#"{"type":"hello","session":"0a"}"#] {
            assert_eq!(welcome(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_about_the_time_tells_the_offset() {
        let question = question();
        let server = question["t"].as_f64().unwrap() + 5_000.0;
        let answer = format!(r#"{{"type":"time","t":{},"server_unix_ms":{server}}}"#, question["t"]);
        let Happened::Time { ahead_ms, .. } = own_message(&answer) else { panic!() };
        assert!(ahead_ms <= 5_000.0, "{ahead_ms}");
        assert!(matches!(own_message(r#"{"type":"backend","state":"away"}"#), Happened::Own(_)));
        assert!(matches!(own_message("no JSON"), Happened::Own(Value::String(_))));
    }
}
