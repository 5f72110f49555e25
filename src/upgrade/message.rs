//! The messages of the stream: CBOR (RFC 8949), an array of a number and a body. A body is a map with numbered fields.
//!
//! What a later version adds is skipped where that does no harm: a field of a body, an element of the array behind the body,
//! and a whole message whose number is [`FIRST_NOTE`] or more. Any other message with an unknown number is refused.

use super::InvalidState;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::borrow::Cow;

/// The version of the stream. Two processes with different ones cannot hand over.
pub const PROTOCOL: u32 = 1;

/// The most bytes of a message, without its header.
pub const MAX_MESSAGE: usize = 64 << 10;

/// The most descriptors that the kernel takes with one message (`SCM_MAX_FD`): with more, `sendmsg` fails with EINVAL.
pub const MAX_DESCRIPTORS: usize = 253;

/// The lowest number of a message that a receiver may skip if it does not know it.
pub const FIRST_NOTE: u32 = 128;

/// The most bytes of a refusal, so that it fits into a message.
const MAX_REASON: usize = 4 << 10;

/// Which versions of the state a process writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Formats {
    /// The one that it writes.
    #[n(0)]
    pub written: u32,
    /// The oldest that it reads.
    #[n(1)]
    pub oldest_read: u32,
    /// The oldest process that reads what it writes, by what that one writes.
    #[n(2)]
    pub oldest_reader: u32,
}

impl Formats {
    /// Whether a process with these formats can take the state of one with `theirs`.
    ///
    /// # Errors
    /// Why not.
    pub fn can_read(&self, theirs: &Self) -> Result<(), String> {
        let (mine, written) = (self.written, theirs.written);
        if written < self.oldest_read {
            return Err(format!(
                "writes state format {written}, and the oldest that can be read is {}",
                self.oldest_read
            ));
        }
        if written > mine && theirs.oldest_reader > mine {
            return Err(format!(
                "writes state format {written}, which a process of format {mine} cannot read"
            ));
        }
        Ok(())
    }
}

/// What the old process says first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    #[n(0)]
    pub protocol: u32,
    /// Of the old process's state.
    #[n(1)]
    pub formats: Formats,
    /// Of the old process's program.
    #[n(2)]
    pub version: String,
    /// How many reactors it runs.
    #[n(3)]
    pub reactors: u32,
    /// Its name among its kind.
    #[n(4)]
    pub node: String,
    /// What both must be able to do with the state, by name.
    #[n(5)]
    pub capabilities: Vec<String>,
    /// The labels of the listeners that will come.
    #[n(6)]
    pub listeners: Vec<String>,
}

/// What the new process says when it has read its configuration and can take over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ready {
    /// Of the new process's program.
    #[n(0)]
    pub version: String,
    /// Of the new process's state.
    #[n(1)]
    pub formats: Formats,
    /// How many reactors it will run.
    #[n(2)]
    pub reactors: u32,
    /// What the operator should know.
    #[n(3)]
    pub notes: Vec<String>,
}

/// How much state there is, as those count it who know what it means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Counts {
    /// Players and links.
    #[n(0)]
    pub sessions: u64,
    /// All connections.
    #[n(1)]
    pub connections: u64,
}

/// How much has gone through the stream, as each side counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Totals {
    /// Batches.
    #[n(0)]
    pub batches: u64,
    /// Descriptors of batches.
    #[n(1)]
    pub descriptors: u64,
    /// Bytes of state.
    #[n(2)]
    pub bytes: u64,
}

/// A message without its descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Hello(Hello),
    Ready(Ready),
    Refused(Refused),
    Bye,
    Listeners(Listeners),
    /// An eventfd.
    Token,
    /// So many bytes of state come behind it.
    Batch(Batch),
    Ack(Ack),
    End(End),
    Taken(Counts),
    Serving,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Refused {
    #[n(0)]
    pub(super) why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Listeners {
    /// One for each descriptor.
    #[n(0)]
    pub(super) labels: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Batch {
    #[n(0)]
    pub(super) part: u32,
    #[n(1)]
    pub(super) bytes: u64,
}

/// What has arrived of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Ack {
    #[n(0)]
    pub(super) descriptors: u64,
    #[n(1)]
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct End {
    #[n(0)]
    pub(super) totals: Totals,
    #[n(1)]
    pub(super) counts: Counts,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Empty {}

impl Refused {
    /// A refusal whose reason is cut so that it fits.
    pub(super) fn new(why: &str) -> Self {
        let end = (0..=why.len().min(MAX_REASON)).rev().find(|&end| why.is_char_boundary(end));
        Self { why: why[..end.unwrap_or(0)].to_owned() }
    }
}

impl Message {
    /// What it is called where the operator reads it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Ready(_) => "ready",
            Self::Refused(_) => "refused",
            Self::Bye => "bye",
            Self::Listeners(_) => "listeners",
            Self::Token => "token",
            Self::Batch(_) => "batch",
            Self::Ack(_) => "acknowledgement",
            Self::End(_) => "end",
            Self::Taken(_) => "taken",
            Self::Serving => "serving",
        }
    }

    /// Whether it may have so many descriptors with it.
    pub(super) fn allows(&self, descriptors: usize) -> bool {
        match self {
            Self::Batch(_) => true,
            Self::Listeners(listeners) => listeners.labels.len() == descriptors,
            Self::Token => descriptors == 1,
            // The sender's process, or the memory that has its state where no process is at the other end.
            Self::Hello(_) => descriptors <= 1,
            _ => descriptors == 0,
        }
    }

    /// The bytes of the message, at most [`MAX_MESSAGE`] if the caller keeps its strings short.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => encode(0, hello),
            Self::Ready(ready) => encode(1, ready),
            Self::Refused(refused) => encode(2, refused),
            Self::Bye => encode(3, &Empty {}),
            Self::Listeners(listeners) => encode(4, listeners),
            Self::Token => encode(5, &Empty {}),
            Self::Batch(batch) => encode(6, batch),
            Self::Ack(ack) => encode(7, ack),
            Self::End(end) => encode(8, end),
            Self::Taken(counts) => encode(9, counts),
            Self::Serving => encode(10, &Empty {}),
        }
    }

    /// The message that `bytes` are; `None` for one that may be skipped.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, InvalidState> {
        let mut decoder = Decoder::new(bytes);
        let message =
            Self::read(&mut decoder).map_err(|_| InvalidState::new("a message is not what it should be"))?;
        if decoder.position() < bytes.len() {
            return Err(InvalidState::new("a message is longer than its content"));
        }
        message.map_err(|number| InvalidState::new(Cow::Owned(format!("message {number} is unknown"))))
    }

    /// The message, or the number of one that is unknown.
    fn read(decoder: &mut Decoder<'_>) -> Result<Result<Option<Self>, u32>, minicbor::decode::Error> {
        let Some(length @ 2..) = decoder.array()? else {
            return Err(minicbor::decode::Error::message("no array of two or more"));
        };
        let number = decoder.u32()?;
        let message = match number {
            0 => Self::Hello(decoder.decode()?),
            1 => Self::Ready(decoder.decode()?),
            2 => Self::Refused(decoder.decode()?),
            3 => decoder.decode::<Empty>().map(|_| Self::Bye)?,
            4 => Self::Listeners(decoder.decode()?),
            5 => decoder.decode::<Empty>().map(|_| Self::Token)?,
            6 => Self::Batch(decoder.decode()?),
            7 => Self::Ack(decoder.decode()?),
            8 => Self::End(decoder.decode()?),
            9 => Self::Taken(decoder.decode()?),
            10 => decoder.decode::<Empty>().map(|_| Self::Serving)?,
            _ => {
                (1..length).try_for_each(|_| decoder.skip())?;
                return Ok(if number < FIRST_NOTE { Err(number) } else { Ok(None) });
            }
        };
        (2..length).try_for_each(|_| decoder.skip())?;
        Ok(Ok(Some(message)))
    }
}

fn encode(number: u32, body: &impl Encode<()>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let encoded =
        encoder.array(2).and_then(|encoder| encoder.u32(number)).and_then(|encoder| encoder.encode(body));
    encoded.expect("a Vec takes all that is written to it");
    encoder.into_writer()
}
