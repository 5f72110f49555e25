//! Records of sessions, and orders for them, as JSON.

use super::Hex;
use crate::dispatch::{Class, Record, Recorded, RecordedEnd, RecordedEvent};
use crate::protocol::OpCode;
use serde::{Serialize, Serializer};
use std::fmt::{self, Write};

/// Who is recorded from now on.
#[derive(Serialize)]
pub struct RecordingBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    frames: usize,
}

impl<'a> RecordingBody<'a> {
    pub fn new(of: &'a Recorded, frames: usize) -> Self {
        match of {
            Recorded::Session(session) => Self { session: Some(Hex(*session)), user: None, frames },
            Recorded::User(user) => Self { session: None, user: Some(user), frames },
        }
    }
}

/// A record.
#[derive(Serialize)]
pub struct RecordBody<'a> {
    session: Hex,
    began_unix_ms: u64,
    live: bool,
    lost: u64,
    events: Events<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EndBody<'a>>,
}

impl<'a> From<&'a Record> for RecordBody<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { session, began_unix_ms, live, lost, events, end } = record;
        Self {
            session: Hex(*session),
            began_unix_ms: *began_unix_ms,
            live: *live,
            lost: *lost,
            events: Events(events),
            end: end.as_ref().map(|RecordedEnd { at_us, code, reason }| EndBody {
                at_us: *at_us,
                code: *code,
                reason,
            }),
        }
    }
}

#[derive(Serialize)]
struct EndBody<'a> {
    at_us: u64,
    code: u16,
    reason: &'a str,
}

struct Events<'a>(&'a [RecordedEvent]);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(EventBody::from))
    }
}

/// What is mostly so is left out.
#[derive(Serialize)]
struct EventBody<'a> {
    at_us: u64,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    opcode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed: Option<bool>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Head<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
}

impl<'a> From<&'a RecordedEvent> for EventBody<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        let RecordedEvent { at_us, what, opcode, fin, compressed, bytes, head, class } = event;
        Self {
            at_us: *at_us,
            what: what.as_str(),
            opcode: opcode.map(name_of),
            fin: (!fin).then_some(false),
            compressed: compressed.then_some(true),
            bytes: *bytes,
            head: Some(Head(head)).filter(|_| !head.is_empty()),
            class: class.map(|class| match class {
                Class::Normal => "normal",
                Class::Urgent => "urgent",
                Class::Droppable => "droppable",
            }),
        }
    }
}

fn name_of(opcode: OpCode) -> &'static str {
    match opcode {
        OpCode::Continuation => "continuation",
        OpCode::Text => "text",
        OpCode::Binary => "binary",
        OpCode::Close => "close",
        OpCode::Ping => "ping",
        OpCode::Pong => "pong",
    }
}

/// Bytes as pairs of hexadecimal digits.
struct Head<'a>(&'a [u8]);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        self.0.iter().try_for_each(|byte| {
            f.write_char(DIGITS[usize::from(byte >> 4)])?;
            f.write_char(DIGITS[usize::from(byte & 0xf)])
        })
    }
}

impl Serialize for Head<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
