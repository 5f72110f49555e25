//! The batch cursor beside a body split at its line feeds.

use super::apps;
use crate::dispatch::CommandLimits;
use crate::dispatch::{Command, CommandError, ErrorCode};
use crate::gateway::api::batch::BatchCursor;
use crate::gateway::api::json::{self, LinkCommand, LinkError};

type Parsed = Result<LinkCommand, LinkError>;

/// A body.
pub fn run(body: &[u8]) {
    let (apps, limits) = (apps(), CommandLimits::small());
    let lines = body.split(|&byte| byte == b'\n').enumerate();
    let lines: Vec<_> = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
    let mut cursor = match BatchCursor::new(body, &limits) {
        Ok(cursor) => cursor,
        Err(error) => {
            assert!(error.code == ErrorCode::PayloadTooLarge && lines.len() > limits.max_batch_lines);
            return;
        }
    };
    assert!(lines.len() <= limits.max_batch_lines);
    for (index, line) in lines {
        let expected = match str::from_utf8(line) {
            Ok(text) => json::parse(text, &apps, &limits),
            Err(_) => Err(refused(None, "the command is not UTF-8")),
        };
        let expected = match expected {
            Ok(LinkCommand { id, command: Command::Listen(_), .. }) => {
                Err(refused(id, "op listen is for the link; a batch has no events"))
            }
            other => other,
        };
        let parsed = cursor.next(body, &apps, &limits).expect("there is a line left");
        assert_eq!(shown(&parsed, 0), shown(&expected, index + 1));
    }
    assert!(cursor.next(body, &apps, &limits).is_none());
    assert!(cursor.next(body, &apps, &limits).is_none());
}

fn refused(id: Option<json::RequestId>, sentence: &str) -> LinkError {
    LinkError { id, error: CommandError::new(ErrorCode::BadRequest, sentence) }
}

/// Everything about it, with the line put before the sentence of an error unless it is 0.
fn shown(parsed: &Parsed, line: usize) -> String {
    match parsed {
        Ok(command) => format!("{command:?}"),
        Err(LinkError { id, error }) if line == 0 => format!("{id:?} {:?} {}", error.code, error.message),
        Err(LinkError { id, error }) => format!("{id:?} {:?} line {line}: {}", error.code, error.message),
    }
}
