//! From a log record to a line: text, or a JSON object. No character of a line can end it or command a terminal, whoever it
//! comes from. Knows nothing of where lines go.

use std::fmt::{self, Write as _};
use std::io;

use log::kv::{Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Record};
use serde::ser::{Serialize, SerializeMap, Serializer};
use simplelog::{ConfigBuilder, SharedLogger, WriteLogger};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::held::Fields;
use super::queue::Lines;
use crate::config::LogFormat;

/// What a line says.
pub struct Line<'a> {
    /// Its level.
    pub level: Level,
    /// Its target.
    pub target: &'a str,
    /// Its message.
    pub message: fmt::Arguments<'a>,
    /// Its fields. In text they are no part of the line: the message has what a person wants to know of them.
    pub fields: &'a Fields,
    /// How many like it were held back before it.
    pub held: u64,
}

/// What writes lines of one form.
pub trait Form: Send + Sync {
    /// Writes one.
    fn write(&self, line: &Line<'_>);
}

/// What writes lines of the form `format`.
pub fn form(format: LogFormat, lines: Lines) -> Box<dyn Form> {
    match format {
        LogFormat::Text => Box::new(Text::new(lines)),
        LogFormat::Json => Box::new(Json { lines }),
    }
}

/// The fields of a record.
pub fn fields_of(record: &Record<'_>) -> Fields {
    struct Gather(Fields);
    impl<'kvs> VisitSource<'kvs> for Gather {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            self.0.push((key.as_str().into(), value.to_string().into()));
            Ok(())
        }
    }
    let mut gather = Gather(Fields::new());
    // Gathering does not fail, and what a source gives before it does is good.
    let _ = record.key_values().visit(&mut gather);
    gather.0
}

/// The message with how many like it were held back.
struct Message<'a>(&'a Line<'a>);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(self.0.message)?;
        match self.0.held {
            0 => Ok(()),
            held => write!(f, " ({held} more like this since the last such line)"),
        }
    }
}

/// Time in UTC, level, target and message, as simplelog writes them.
struct Text {
    writer: Box<dyn Log>,
}

impl Text {
    fn new(lines: Lines) -> Self {
        let format = ConfigBuilder::new()
            .set_time_format_rfc3339()
            .set_target_level(LevelFilter::Error)
            .set_thread_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let line = LineWriter { lines, line: Vec::new() };
        Self { writer: WriteLogger::new(LevelFilter::Trace, format, line).as_log() }
    }
}

impl Form for Text {
    fn write(&self, line: &Line<'_>) {
        let mut escaped = String::new();
        escape(&Message(line).to_string(), &mut escaped);
        let mut record = Record::builder();
        let record = record.level(line.level).target(line.target);
        self.writer.log(&record.args(format_args!("{escaped}")).build());
    }
}

/// Gathers what simplelog writes in pieces. Messages have no newlines: the first one is the end of the line.
struct LineWriter {
    lines: Lines,
    line: Vec<u8>,
}

impl io::Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            self.lines.push(std::mem::take(&mut self.line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object a line.
struct Json {
    lines: Lines,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        // It fails for years beyond 9999 alone.
        object.serialize_entry("time", &OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default())?;
        let level = match self.level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        object.serialize_entry("level", level)?;
        object.serialize_entry("target", self.target)?;
        object.serialize_entry("message", &Message(self).to_string())?;
        for (name, value) in self.fields {
            object.serialize_entry(name, value)?;
        }
        if self.held > 0 {
            object.serialize_entry("held", &self.held)?;
        }
        object.end()
    }
}

impl Form for Json {
    fn write(&self, line: &Line<'_>) {
        // Strings and a number: there is nothing in it that cannot be written.
        let Ok(object) = serde_json::to_string(line) else { return };
        // JSON lets those beyond ASCII stand as they are (RFC 8259 §7).
        let mut line = String::with_capacity(object.len() + 1);
        for character in object.chars() {
            match character.is_control() {
                // Writing to a string does not fail.
                true => _ = write!(line, "\\u{:04x}", u32::from(character)),
                false => line.push(character),
            }
        }
        line.push('\n');
        self.lines.push(line.into_bytes());
    }
}

/// Writes control characters (Unicode's general category Cc) as Rust writes them in a string.
fn escape(message: &str, out: &mut String) {
    for character in message.chars() {
        match character.is_control() {
            // Writing to a string does not fail.
            true => _ = write!(out, "{}", character.escape_default()),
            false => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_ends_its_line_or_commands_a_terminal() {
        let mut out = String::new();
        escape("a\r\nb\tc \u{1b}[31mred\u{9b}m\0 ä\u{7f}", &mut out);
        assert_eq!(out, "a\\r\\nb\\tc \\u{1b}[31mred\\u{9b}m\\u{0} ä\\u{7f}");
    }

    #[test]
    fn the_fields_of_a_record_are_fields_of_its_object() {
        let fields = vec![("remote".into(), "192.0.2.1:1".into()), ("session".into(), "00ab".into())];
        let mut line =
            Line { level: Level::Debug, target: "t", message: format_args!("m"), fields: &fields, held: 0 };
        let object = |line: &Line<'_>| serde_json::to_value(line).unwrap();
        let of = object(&line);
        assert_eq!(
            (&of["message"], &of["remote"], &of["session"], of.get("held")),
            (&"m".into(), &"192.0.2.1:1".into(), &"00ab".into(), None)
        );
        line.held = 37;
        let of = object(&line);
        assert_eq!(
            (&of["held"], &of["message"]),
            (&37.into(), &"m (37 more like this since the last such line)".into())
        );
    }
}
