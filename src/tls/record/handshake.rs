//! Handshake messages after the handshake. A client may send one kind in each version: KeyUpdate in TLS 1.3 (RFC 8446
//! §4.6.3), and in TLS 1.2 a ClientHello that wants to negotiate again (RFC 5246 §7.4.1.2), of which only the end is looked
//! for. A message may be cut into several records.

use super::refusal::Refusal;
use super::suite::Version;

/// HandshakeType (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
/// See [`CLIENT_HELLO`].
pub const KEY_UPDATE: u8 = 24;

/// The longest ClientHello that is read to its end; rustls has the same bound.
pub const MAX_CLIENT_HELLO: u32 = 0xffff;

/// Type and length of a message.
pub const MESSAGE_HEADER_BYTES: u8 = 4;

/// A whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The peer's keys change behind this record.
    KeyUpdate {
        /// Whether it wants ours to change too.
        requested: bool,
    },
    /// The peer wants to negotiate again.
    Renegotiation,
}

/// How far the message is that is being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Partial {
    /// Bytes of its header that have come; 0 between messages.
    pub header: u8,
    /// What the header has said of the length so far, then how much of the body is to come; at most [`MAX_CLIENT_HELLO`]
    /// when the header is whole.
    pub body: u32,
}

impl Partial {
    /// Whether a message has begun and not ended.
    pub fn is_within(self) -> bool {
        self.header > 0
    }

    /// Takes bytes from the front of `content` up to the end of a message; `None` when it goes on in another record.
    ///
    /// # Errors
    /// A message that may not come. Where it ends is not known then.
    pub fn read(&mut self, version: Version, content: &mut &[u8]) -> Result<Option<Message>, Refusal> {
        while self.header < MESSAGE_HEADER_BYTES {
            let Some((byte, rest)) = content.split_first() else { return Ok(None) };
            *content = rest;
            if self.header == 0 {
                check_type(version, *byte)?;
                self.body = 0;
            } else {
                self.body = self.body << 8 | u32::from(*byte);
            }
            self.header += 1;
            if self.header == MESSAGE_HEADER_BYTES {
                check_length(version, self.body)?;
            }
        }
        let available = content.len().min(self.body as usize);
        let (body, rest) = content.split_at(available);
        *content = rest;
        self.body -= available as u32;
        if self.body > 0 {
            return Ok(None);
        }
        *self = Self::default();
        match (version, body.last()) {
            (Version::Tls12, _) => Ok(Some(Message::Renegotiation)),
            (Version::Tls13, Some(request @ (0 | 1))) => {
                Ok(Some(Message::KeyUpdate { requested: *request == 1 }))
            }
            (Version::Tls13, _) => Err(Refusal::KeyUpdateRequest),
        }
    }
}

fn check_type(version: Version, kind: u8) -> Result<(), Refusal> {
    let expected = match version {
        Version::Tls12 => CLIENT_HELLO,
        Version::Tls13 => KEY_UPDATE,
    };
    if kind == expected { Ok(()) } else { Err(Refusal::HandshakeMessage(kind)) }
}

fn check_length(version: Version, length: u32) -> Result<(), Refusal> {
    let possible = match version {
        Version::Tls12 => length <= MAX_CLIENT_HELLO,
        Version::Tls13 => length == 1,
    };
    if possible { Ok(()) } else { Err(Refusal::HandshakeLength) }
}
