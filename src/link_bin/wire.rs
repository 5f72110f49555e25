//! Numbers and texts at their places: little-endian, without padding.

use super::error::{Malformed, TooLong, Wrong};
use crate::session::SessionId;

/// A message, and how far it has been read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// An error at the `length` bytes that were read last.
    pub fn wrong(&self, length: usize, wrong: Wrong) -> Malformed {
        Malformed { offset: self.offset - length, wrong }
    }

    #[inline]
    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.offset..];
        match rest.get(..length) {
            Some(taken) => {
                self.offset += length;
                Ok(taken)
            }
            None => {
                let left = rest.len();
                Err(Malformed { offset: self.offset, wrong: Wrong::Truncated { what, needs: length, left } })
            }
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let taken = self.take(N, what)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array(what).map(u8::from_le_bytes)
    }

    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    #[inline]
    pub fn session(&mut self, what: &'static str) -> Result<SessionId, Malformed> {
        self.u64(what).map(SessionId::from_u64)
    }

    /// A text behind a byte for its length.
    #[inline]
    pub fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u8(what)?);
        let bytes = self.take(length, what)?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| self.wrong(length, Wrong::NotUtf8 { what }))
    }

    /// The same, where a length of 0 says that there is none.
    #[inline]
    pub fn optional(&mut self, what: &'static str) -> Result<Option<&'a str>, Malformed> {
        self.text(what).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// So many bytes that are all 0.
    pub fn reserved(&mut self, length: usize) -> Result<(), Malformed> {
        for _ in 0..length {
            let value = self.u8("a reserved byte")?;
            if value != 0 {
                let known = "0: it is reserved";
                return Err(self.wrong(1, Wrong::Unknown { what: "a byte", value: value.into(), known }));
            }
        }
        Ok(())
    }

    /// All that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.offset..];
        self.offset = self.bytes.len();
        rest
    }

    /// The next so many bytes, to be read by themselves.
    pub fn part(&mut self, length: usize, what: &'static str) -> Result<Self, Malformed> {
        let start = self.offset;
        self.take(length, what)?;
        Ok(Self { bytes: &self.bytes[..self.offset], offset: start })
    }

    /// So many bytes of text.
    pub fn text_of(&mut self, length: usize, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.take(length, what)?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| self.wrong(length, Wrong::NotUtf8 { what }))
    }

    /// All that is left, which is text.
    #[inline]
    pub fn rest_as_text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let rest = self.rest();
        simdutf8::basic::from_utf8(rest).map_err(|_| self.wrong(rest.len(), Wrong::NotUtf8 { what }))
    }

    /// Whether all has been read.
    pub fn is_at_end(&self) -> bool {
        self.offset == self.bytes.len()
    }

    /// Nothing is left.
    pub fn end(&self) -> Result<(), Malformed> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            bytes => Err(self.wrong(0, Wrong::Trailing { bytes })),
        }
    }

    /// Of the flags that were read as the second byte, none but `known`.
    pub fn check_flags(&self, flags: u8, known: u8, names: &'static str) -> Result<(), Malformed> {
        match flags & !known {
            0 => Ok(()),
            _ => {
                let wrong = Wrong::Unknown { what: "flags", value: flags.into(), known: names };
                Err(Malformed { offset: 1, wrong })
            }
        }
    }
}

/// Appends a whole message to `out`, or nothing.
pub fn put_whole(
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    let start = out.len();
    put(out).inspect_err(|_| out.truncate(start))
}

/// A text behind a byte for its length.
pub fn put_text(text: &str, what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let most = usize::from(u8::MAX);
    let length = u8::try_from(text.len()).map_err(|_| TooLong { what, length: text.len(), most })?;
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// How many of something follow, where that can be many.
pub fn put_long(count: usize, what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let most = u32::MAX as usize;
    let count = u32::try_from(count).map_err(|_| TooLong { what, length: count, most })?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

/// How many of something follow.
pub fn put_count(count: usize, what: &'static str, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let most = usize::from(u16::MAX);
    let count = u16::try_from(count).map_err(|_| TooLong { what, length: count, most })?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

pub fn put_session(session: SessionId, out: &mut Vec<u8>) {
    out.extend_from_slice(&session.as_u64().to_le_bytes());
}
