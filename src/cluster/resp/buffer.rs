//! The bytes of a connection between the socket and the parser.

use std::ops::Range;

/// What a buffer that has given out everything keeps, in bytes: it has doubled to so many where a link reads as much as it may at once, with a
/// part of a frame before that. With less it would be made anew in every turn of a busy link.
const KEPT_BYTES: usize = 512 * 1024;

/// Bytes that were read and not yet used, with room behind them.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Initialised to its end, so that a socket can read into it.
    bytes: Vec<u8>,
    /// Where the unused bytes begin and end: `start <= end <= bytes.len()`.
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was not used.
    pub fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The bytes at a place that [`take`](Self::take) told; good until the next [`room`](Self::room).
    pub fn at(&self, place: &Range<usize>) -> &[u8] {
        &self.bytes[place.clone()]
    }

    /// Uses `length` of the bytes and says where the first of them is.
    pub fn take(&mut self, length: usize) -> usize {
        let start = self.start;
        self.start += length;
        debug_assert!(self.start <= self.end);
        start
    }

    /// At least `count` bytes behind the unused ones.
    pub fn room(&mut self, count: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_BYTES.max(count) {
                self.bytes = vec![0; count];
            }
        }
        if self.bytes.len() - self.end < count {
            // A byte is moved only when another one has been used, or when the buffer doubles: a constant number of times.
            if self.start >= self.bytes.len() / 2 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if self.bytes.len() - self.end < count {
                self.bytes.resize((self.end + count).max(self.bytes.len() * 2), 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// The first `count` bytes of the room are unused ones now.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_is_moved() {
        let (mut buffer, mut next_in, mut next_out) = (Buffer::default(), 0_u8, 0_u8);
        for step in 1..200 {
            let room = buffer.room(step);
            assert!(room.len() >= step);
            for byte in &mut room[..step] {
                *byte = next_in;
                next_in = next_in.wrapping_add(1);
            }
            buffer.filled(step);
            let length = buffer.unused().len() * 3 / 4;
            let start = buffer.take(length);
            for &byte in buffer.at(&(start..start + length)) {
                assert_eq!(byte, next_out);
                next_out = next_out.wrapping_add(1);
            }
        }
    }

    #[test]
    fn what_a_large_frame_took_is_given_back() {
        let mut buffer = Buffer::default();
        buffer.room(10 * KEPT_BYTES);
        buffer.filled(10 * KEPT_BYTES);
        buffer.take(10 * KEPT_BYTES);
        buffer.room(100);
        assert!(buffer.bytes.len() <= KEPT_BYTES, "{}", buffer.bytes.len());
    }
}
