//! How seats are carried to another process: with their rings and tickets, so that a ticket of the old process is good in the new
//! one. Nothing is being handed on then: the world does not stand still before that is done.

use super::abroad::{CarriedBatch, CarriedStandIn, CarriedStream, carry_foreign, restore_foreign};
use super::ring::{Kept, Ring};
use super::ticket::Tickets;
use super::{Resume, Seat, Seats};
use crate::auth::CarriedAccess;
use crate::connection::Kind;
use crate::core::{Barrier, Core};
use crate::dispatch::{LinkForm, Packer, Unpacker};
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// No link lingers for longer, whatever the other process was told: a day.
const MOST_LEFT_MS: u64 = 24 * 60 * 60 * 1_000;

/// A [`Seat`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedSeat {
    #[n(0)]
    link: u64,
    /// Absent while it is away.
    #[n(1)]
    connection: Option<u64>,
    /// Absent where it cannot be resumed.
    #[n(2)]
    resume: Option<CarriedResume>,
    #[n(3)]
    is_binary: bool,
    /// The number of the first event, of the first that no socket has taken, and of the first that the last socket has not.
    #[n(4)]
    numbers: [u64; 3],
    /// Of each event the session and the number of its frame.
    #[n(5)]
    events: Vec<(u64, u32)>,
    #[n(6)]
    before: u64,
    #[n(7)]
    has_gap: bool,
    #[n(8)]
    leaves: bool,
    /// For how long it lingers still, in milliseconds.
    #[n(9)]
    left_ms: Option<u64>,
    #[n(10)]
    asks: bool,
    /// The connection that was answered last, of one that is read by requests. States of 0.2.0 have none.
    #[n(11)]
    reader: Option<u64>,
    /// What waits for its socket to take the events before a number.
    #[n(12)]
    barriers: Option<Vec<CarriedBarrier>>,
    /// Each event that it is sent has its number.
    #[n(13)]
    numbered: Option<bool>,
    /// It stands for a link of another node.
    #[n(14)]
    stand_in: Option<CarriedStandIn>,
    /// Its events of other nodes.
    #[n(15)]
    streams: Option<Vec<CarriedStream>>,
    #[n(16)]
    batches: Option<Vec<CarriedBatch>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedBarrier {
    #[n(0)]
    number: u64,
    #[n(1)]
    session: u64,
    /// Absent where the session is over; otherwise it moves, and whether the last event says so.
    #[n(2)]
    is_told: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedResume {
    #[n(0)]
    last: ByteArray<16>,
    #[n(1)]
    before: Option<ByteArray<16>>,
    #[n(2)]
    access: CarriedAccess,
}

impl Core {
    /// The seats of this reactor.
    pub fn carry_seats(&self, packer: &Packer) -> Vec<CarriedSeat> {
        // Which connection has which link follows from the seats, and so do the sums.
        // What is not confirmed is counted anew: links are asked again soon.
        let Seats {
            seats,
            links: _,
            kept: _,
            endings: _,
            looked: _,
            handing: _,
            confirming: _,
            due: _,
            told_due: _,
        } = &self.seats;
        let attended_ms = self.attended_ms();
        let mut carried: Vec<CarriedSeat> =
            seats.iter().map(|(link, seat)| seat.carry(*link, attended_ms, packer)).collect();
        carried.sort_unstable_by_key(|seat| seat.link);
        carried
    }

    /// The seats that were carried. The connections are there; a link whose key is gone, or may do less, does not linger.
    ///
    /// # Errors
    /// A link that is not of this reactor, twice, or away and connected; a connection that is no link, or has two; events that
    /// none can be.
    pub fn restore_seats(
        &mut self,
        carried: Vec<CarriedSeat>,
        unpacker: &Unpacker,
    ) -> Result<(), InvalidState> {
        for one in carried {
            let (link, connection) = (SessionId::from_u64(one.link), one.connection.map(SessionId::from_u64));
            let is_own = link.node() == self.shared.node && usize::from(link.worker()) == self.index;
            if !is_own || self.seats.has(link) {
                return Err(InvalidState::new("a link has a seat that is not its own"));
            }
            let mut seat = self.restore_seat(one, unpacker)?;
            match connection.map(|connection| (connection, self.connections.get(connection))) {
                // Its connection could not be carried.
                Some((_, None)) => {
                    let lingers = seat.resume.is_some() && !seat.leaves;
                    seat.connection = None;
                    seat.until_ms = lingers.then(|| self.end_of_wait(self.link_linger_ms()));
                }
                Some((connection, Some(one))) => {
                    let is_link = one.kind == Kind::Link;
                    if !is_link || self.seats.links.insert(connection, link).is_some() {
                        return Err(InvalidState::new("a link has a connection that is not its own"));
                    }
                }
                None => {}
            }
            let (events, bytes) = seat.ring.size();
            self.seats.kept = (self.seats.kept.0 + events, self.seats.kept.1 + bytes);
            if seat.until_ms.is_some() {
                self.metrics().links_away.add(1);
                self.shared.links_away.fetch_add(1, Relaxed);
            }
            if self.bus.is_none() {
                // The cluster was taken out of the configuration.
                seat.stand_in = None;
            }
            let is_away = seat.connection.is_none() && seat.stand_in.is_none();
            let is_over = is_away && (seat.until_ms.is_none() || seat.leaves);
            self.metrics().links_elsewhere.add(u64::from(seat.stand_in.is_some()));
            self.seats.seats.insert(link, seat);
            if is_over {
                self.end_seat(link);
            }
        }
        Ok(())
    }

    fn restore_seat(&self, carried: CarriedSeat, unpacker: &Unpacker) -> Result<Seat, InvalidState> {
        let CarriedSeat {
            link,
            connection,
            resume,
            is_binary,
            numbers,
            events,
            before,
            has_gap,
            leaves,
            left_ms,
            asks,
            reader,
            barriers,
            numbered,
            stand_in,
            streams,
            batches,
        } = carried;
        let barriers: VecDeque<_> =
            barriers.unwrap_or_default().iter().map(CarriedBarrier::restore).collect();
        if !barriers.iter().is_sorted_by_key(|(number, ..)| *number) {
            return Err(InvalidState::new("a link's sessions move out of order"));
        }
        if connection.is_some() && left_ms.is_some() {
            return Err(InvalidState::new("a link is away and has a connection"));
        }
        let ring = restore_ring(numbers, events, unpacker)?;
        let heard_ms = self.attended_ms();
        let stand_in = stand_in.map(|stand_in| stand_in.restore(&ring, heard_ms)).transpose()?;
        let foreign = restore_foreign(streams.unwrap_or_default(), batches.unwrap_or_default())?;
        let link = SessionId::from_u64(link);
        let keys = &self.rules.backend_keys;
        let mut leaves = leaves;
        let resume = resume.map(|CarriedResume { last, before, access }| {
            let now = keys.successor_of_carried(&access).filter(|now| now.covers_carried(&access));
            leaves |= now.is_none();
            let access = Arc::clone(now.unwrap_or_else(|| keys.nobody()));
            Resume { tickets: Tickets::restore(link, last.into(), before.map(Into::into)), access }
        });
        Ok(Seat {
            connection: connection.map(SessionId::from_u64),
            resume,
            form: if is_binary { LinkForm::Binary } else { LinkForm::Json },
            ring,
            before,
            has_gap,
            leaves,
            until_ms: left_ms.map(|left_ms| self.attended_ms() + left_ms.min(MOST_LEFT_MS)),
            asks,
            numbers: numbered.unwrap_or(false),
            is_given_up: false,
            ended: false,
            poll: None,
            reader: reader.map(SessionId::from_u64),
            barriers,
            stand_in,
            foreign,
        })
    }
}

impl Seat {
    fn carry(&self, link: SessionId, attended_ms: u64, packer: &Packer) -> CarriedSeat {
        let Self { connection, resume, form, ring, before, has_gap, leaves, until_ms, asks, numbers, .. } =
            self;
        // It has not ended: the world does not stand still before that is done, and what is given up goes in the same turn. Every
        // request that waits has been answered.
        let Self { reader, barriers, stand_in, foreign, is_given_up: _, ended: _, poll: _, .. } = self;
        let (streams, batches) = carry_foreign(foreign);
        CarriedSeat {
            link: link.as_u64(),
            connection: connection.map(SessionId::as_u64),
            resume: resume.as_ref().map(|Resume { tickets, access }| {
                let (last, before) = tickets.secrets();
                CarriedResume { last: last.into(), before: before.map(Into::into), access: access.carry() }
            }),
            is_binary: *form == LinkForm::Binary,
            numbers: ring.numbers(),
            events: carry_events(ring, packer),
            before: *before,
            has_gap: *has_gap,
            leaves: *leaves,
            left_ms: until_ms.map(|until_ms| until_ms.saturating_sub(attended_ms)),
            asks: *asks,
            reader: reader.map(SessionId::as_u64),
            numbered: numbers.then_some(true),
            barriers: (!barriers.is_empty()).then(|| barriers.iter().map(CarriedBarrier::of).collect()),
            stand_in: stand_in.as_ref().map(CarriedStandIn::of),
            streams,
            batches,
        }
    }
}

impl CarriedBarrier {
    fn of((number, session, barrier): &(u64, SessionId, Barrier)) -> Self {
        let is_told = match barrier {
            Barrier::Moves { is_told } => Some(*is_told),
            Barrier::Ends => None,
        };
        Self { number: *number, session: session.as_u64(), is_told }
    }

    fn restore(&self) -> (u64, SessionId, Barrier) {
        let Self { number, session, is_told } = *self;
        let barrier = is_told.map_or(Barrier::Ends, |is_told| Barrier::Moves { is_told });
        (number, SessionId::from_u64(session), barrier)
    }
}

/// The events of a ring, each with the number of its frame.
pub(super) fn carry_events(ring: &Ring, packer: &Packer) -> Vec<(u64, u32)> {
    ring.events().map(|kept| (kept.session.as_u64(), packer.frame(&kept.frame))).collect()
}

/// The ring with these numbers and events.
///
/// # Errors
/// There is no such ring, or no such frame.
pub(super) fn restore_ring(
    numbers: [u64; 3],
    events: Vec<(u64, u32)>,
    unpacker: &Unpacker,
) -> Result<Ring, InvalidState> {
    let kept = events.into_iter().map(|(session, frame)| {
        Ok(Kept { session: SessionId::from_u64(session), frame: unpacker.frame(frame)?.clone() })
    });
    let ring = Ring::restore(numbers, kept.collect::<Result<_, InvalidState>>()?);
    ring.ok_or_else(|| InvalidState::new("a link has events that none can have"))
}
