//! Commands on their way to the socket.

use super::wire::Wire;
use std::io;

/// What a buffer keeps that has given out everything, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// Bytes that are written in the order in which they were appended.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    /// So many of them are written; less than all, or both are 0.
    written: usize,
}

impl Outgoing {
    /// Where to append.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes that are not written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// What is not written.
    pub fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.written = 0;
    }

    /// Writes as much as the wire takes.
    ///
    /// # Errors
    /// That of the wire, other than that it is full.
    pub fn write(&mut self, wire: &mut Wire) -> io::Result<()> {
        while self.len() > 0 {
            match wire.write(&self.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.len() == 0 {
            self.clear();
        } else if self.written > self.bytes.len() / 2 {
            // No more is moved than was written.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        wire.flush()
    }
}
