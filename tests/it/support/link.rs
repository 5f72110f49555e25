//! A link: commands out, replies and events in.

use super::player::{closed, is_end, is_timeout, open};
use super::{DEADLINE, End};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use tungstenite::{Error, Message, WebSocket};

/// One link of the subprotocol `gannet.link.json`.
pub struct Link {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// Events that came before a reply that was waited for.
    events: VecDeque<Value>,
    end: End,
}

impl Link {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let socket = open(stream, "/v1/link", &["gannet.link.json"]).unwrap();
        Self { socket, last_id: 0, events: VecDeque::new(), end: End::Lost }
    }

    /// Sends a command under an id of its own, which is given back, and does not wait.
    pub fn send(&mut self, mut command: Value) -> u64 {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.socket.send(Message::text(command.to_string())).unwrap();
        self.last_id
    }

    /// The next reply: its id, and what is in `ok` or the error.
    pub fn receive(&mut self) -> (u64, Result<Value, Value>) {
        loop {
            let mut frame = self.read().unwrap_or_else(|end| panic!("no reply but {end:?}"));
            if frame.get("event").is_some() {
                self.events.push_back(frame);
                continue;
            }
            let id = frame["id"].as_u64().unwrap();
            return match frame.get_mut("ok") {
                Some(ok) => (id, Ok(ok.take())),
                None => (id, Err(frame["error"].take())),
            };
        }
    }

    /// Sends a command and waits for its reply.
    pub fn try_command(&mut self, command: Value) -> Result<Value, Value> {
        let id = self.send(command);
        let (replied, result) = self.receive();
        assert_eq!(replied, id, "replies come in the order of the commands");
        result
    }

    /// Sends a command that must succeed.
    pub fn command(&mut self, command: Value) -> Value {
        self.try_command(command.clone()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Asks for events.
    pub fn listen(&mut self, events: &[&str], share: Option<&str>) {
        self.command(json!({ "op": "listen", "events": events, "share": share }));
    }

    /// The next event.
    pub fn event(&mut self) -> Value {
        self.next_event().unwrap_or_else(|end| panic!("no event but {end:?}"))
    }

    /// The next event, or the link's end.
    pub fn next_event(&mut self) -> Result<Value, End> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        let frame = self.read()?;
        assert!(frame.get("event").is_some(), "no event but {frame}");
        Ok(frame)
    }

    fn read(&mut self) -> Result<Value, End> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => self.end = closed(frame),
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => panic!("nothing came in {DEADLINE:?}"),
                Err(error) if is_end(&error) => return Err(self.end.clone()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}
