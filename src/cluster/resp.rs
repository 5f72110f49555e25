//! RESP3, the protocol of Redis (<https://redis.io/docs/latest/develop/reference/protocol-spec/>), without I/O: bytes in,
//! values out; commands in, bytes out.
//!
//! Messages of channels, which are nearly all that comes, are found in one step and stay where they are in the buffer.
//! Everything else is scanned for its end first and decoded when all of it is there, so each byte is looked at a bounded
//! number of times, however slowly it comes.

mod buffer;
mod decode;
mod pushed;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use scan::{ParseError, ParserLimits};
pub use write::{write_command, write_of_channels, write_publish};

use buffer::Buffer;
use pushed::Pushed;
use scan::Scan;
use std::ops::Range;

/// What Redis answers and pushes. Sets are lists, big numbers texts, verbatim texts bulks without their format; attributes
/// are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, in any of the three forms it has.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number, infinities and NaN among them.
    Double(f64),
    /// A short text, or the digits of a big number.
    Text(Box<str>),
    /// Bytes.
    Bulk(Box<[u8]>),
    /// An error: a code in capitals, then words.
    Error(Box<str>),
    /// A list or a set.
    List(Vec<Value>),
    /// Keys and values, in the order they came.
    Map(Vec<(Value, Value)>),
    /// What was not asked for, apart from messages and confirmations.
    Push(Vec<Value>),
}

impl Value {
    /// The bytes of a text or bulk.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What stands in a map under `key`.
    pub fn field(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name.bytes() == Some(key.as_bytes())).map(|(_, value)| value)
    }
}

/// Some bytes of a parser's buffer; see [`Parser::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(Range<usize>);

/// What a parser found.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A message of a channel, sharded or not.
    Message {
        /// The channel.
        channel: Span,
        /// What was published.
        payload: Span,
    },
    /// A channel is listened to from now on.
    Subscribed(Span),
    /// A channel is no longer listened to.
    Unsubscribed(Span),
    /// Everything else.
    Value(Value),
}

/// Finds the frames in what one connection reads.
#[derive(Debug)]
pub struct Parser {
    limits: ParserLimits,
    buffer: Buffer,
    /// How far the frame at the front of the buffer has been looked at.
    scan: Scan,
    /// What cannot be read on is not.
    failed: Option<ParseError>,
}

impl Parser {
    /// One for a connection that has read nothing.
    pub fn new(limits: ParserLimits) -> Self {
        Self { limits, buffer: Buffer::default(), scan: Scan::default(), failed: None }
    }

    /// Room for at least `count` bytes (at least 1) to read into; say with [`filled`](Self::filled) how many came.
    pub fn room(&mut self, count: usize) -> &mut [u8] {
        self.buffer.room(count)
    }

    /// The first `count` bytes of the room were read.
    pub fn filled(&mut self, count: usize) {
        self.buffer.filled(count);
    }

    /// The bytes that were read and not yet given out in frames.
    pub fn held_bytes(&self) -> usize {
        self.buffer.unused().len()
    }

    /// The same, as they came.
    pub fn held(&self) -> &[u8] {
        self.buffer.unused()
    }

    /// The next whole frame; `None` until more is read. A span is good until the next call that changes the parser.
    ///
    /// # Errors
    /// [`ParseError`], from then on always.
    pub fn next(&mut self) -> Result<Option<Frame>, ParseError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.find().inspect_err(|error| self.failed = Some(*error)),
        }
    }

    fn find(&mut self) -> Result<Option<Frame>, ParseError> {
        let bytes = self.buffer.unused();
        // What this does not take is scanned, also where only a part has come.
        let pushed =
            if self.scan.is_fresh() { Pushed::read(bytes, self.limits.max_frame_bytes) } else { None };
        if let Some((pushed, length)) = pushed {
            let start = self.buffer.take(length);
            return Ok(Some(frame(pushed, start)));
        }
        let Some(length) = self.scan.find_end(bytes, &self.limits)? else { return Ok(None) };
        self.scan = Scan::default();
        let whole = &bytes[..length];
        let pushed = Pushed::read(whole, self.limits.max_frame_bytes);
        let value = if pushed.is_none() { Some(decode::value(whole)?) } else { None };
        let start = self.buffer.take(length);
        Ok(pushed.map(|(pushed, _)| frame(pushed, start)).or(value.map(Frame::Value)))
    }

    /// The bytes of a span that the last call of [`next`](Self::next) gave.
    pub fn bytes(&self, span: &Span) -> &[u8] {
        self.buffer.at(&span.0)
    }
}

/// The frame of what was found in the bytes that begin at `start` in the buffer.
fn frame(pushed: Pushed, start: usize) -> Frame {
    let span = |range: Range<usize>| Span(start + range.start..start + range.end);
    match pushed {
        Pushed::Message { channel, payload } => {
            Frame::Message { channel: span(channel), payload: span(payload) }
        }
        Pushed::Subscribed(channel) => Frame::Subscribed(span(channel)),
        Pushed::Unsubscribed(channel) => Frame::Unsubscribed(span(channel)),
    }
}
