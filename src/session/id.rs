//! The 64-bit session id: it says by itself which node, worker and slot to ask.

use std::fmt;
use std::str::FromStr;

/// A session's id: node (12 bits) · worker (8) · generation (22) · slot (22).
///
/// Written as 16 lowercase hex digits. An id names one session for ever: the generation of a slot changes with every
/// session that takes it, so that a stale id is refused and never reaches somebody else.
///
/// ```
/// use gannet::session::SessionId;
/// let id = SessionId::new(1, 2, 3, 4);
/// assert_eq!((id.node(), id.worker(), id.generation(), id.slot()), (1, 2, 3, 4));
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// Bits of the slot, and so the number of sessions one worker can hold at once.
    pub const SLOT_BITS: u32 = 22;
    /// Bits of the generation, and so how often a slot is used before it is retired.
    pub const GENERATION_BITS: u32 = 22;
    /// Bits of the worker: the reactor that owns the session.
    pub const WORKER_BITS: u32 = 8;
    /// Bits of the node.
    pub const NODE_BITS: u32 = 12;

    /// Puts an id together; bits beyond a part's width are cut off.
    pub const fn new(node: u16, worker: u8, generation: u32, slot: u32) -> Self {
        let node = (node as u64) & mask(Self::NODE_BITS);
        let generation = (generation as u64) & mask(Self::GENERATION_BITS);
        let slot = (slot as u64) & mask(Self::SLOT_BITS);
        Self(node << 52 | (worker as u64) << 44 | generation << 22 | slot)
    }

    /// The node that the session lives on.
    pub const fn node(self) -> u16 {
        (self.0 >> 52) as u16
    }

    /// The reactor that owns the session.
    pub const fn worker(self) -> u8 {
        (self.0 >> 44) as u8
    }

    /// How many sessions had the slot before this one, counted from the worker's first generation.
    pub const fn generation(self) -> u32 {
        ((self.0 >> 22) & mask(Self::GENERATION_BITS)) as u32
    }

    /// The index in the worker's slab.
    pub const fn slot(self) -> u32 {
        (self.0 & mask(Self::SLOT_BITS)) as u32
    }

    /// Where the id stands in a listing: node, worker, then slot. No two live sessions have the same place, and a session keeps its
    /// own for life.
    pub(crate) const fn place(self) -> (u16, u8, u32) {
        (self.node(), self.worker(), self.slot())
    }

    /// The id as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that `number` stands for: every 64-bit number is some id.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const _: () = assert!(
    SessionId::NODE_BITS + SessionId::WORKER_BITS + SessionId::GENERATION_BITS + SessionId::SLOT_BITS == 64
);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The text is not 16 lowercase hex digits.
///
/// ```
/// use gannet::session::{ParseSessionIdError, SessionId};
/// assert_eq!("ada".parse::<SessionId>(), Err(ParseSessionIdError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseSessionIdError;

impl fmt::Display for ParseSessionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a session id is 16 lowercase hex digits, as the welcome message and the open event give it",
        )
    }
}

impl std::error::Error for ParseSessionIdError {}

impl FromStr for SessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, ParseSessionIdError> {
        let lowercase_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(lowercase_hex) {
            return Err(ParseSessionIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ParseSessionIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_at_their_bounds() {
        for (node, worker, generation, slot) in
            [(0, 0, 0, 0), (4095, 255, (1 << 22) - 1, (1 << 22) - 1), (1, 2, 3, 4)]
        {
            let id = SessionId::new(node, worker, generation, slot);
            assert_eq!(
                (id.node(), id.worker(), id.generation(), id.slot()),
                (node, worker, generation, slot)
            );
            assert_eq!(SessionId::from_u64(id.as_u64()), id);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn only_sixteen_lowercase_hex_digits_are_an_id() {
        for text in [
            "",
            "0",
            "000000000000000",
            "00000000000000000",
            "000000000000000G",
            "00000000000000AB",
            "+00000000000000f",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(ParseSessionIdError), "{text:?}");
        }
    }
}
