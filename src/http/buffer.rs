//! The bytes that a reader has been given: those of the message that is being read, and those behind it.

use super::{HeadError, HeadLimits, HeadScanner};

/// Room that is kept for the next message.
const KEPT_BYTES: usize = 64 * 1024;

/// `bytes[start..][..head_length]` is the head of the message that is being read, once it is whole; `bytes[read..]` has not
/// been read. Between the two is what of the body has been decoded already.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    head_length: usize,
    read: usize,
    scanner: HeadScanner,
}

impl Buffer {
    /// A buffer in which `head` is whole, if it is not empty, and `unread` comes behind it.
    #[cfg(feature = "server")]
    pub fn restore(head: Vec<u8>, unread: &[u8]) -> Self {
        let (head_length, mut bytes) = (head.len(), head);
        bytes.extend_from_slice(unread);
        Self { bytes, start: 0, head_length, read: head_length, scanner: HeadScanner::default() }
    }

    /// Bytes have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Looks for the end of the head; `true` once it is whole.
    ///
    /// # Errors
    /// As [`HeadScanner::scan`].
    pub fn scan(&mut self, limits: &HeadLimits) -> Result<bool, HeadError> {
        let Some(length) = self.scanner.scan(&self.bytes[self.start..], limits)? else { return Ok(false) };
        (self.head_length, self.read) = (length, self.start + length);
        Ok(true)
    }

    /// The head, when it is whole.
    pub fn head(&self) -> &[u8] {
        &self.bytes[self.start..][..self.head_length]
    }

    /// All bytes of the message that is being read and that are still here, and all behind them.
    pub fn message(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// What has not been read.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// So many bytes of what was not read are read.
    pub fn take(&mut self, count: usize) {
        self.read += count;
    }

    /// The next message begins with what has not been read.
    pub fn next_message(&mut self) {
        (self.start, self.head_length) = (self.read, 0);
    }

    /// Lets go of what has been read, but for the head of a message that goes on. Done when more has to come, and not for
    /// each message: so each byte is moved once, however many messages came with one read.
    pub fn compact(&mut self) {
        self.bytes.drain(self.start + self.head_length..self.read);
        self.bytes.drain(..self.start);
        (self.start, self.read) = (0, self.head_length);
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }

    /// What has not been read, on its own.
    pub fn into_unread(mut self) -> Vec<u8> {
        self.bytes.drain(..self.read);
        self.bytes
    }
}

/// Empties the body of a message that is done with, and keeps room for the next.
pub fn clear_body(body: &mut Vec<u8>) {
    body.clear();
    body.shrink_to(KEPT_BYTES);
}
