//! The messages of a link that listens: events, and the reply to `listen`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::listeners::Heard;
use crate::cli::bench::checked::answer::Answer;
use crate::cli::bench::checked::mark::Mark;
use crate::link_bin::{Event, is_event};
use crate::session::SessionId;

/// A message of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened to a session.
    Event(SessionId, Heard),
    /// The reply to a command.
    Reply(Answer),
}

#[derive(Deserialize)]
struct JsonEvent {
    event: String,
    session: String,
    text: Option<String>,
    data: Option<String>,
    code: Option<u16>,
}

/// Reads a message of the JSON link.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_json(message: &[u8], run: u32) -> Result<Told, String> {
    let unlike = || format!("no event and no reply: {}", String::from_utf8_lossy(message));
    let Ok(event) = serde_json::from_slice::<JsonEvent>(message) else {
        return Answer::from_json(message).map(|(_, answer)| Told::Reply(answer)).ok_or_else(unlike);
    };
    let session = event.session.parse().map_err(|_| unlike())?;
    let heard = match (event.event.as_str(), event.text, event.data) {
        ("open", None, None) => Heard::Open,
        ("message", Some(text), None) => Heard::Message(mark(text.as_bytes(), run)?),
        ("message", None, Some(data)) => {
            Heard::Message(mark(&STANDARD.decode(data).map_err(|_| unlike())?, run)?)
        }
        ("close", None, None) => Heard::Close(event.code.ok_or_else(unlike)?),
        _ => return Err(unlike()),
    };
    Ok(Told::Event(session, heard))
}

/// Reads a message of the binary link.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_binary(message: &[u8], run: u32) -> Result<Told, String> {
    let unlike = || format!("no event and no reply: {message:02x?}");
    if !is_event(message) {
        return Answer::from_binary(message).map(|(_, answer)| Told::Reply(answer)).ok_or_else(unlike);
    }
    Ok(match Event::decode(message).map_err(|error| error.to_string())? {
        Event::Open { session, .. } => Told::Event(session, Heard::Open),
        Event::Message { session, payload, .. } => {
            Told::Event(session, Heard::Message(mark(payload.as_bytes(), run)?))
        }
        Event::Close { session, code, .. } => Told::Event(session, Heard::Close(code)),
        // A soak asks for no other.
        Event::Join(_)
        | Event::Leave(_)
        | Event::Away { .. }
        | Event::Back { .. }
        | Event::Gap
        | Event::Tag(_)
        | Event::Untag(_)
        | Event::Bind { .. }
        | Event::UserOnline { .. }
        | Event::UserOffline { .. }
        | Event::Expiring { .. }
        | Event::Assigned(_)
        | Event::Session(_)
        | Event::Synced
        | Event::Unassigned { .. } => return Err(unlike()),
    })
}

fn mark(payload: &[u8], run: u32) -> Result<Option<Mark>, String> {
    Mark::read(payload, run).map_err(|damaged| damaged.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::checked::mark::PLAYER;
    use crate::link_bin::Payload;

    const SESSION: SessionId = SessionId::from_u64(0x00a0_0000_0000_0001);
    const MARK: Mark = Mark { run: 9, publisher: PLAYER, stream: 0, number: 4 };

    #[test]
    fn both_forms_say_the_same() {
        let mut text = String::new();
        MARK.write(60, &mut text);
        let data = STANDARD.encode(&text);
        let heard = |json: String, event: &Event<'_>| {
            let mut binary = Vec::new();
            event.encode(&mut binary).unwrap();
            let told = read_json(json.as_bytes(), 9);
            assert_eq!(told, read_binary(&binary, 9), "{json}");
            told.unwrap()
        };
        let (session, user) = (SESSION, None);
        let payload = Payload::Text(&text);
        let said = heard(
            format!(r#"{{"event":"message","session":"{SESSION}","user":null,"text":"{text}"}}"#),
            &Event::Message { session, user, payload },
        );
        assert_eq!(said, Told::Event(SESSION, Heard::Message(Some(MARK))));
        let payload = Payload::Binary(text.as_bytes());
        let said = heard(
            format!(r#"{{"event":"message","session":"{SESSION}","user":null,"data":"{data}"}}"#),
            &Event::Message { session, user, payload },
        );
        assert_eq!(said, Told::Event(SESSION, Heard::Message(Some(MARK))));
        let closed = heard(
            format!(r#"{{"event":"close","session":"{SESSION}","user":null,"code":4001,"reason":"r"}}"#),
            &Event::Close { session, user, code: 4001, reason: "r" },
        );
        assert_eq!(closed, Told::Event(SESSION, Heard::Close(4001)));
        assert_eq!(read_json(br#"{"id":1,"ok":{}}"#, 9), Ok(Told::Reply(Answer::Done)));
        assert_eq!(read_binary(&[0x81, 0, 0, 0, 1, 0, 0, 0], 9), Ok(Told::Reply(Answer::Done)));
    }

    #[test]
    fn what_is_neither_is_told() {
        let damaged = format!(r#"{{"event":"message","session":"{SESSION}","text":"{}"}}"#, {
            let mut text = String::new();
            MARK.write(60, &mut text);
            text.pop();
            text
        });
        for message in [
            damaged.as_str(),
            "",
            "{",
            r#"{"event":"open","session":"x"}"#,
            r#"{"event":"fly","session":"1"}"#,
        ] {
            assert!(read_json(message.as_bytes(), 9).is_err(), "{message}");
        }
        assert!(read_binary(&[0xc3, 0], 9).is_err());
    }
}
