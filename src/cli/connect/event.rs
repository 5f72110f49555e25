//! What happens, as a line for people or for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::table::printable;

/// Bytes of a binary message that a line for people shows.
const SHOWN_BYTES: usize = 32;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// The server has upgraded the connection.
    Open {
        /// Where, without what proves who the player is.
        url: String,
        /// What the server has chosen.
        subprotocol: Option<String>,
        /// Whether messages may be compressed.
        is_compressed: bool,
    },
    /// gannet's first message.
    Welcome(Value),
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// One of gannet's own messages.
    Own(Value),
    /// The server's clock.
    Time {
        /// From the question to the answer.
        round_trip: Duration,
        /// How far the server's clock is ahead of this one.
        ahead_ms: f64,
    },
    /// A Ping, which has been answered.
    Ping(Vec<u8>),
    /// A Pong, and how long after its Ping, if that was ours.
    Pong(Vec<u8>, Option<Duration>),
    /// A Close of the server's, or its answer to ours.
    Closed {
        /// Its code, if it has one.
        code: Option<u16>,
        /// Its reason.
        reason: String,
        /// Whether ours came first.
        by_us: bool,
    },
    /// The connection is gone without a Close, or could not be made.
    Lost(String),
    /// The client will try again.
    Pause(Duration),
    /// Something to know.
    Note(String),
    /// An input that cannot be carried out.
    Wrong(String),
}

impl Happened {
    /// The line, without its end, of what happened at `at`.
    pub fn line(&self, at: SystemTime, is_json: bool) -> String {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if is_json {
            return self.json(since).to_string();
        }
        let moment = OffsetDateTime::UNIX_EPOCH + since;
        let (hour, minute, second, milli) = moment.to_hms_milli();
        let (name, text) = self.text();
        format!("{hour:02}:{minute:02}:{second:02}.{milli:03}  {name:<8} {text}").trim_end().to_owned()
    }

    fn text(&self) -> (&'static str, String) {
        match self {
            Self::Open { url, subprotocol, is_compressed } => {
                let subprotocol = subprotocol.as_ref().map(|name| format!(", {}", printable(name)));
                let deflate = if *is_compressed { ", compressed" } else { "" };
                ("open", format!("{}{}{deflate}", printable(url), subprotocol.unwrap_or_default()))
            }
            Self::Welcome(welcome) => ("welcome", welcomed(welcome)),
            Self::Text(text) => ("text", printable(text)),
            Self::Binary(bytes) => ("binary", hex(bytes)),
            Self::Own(own) => ("own", printable(&own.to_string())),
            Self::Time { round_trip, ahead_ms } => {
                let clock = if *ahead_ms < 0.0 { "behind" } else { "ahead" };
                let off = ahead_ms.abs();
                (
                    "time",
                    format!("the server's clock is {off:.1} ms {clock}; round trip {}", millis(*round_trip)),
                )
            }
            Self::Ping(bytes) => ("ping", printable(&String::from_utf8_lossy(bytes))),
            Self::Pong(bytes, round_trip) => {
                let text = printable(&String::from_utf8_lossy(bytes));
                ("pong", [round_trip.map(millis).unwrap_or_default(), text].join("  ").trim().to_owned())
            }
            Self::Closed { code, reason, by_us } => {
                let code = code.map_or("without a code".to_owned(), |code| code.to_string());
                let reason =
                    if reason.is_empty() { String::new() } else { format!(" {}", printable(reason)) };
                ("closed", format!("{code}{reason}{}", if *by_us { ", as asked" } else { "" }))
            }
            Self::Lost(why) => ("lost", printable(why)),
            Self::Pause(pause) => ("pause", format!("{pause:?} before the next try")),
            Self::Note(text) => ("note", text.clone()),
            Self::Wrong(text) => ("wrong", printable(text)),
        }
    }

    fn json(&self, since: Duration) -> Value {
        let micros = |time: &Duration| time.as_micros() as u64;
        let mut event = match self {
            Self::Open { url, subprotocol, is_compressed } => {
                json!({ "event": "open", "url": url, "subprotocol": subprotocol, "compressed": is_compressed })
            }
            Self::Welcome(welcome) => json!({ "event": "welcome", "welcome": welcome }),
            Self::Text(text) => json!({ "event": "text", "text": text }),
            Self::Binary(bytes) => json!({ "event": "binary", "data": BASE64_STANDARD.encode(bytes) }),
            Self::Own(own) => json!({ "event": "own", "own": own }),
            Self::Time { round_trip, ahead_ms } => {
                json!({ "event": "time", "ahead_ms": ahead_ms, "round_trip_us": micros(round_trip) })
            }
            Self::Ping(bytes) => json!({ "event": "ping", "text": String::from_utf8_lossy(bytes) }),
            Self::Pong(bytes, round_trip) => {
                let us = round_trip.as_ref().map(micros);
                json!({ "event": "pong", "text": String::from_utf8_lossy(bytes), "round_trip_us": us })
            }
            Self::Closed { code, reason, by_us } => {
                json!({ "event": "closed", "code": code, "reason": reason, "by_us": by_us })
            }
            Self::Lost(why) => json!({ "event": "lost", "why": why }),
            Self::Pause(pause) => json!({ "event": "pause", "ms": pause.as_millis() as u64 }),
            Self::Note(text) => json!({ "event": "note", "text": text }),
            Self::Wrong(text) => json!({ "event": "wrong", "text": text }),
        };
        event["at_unix_ms"] = json!(since.as_millis() as u64);
        event
    }
}

/// A welcome in words. Its ticket is like a token: no screen needs it.
fn welcomed(welcome: &Value) -> String {
    let text = |name: &str| welcome[name].as_str().map(printable);
    let mut words = format!("session {}", text("session").unwrap_or_default());
    if let Some(user) = text("user") {
        words += &format!(", user {user}");
    }
    match (welcome["resumed"].as_bool(), text("why"), text("was")) {
        (Some(true), _, None) => words += ", resumed",
        (Some(true), _, Some(was)) => words += &format!(", resumed, was {was}"),
        (Some(false), why, _) => words += &format!(", not resumed: {}", why.unwrap_or_default()),
        (None, ..) if welcome["resume"].is_string() => words += ", may resume",
        (None, ..) => {}
    }
    words
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > SHOWN_BYTES { " …" } else { "" };
    let plural = if bytes.len() == 1 { "" } else { "s" };
    format!("{} byte{plural}  {}{more}", bytes.len(), shown.join(" "))
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_and_commands_no_terminal() {
        let at = UNIX_EPOCH + Duration::from_millis(86_400_000 + 3_723_004);
        let line = |happened: Happened| happened.line(at, false);
        assert_eq!(
            line(Happened::Text("a\u{1b}[2Jb\n".to_owned())),
            "01:02:03.004  text     a\\u{1b}[2Jb\\n"
        );
        assert_eq!(line(Happened::Binary(vec![0, 255])), "01:02:03.004  binary   2 bytes  00 ff");
        assert!(line(Happened::Binary(vec![7; 40])).ends_with(" 07 …"));
        assert_eq!(line(Happened::Ping(vec![])), "01:02:03.004  ping");
        let pong = Happened::Pong(b"x".to_vec(), Some(Duration::from_micros(1_500)));
        assert_eq!(line(pong), "01:02:03.004  pong     1.500 ms  x");
        let closed = Happened::Closed { code: Some(4001), reason: "bye".to_owned(), by_us: false };
        assert_eq!(line(closed), "01:02:03.004  closed   4001 bye");
        let behind = Happened::Time { round_trip: Duration::from_millis(1), ahead_ms: -2.25 };
        assert!(line(behind).contains("2.2 ms behind; round trip 1.000 ms"));
    }

    #[test]
    fn a_welcome_is_told_without_its_ticket() {
        for (welcome, words) in [
            (r#"{"session":"0a","user":null}"#, "session 0a"),
            (r#"{"session":"0a","user":"ada","resume":"SECRET"}"#, "session 0a, user ada, may resume"),
            (r#"{"session":"0a","resume":"SECRET","resumed":true}"#, "session 0a, resumed"),
            (r#"{"session":"0b","resumed":true,"was":"0a"}"#, "session 0b, resumed, was 0a"),
            (r#"{"session":"0b","resumed":false,"why":"gap"}"#, "session 0b, not resumed: gap"),
        ] {
            assert_eq!(welcomed(&serde_json::from_str(welcome).unwrap()), words);
        }
    }

    #[test]
    fn programs_get_everything() {
        let at = UNIX_EPOCH + Duration::from_millis(7);
        let json = |happened: Happened| serde_json::from_str::<Value>(&happened.line(at, true)).unwrap();
        assert_eq!(
            json(Happened::Binary(vec![0, 255])),
            json!({"event": "binary", "data": "AP8=", "at_unix_ms": 7})
        );
        let pong = Happened::Pong(vec![], None);
        assert_eq!(json(pong), json!({"event": "pong", "text": "", "round_trip_us": null, "at_unix_ms": 7}));
    }
}
