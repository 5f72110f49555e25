//! What goes out unasked: the welcome to a client, and the events of a link. On the way of every message a client sends,
//! so that nothing here allocates but the buffer.

use super::{Hex, Names, write};
use crate::session::{Name, SessionId};
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// What a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// The first frame to a client: `{"type":"welcome","session":"…","user":"…"|null}`.
pub fn welcome(out: &mut String, session: SessionId, user: Option<&str>) {
    #[derive(Serialize)]
    struct Welcome<'a> {
        r#type: &'static str,
        session: Hex,
        user: Option<&'a str>,
    }
    write(out, &Welcome { r#type: "welcome", session: Hex(session), user });
}

/// `{"event":"open","session","app","user","tags","remote"}`.
pub fn open_event(
    out: &mut String,
    session: SessionId,
    app: &str,
    user: Option<&str>,
    tags: &[Name],
    remote: SocketAddr,
) {
    #[derive(Serialize)]
    struct Open<'a> {
        event: &'static str,
        session: Hex,
        app: &'a str,
        user: Option<&'a str>,
        tags: Names<'a>,
        remote: SocketAddr,
    }
    let (session, tags) = (Hex(session), Names(tags));
    write(out, &Open { event: "open", session, app, user, tags, remote });
}

/// `{"event":"message","session","user","text"}`, or with `"data"` in base64 for a binary message.
pub fn message_event(out: &mut String, session: SessionId, user: Option<&str>, payload: Payload<'_>) {
    #[derive(Serialize)]
    struct Message<'a> {
        event: &'static str,
        session: Hex,
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Base64<'a>>,
    }
    let (text, data) = match payload {
        Payload::Text(text) => (Some(text), None),
        Payload::Binary(bytes) => (None, Some(Base64(bytes))),
    };
    write(out, &Message { event: "message", session: Hex(session), user, text, data });
}

/// `{"event":"close","session","user","code","reason"}`.
pub fn close_event(out: &mut String, session: SessionId, user: Option<&str>, code: u16, reason: &str) {
    #[derive(Serialize)]
    struct Close<'a> {
        event: &'static str,
        session: Hex,
        user: Option<&'a str>,
        code: u16,
        reason: &'a str,
    }
    write(out, &Close { event: "close", session: Hex(session), user, code, reason });
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}
