//! The tickets with which clients come back for their sessions. A ticket names its session and its own number, and is signed: 128
//! bits that nobody can guess who does not have the server's key (RFC 2104), and that no session has to remember. Whether it
//! is good still is for the session to say.

use crate::session::SessionId;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minicbor::bytes::ByteArray;
use ring::hmac;
use std::fmt;
use zeroize::Zeroizing;

/// The session and the number.
const NAMED_BYTES: usize = 12;
/// Of the signature: as many bits as API tokens have that are random alone.
const TAG_BYTES: usize = 16;

/// A ticket of this server's, good or used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The session.
    pub session: SessionId,
    /// Which of its tickets.
    pub number: u32,
}

/// A text that has the form of a ticket. What it says may be forged: only the server that made a ticket can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedTicket([u8; Tickets::BYTES]);

impl SealedTicket {
    /// The ticket that this text may be.
    pub fn of(text: &str) -> Option<Self> {
        if text.len() != Tickets::TEXT_BYTES {
            return None;
        }
        Self::from_bytes(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// The same of its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it says, forged or not.
    pub fn says(&self) -> Ticket {
        let number_at = |at: usize| u64::from(self.0[at]);
        let session = (0..8).fold(0, |session, at| session << 8 | number_at(at));
        let number = (8..NAMED_BYTES).fold(0, |number, at| number << 8 | number_at(at));
        Ticket { session: SessionId::from_u64(session), number: number as u32 }
    }
}

/// Makes and reads tickets.
pub struct Tickets {
    secret: Zeroizing<[u8; 32]>,
    key: hmac::Key,
}

impl Tickets {
    /// The length of a ticket as text.
    pub const TEXT_BYTES: usize = (NAMED_BYTES + TAG_BYTES).div_ceil(3) * 4 - 2;

    /// The bytes of a ticket.
    pub const BYTES: usize = NAMED_BYTES + TAG_BYTES;

    /// Under this key, which is random and nobody else's.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), secret: Zeroizing::new(secret) }
    }

    /// The ticket as its client gets it: base64url without padding (RFC 4648 §5).
    pub fn write(&self, ticket: Ticket) -> String {
        let mut bytes = [0; NAMED_BYTES + TAG_BYTES];
        bytes[..8].copy_from_slice(&ticket.session.as_u64().to_be_bytes());
        bytes[8..NAMED_BYTES].copy_from_slice(&ticket.number.to_be_bytes());
        let tag = hmac::sign(&self.key, &signed(b"resume", &bytes[..NAMED_BYTES]));
        bytes[NAMED_BYTES..].copy_from_slice(&tag.as_ref()[..TAG_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The ticket that this text is, if this server made it.
    pub fn read(&self, text: &str) -> Option<Ticket> {
        self.read_sealed(&SealedTicket::of(text)?)
    }

    /// The same of a ticket that another server was shown.
    pub fn read_sealed(&self, sealed: &SealedTicket) -> Option<Ticket> {
        let (named, tag) = sealed.0.split_at(NAMED_BYTES);
        let expected = hmac::sign(&self.key, &signed(b"resume", named));
        // In constant time: a guess must not learn how much of it is right.
        let is_ours: bool = subtle::ConstantTimeEq::ct_eq(tag, &expected.as_ref()[..TAG_BYTES]).into();
        is_ours.then(|| sealed.says())
    }

    /// A digest that tells users apart without keeping their names.
    pub fn digest_of_user(&self, user: Option<&str>) -> u64 {
        let Some(user) = user else { return 0 };
        let tag = hmac::sign(&self.key, &signed(b"user", user.as_bytes()));
        let digest = tag.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
        // 0 is nobody.
        digest.max(1)
    }

    /// The key, for the process that goes on: its clients come back with the tickets of this one.
    pub fn carry(&self) -> ByteArray<32> {
        ByteArray::from(*self.secret)
    }
}

/// What is signed for one purpose is no signature for another.
fn signed(purpose: &[u8], bytes: &[u8]) -> Vec<u8> {
    [purpose, b"\0", bytes].concat()
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(session: u64, number: u32) -> Ticket {
        Ticket { session: SessionId::from_u64(session), number }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let tickets = Tickets::new([7; 32]);
        for one in [ticket(0, 0), ticket(u64::MAX, u32::MAX), ticket(0x0010_0200_00c0_0004, 3)] {
            let text = tickets.write(one);
            let sealed = SealedTicket::of(&text).unwrap();
            assert_eq!((sealed.says(), SealedTicket::from_bytes(sealed.as_bytes())), (one, Some(sealed)));
            assert_eq!((text.len(), tickets.read(&text)), (Tickets::TEXT_BYTES, Some(one)));
            assert_eq!(Tickets::new([8; 32]).read(&text), None, "of another server");
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(tickets.read(&String::from_utf8(other).unwrap()), None, "{at}");
            }
            assert_eq!(Tickets::new([8; 32]).read_sealed(&sealed), None, "of another server");
        }
        for text in ["", "x", &"A".repeat(Tickets::TEXT_BYTES), &"é".repeat(Tickets::TEXT_BYTES / 2)] {
            assert_eq!(tickets.read(text), None, "{text}");
        }
    }

    #[test]
    fn users_are_told_apart_and_nobody_is_no_user() {
        let tickets = Tickets::new([7; 32]);
        let digests = [None, Some(""), Some("ada"), Some("bob")].map(|user| tickets.digest_of_user(user));
        let different: std::collections::HashSet<_> = digests.into_iter().collect();
        assert_eq!((different.len(), digests[0]), (4, 0));
        assert_eq!(Tickets::new([7; 32]).digest_of_user(Some("ada")), digests[2]);
    }
}
