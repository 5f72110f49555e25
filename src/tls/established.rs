//! A session whose handshake is done, over a socket that is lent to it for each call. While it is idle it has no buffer.

use super::Received;
use super::record::{HEADER_BYTES, RecordLayer, missing_bytes};
use std::io::{self, IoSlice, Read, Write};

/// Data that is taken over at once, at most: two records' worth, of which what the socket does not take is kept.
pub const MAX_UNSENT: usize = 32 * 1024;

/// Reads of the socket for one answer: a peer can send records that carry no data for ever.
const MAX_READS: usize = 16;

/// Room in which records are sealed, lent by the reactor: its sessions share it.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

/// See the module.
pub struct Established {
    pub(super) layer: RecordLayer,
    /// `None` while nothing waits.
    pub(super) waiting: Option<Box<Waiting>>,
}

/// Bytes on their way in or out.
#[derive(Default)]
pub(super) struct Waiting {
    /// The beginning of a record; never a whole one.
    pub(super) received: Vec<u8>,
    /// Data that was opened and not read. Nothing is received while there is any.
    pub(super) opened: Vec<u8>,
    /// Records that were sealed and not sent.
    pub(super) unsent: Vec<u8>,
    /// So many bytes of `unsent` are sent; zero if it is empty.
    pub(super) sent: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.received.is_empty() && self.opened.is_empty() && self.unsent.is_empty()
    }
}

impl Established {
    /// After a handshake, of which `unsent` is the end that is still to be sent.
    pub fn new(layer: RecordLayer, unsent: Vec<u8>) -> Self {
        let mut session = Self { layer, waiting: None };
        session.keep_unsent(&unsent);
        session
    }

    /// Reads data. It is opened in `buffer`, where its records were read to; there is room for a byte at least.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` when the peer breaks the rules of TLS: the alert has been sent then, if the socket
    /// took it.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<Received> {
        for _ in 0..MAX_READS {
            if let Some(count) = self.take_opened(buffer) {
                return Ok(Received::Bytes { count, more: true });
            }
            // Frames and bodies have lengths of their own: a cut can be told from an end without a close_notify.
            if self.layer.has_peer_closed() {
                return Ok(Received::End);
            }
            let begun = self.waiting.as_deref().map_or(0, |waiting| waiting.received.len());
            let most = match begun {
                0 => buffer.len(),
                _ => self.missing_bytes().min(buffer.len()),
            };
            let count = match socket.read(&mut buffer[..most]) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if begun > 0 {
                self.go_on_with_record(socket, &buffer[..count])?;
                continue;
            }
            let data = self.open(socket, &mut buffer[..count])?;
            if data > 0 {
                // A short read means drained, unless there is an end to be told.
                let more = count == most || self.layer.has_peer_closed();
                return Ok(Received::Bytes { count: data, more });
            }
        }
        Ok(Received::Busy)
    }

    /// What the record that has begun, or its header, lacks: no byte behind it is read with it.
    fn missing_bytes(&self) -> usize {
        self.waiting.as_deref().map_or(0, |waiting| missing_bytes(&waiting.received))
    }

    fn take_opened(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let waiting = self.waiting.as_deref_mut()?;
        let count = waiting.opened.len().min(buffer.len());
        if count == 0 {
            return None;
        }
        buffer[..count].copy_from_slice(&waiting.opened[..count]);
        waiting.opened.drain(..count);
        if waiting.opened.is_empty() {
            waiting.opened = Vec::new();
            self.free();
        }
        Some(count)
    }

    /// Opens the records that were read, in place. Returns how many bytes of data are at the front.
    fn open(&mut self, socket: &mut impl Write, bytes: &mut [u8]) -> io::Result<usize> {
        let mut replies = Vec::new();
        let (opened, result) = self.layer.open(bytes, &mut replies);
        let rest = &bytes[opened.used..];
        if !rest.is_empty() && result.is_ok() {
            self.waiting().received = rest.to_vec();
        }
        self.answer(socket, &replies)?;
        match result {
            Ok(()) => Ok(opened.data),
            Err(refusal) => Err(io::Error::new(io::ErrorKind::InvalidData, refusal)),
        }
    }

    /// Adds what has come to the record that had begun; once it is whole its data waits to be read.
    fn go_on_with_record(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        let received = &mut self.waiting().received;
        received.extend_from_slice(bytes);
        // A header is looked at when it is whole, then the record when that is.
        if received.len() > HEADER_BYTES && missing_bytes(received) > 0 {
            return Ok(());
        }
        let mut record = std::mem::take(received);
        let data = self.open(socket, &mut record)?;
        if data > 0 {
            record.truncate(data);
            self.waiting().opened = record;
        }
        self.free();
        Ok(())
    }

    /// Sends an alert behind what waits to be sent.
    fn answer(&mut self, socket: &mut impl Write, replies: &[u8]) -> io::Result<()> {
        if replies.is_empty() {
            return Ok(());
        }
        self.keep_unsent(replies);
        self.flush(socket).map(drop)
    }

    /// Seals what there is room for and sends what the socket takes. Returns how many bytes of data it has taken over.
    ///
    /// # Errors
    /// `WouldBlock` when what was taken over before has to be sent first, `BrokenPipe` when nothing may be sent any more,
    /// and the socket's.
    pub fn write(
        &mut self,
        socket: &mut impl Write,
        buffers: &[IoSlice<'_>],
        Scratch(scratch): &mut Scratch,
    ) -> io::Result<usize> {
        if !self.flush(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        scratch.clear();
        let taken = self.layer.seal(buffers, MAX_UNSENT, scratch);
        let sent = send(socket, scratch)?;
        self.keep_unsent(&scratch[sent..]);
        taken.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends what is sealed. Returns whether nothing is left.
    ///
    /// # Errors
    /// The socket's, other than `WouldBlock`.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        let Some(waiting) = self.waiting.as_deref_mut() else { return Ok(true) };
        waiting.sent += send(socket, &waiting.unsent[waiting.sent..])?;
        if waiting.sent < waiting.unsent.len() {
            return Ok(false);
        }
        waiting.unsent = Vec::new();
        waiting.sent = 0;
        self.free();
        Ok(true)
    }

    /// Whether something is sealed and not sent.
    pub fn has_unsent(&self) -> bool {
        self.waiting.as_deref().is_some_and(|waiting| !waiting.unsent.is_empty())
    }

    /// Says that nothing more comes; to be flushed. A second time it says nothing.
    pub fn close(&mut self) {
        let mut alert = Vec::new();
        self.layer.close(&mut alert);
        self.keep_unsent(&alert);
    }

    fn keep_unsent(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.waiting().unsent.extend_from_slice(bytes);
        }
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    fn free(&mut self) {
        if self.waiting.as_deref().is_some_and(Waiting::is_empty) {
            self.waiting = None;
        }
    }
}

/// Writes as much as the socket takes, which may be nothing.
fn send(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
