//! gannet's own messages on a player's connection, where it has agreed on the subprotocol for them: texts that begin with
//! [`MARK`], in both directions. A text of the game's that begins so has the mark doubled. Knows nothing of sessions.

use super::render::write;
use crate::dispatch::{CommandError, Quoted};
use crate::ops::bounds::bad_request;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::borrow::Cow;

use crate::dispatch::MARK;

/// The subprotocol.
pub const SUBPROTOCOL: &str = "gannet.v1";

/// A text from a client that has agreed on the subprotocol.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// It is the game's.
    Game(&'a str),
    /// It is gannet's: what stands behind the mark.
    Own(&'a str),
}

impl<'a> Incoming<'a> {
    /// Whose it is.
    pub fn of(text: &'a str) -> Self {
        match text.strip_prefix(MARK) {
            None => Self::Game(text),
            Some(rest) if rest.starts_with(MARK) => Self::Game(rest),
            Some(own) => Self::Own(own),
        }
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// What time it is. The number is the client's own, and goes back with the answer.
    Time(Number),
    /// To go on under this token.
    Renew(Cow<'a, str>),
}

/// Why a message is not understood.
#[derive(Debug, PartialEq, Eq)]
pub struct NotUnderstood<'a> {
    /// Its type, where it could be read.
    pub of: Option<Cow<'a, str>>,
    /// What is wrong with it.
    pub error: CommandError,
}

/// Reads what stands behind the mark.
///
/// # Errors
/// [`NotUnderstood`].
pub fn read(json: &str) -> Result<Asked<'_>, NotUnderstood<'_>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        t: Option<Number>,
        #[serde(borrow)]
        token: Option<Cow<'a, str>>,
    }
    // serde would read an array as well, field by field.
    let is_object = json.trim_ascii_start().starts_with('{');
    let fields = is_object.then(|| serde_json::from_str::<Fields<'_>>(json).ok()).flatten();
    let Some(Fields { r#type, t, token }) = fields else { return Err(not_understood(json)) };
    match (&*r#type, t, token) {
        ("time", Some(t), None) => Ok(Asked::Time(t)),
        ("renew", None, Some(token)) => Ok(Asked::Renew(token)),
        ("time", ..) => Err(wrong(r#type, "time has one field: t, a number")),
        ("renew", ..) => Err(wrong(r#type, "renew has one field: token, a text")),
        _ => Err(unknown(r#type)),
    }
}

/// Of a message whose fields are none that are known, the type may be.
fn not_understood(json: &str) -> NotUnderstood<'_> {
    #[derive(Deserialize)]
    struct Type<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    match serde_json::from_str::<Type<'_>>(json) {
        Ok(Type { r#type }) if ["time", "renew"].contains(&&*r#type) => {
            wrong(r#type, "time has one field: t, a number; renew has one: token, a text")
        }
        Ok(Type { r#type }) => unknown(r#type),
        Err(_) => {
            let message = "behind U+001E stands one JSON object with a type; a text of the game's that begins with it has it \
                           twice";
            NotUnderstood { of: None, error: bad_request(message) }
        }
    }
}

fn wrong<'a>(of: Cow<'a, str>, message: &str) -> NotUnderstood<'a> {
    NotUnderstood { of: Some(of), error: bad_request(message) }
}

fn unknown(of: Cow<'_, str>) -> NotUnderstood<'_> {
    let error = bad_request(format!("there is no type {}; there are time, renew", Quoted(&of)));
    NotUnderstood { of: Some(of), error }
}

/// What gannet says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Said<'a> {
    /// What time it is.
    Time {
        /// The number that the client has sent.
        t: &'a Number,
        /// The wall clock, in milliseconds since the Unix epoch.
        server_unix_ms: u64,
    },
    /// The session goes on.
    Renewed {
        /// Until then, in milliseconds since the Unix epoch.
        expires_unix_ms: u64,
    },
    /// What was asked for was not done.
    Error {
        /// The type of the message, where it could be read.
        of: Option<&'a str>,
        /// For programs.
        code: &'static str,
        /// For people.
        message: &'a str,
    },
    /// The connection will be closed: connect again.
    Reconnect {
        /// After so many milliseconds.
        after_ms: u64,
        /// There; `null` is the same place.
        to: Option<&'a str>,
    },
}

impl<'a> Said<'a> {
    /// An error.
    pub fn error(of: Option<&'a str>, error: &'a CommandError) -> Self {
        // What a client sent is of any length, and goes back only where it is a type's name.
        let of = of.filter(|of| of.len() <= 64);
        Self::Error { of, code: error.code.as_str(), message: &error.message }
    }

    /// As the text of a message.
    pub fn text(&self) -> String {
        let mut text = String::from(MARK);
        write(&mut text, self);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{ErrorCode, marked};

    #[test]
    fn a_text_is_the_games_unless_it_begins_with_one_mark() {
        for (text, expected) in [
            ("", Incoming::Game("")),
            ("hi", Incoming::Game("hi")),
            ("x\u{1e}", Incoming::Game("x\u{1e}")),
            ("\u{1e}", Incoming::Own("")),
            ("\u{1e}{}", Incoming::Own("{}")),
            ("\u{1e}\u{1e}", Incoming::Game("\u{1e}")),
            ("\u{1e}\u{1e}\u{1e}{}", Incoming::Game("\u{1e}\u{1e}{}")),
        ] {
            assert_eq!(Incoming::of(text), expected, "{text:?}");
            if let Incoming::Game(game) = expected {
                assert_eq!(Incoming::of(&marked(game)), Incoming::Game(game), "there and back");
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        let number = |text: &str| serde_json::from_str::<Number>(text).unwrap();
        for (json, expected) in [
            (r#"{"type":"time","t":123}"#, Asked::Time(number("123"))),
            (r#" {"t":-1.5,"type":"time"} "#, Asked::Time(number("-1.5"))),
            (r#"{"type":"renew","token":"a.b.c"}"#, Asked::Renew("a.b.c".into())),
            (r#"{"type":"ren\u0065w","token":"a\n"}"#, Asked::Renew("a\n".into())),
        ] {
            assert_eq!(read(json), Ok(expected), "{json}");
        }
        for (json, of, says) in [
            ("", None, "one JSON object"),
            ("7", None, "one JSON object"),
            (r#"["time",1]"#, None, "one JSON object"),
            (r#"{"t":1}"#, None, "one JSON object"),
            (r#"{"type":7}"#, None, "one JSON object"),
            (r#"{"type":"time"} x"#, None, "one JSON object"),
            (r#"{"type":"time"}"#, Some("time"), "t, a number"),
            (r#"{"type":"time","t":"1"}"#, Some("time"), "t, a number"),
            (r#"{"type":"time","t":1,"t":2}"#, Some("time"), "t, a number"),
            (r#"{"type":"time","t":1,"token":"x"}"#, Some("time"), "t, a number"),
            (r#"{"type":"renew","t":1}"#, Some("renew"), "token, a text"),
            (r#"{"type":"renew","token":"x","x":1}"#, Some("renew"), "token, a text"),
            (r#"{"type":"reset"}"#, Some("reset"), "no type \"reset\""),
            (r#"{"type":"reset","x":1}"#, Some("reset"), "no type \"reset\""),
        ] {
            let refused = read(json).expect_err(json);
            assert_eq!((refused.of.as_deref(), refused.error.code), (of, ErrorCode::BadRequest), "{json}");
            assert!(refused.error.message.contains(says), "{json}: {}", refused.error);
        }
    }

    #[test]
    fn what_is_said() {
        let error = CommandError::new(ErrorCode::Unauthorized, "no");
        let t = Number::from(7);
        for (said, text) in [
            (Said::Time { t: &t, server_unix_ms: 9 }, r#"{"type":"time","t":7,"server_unix_ms":9}"#),
            (Said::Renewed { expires_unix_ms: 9 }, r#"{"type":"renewed","expires_unix_ms":9}"#),
            (
                Said::error(Some("renew"), &error),
                r#"{"type":"error","of":"renew","code":"unauthorized","message":"no"}"#,
            ),
            (
                Said::error(Some(&"x".repeat(65)), &error),
                r#"{"type":"error","of":null,"code":"unauthorized","message":"no"}"#,
            ),
            (
                Said::Reconnect { after_ms: 1, to: Some("wss://b/\"") },
                r#"{"type":"reconnect","after_ms":1,"to":"wss://b/\""}"#,
            ),
        ] {
            assert_eq!(said.text(), format!("{MARK}{text}"));
        }
    }
}
