//! What goes out unasked: the welcome to a client, and the events of a link. On the way of every message a client sends,
//! so that nothing here allocates but the buffer.

use super::{Base64, Hex, Names, write};
use crate::link_bin::{Event, Payload};
use crate::session::{Remote, SessionId};
use serde::Serialize;

/// The first frame to a client: `{"type":"welcome","session":"…","user":"…"|null}`, and `"expires_unix_ms"` where the session
/// ends with a token.
pub fn welcome(out: &mut String, session: SessionId, user: Option<&str>, expires_unix_ms: Option<u64>) {
    #[derive(Serialize)]
    struct Welcome<'a> {
        r#type: &'static str,
        session: Hex,
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_unix_ms: Option<u64>,
    }
    write(out, &Welcome { r#type: "welcome", session: Hex(session), user, expires_unix_ms });
}

/// An event of a link: `{"event":"open","session","app","user","tags","remote"}`,
/// `{"event":"message","session","user","text"}`, or with `"data"` in base64 for a binary message,
/// `{"event":"close","session","user","code","reason"}`.
pub fn event(out: &mut String, event: &Event<'_>) {
    match event {
        Event::Open { session, user, app, remote, tags } => {
            let (session, tags) = (Hex(*session), Names(tags));
            write(out, &Open { event: "open", session, app, user: *user, tags, remote: *remote });
        }
        Event::Message { session, user, payload } => {
            let (text, data) = match *payload {
                Payload::Text(text) => (Some(text), None),
                Payload::Binary(bytes) => (None, Some(Base64(bytes))),
            };
            write(out, &Message { event: "message", session: Hex(*session), user: *user, text, data });
        }
        Event::Close { session, user, code, reason } => {
            write(out, &Close { event: "close", session: Hex(*session), user: *user, code: *code, reason });
        }
    }
}

#[derive(Serialize)]
struct Open<'a> {
    event: &'static str,
    session: Hex,
    app: &'a str,
    user: Option<&'a str>,
    tags: Names<'a>,
    remote: Remote,
}

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

#[derive(Serialize)]
struct Close<'a> {
    event: &'static str,
    session: Hex,
    user: Option<&'a str>,
    code: u16,
    reason: &'a str,
}
