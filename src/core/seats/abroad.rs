//! What seats do for other nodes: links of this node have events of theirs, and what stands here for links of theirs is carried to another
//! process. Start from `foreign` and `stand_in`.

use super::Seat;
use super::foreign::{Batch, Foreign, Stream};
use super::ring::{Kept, Ring};
use super::stand_in::StandIn;
use crate::cluster::links::{EndedSaid, EventsSaid};
use crate::core::Core;
use crate::dispatch::{EncodedFrame, LinkForm};
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};

/// A [`StandIn`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedStandIn {
    #[n(0)]
    node: u16,
    #[n(1)]
    incarnation: u64,
    #[n(2)]
    link: u64,
    #[n(3)]
    version: u64,
    /// Events before this number may have been read.
    #[n(4)]
    most_sent: u64,
}

/// A [`Stream`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedStream {
    #[n(0)]
    node: u16,
    #[n(1)]
    incarnation: u64,
    #[n(2)]
    stand_in: u64,
    #[n(3)]
    got: u64,
    #[n(4)]
    taken: u64,
    #[n(5)]
    is_gone: bool,
}

/// A [`Batch`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedBatch {
    #[n(0)]
    at: u64,
    #[n(1)]
    count: u64,
    #[n(2)]
    incarnation: u64,
    #[n(3)]
    first: u64,
}

impl CarriedStandIn {
    pub(super) fn of(stand_in: &StandIn) -> Self {
        let StandIn { node, incarnation, link, version, most_sent, .. } = *stand_in;
        Self { node, incarnation, link, version, most_sent }
    }

    pub(super) fn restore(self, ring: &Ring, heard_ms: u64) -> Result<StandIn, InvalidState> {
        let Self { node, incarnation, link, version, most_sent } = self;
        if most_sent > ring.next() {
            return Err(InvalidState::new("a link elsewhere was sent events that there are not"));
        }
        let most_sent = most_sent.max(ring.written());
        Ok(StandIn::new((node, incarnation), link, version).restored(ring.written(), most_sent, heard_ms))
    }
}

pub(super) type CarriedForeign = (Option<Vec<CarriedStream>>, Option<Vec<CarriedBatch>>);

/// What a link has of other nodes, for another process; nothing for most.
pub(super) fn carry_foreign(foreign: &Foreign) -> CarriedForeign {
    let stream = |stream: &Stream| {
        // What is due is told again.
        let Stream { node, incarnation, stand_in, got, taken, misses: _, is_due: _, is_gone } = *stream;
        CarriedStream { node, incarnation, stand_in, got, taken, is_gone }
    };
    let batch = |batch: &Batch| {
        let Batch { at, count, incarnation, first } = *batch;
        CarriedBatch { at, count, incarnation, first }
    };
    let streams: Vec<CarriedStream> = foreign.streams().iter().map(stream).collect();
    let batches: Vec<CarriedBatch> = foreign.batches().map(batch).collect();
    (Some(streams).filter(|streams| !streams.is_empty()), Some(batches).filter(|batches| !batches.is_empty()))
}

/// What was carried.
///
/// # Errors
/// Events of nodes that have sent none, or out of order.
pub(super) fn restore_foreign(
    streams: Vec<CarriedStream>,
    batches: Vec<CarriedBatch>,
) -> Result<Foreign, InvalidState> {
    let stream = |carried: CarriedStream| {
        let CarriedStream { node, incarnation, stand_in, got, taken, is_gone } = carried;
        Stream { node, incarnation, stand_in, got, taken, misses: false, is_due: true, is_gone }
    };
    let batch = |carried: CarriedBatch| {
        let CarriedBatch { at, count, incarnation, first } = carried;
        Batch { at, count, incarnation, first }
    };
    let foreign =
        Foreign::restore(streams.into_iter().map(stream).collect(), batches.into_iter().map(batch).collect());
    foreign.ok_or_else(|| InvalidState::new("a link has events of other nodes that none can have"))
}

impl Core {
    /// Another node sends events for a link of this reactor. `false` where some of them are none.
    pub fn events_from_elsewhere(&mut self, from: (u16, u64), said: EventsSaid) -> bool {
        let EventsSaid { link, stand_in, first, events } = said;
        let link = SessionId::from_u64(link);
        let Some(seat) = self.seats.seats.get_mut(&link).filter(|seat| seat.asks && !seat.ended) else {
            // Its end is told, or will be.
            return true;
        };
        let form = seat.form;
        let frames: Option<Vec<Kept>> = events.into_iter().map(|event| kept(form, event)).collect();
        let Some(frames) = frames else { return false };
        let comes = seat.foreign.comes(from, stand_in, first, frames.len() as u64);
        if comes.is_anew {
            self.listeners.tell_gap(link);
        }
        self.foreign_is_due(link);
        let Some(skip) = comes.skip else { return true };
        let (mut count, at) = (0, self.seats.seats.get(&link).map_or(0, |seat| seat.ring.next()));
        for Kept { session, frame } in frames.into_iter().skip(skip as usize) {
            count += 1;
            // It has waited for its turn where it comes from.
            _ = self.enter_gate(link, frame.wire_len(), true);
            self.event_arrives(link, session, frame);
        }
        self.metrics().link_events_received.add(count);
        self.seats.change(link, |seat| {
            seat.foreign.put(from.1, at, count);
            if seat.has_gap || seat.ring.next() != at + count {
                // It keeps nothing, and is told so when it comes back.
                seat.foreign.give_up();
            }
        });
        true
    }

    /// Nodes are to be told how many of their events the link has.
    pub(super) fn foreign_is_due(&mut self, link: SessionId) {
        let has_any = self.seats.seats.get(&link).is_some_and(|seat| !seat.foreign.streams().is_empty());
        if has_any && !self.seats.told_due.contains(&link) {
            self.seats.told_due.push(link);
        }
    }

    /// The socket of the link has taken events.
    pub(in crate::core) fn foreign_is_written(&mut self, link: SessionId) {
        let wrote = |seat: &mut Seat| {
            let written = seat.ring.written();
            seat.foreign.wrote(written)
        };
        if self.seats.seats.get_mut(&link).map(wrote) == Some(true) {
            self.foreign_is_due(link);
        }
    }

    /// What other nodes are to be told of links here: how many of their events these have.
    pub fn take_told_due(&mut self) -> Vec<Stream> {
        let due = std::mem::take(&mut self.seats.told_due);
        due.iter()
            .flat_map(|link| self.seats.seats.get_mut(link).map(|seat| seat.foreign.take_due()))
            .flatten()
            .collect()
    }

    /// A node is no more: links here that have heard of its sessions are told that they may have missed something.
    pub fn foreign_went(&mut self, incarnation: u64) {
        for (link, seat) in &mut self.seats.seats {
            if seat.foreign.node_went(incarnation) && !seat.ended {
                self.listeners.tell_gap(*link);
            }
        }
    }

    /// The link is over: other nodes are told how many of their events its socket has taken. The numbers of those in its ring that it has
    /// not, and that their nodes keep.
    pub(super) fn tell_end_abroad(&mut self, link: SessionId, seat: &mut Seat) -> Vec<u64> {
        let written = seat.ring.written();
        seat.foreign.wrote(written);
        let of = seat.foreign.streams().iter().map(|stream| {
            let ended = EndedSaid { link: link.as_u64(), stand_in: stream.stand_in, taken: stream.taken };
            (stream.incarnation, ended)
        });
        self.link_ends_abroad(link, of.collect());
        (written..seat.ring.next()).filter(|number| seat.foreign.is_kept_elsewhere(*number)).collect()
    }
}

/// An event of another node, as it goes to the link; `None` where it is none.
fn kept(form: LinkForm, event: crate::cluster::links::EventSaid) -> Option<Kept> {
    let frame = match form {
        LinkForm::Json => EncodedFrame::text(std::str::from_utf8(&event.payload).ok()?),
        LinkForm::Binary => EncodedFrame::binary(&event.payload),
    };
    Some(Kept { session: SessionId::from_u64(event.session), frame })
}
