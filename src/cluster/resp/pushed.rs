//! Messages of channels and confirmations, found without a copy.

use super::scan::number;
use std::ops::Range;

/// What a push of pub/sub says; the ranges are counted from the front of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// Something was published.
    Message {
        /// The channel.
        channel: Range<usize>,
        /// What was published.
        payload: Range<usize>,
    },
    /// A channel is listened to.
    Subscribed(Range<usize>),
    /// A channel is no longer listened to.
    Unsubscribed(Range<usize>),
}

/// The digits of the longest length and its line end.
const LENGTH_BYTES: usize = 12;

/// Which push begins with which bytes: the most frequent first.
const BEGINNINGS: [(&[u8], Kind); 6] = [
    (b">3\r\n$7\r\nmessage\r\n", Kind::Message),
    (b">3\r\n$8\r\nsmessage\r\n", Kind::Message),
    (b">3\r\n$9\r\nsubscribe\r\n", Kind::Subscribed),
    (b">3\r\n$10\r\nssubscribe\r\n", Kind::Subscribed),
    (b">3\r\n$11\r\nunsubscribe\r\n", Kind::Unsubscribed),
    (b">3\r\n$12\r\nsunsubscribe\r\n", Kind::Unsubscribed),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Message,
    Subscribed,
    Unsubscribed,
}

impl Pushed {
    /// The push that `bytes` begin with, and its length, which is at most `max`. `None` if they begin with something else, or
    /// with a part of one.
    pub fn read(bytes: &[u8], max: usize) -> Option<(Self, usize)> {
        let mut kinds = BEGINNINGS.iter();
        let (start, kind) = kinds.find(|(beginning, _)| bytes.starts_with(beginning))?;
        let channel = bulk(bytes, start.len())?;
        let behind = channel.end + 2;
        let (pushed, end) = match kind {
            Kind::Message => {
                let payload = bulk(bytes, behind)?;
                let end = payload.end + 2;
                (Self::Message { channel, payload }, end)
            }
            Kind::Subscribed => (Self::Subscribed(channel), count_end(bytes, behind)?),
            Kind::Unsubscribed => (Self::Unsubscribed(channel), count_end(bytes, behind)?),
        };
        (end <= max).then_some((pushed, end))
    }
}

/// What the bulk at `start` holds, if all of it is there.
fn bulk(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let (length, start) = length(bytes, start, b'$')?;
    let end = start.checked_add(length)?;
    (bytes.get(end..end.checked_add(2)?)? == b"\r\n").then_some(start..end)
}

/// The end of the number of channels that the connection listens to now.
fn count_end(bytes: &[u8], start: usize) -> Option<usize> {
    length(bytes, start, b':').map(|(_, end)| end)
}

/// The number behind `kind` and the end of its line.
fn length(bytes: &[u8], start: usize, kind: u8) -> Option<(usize, usize)> {
    let line = bytes.get(start..)?.strip_prefix(&[kind])?;
    let end = line[..line.len().min(LENGTH_BYTES)].windows(2).position(|two| two == b"\r\n")?;
    Some((number(&line[..end])?, start + 1 + end + 2))
}
