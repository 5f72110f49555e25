//! What goes out unasked: the welcome to a client, and the events of a link. On the way of every message a client sends,
//! so that nothing here allocates but the buffer.

use super::{Hex, Names, write};
use crate::link_bin::{Event, Payload};
use crate::session::{Remote, SessionId};
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// The first frame to a client: `{"type":"welcome","session":"…","user":"…"|null}`, and `"expires_unix_ms"` where the session
/// ends with a token.
pub fn welcome(out: &mut String, welcome: &Welcome<'_>) {
    #[derive(Serialize)]
    struct Text<'a> {
        r#type: &'static str,
        session: Hex,
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_unix_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
    }
    let Welcome { session, user, expires_unix_ms, ticket, resumed } = *welcome;
    let (resumed, why) = match resumed {
        None => (None, None),
        Some(Ok(())) => (Some(true), None),
        Some(Err(why)) => (Some(false), Some(why)),
    };
    let text = Text {
        r#type: "welcome",
        session: Hex(session),
        user,
        expires_unix_ms,
        resume: ticket,
        resumed,
        why,
    };
    write(out, &text);
}

/// What a client is told first.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// Its session.
    pub session: SessionId,
    /// The user that the session is bound to.
    pub user: Option<&'a str>,
    /// When its token expires.
    pub expires_unix_ms: Option<u64>,
    /// The ticket to come back with, where its app's sessions may resume.
    pub ticket: Option<&'a str>,
    /// Where it came back: whether the session goes on, or why it does not.
    pub resumed: Option<Result<(), &'a str>>,
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

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}
