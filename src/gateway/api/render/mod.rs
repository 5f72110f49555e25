//! What the server says, as JSON: answers to requests and commands, and what goes to clients and links by itself.
//! Everything is written behind what a caller's buffer already holds, from borrowed values, with no tree in between.
//! Knows nothing of frames or HTTP heads.

mod answer;
mod event;

pub use answer::{http_answer, http_error, reply, reply_error};
pub use event::{event, welcome};

use crate::session::{Name, SessionId};
use serde::{Serialize, Serializer};
use std::io;

/// Writes `value` behind what `out` holds.
fn write(out: &mut String, value: &impl Serialize) {
    serde_json::to_writer(Appender(out), value)
        .expect("a String takes all the text there is, and none of these types has an error of its own");
}

/// What serde_json writes to: it writes whole pieces of text.
struct Appender<'a>(&'a mut String);

impl io::Write for Appender<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.push_str(simdutf8::basic::from_utf8(text).map_err(io::Error::other)?);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A session id as the API writes it: 16 lowercase hex digits.
struct Hex(SessionId);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Names as an array of strings.
struct Names<'a>(&'a [Name]);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Name::as_str))
    }
}

#[cfg(test)]
mod tests;
