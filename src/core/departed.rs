//! Sessions that ended while their clients were not connected, so that a client that comes back hears how: so many of one reactor
//! are remembered, the last ones. Knows nothing of how it hears it.

use super::Core;
use crate::connection::Claimant;
use crate::protocol::CloseCode;
use crate::session::{SessionId, close_codes};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;

/// So many are remembered by one reactor.
const REMEMBERED: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Departed(VecDeque<Departure>);

#[derive(Debug)]
struct Departure {
    id: SessionId,
    how: How,
}

#[derive(Debug)]
enum How {
    /// For want of room: it had lost messages.
    Overflow,
    /// It went between two polls of its client, or in the answer to one, which may have been lost.
    Told(End),
}

/// How a session ended whose client polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// Who opened it.
    pub claimant: Claimant,
    /// The code of its end (RFC 6455 §7.4).
    pub code: u16,
    /// The reason.
    pub reason: Box<str>,
}

/// A [`Departed`] on its way to another process, one session.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedDeparture {
    #[n(0)]
    id: u64,
    /// Claimant, code and reason; none where it went for want of room.
    #[n(1)]
    end: Option<(u64, u16, Box<str>)>,
}

impl Departed {
    fn remember(&mut self, id: SessionId, how: How) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Departure { id, how });
    }

    pub(super) fn carry(&self) -> Vec<CarriedDeparture> {
        let carried = self.0.iter().map(|Departure { id, how }| {
            let end = match how {
                How::Overflow => None,
                How::Told(End { claimant, code, reason }) => Some((claimant.0, *code, reason.clone())),
            };
            CarriedDeparture { id: id.as_u64(), end }
        });
        carried.collect()
    }

    /// Those that were carried.
    ///
    /// # Errors
    /// More have come than one reactor remembers.
    pub(super) fn restore(carried: Vec<CarriedDeparture>) -> Result<Self, InvalidState> {
        if carried.len() > REMEMBERED {
            return Err(InvalidState::new("more sessions that have ended than are remembered"));
        }
        let departures = carried.into_iter().map(|CarriedDeparture { id, end }| {
            let how = end.map_or(How::Overflow, |(claimant, code, reason)| {
                How::Told(End { claimant: Claimant(claimant), code, reason })
            });
            Departure { id: SessionId::from_u64(id), how }
        });
        Ok(Self(departures.collect()))
    }
}

/// Whether a session that a connection ended with this code goes for good: its client, or whoever may decide about it, wants it
/// gone.
pub(super) fn is_final(code: u16) -> bool {
    [CloseCode::NORMAL, close_codes::KICKED, close_codes::REPLACED, close_codes::TOKEN_EXPIRED]
        .iter()
        .any(|last| last.0 == code)
}

impl Core {
    /// The session in `slot` ends with messages that were given up.
    pub(super) fn remember_overflow(&mut self, slot: u32) {
        let Some(id) = self.hub.id_of(slot).filter(|_| self.resume_of(slot).is_some()) else { return };
        self.departed.remember(id, How::Overflow);
    }

    /// Whether the session was ended for want of room, as far as that is remembered.
    pub(super) fn has_overflowed(&self, id: SessionId) -> bool {
        self.departed.0.iter().any(|gone| gone.id == id && matches!(gone.how, How::Overflow))
    }

    /// The session in `slot` ends. If its client polls, its next poll hears how: also where the one that waited was answered, since
    /// that answer may be lost. One that has not come in time, or that has left by itself, need not hear it.
    pub(super) fn remember_end(&mut self, slot: u32, code: u16, reason: &str) {
        let is_own = code == CloseCode::ABNORMAL.0 || code == CloseCode::NORMAL.0;
        let polls = self.resume_of(slot).filter(|resume| !is_own && resume.poll.is_some());
        let Some(claimant) = polls.map(|resume| resume.claimant) else { return };
        // Looked for last: most sessions do not poll.
        let Some(id) = self.hub.id_of(slot).filter(|id| !self.has_overflowed(*id)) else { return };
        self.departed.remember(id, How::Told(End { claimant, code, reason: reason.into() }));
    }

    /// How the session of a client that polls ended, if that is `claimant`, or may be anybody. One that it could come back from
    /// is told once: the client asks with the same ticket again, and gets another session then.
    pub(super) fn end_to_tell(&mut self, id: SessionId, claimant: Option<Claimant>) -> Option<End> {
        let is_it = |gone: &Departure| match &gone.how {
            How::Told(end) if gone.id == id && claimant.is_none_or(|claimant| claimant == end.claimant) => {
                Some(end.clone())
            }
            _ => None,
        };
        let (at, end) = self.departed.0.iter().enumerate().find_map(|(at, gone)| Some((at, is_it(gone)?)))?;
        if !is_final(end.code) {
            self.departed.0.remove(at);
        }
        Some(end)
    }
}
