//! A link: commands out, replies and events in.

use super::player::{closed, is_end, is_timeout, open, open_with, read, reset_on_drop};
use super::{DEADLINE, End, link_bin};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

/// One link, in either form; to the test both speak JSON.
pub struct Link {
    socket: WebSocket<TcpStream>,
    is_binary: bool,
    last_id: u64,
    /// Events that came before a reply that was waited for.
    events: VecDeque<Value>,
    end: End,
}

impl Link {
    /// Connects with the subprotocol `gannet.link.json`.
    pub fn connect(address: SocketAddr) -> Self {
        Self::with_subprotocol(address, "gannet.link.json")
    }

    /// Connects with the subprotocol `gannet.link.bin`.
    pub fn connect_binary(address: SocketAddr) -> Self {
        Self::with_subprotocol(address, gannet::link_bin::SUBPROTOCOL)
    }

    fn with_subprotocol(address: SocketAddr, subprotocol: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let socket = open(stream, "/v1/link", &[subprotocol]).unwrap();
        let is_binary = subprotocol == gannet::link_bin::SUBPROTOCOL;
        Self { socket, is_binary, last_id: 0, events: VecDeque::new(), end: End::Lost }
    }

    /// Connects with `resume`, and with `received` where that is a ticket. The link, and its first message.
    pub fn resume(
        address: SocketAddr,
        is_binary: bool,
        ticket: &str,
        received: Option<u64>,
    ) -> (Self, Value) {
        Self::resume_with(address, is_binary, ticket, received, None)
    }

    /// The same with a key.
    pub fn resume_with(
        address: SocketAddr,
        is_binary: bool,
        ticket: &str,
        received: Option<u64>,
        key: Option<&str>,
    ) -> (Self, Value) {
        let subprotocol = if is_binary { gannet::link_bin::SUBPROTOCOL } else { "gannet.link.json" };
        let received = received.map_or(String::new(), |received| format!("&received={received}"));
        let target = format!("/v1/link?resume={ticket}{received}");
        let socket = open_with(TcpStream::connect(address).unwrap(), &target, &[subprotocol], key).unwrap();
        let mut link = Self { socket, is_binary, last_id: 0, events: VecDeque::new(), end: End::Lost };
        let first = link.read().unwrap_or_else(|end| panic!("no first message but {end:?}"));
        assert!(first.get("resume").is_some(), "{first}");
        (link, first)
    }

    /// Vanishes with a reset instead of a FIN.
    pub fn reset(self) {
        reset_on_drop(self.socket.get_ref());
    }

    /// Closes with this code, and waits for the end.
    pub fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).unwrap();
        while self.read().is_ok() {}
    }

    /// Sends a message as it is.
    pub fn send_raw(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// Sends a command under an id of its own, which is given back, and does not wait.
    pub fn send(&mut self, mut command: Value) -> u64 {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.tell(&command);
        self.last_id
    }

    /// Sends a command as it is: without an id it gets no reply.
    pub fn tell(&mut self, command: &Value) {
        let message = match self.is_binary {
            true => Message::binary(link_bin::encode(command)),
            false => Message::text(command.to_string()),
        };
        self.send_raw(message);
    }

    /// Sends several commands in one message, under ids of their own, the first of which is given back.
    pub fn send_several(&mut self, commands: &[Value]) -> u64 {
        let first = self.last_id + 1;
        let commands: Vec<Value> = commands
            .iter()
            .map(|command| {
                self.last_id += 1;
                let mut command = command.clone();
                command["id"] = self.last_id.into();
                command
            })
            .collect();
        self.send_raw(match self.is_binary {
            true => Message::binary(link_bin::encode_several(&commands)),
            false => Message::text(Value::from(commands).to_string()),
        });
        first
    }

    /// The next reply: its id, and what is in `ok` or the error.
    pub fn receive(&mut self) -> (u64, Result<Value, Value>) {
        loop {
            let mut frame = self.read().unwrap_or_else(|end| panic!("no reply but {end:?}"));
            if frame.get("event").is_some() {
                self.events.push_back(frame);
                continue;
            }
            let id = frame["id"].as_u64().unwrap_or(0);
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

    /// The events that came before the last reply and have not been taken.
    pub fn events_so_far(&mut self) -> Vec<Value> {
        self.events.drain(..).collect()
    }

    fn read(&mut self) -> Result<Value, End> {
        loop {
            match read(&mut self.socket) {
                Ok(Message::Text(text)) if !self.is_binary => {
                    return Ok(serde_json::from_str(&text).unwrap());
                }
                Ok(Message::Binary(bytes)) if self.is_binary => return Ok(link_bin::decode(&bytes)),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    panic!("of the other form: {message}")
                }
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
