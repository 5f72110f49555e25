//! A connection to a real Redis that waits for each answer, for tests.

use super::redis_server::RedisServer;
use super::resp::{Frame, Parser, ParserLimits, Value, write_command};
use std::io::{Read, Write};
use std::net::TcpStream;

/// See the module.
pub struct Connection {
    stream: TcpStream,
    parser: Parser,
}

impl Connection {
    /// To this one.
    pub fn to(server: &RedisServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        Self { stream, parser: Parser::new(ParserLimits { max_frame_bytes: 1 << 20, max_depth: 8 }) }
    }

    /// The answer to a command.
    pub fn run(&mut self, args: &[&[u8]]) -> Value {
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        self.run_written(&bytes)
    }

    /// The answer to a command that is written already.
    pub fn run_written(&mut self, command: &[u8]) -> Value {
        self.stream.write_all(command).unwrap();
        match self.next() {
            Frame::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The answer to a command without spaces in its words.
    pub fn say(&mut self, line: &str) -> Value {
        self.run(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    /// Has the channel heard.
    pub fn subscribe(&mut self, channel: &[u8]) {
        let mut bytes = Vec::new();
        write_command(&mut bytes, &[b"SUBSCRIBE", channel]);
        self.stream.write_all(&bytes).unwrap();
        assert!(matches!(self.next(), Frame::Subscribed(_)));
    }

    /// The next message of a channel.
    pub fn message(&mut self) -> Vec<u8> {
        match self.next() {
            Frame::Message { payload, .. } => self.parser.bytes(&payload).to_vec(),
            other => panic!("{other:?}"),
        }
    }

    fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parser.next().unwrap() {
                return frame;
            }
            let count = self.stream.read(self.parser.room(1)).unwrap();
            assert!(count > 0, "Redis has closed the connection");
            self.parser.filled(count);
        }
    }
}
