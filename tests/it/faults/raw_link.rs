//! A link of the JSON form over a raw socket: the test sees each frame, the control frames too.

use crate::raw::{CLOSE, Frame, PING, PONG, Raw, TEXT, masked, upgrade};
use crate::support::{DEADLINE, Ports};
use serde_json::{Value, json};
use std::time::Instant;

/// See the module.
pub struct RawLink {
    raw: Raw,
}

impl RawLink {
    /// A link.
    pub fn open(ports: &Ports) -> Self {
        Self::over(Raw::connect(ports.backend))
    }

    /// A link behind a small receive buffer: one that does not read is behind soon.
    pub fn open_narrow(ports: &Ports) -> Self {
        Self::over(Raw::connect_narrow(ports.backend))
    }

    fn over(mut raw: Raw) -> Self {
        raw.send(upgrade("/v1/link", "Sec-WebSocket-Protocol: gannet.link.json\r\n"));
        assert_eq!(raw.answer().status, 101);
        Self { raw }
    }

    /// Sends a command under `id` and does not wait.
    pub fn send(&mut self, id: u64, mut command: Value) {
        command["id"] = id.into();
        self.raw.send(masked(TEXT, command.to_string().as_bytes()));
    }

    /// Asks for the players' messages, and waits until that has been done.
    pub fn listen(&mut self) {
        self.send(1, json!({ "op": "listen", "events": ["message"] }));
        assert_eq!(self.reply(), (1, json!({})));
    }

    /// Sends a pong that answers nothing: the link is not silent.
    pub fn stir(&mut self) {
        self.raw.send(masked(PONG, b""));
    }

    /// The next frame that is not a ping. The link must not end.
    pub fn frame(&mut self) -> Frame {
        let started = Instant::now();
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            assert!(started.elapsed() < DEADLINE, "nothing but pings in {DEADLINE:?}");
        }
    }

    /// Nothing but pings may have come so far.
    pub fn assert_quiet(&mut self) {
        while self.raw.is_readable() {
            assert_eq!(self.take(), None);
        }
    }

    /// Takes the next frame. A ping is answered and `None`.
    fn take(&mut self) -> Option<Frame> {
        let frame = self.raw.frame().expect("the link ended without a Close frame");
        match frame.first {
            PING => self.raw.send(masked(PONG, &frame.payload)),
            CLOSE => panic!("the link was closed with {:?}", frame.close()),
            _ => return Some(frame),
        }
        None
    }

    /// The next frame, which must be a message.
    pub fn message(&mut self) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.first, TEXT, "{:?}", frame.payload);
        frame
    }

    /// The text of the message event that must come next.
    pub fn event(&mut self) -> String {
        let event: Value = serde_json::from_slice(&self.message().payload).unwrap();
        assert_eq!(event["event"], "message", "{event}");
        event["text"].as_str().unwrap().to_owned()
    }

    /// The reply that must come next: its id, and what is in `ok`.
    pub fn reply(&mut self) -> (u64, Value) {
        reply(&self.message())
    }

    /// Sends a ping and waits for its pong. Returns the replies that came before it.
    pub fn ping(&mut self, payload: &str) -> Vec<(u64, Value)> {
        self.raw.send(masked(PING, payload.as_bytes()));
        let mut replies = Vec::new();
        loop {
            let frame = self.frame();
            if frame.first == PONG {
                assert_eq!(frame.text(), payload);
                return replies;
            }
            replies.push(reply(&frame));
        }
    }

    /// The socket, for a test that expects the end.
    pub fn into_raw(self) -> Raw {
        self.raw
    }
}

fn reply(frame: &Frame) -> (u64, Value) {
    let mut reply: Value = serde_json::from_slice(&frame.payload).unwrap();
    assert!(reply.get("ok").is_some(), "{reply}");
    (reply["id"].as_u64().unwrap(), reply["ok"].take())
}
