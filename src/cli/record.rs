//! `gannet record`: what happens at the socket of one session, as it is recorded.

use std::fmt;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::backend::{BackendArgs, Target};
use super::error::CliError;
use super::output::{print, print_some};
use super::table::printable;
use crate::session::SessionId;

/// With `--follow`, it is looked so often whether something has happened.
const EVERY: Duration = Duration::from_millis(250);

/// Print what has happened at the socket of one session; where it is not recorded yet, begin to.
#[derive(Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    whose: Whose,
    /// App that the session is of [default: default]
    #[arg(long)]
    app: Option<String>,
    /// Begin anew, and keep the last N events
    #[arg(long, value_name = "N")]
    frames: Option<u32>,
    /// Print what happens as it happens, until the session ends
    #[arg(long)]
    follow: bool,
    /// Stop the record and forget it, or take the order for a user back
    #[arg(long, conflicts_with_all = ["frames", "follow"])]
    stop: bool,
    /// Print the server's JSON; with --follow, an event a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// Session id, 16 hex digits
    #[arg(value_name = "SESSION")]
    session: Option<SessionId>,
    /// The next session of this user, from its opening on
    #[arg(long)]
    user: Option<String>,
}

/// A record as the server gives it.
#[derive(Debug, Deserialize)]
struct Record<'a> {
    session: SessionIdText,
    began_unix_ms: u64,
    live: bool,
    lost: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    end: Option<End>,
}

/// The id as it stands there: it is told apart from others, and shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
struct SessionIdText(String);

#[derive(Debug, Deserialize)]
struct End {
    at_us: u64,
    code: u16,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    at_us: u64,
    what: String,
    opcode: Option<String>,
    fin: Option<bool>,
    compressed: Option<bool>,
    bytes: u64,
    head: Option<String>,
    class: Option<String>,
}

/// Why there is no record to be printed.
#[derive(Debug)]
struct NoRecord(serde_json::Error);

impl fmt::Display for NoRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's record is none: {}; --json prints what it says", self.0)
    }
}

impl std::error::Error for NoRecord {}

impl From<NoRecord> for CliError {
    fn from(error: NoRecord) -> Self {
        Self::Command(Box::new(error))
    }
}

/// Which record: its session, and when it began.
type Which = (SessionIdText, u64);

/// Which record an answer is.
fn which(answer: &str) -> Result<Which, CliError> {
    let record = serde_json::from_str::<Record<'_>>(answer).map_err(NoRecord)?;
    Ok((record.session, record.began_unix_ms))
}

/// How far a record has been printed.
#[derive(Debug, Default)]
struct Printed {
    /// Which record: another begins anew.
    of: Option<Which>,
    /// So many events of it, those that are lost among them.
    events: u64,
    /// When the last of them happened.
    last_us: u64,
    ended: bool,
}

/// Runs `gannet record`.
pub fn run(args: &RecordArgs) -> Result<(), CliError> {
    if args.stop {
        return print(&args.backend.call("DELETE", args.target(None).as_str(), None)?);
    }
    let found = args.read()?;
    let (Some(answer), None) = (&found, args.frames) else { return args.begin(found.as_deref()) };
    match (args.follow, args.json) {
        (true, _) => args.follow(None),
        (false, true) => print(answer),
        (false, false) => print(&Printed::default().lines(answer, false)?),
    }
}

impl RecordArgs {
    fn target(&self, frames: Option<u64>) -> Target {
        let mut target = match (&self.whose.session, &self.whose.user) {
            (Some(session), _) => Target::new("/v1/sessions").segment(&session.to_string()),
            (None, user) => Target::new("/v1/users").segment(user.as_deref().unwrap_or_default()),
        }
        .segment("record");
        target.pairs("app", &self.app);
        target.pairs("frames", frames.map(|frames| frames.to_string()));
        target
    }

    /// The record as it is now; `None` where there is none.
    fn read(&self) -> Result<Option<String>, CliError> {
        match self.backend.call("GET", self.target(None).as_str(), None) {
            Ok(answer) => Ok(Some(answer)),
            Err(CliError::Refused { code: Some(code), .. }) if code == "unknown_session" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a record; one that there was `before` is another.
    fn begin(&self, before: Option<&str>) -> Result<(), CliError> {
        let begun = self.backend.call("POST", self.target(self.frames.map(u64::from)).as_str(), None)?;
        match (self.follow, self.json) {
            (false, true) => print(&begun),
            (false, false) => print(self.whose.begun()),
            (true, _) => {
                eprintln!("{}", self.whose.begun());
                self.follow(before.map(which).transpose()?)
            }
        }
    }

    /// Prints what happens until the session has ended and nothing more has come of it. The record `before` is not meant.
    fn follow(&self, before: Option<Which>) -> Result<(), CliError> {
        let mut printed = Printed::default();
        loop {
            match self.read()? {
                Some(answer) if before.is_some() && before == Some(which(&answer)?) => {}
                Some(answer) => {
                    let lines = printed.lines(&answer, self.json)?;
                    let goes_on = match lines.is_empty() {
                        true => !printed.ended,
                        false => print_some(&lines)?,
                    };
                    if !goes_on {
                        return Ok(());
                    }
                }
                // It was there, and has been stopped, or its time is over.
                None if printed.of.is_some() || self.whose.user.is_none() => return Ok(()),
                // An order waits for its session.
                None => {}
            }
            thread::sleep(EVERY);
        }
    }
}

impl Whose {
    fn begun(&self) -> &'static str {
        match self.user {
            Some(_) => "the next session of the user will be recorded: the same command prints its record",
            None => "the session is recorded from now on: the same command prints its record",
        }
    }
}

impl Printed {
    /// What has not been printed, a line each: of people the events with a head before the first, or as `json` the events.
    fn lines(&mut self, answer: &str, json: bool) -> Result<String, CliError> {
        let record = serde_json::from_str::<Record<'_>>(answer).map_err(NoRecord)?;
        let of = Some((record.session.clone(), record.began_unix_ms));
        let is_new = self.of != of;
        if is_new {
            *self = Self { of, ..Self::default() };
        }
        let mut lines = String::new();
        if is_new && !json {
            let SessionIdText(session) = &record.session;
            lines.push_str(&format!("session {}\n{HEAD}\n", printable(session)));
        }
        let missed = record.lost.saturating_sub(self.events);
        if missed > 0 && !json {
            lines.push_str(&format!("… {missed} events that are lost\n"));
        }
        let known = usize::try_from(self.events.saturating_sub(record.lost)).unwrap_or(usize::MAX);
        for raw in record.events.iter().skip(known) {
            if json {
                lines.push_str(raw.get());
                lines.push('\n');
                continue;
            }
            let event = serde_json::from_str::<Event>(raw.get()).map_err(NoRecord)?;
            lines.push_str(&event.line(self.last_us));
            self.last_us = event.at_us;
        }
        self.events = record.lost + record.events.len() as u64;
        let ended = !record.live;
        if let Some(end) = record.end.filter(|_| ended && !self.ended && !json) {
            let reason = printable(&end.reason);
            lines.push_str(&format!(
                "ended {} after its record began: {} {reason}",
                span(end.at_us),
                end.code
            ));
            lines = format!("{}\n", lines.trim_end());
        }
        self.ended = ended;
        Ok(lines)
    }
}

/// Above the lines of [`Event::line`].
const HEAD: &str = "    AFTER  WHAT      FRAME         BYTES  CLASS      BEGINS WITH";

impl Event {
    /// One line; the event before it happened at `last_us`.
    fn line(&self, last_us: u64) -> String {
        let Self { at_us, what, opcode, fin, compressed, bytes, head, class } = self;
        let mark = match (fin, compressed) {
            (Some(false), _) => "+",
            (_, Some(true)) => "z",
            _ => "",
        };
        let frame = format!("{}{mark}", opcode.as_deref().unwrap_or("-"));
        let (what, class) = (printable(what), class.as_deref().unwrap_or("-"));
        let (after, head) = (span(at_us.saturating_sub(last_us)), shown(head.as_deref().unwrap_or_default()));
        let line = format!("{after:>9}  {what:8}  {frame:13} {bytes:>5}  {class:9}  {head}");
        format!("{}\n", line.trim_end())
    }
}

/// A time between two events, in at most nine characters.
fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// The first bytes of a payload: as text where all of them can be printed, and as they are written in JSON otherwise.
fn shown(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2);
    let bytes =
        pairs.map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    let text = bytes.collect::<Option<Vec<u8>>>().and_then(text_of);
    text.unwrap_or_else(|| printable(hex))
}

/// The text that begins so; what is cut in the middle of a character ends before it.
fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    // The mark of gannet's own messages stands before text.
    let inner = text.strip_prefix('\u{1e}').unwrap_or(text);
    let is_plain = !inner.is_empty() && printable(inner) == inner;
    is_plain.then(|| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"session":"00a0000000000001","began_unix_ms":7,"live":true,"lost":0,"events":[
        {"at_us":1500,"what":"in","opcode":"text","fin":false,"bytes":5,"head":"68656c6c6f"},
        {"at_us":1600,"what":"queued","opcode":"binary","bytes":300,"head":"00ff","class":"urgent"},
        {"at_us":2001600,"what":"out","opcode":"binary","compressed":true,"bytes":300,"head":"00ff","class":"urgent"},
        {"at_us":2001700,"what":"in","bytes":3,"head":"6801"}]}"#;

    #[test]
    fn a_record_is_a_line_an_event_with_the_time_since_the_last() {
        let lines = Printed::default().lines(RECORD, false).unwrap();
        assert_eq!(
            lines,
            "session 00a0000000000001\n    \
             AFTER  WHAT      FRAME         BYTES  CLASS      BEGINS WITH\n   \
             1.5 ms  in        text+             5  -          \"hello\"\n   \
             100 us  queued    binary          300  urgent     00ff\n    \
             2.0 s  out       binaryz         300  urgent     00ff\n   \
             100 us  in        -                 3  -          6801\n"
        );
    }

    #[test]
    fn what_is_followed_is_printed_once_and_what_was_missed_is_said() {
        let record = |lost: u64, count: u64, rest: &str| {
            let events =
                (lost..lost + count).map(|at| format!(r#"{{"at_us":{at},"what":"in","bytes":{at}}}"#));
            let events = events.collect::<Vec<_>>().join(",");
            format!(r#"{{"session":"0a","began_unix_ms":1,"lost":{lost},"events":[{events}],{rest}}}"#)
        };
        let live = r#""live":true"#;
        let mut printed = Printed::default();
        assert_eq!(printed.lines(&record(0, 2, live), false).unwrap().lines().count(), 4);
        assert_eq!(printed.lines(&record(0, 2, live), false).unwrap(), "");
        let more = printed.lines(&record(1, 2, live), false).unwrap();
        assert!(more.lines().count() == 1 && more.contains("1 us"), "{more}");
        let more = printed.lines(&record(5, 2, live), false).unwrap();
        assert!(more.starts_with("… 2 events that are lost\n") && more.lines().count() == 3, "{more}");
        let over = r#""live":false,"end":{"at_us":3000000,"code":4000,"reason":"idle"}"#;
        let last = printed.lines(&record(5, 3, over), false).unwrap();
        assert!(last.ends_with("\nended 3.0 s after its record began: 4000 idle\n"), "{last}");
        assert!(printed.ended && printed.lines(&record(5, 3, over), false).unwrap().is_empty());
        let anew = record(0, 1, live).replace(r#""began_unix_ms":1"#, r#""began_unix_ms":2"#);
        assert_eq!(printed.lines(&anew, true).unwrap(), "{\"at_us\":0,\"what\":\"in\",\"bytes\":0}\n");
        assert!(printed.lines("{}", false).is_err());
    }

    #[test]
    fn no_payload_commands_the_terminal() {
        for (head, text) in [
            ("1b5b324a", "1b5b324a"),
            ("1e7b7d", "\"\\u{1e}{}\""),
            ("68c3", "\"h\""),
            ("c3", "c3"),
            ("68ff69", "68ff69"),
            ("", ""),
            ("zz", "zz"),
        ] {
            assert_eq!(shown(head), text, "{head}");
        }
    }
}
