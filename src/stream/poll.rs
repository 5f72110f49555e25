//! The document that answers a long poll. Its messages are made once for all who get them, and put together here.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// A message as an element of `messages`: `{"text":…}` or `{"data":…}`.
pub fn element(is_text: bool, payload: &[u8]) -> Box<[u8]> {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Element<'a> {
        Text(&'a str),
        Data(String),
    }
    let element = match str::from_utf8(payload) {
        Ok(text) if is_text => Element::Text(text),
        _ => Element::Data(Base64Display::new(payload, &STANDARD).to_string()),
    };
    // Two texts are always JSON.
    serde_json::to_vec(&element).unwrap_or_default().into()
}

/// A document that is being put together.
#[derive(Debug)]
pub struct Document {
    bytes: Vec<u8>,
    part: Part,
    parts: usize,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Messages,
    Own,
}

impl Document {
    /// A document of the session `session`, which is asked for again with `resume`, its ticket, by a client that has
    /// `received` so many messages once it has read this one.
    pub fn new(session: &str, resume: &str, received: u64) -> Self {
        #[derive(Serialize)]
        struct Head<'a> {
            session: &'a str,
            resume: &'a str,
            received: u64,
        }
        // Two texts and a number are always JSON.
        let mut bytes = serde_json::to_vec(&Head { session, resume, received }).unwrap_or_default();
        // What follows stands in the same object.
        bytes.pop();
        bytes.extend_from_slice(b",\"messages\":[");
        Self { bytes, part: Part::Messages, parts: 0 }
    }

    /// Adds a message, as [`element`] makes it. All of them come before what is gannet's own.
    pub fn message(&mut self, element: &[u8]) {
        debug_assert_eq!(self.part, Part::Messages, "messages come first");
        self.add(element);
    }

    /// Adds a message of gannet's own: one JSON object.
    pub fn own(&mut self, json: &[u8]) {
        self.end_messages();
        self.add(json);
    }

    /// How long it is so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The document; `close` is what the session ended with, where it has.
    pub fn finish(mut self, close: Option<(u16, &str)>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Close<'a> {
            code: u16,
            reason: &'a str,
        }
        self.end_messages();
        self.bytes.push(b']');
        if let Some((code, reason)) = close {
            self.bytes.extend_from_slice(b",\"close\":");
            let written = serde_json::to_writer(&mut self.bytes, &Close { code, reason });
            debug_assert!(written.is_ok(), "a number and a text are always JSON");
        }
        self.bytes.push(b'}');
        self.bytes
    }

    fn end_messages(&mut self) {
        if self.part == Part::Messages {
            self.bytes.extend_from_slice(b"],\"own\":[");
            (self.part, self.parts) = (Part::Own, 0);
        }
    }

    fn add(&mut self, json: &[u8]) {
        if self.parts > 0 {
            self.bytes.push(b',');
        }
        self.bytes.extend_from_slice(json);
        self.parts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(document: Document, close: Option<(u16, &str)>) -> Value {
        serde_json::from_slice(&document.finish(close)).unwrap()
    }

    #[test]
    fn a_document_is_json_whatever_is_in_it() {
        let document = Document::new("00a0000000000001", "t\"", 0);
        let empty =
            json!({"session": "00a0000000000001", "resume": "t\"", "received": 0, "messages": [], "own": []});
        assert_eq!(read(document, None), empty);
        let mut document = Document::new("s", "t", u64::MAX);
        for (is_text, payload) in
            [(true, &b"a \"b\"\r\n\0"[..]), (true, b""), (false, b""), (false, b"\xff\0\x01")]
        {
            document.message(&element(is_text, payload));
        }
        document.own(br#"{"type":"time"}"#);
        document.own(br#"{"type":"renewed"}"#);
        let expected = json!({
            "session": "s", "resume": "t", "received": u64::MAX,
            "messages": [{"text": "a \"b\"\r\n\0"}, {"text": ""}, {"data": ""}, {"data": "/wAB"}],
            "own": [{"type": "time"}, {"type": "renewed"}],
            "close": {"code": 4001, "reason": "\"\n"},
        });
        assert_eq!(read(document, Some((4001, "\"\n"))), expected);
    }
}
