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

/// The messages of a document that is being put together.
#[derive(Debug, Default)]
pub struct Document {
    messages: Vec<u8>,
    own: Vec<u8>,
}

/// What stands beside the messages.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Beside<'a> {
    /// The session.
    pub session: &'a str,
    /// What it is asked for again with.
    pub resume: &'a str,
    /// How many of its messages a client has received that has read this document.
    pub received: u64,
    /// Whether the session is the one that was asked for, where another one had been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
    /// What the session was called that was asked for, where it was on another node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<&'a str>,
    /// Of a session that has just opened: the user that it is bound to, which may be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Option<&'a str>>,
    /// Of the same: when its token expires, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
}

impl<'a> Beside<'a> {
    /// Of a session that goes on.
    pub fn of(session: &'a str, resume: &'a str, received: u64) -> Self {
        Self {
            session,
            resume,
            received,
            resumed: None,
            why: None,
            was: None,
            user: None,
            expires_unix_ms: None,
        }
    }
}

impl Document {
    /// Adds a message, as [`element`] makes it.
    pub fn message(&mut self, element: &[u8]) {
        add(element, &mut self.messages);
    }

    /// Adds a message of gannet's own: one JSON object.
    pub fn own(&mut self, json: &[u8]) {
        add(json, &mut self.own);
    }

    /// How long it is so far.
    pub fn length(&self) -> usize {
        self.messages.len() + self.own.len()
    }

    /// The document; `close` is what the session ended with, where it has.
    pub fn finish(self, beside: &Beside<'_>, close: Option<(u16, &str)>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Close<'a> {
            code: u16,
            reason: &'a str,
        }
        // Texts and numbers are always JSON.
        let mut bytes = serde_json::to_vec(beside).unwrap_or_default();
        // What follows stands in the same object.
        bytes.pop();
        for part in [&b",\"messages\":["[..], &self.messages, b"],\"own\":[", &self.own, b"]"] {
            bytes.extend_from_slice(part);
        }
        if let Some((code, reason)) = close {
            bytes.extend_from_slice(b",\"close\":");
            let written = serde_json::to_writer(&mut bytes, &Close { code, reason });
            debug_assert!(written.is_ok(), "a number and a text are always JSON");
        }
        bytes.push(b'}');
        bytes
    }
}

fn add(json: &[u8], list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(json);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(document: Document, beside: &Beside<'_>, close: Option<(u16, &str)>) -> Value {
        serde_json::from_slice(&document.finish(beside, close)).unwrap()
    }

    #[test]
    fn a_document_is_json_whatever_is_in_it() {
        let beside = Beside::of("s", "t\"", 0);
        let empty = json!({"session": "s", "resume": "t\"", "received": 0, "messages": [], "own": []});
        assert_eq!(read(Document::default(), &beside, None), empty);
        let mut document = Document::default();
        document.own(br#"{"type":"time"}"#);
        for (is_text, payload) in
            [(true, &b"a \"b\"\r\n\0"[..]), (true, b""), (false, b""), (false, b"\xff\0\x01")]
        {
            document.message(&element(is_text, payload));
        }
        document.own(br#"{"type":"renewed"}"#);
        let beside = Beside { received: u64::MAX, resumed: Some(false), why: Some("gap"), ..beside };
        let expected = json!({
            "session": "s", "resume": "t\"", "received": u64::MAX, "resumed": false, "why": "gap",
            "messages": [{"text": "a \"b\"\r\n\0"}, {"text": ""}, {"data": ""}, {"data": "/wAB"}],
            "own": [{"type": "time"}, {"type": "renewed"}],
            "close": {"code": 4001, "reason": "\"\n"},
        });
        assert_eq!(read(document, &beside, Some((4001, "\"\n"))), expected);
    }
}
