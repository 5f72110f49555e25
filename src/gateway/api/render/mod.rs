//! What the server says, as JSON: answers to requests and commands, and what goes to clients and links by itself.
//! Everything is written behind what a caller's buffer already holds, from borrowed values, with no tree in between.
//! Knows nothing of frames or HTTP heads.

mod answer;
mod bans;
mod event;
mod hour;
mod names;
mod record;
mod stats;

pub use answer::{http_answer, http_error, reply, reply_error};
pub use event::{Welcome, event, resumption, welcome};
pub use hour::HourOf;
pub use stats::{Bounds, Hello, HelloKey, HelloOfServer, LargestQueues, Tick, stream_event};

use crate::session::{Name, SessionId};
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Writes `value` behind what `out` holds.
pub fn write(out: &mut String, value: &impl Serialize) {
    let mut text = std::mem::take(out).into_bytes();
    serde_json::to_writer(&mut text, value)
        .expect("memory takes all the text there is, and none of these types has an error of its own");
    // Looked at once and not piece by piece: a page of a listing is hundreds of thousands of pieces.
    *out = String::from_utf8(text).expect("what serde_json writes behind text is text");
}

/// Text that is JSON: what is kept as JSON was written as JSON.
fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
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

/// Bytes as text (RFC 4648 §4).
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

#[cfg(test)]
mod tests;
