//! How an established session is carried to another process: its record layer, and the bytes on their way. A field that is
//! added to [`Established`] or [`Waiting`] does not compile until it is carried.

use super::established::{Established, MAX_UNSENT, Waiting};
use super::record::{CarriedRecords, MAX_RECORD_BYTES, missing_bytes};
use super::session::{Session, State};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// Records that are sealed and not sent, at most: what is taken over at once, and beside it the end of a handshake, updates
/// of keys and alerts.
const MAX_UNSENT_BYTES: usize = 2 * MAX_UNSENT;

/// An established session on its way. What it is encoded in holds the keys of the session: zero it after use.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedSession {
    #[n(0)]
    records: CarriedRecords,
    /// The beginning of a record.
    #[cbor(n(1), with = "minicbor::bytes")]
    received: Vec<u8>,
    /// Data that was opened and not read.
    #[cbor(n(2), with = "minicbor::bytes")]
    opened: Vec<u8>,
    /// Records that were sealed and not sent.
    #[cbor(n(3), with = "minicbor::bytes")]
    unsent: Vec<u8>,
}

impl Session {
    /// Whether it holds data that no event of the socket will report.
    pub fn has_unread(&self) -> bool {
        let Self(State::Established(Established { waiting: Some(waiting), .. })) = self else { return false };
        !waiting.opened.is_empty()
    }

    /// What the session is now; `None` while its handshake is not done. Only one of the two may go on with it: two records
    /// under one number would give both away.
    pub fn carry(&self) -> Option<CarriedSession> {
        let Self(State::Established(Established { layer, waiting })) = self else { return None };
        let records = CarriedRecords::of(layer);
        let Some(waiting) = waiting.as_deref() else {
            return Some(CarriedSession {
                records,
                received: Vec::new(),
                opened: Vec::new(),
                unsent: Vec::new(),
            });
        };
        let Waiting { received, opened, unsent, sent } = waiting;
        Some(CarriedSession {
            records,
            received: received.clone(),
            opened: opened.clone(),
            unsent: unsent[*sent..].to_vec(),
        })
    }
}

impl TryFrom<CarriedSession> for Session {
    type Error = InvalidState;

    /// The session that it was.
    fn try_from(carried: CarriedSession) -> Result<Self, InvalidState> {
        let CarriedSession { records, received, opened, unsent } = carried;
        let layer = records.restore()?;
        let invalid = |what| Err(InvalidState::new(what));
        if !received.is_empty() && (missing_bytes(&received) == 0 || received.len() >= MAX_RECORD_BYTES) {
            return invalid("the beginning of a TLS record is a whole one");
        }
        if opened.len() > MAX_RECORD_BYTES || !(opened.is_empty() || received.is_empty()) {
            return invalid("a TLS session has more unread data than there can be");
        }
        if unsent.len() > MAX_UNSENT_BYTES {
            return invalid("a TLS session has more unsent bytes than there can be");
        }
        let is_idle = received.is_empty() && opened.is_empty() && unsent.is_empty();
        let waiting = Waiting { received, opened, unsent, sent: 0 };
        let waiting = (!is_idle).then(|| Box::new(waiting));
        Ok(Self(State::Established(Established { layer, waiting })))
    }
}
