//! A batch: NDJSON, one command a line, each answered in its place. A cursor walks the body, so that whoever runs the
//! commands can stop before one, wait, and go on later. Knows nothing of what the commands come to.

use super::apps::Apps;
use super::fields::{CommandLimits, bad_request};
use super::link_json::{self, LinkCommand, LinkError};
use crate::dispatch::{Command, CommandError, ErrorCode};

/// A place in the body of a batch. The body is handed in at every step: it stays where it was received.
///
/// Lines end with `\n` or `\r\n`; the last one need not. Blank lines are skipped and have no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchCursor {
    /// Where the next line begins.
    offset: usize,
    /// Lines behind it, blank ones too.
    lines: usize,
}

impl BatchCursor {
    /// The beginning of `body`.
    ///
    /// # Errors
    /// [`ErrorCode::PayloadTooLarge`] when it has more than `limits.max_batch_lines` lines that are not blank: nothing
    /// of such a batch is run.
    pub fn new(body: &[u8], limits: &CommandLimits) -> Result<Self, CommandError> {
        let most = limits.max_batch_lines;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).count();
        if lines > most {
            let message = format!("a batch has at most {most} lines, not {lines}: send it in parts");
            return Err(CommandError::new(ErrorCode::PayloadTooLarge, message));
        }
        Ok(Self::default())
    }

    /// The next command, or why its line is none; `None` when the body is at its end.
    ///
    /// A line that is refused does not keep those after it from running. The sentence of the error says which line of
    /// the body it was, counted from 1.
    pub fn next(
        &mut self,
        body: &[u8],
        apps: &Apps,
        limits: &CommandLimits,
    ) -> Option<Result<LinkCommand, LinkError>> {
        let line = self.next_line(body)?;
        Some(parse_line(line, apps, limits).map_err(|LinkError { id, error }| {
            let message = format!("line {}: {}", self.lines, error.message);
            LinkError { id, error: CommandError::new(error.code, message) }
        }))
    }

    fn next_line<'a>(&mut self, body: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let rest = body.get(self.offset..).filter(|rest| !rest.is_empty())?;
            let (line, step) = match memchr::memchr(b'\n', rest) {
                Some(end) => (&rest[..end], end + 1),
                None => (rest, rest.len()),
            };
            self.offset += step;
            self.lines += 1;
            if !is_blank(line) {
                return Some(line);
            }
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn parse_line(line: &[u8], apps: &Apps, limits: &CommandLimits) -> Result<LinkCommand, LinkError> {
    let refused = |message: &str| LinkError { id: None, error: bad_request(message) };
    let text = simdutf8::basic::from_utf8(line).map_err(|_| refused("the command is not UTF-8"))?;
    let parsed = link_json::parse(text, apps, limits)?;
    match parsed.command {
        Command::Listen(_) => {
            let message = "op listen is for the link; a batch has no events";
            Err(LinkError { id: parsed.id, error: bad_request(message) })
        }
        _ => Ok(parsed),
    }
}
