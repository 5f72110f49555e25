//! From a log record to a line: text, or a JSON object. No character of a line can end it or command a terminal, whoever it
//! comes from. Knows nothing of where lines go.

use std::fmt::Write as _;
use std::io;

use log::{LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use simplelog::{ConfigBuilder, SharedLogger, WriteLogger};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::queue::Lines;
use crate::config::LogFormat;

/// What makes lines of the form `format`. How much is logged is the log crate's own level.
pub fn logger(format: LogFormat, lines: Lines) -> Box<dyn Log> {
    match format {
        LogFormat::Text => Box::new(Text::new(lines)),
        LogFormat::Json => Box::new(Json { lines }),
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

impl Log for Text {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.writer.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let message = record.args().to_string();
        let mut escaped = String::with_capacity(message.len());
        escape(&message, &mut escaped);
        let metadata = record.metadata().clone();
        self.writer.log(&Record::builder().metadata(metadata).args(format_args!("{escaped}")).build());
    }

    fn flush(&self) {}
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

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    target: &'a str,
    message: String,
}

impl Log for Json {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = Line {
            // It fails for years beyond 9999 alone.
            time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            level: match record.level() {
                log::Level::Error => "error",
                log::Level::Warn => "warn",
                log::Level::Info => "info",
                log::Level::Debug => "debug",
                log::Level::Trace => "trace",
            },
            target: record.target(),
            message: record.args().to_string(),
        };
        // Strings alone: there is nothing in it that cannot be written.
        let Ok(object) = serde_json::to_string(&line) else { return };
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

    fn flush(&self) {}
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
}
