//! The two directions of a session together: what its records mean. Bytes in, bytes out; it reads and writes no socket and
//! holds no buffer.

use super::handshake::{KEY_UPDATE, Message, Partial};
use super::header::{ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_BYTES, Header};
use super::keys::Keys;
use super::refusal::{Alert, Refusal};
use super::secret::TrafficSecret;
use super::suite::{MAX_PLAINTEXT, MAX_SEQUENCE, Suite, Version};
use std::io::IoSlice;

/// What a peer may send that brings no data, so that it cannot keep the server at work for nothing. The bounds are those
/// of rustls, which has them from BoringSSL.
pub const MAX_EMPTY_RECORDS: u8 = 32;
/// Between two records with data.
pub const MAX_KEY_UPDATES: u8 = 32;
/// In the life of a session.
pub const MAX_WARNINGS: u8 = 4;
/// In the life of a session; the first is answered with a warning.
pub const MAX_RENEGOTIATIONS: u8 = 1;

/// Of an alert (RFC 8446 §6).
const WARNING: u8 = 1;
/// See [`WARNING`].
const FATAL: u8 = 2;
/// AlertDescription user_canceled, the one warning of TLS 1.3 that ends nothing (RFC 8446 §6.1).
const USER_CANCELED: u8 = 90;

/// The secrets of TLS 1.3, whose keys are in use.
pub struct Secrets {
    /// The client's.
    pub receiving: TrafficSecret,
    /// Ours.
    pub sending: TrafficSecret,
}

/// How often the peer has done what it may do only so often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerated {
    /// Records without content, in a row.
    pub empty_records: u8,
    /// Updates of keys since data came.
    pub key_updates: u8,
    /// Warnings.
    pub warnings: u8,
    /// Tries to negotiate again.
    pub renegotiations: u8,
}

/// See the module.
pub struct RecordLayer {
    pub(super) suite: Suite,
    pub(super) receiving: Keys,
    pub(super) sending: Keys,
    /// Of TLS 1.3 alone: those that the keys came from.
    pub(super) secrets: Option<Secrets>,
    pub(super) partial: Partial,
    pub(super) tolerated: Tolerated,
    /// The peer has asked for a KeyUpdate of ours: it goes out before the next data (RFC 8446 §4.6.3), one for all that
    /// were asked for until then.
    pub(super) owes_key_update: bool,
    /// The peer's close_notify has come: what comes behind it is ignored (RFC 8446 §6.1).
    pub(super) peer_closed: bool,
    /// Our close_notify or a fatal alert is sealed: nothing may follow it.
    pub(super) closed: bool,
}

/// What opening came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opened {
    /// So many bytes of data are at the front of the bytes that were given.
    pub data: usize,
    /// So many of these bytes were whole records; the rest is to be given again when more has come.
    pub used: usize,
}

/// Nothing can be sealed any more: the session is closed, or its key is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed;

impl RecordLayer {
    /// After the handshake. `secrets` are there for TLS 1.3 and for it alone.
    pub fn new(suite: Suite, receiving: Keys, sending: Keys, secrets: Option<Secrets>) -> Self {
        debug_assert_eq!(secrets.is_some(), suite.version == Version::Tls13);
        Self {
            suite,
            receiving,
            sending,
            secrets,
            partial: Partial::default(),
            tolerated: Tolerated::default(),
            owes_key_update: false,
            peer_closed: false,
            closed: false,
        }
    }

    /// Opens every whole record in `bytes`, in place. What is to be answered is appended to `replies`: the alert, when
    /// there is an error. What was opened before the error counts all the same.
    ///
    /// # Errors
    /// [`Refusal`]: the session is over.
    pub fn open(&mut self, bytes: &mut [u8], replies: &mut Vec<u8>) -> (Opened, Result<(), Refusal>) {
        let mut opened = Opened::default();
        let result = self.open_all(bytes, &mut opened, replies);
        if let Err(refusal) = result {
            self.refuse(refusal, replies);
        }
        if self.peer_closed {
            opened.used = bytes.len();
        }
        (opened, result)
    }

    fn open_all(
        &mut self,
        bytes: &mut [u8],
        opened: &mut Opened,
        replies: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        while !self.peer_closed
            && let Some(header) = Header::read(self.suite, &bytes[opened.used..])?
        {
            let end = opened.used + HEADER_BYTES + header.body_bytes();
            let Some(record) = bytes.get_mut(opened.data..end) else { break };
            let at = opened.used - opened.data;
            let (kind, length) = self.receiving.open(self.suite, header, record, at)?;
            opened.used = end;
            if kind == APPLICATION_DATA {
                self.received_data(length)?;
                opened.data += length;
            } else {
                self.received_message(kind, &record[..length], replies)?;
            }
        }
        Ok(())
    }

    fn received_data(&mut self, length: usize) -> Result<(), Refusal> {
        if self.partial.is_within() {
            return Err(Refusal::Interleaved);
        }
        if length > 0 {
            self.tolerated.empty_records = 0;
            self.tolerated.key_updates = 0;
            return Ok(());
        }
        tolerate(&mut self.tolerated.empty_records, MAX_EMPTY_RECORDS, Refusal::EmptyRecords)
    }

    fn received_message(&mut self, kind: u8, content: &[u8], replies: &mut Vec<u8>) -> Result<(), Refusal> {
        match kind {
            ALERT | HANDSHAKE if content.is_empty() => return Err(Refusal::EmptyMessage),
            ALERT if self.partial.is_within() => return Err(Refusal::Interleaved),
            ALERT => self.received_alert(content)?,
            HANDSHAKE => self.received_handshake(content, replies)?,
            // A protected change_cipher_spec among them (RFC 8446 §5).
            kind => return Err(Refusal::RecordType(kind)),
        }
        self.tolerated.empty_records = 0;
        Ok(())
    }

    fn received_alert(&mut self, content: &[u8]) -> Result<(), Refusal> {
        let [level, description] = *content else { return Err(Refusal::AlertForm) };
        if !matches!(level, WARNING | FATAL) {
            return Err(Refusal::AlertLevel);
        }
        if description == Alert::CloseNotify as u8 {
            self.peer_closed = true;
            return Ok(());
        }
        // In TLS 1.3 every other alert but one is an error, whatever its level (RFC 8446 §6).
        let ends = level == FATAL || self.suite.version == Version::Tls13 && description != USER_CANCELED;
        if ends {
            return Err(Refusal::AlertReceived(description));
        }
        tolerate(&mut self.tolerated.warnings, MAX_WARNINGS, Refusal::Warnings)
    }

    fn received_handshake(&mut self, content: &[u8], replies: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut rest = content;
        while let Some(message) = self.partial.read(self.suite.version, &mut rest)? {
            match message {
                Message::KeyUpdate { requested } => {
                    if !rest.is_empty() {
                        return Err(Refusal::KeyUpdateNotLast);
                    }
                    tolerate(&mut self.tolerated.key_updates, MAX_KEY_UPDATES, Refusal::KeyUpdates)?;
                    self.owes_key_update |= requested;
                    if let Some(Secrets { receiving, .. }) = &mut self.secrets {
                        receiving.update(self.suite);
                        self.receiving = receiving.keys(self.suite, 0);
                    }
                }
                Message::Renegotiation => {
                    tolerate(
                        &mut self.tolerated.renegotiations,
                        MAX_RENEGOTIATIONS,
                        Refusal::Renegotiations,
                    )?;
                    if !self.closed {
                        self.seal_alert(WARNING, Alert::NoRenegotiation, replies);
                    }
                }
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Appends records with the data of `buffers` to `out`, up to `most` bytes of it, and before them the updates of keys
    /// that are due. Returns how many bytes of data they are.
    ///
    /// # Errors
    /// Nothing may be sent any more. `out` may have the alert that says so.
    pub fn seal(&mut self, buffers: &[IoSlice<'_>], most: usize, out: &mut Vec<u8>) -> Result<usize, Sealed> {
        let mut data = Pieces { buffers, taken: 0 };
        let mut left = buffers.iter().map(|buffer| buffer.len()).sum::<usize>().min(most);
        let total = left;
        while left > 0 {
            if let Err(sealed) = self.prepare(out) {
                // What is sealed has been taken over.
                return if left < total { Ok(total - left) } else { Err(sealed) };
            }
            let bytes = left.min(MAX_PLAINTEXT);
            self.sending.seal(self.suite, APPLICATION_DATA, out, |out| data.append(bytes, out));
            left -= bytes;
        }
        Ok(total)
    }

    /// Sees to it that the key may seal another record of data.
    fn prepare(&mut self, out: &mut Vec<u8>) -> Result<(), Sealed> {
        if self.closed {
            return Err(Sealed);
        }
        let most = self.suite.max_records();
        match self.suite.version {
            Version::Tls13 => {
                if self.owes_key_update {
                    self.owes_key_update = false;
                    self.update_key(0, out);
                }
                // The last record is the update (RFC 8446 §5.5). The peer's key has been used as long, perhaps: it is
                // asked for another one too.
                if self.sending.sequence() + 1 >= most {
                    self.update_key(1, out);
                }
            }
            // There are no further keys without negotiating again.
            Version::Tls12 if self.sending.sequence() >= most => {
                self.close(out);
                return Err(Sealed);
            }
            Version::Tls12 => {}
        }
        Ok(())
    }

    /// A KeyUpdate of ours under the old key, then the new one (RFC 8446 §4.6.3).
    fn update_key(&mut self, request: u8, out: &mut Vec<u8>) {
        let message = [KEY_UPDATE, 0, 0, 1, request];
        self.sending.seal(self.suite, HANDSHAKE, out, |out| out.extend_from_slice(&message));
        if let Some(Secrets { sending, .. }) = &mut self.secrets {
            sending.update(self.suite);
            self.sending = sending.keys(self.suite, 0);
        }
    }

    /// Appends a close_notify (RFC 8446 §6.1, RFC 5246 §7.2.1). Once the session is closed it appends nothing.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if !self.closed {
            self.closed = true;
            self.seal_alert(WARNING, Alert::CloseNotify, out);
        }
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut Vec<u8>) {
        if let (Some(alert), false) = (refusal.alert(), self.closed) {
            self.seal_alert(FATAL, alert, out);
        }
        self.partial = Partial::default();
        self.closed = true;
    }

    /// Alerts are sent even when the key is used up otherwise: there are few in the life of a session.
    fn seal_alert(&mut self, level: u8, alert: Alert, out: &mut Vec<u8>) {
        self.sending.seal(self.suite, ALERT, out, |out| out.extend_from_slice(&[level, alert as u8]));
    }

    /// Whether the peer's close_notify has come.
    pub fn has_peer_closed(&self) -> bool {
        self.peer_closed
    }
}

// Alerts behind the last record do not wrap the number: a warning for each renegotiation, and one at the end.
const _: () = assert!(MAX_SEQUENCE < u64::MAX - MAX_RENEGOTIATIONS as u64 - 1);

/// Counts one more of what may come `most` times.
fn tolerate(count: &mut u8, most: u8, refusal: Refusal) -> Result<(), Refusal> {
    if *count >= most {
        return Err(refusal);
    }
    *count += 1;
    Ok(())
}

/// Buffers that are taken from the front.
struct Pieces<'a> {
    buffers: &'a [IoSlice<'a>],
    /// Bytes of the first that are gone.
    taken: usize,
}

impl Pieces<'_> {
    /// Appends the next `bytes` bytes, which there are.
    fn append(&mut self, mut bytes: usize, out: &mut Vec<u8>) {
        while bytes > 0
            && let Some(first) = self.buffers.first()
        {
            let rest = &first[self.taken..];
            let now = &rest[..rest.len().min(bytes)];
            out.extend_from_slice(now);
            bytes -= now.len();
            self.taken += now.len();
            if self.taken == first.len() {
                self.buffers = &self.buffers[1..];
                self.taken = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
