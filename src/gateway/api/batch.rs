//! A batch: NDJSON, one command a line, each answered in its place. A cursor walks the body, so that whoever runs the
//! commands can stop before one, wait, and go on later. Knows nothing of what the commands come to.

use super::json::{self, LinkCommand, LinkError};
use crate::dispatch::{Apps, CommandError, CommandLimits, ErrorCode};
use crate::ops::bounds::bad_request;

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

    /// How much of the body has been walked, in bytes and lines.
    pub fn place(&self) -> (usize, usize) {
        (self.offset, self.lines)
    }

    /// A cursor at this place of `body`; `None` where no line begins there.
    pub fn at(offset: usize, lines: usize, body: &[u8]) -> Option<Self> {
        let walked = body.get(..offset)?;
        let is_at_line = walked.last().is_none_or(|byte| *byte == b'\n') || offset == body.len();
        (is_at_line && lines <= offset).then_some(Self { offset, lines })
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
    let parsed = json::parse(text, apps, limits)?;
    match parsed.op.is_in_batches {
        true => Ok(parsed),
        false => {
            let message = format!("op {} is for the link; a batch has no events", parsed.op.row.name);
            Err(LinkError { id: parsed.id, error: bad_request(message) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::CommandLimits;

    /// What each line came to: the group it destroys, or what its error says.
    fn run(body: &[u8]) -> Vec<Result<String, String>> {
        let apps = Apps::new([""; 0]).unwrap();
        let mut cursor = BatchCursor::new(body, &CommandLimits::small()).unwrap();
        std::iter::from_fn(|| cursor.next(body, &apps, &CommandLimits::small()))
            .map(|parsed| match parsed {
                Ok(LinkCommand {
                    id,
                    command: crate::dispatch::Command::Act(crate::dispatch::Action::Destroy { group }, _),
                    ..
                }) => Ok(format!("{} {group}", id.map_or_else(String::new, |id| id.to_string()))),
                Ok(other) => panic!("{other:?}"),
                Err(LinkError { id, error }) => {
                    assert_eq!(error.code, ErrorCode::BadRequest);
                    Err(format!("{} {}", id.map_or_else(String::new, |id| id.to_string()), error.message))
                }
            })
            .collect()
    }

    #[test]
    fn lines_end_as_they_like() {
        let one = r#"{"id":1,"op":"destroy","group":"a"}"#;
        let two = r#"{"op":"destroy","group":"b"}"#;
        let expected = [Ok("1 a".to_owned()), Ok(" b".to_owned())];
        for body in [
            format!("{one}\n{two}"),
            format!("{one}\n{two}\n"),
            format!("{one}\r\n{two}\r\n"),
            format!("\n\n {one} \n\r\n\t\n{two}\n\n"),
        ] {
            assert_eq!(run(body.as_bytes()), expected, "{body:?}");
        }
        for blank in ["", "\n", "\r\n \n\n"] {
            assert_eq!(run(blank.as_bytes()), [], "{blank:?}");
        }
    }

    #[test]
    fn a_bad_line_is_refused_in_its_place_and_the_others_run() {
        let body = b"{\"op\":\"destroy\",\"group\":\"a\"}\n\
            {\"id\":2,\"op\":\"destroy\",\"gro\n\
            {\"id\":3,\"op\":\"destroy\",\"group\":\"\xff\"}\n\
            \n\
            {\"id\":4,\"op\":\"listen\",\"events\":[\"open\"]}\n\
            {\"id\":5,\"op\":\"destroy\",\"group\":\"\"}\n\
            {\"id\":6,\"op\":\"destroy\",\"group\":\"b\"}\n\
            {\"id\":7,\"op\":\"destr";
        let results = run(body);
        let says: [Result<&str, &str>; 7] = [
            Ok(" a"),
            Err(" line 2: the command is not JSON at column"),
            Err(" line 3: the command is not UTF-8"),
            Err("4 line 5: op listen is for the link"),
            Err("5 line 6: group: a name needs at least one byte"),
            Ok("6 b"),
            Err(" line 8: the command is not JSON at column"),
        ];
        assert_eq!(results.len(), says.len(), "{results:?}");
        for (result, says) in results.iter().zip(says) {
            match (result, says) {
                (Ok(result), Ok(says)) => assert_eq!(result, says),
                (Err(result), Err(says)) => assert!(result.starts_with(says), "{result}"),
                _ => panic!("{result:?} is not {says:?}"),
            }
        }
    }

    #[test]
    fn a_batch_of_too_many_lines_is_refused_as_a_whole() {
        let line = "{}\n";
        assert!(BatchCursor::new((line.repeat(8) + "\n\n\n").as_bytes(), &CommandLimits::small()).is_ok());
        let error = BatchCursor::new(line.repeat(9).as_bytes(), &CommandLimits::small()).unwrap_err();
        assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    }
}
