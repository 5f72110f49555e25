//! What the messages of a soak carry: who sent which, in front of a filler that shows when bytes are missing or changed.

use std::fmt;
use std::fmt::Write;
use std::sync::LazyLock;

/// Bytes of a [`Mark`], and so of the shortest message.
pub const MARK_BYTES: usize = 28;
/// The longest message.
pub const LONGEST: usize = 256 * 1024;
/// The publisher of what players send.
pub const PLAYER: u8 = 0xff;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static FILLER: LazyLock<String> = LazyLock::new(|| ALPHABET.repeat(LONGEST / ALPHABET.len() + 1));

/// Where a message stands among those of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Different in every run, so that what an earlier one left behind is not taken for ours.
    pub run: u32,
    /// The publishing connection, or [`PLAYER`].
    pub publisher: u8,
    /// Messages of one stream keep their order: one for each class, one for each key.
    pub stream: u8,
    /// Counted by the publisher, from 0.
    pub number: u64,
}

/// A message that begins with a mark and does not go on as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged {
    /// Its mark.
    pub mark: Mark,
    /// Its length as sent.
    pub sent: usize,
    /// As it came.
    pub came: usize,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, sent, came } = self;
        write!(f, "{mark}: sent with {sent} bytes, it came with {came}, or with others")
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.publisher {
            PLAYER => write!(f, "message {}", self.number),
            publisher => write!(f, "push {} of publisher {publisher}, stream {}", self.number, self.stream),
        }
    }
}

impl Mark {
    /// Makes `out` the message with this mark and `length` bytes, [`MARK_BYTES`] to [`LONGEST`].
    pub fn write(self, length: usize, out: &mut String) {
        let length = length.clamp(MARK_BYTES, LONGEST);
        out.clear();
        let Self { run, publisher, stream, number } = self;
        // A string takes everything.
        let _ = write!(out, "{run:08x}{publisher:02x}{stream:02x}{number:010x}{length:06x}");
        out.push_str(self.filler(length));
    }

    /// The mark of a message; `None` for one that is not of run `run`.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn read(payload: &[u8], run: u32) -> Result<Option<Self>, Damaged> {
        let Some((mark, sent)) = Self::parse(payload).filter(|(mark, _)| mark.run == run) else {
            return Ok(None);
        };
        let came = payload.len();
        let is_whole = came == sent && payload[MARK_BYTES..] == *mark.filler(sent).as_bytes();
        if is_whole { Ok(Some(mark)) } else { Err(Damaged { mark, sent, came }) }
    }

    fn parse(payload: &[u8]) -> Option<(Self, usize)> {
        let text = str::from_utf8(payload.get(..MARK_BYTES)?).ok()?;
        let field = |from: usize, to: usize| u64::from_str_radix(text.get(from..to)?, 16).ok();
        let mark = Self {
            run: field(0, 8)? as u32,
            publisher: field(8, 10)? as u8,
            stream: field(10, 12)? as u8,
            number: field(12, 22)?,
        };
        let length = field(22, 28)? as usize;
        (MARK_BYTES..=LONGEST).contains(&length).then_some((mark, length))
    }

    /// It begins elsewhere in the alphabet from message to message.
    fn filler(&self, length: usize) -> &'static str {
        let from = self.number as usize % ALPHABET.len();
        &FILLER[from..from + length - MARK_BYTES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { run: 0xfeed, publisher: 3, stream: 5, number: 77 };

    fn message(length: usize) -> Vec<u8> {
        let mut text = String::new();
        MARK.write(length, &mut text);
        text.into_bytes()
    }

    #[test]
    fn a_message_comes_as_it_was_sent() {
        for length in [MARK_BYTES, MARK_BYTES + 1, 200, LONGEST] {
            assert_eq!(
                (message(length).len(), Mark::read(&message(length), MARK.run)),
                (length, Ok(Some(MARK)))
            );
        }
        let last = Mark { number: (1 << 40) - 1, ..MARK };
        let mut text = String::new();
        last.write(LONGEST, &mut text);
        assert_eq!(Mark::read(text.as_bytes(), MARK.run), Ok(Some(last)));
    }

    #[test]
    fn missing_and_changed_bytes_show() {
        let whole = message(100);
        let mut changed = whole.clone();
        changed[60] ^= 1;
        for payload in [&whole[..99], &whole[..MARK_BYTES], &[&whole[..], b"x"].concat(), &changed] {
            assert!(Mark::read(payload, MARK.run).is_err());
        }
    }

    #[test]
    fn messages_of_others_are_not_ours() {
        let welcome = br#"{"type":"welcome","session":"00a0000000000001","user":null}"#;
        for payload in [&b""[..], &message(100)[..27], welcome, &[0xff; 64]] {
            assert_eq!(Mark::read(payload, MARK.run), Ok(None));
        }
        assert_eq!(Mark::read(&message(100), MARK.run + 1), Ok(None));
    }
}
