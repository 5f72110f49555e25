//! The world stands still: turns in which nothing is read, until another process has everything, or this one goes on.

use super::{LISTENERS, Reactor, WAKE, turn};
use crate::connection::Flag;
use crate::core::BUS_TOKENS;
use crate::core::{CarriedCore, CarriedMember, Outcome, Parcel, Stage, encode};
use crate::gateway::CarriedDoor;
use crate::upgrade::{Counts, Fault, MAX_DESCRIPTORS, step};
use minicbor::{Decode, Encode};
use mio::{Events, Token};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The part of the stream that has the frames and pushes of all reactors; parts below are those of reactors.
pub const SHARED_PART: u32 = 1 << 16;

/// What a batch of idle sessions takes: with so much room from the start no copy of it is left behind.
const STATE_BYTES: usize = 512 * MAX_DESCRIPTORS;

/// A connection on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedSlot {
    #[n(0)]
    pub(super) member: CarriedMember,
    /// What it is in the middle of.
    #[n(1)]
    pub(super) door: Option<CarriedDoor>,
}

/// What is first of a reactor.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedReactor {
    #[n(0)]
    pub(super) core: CarriedCore,
    /// Connections that come.
    #[n(1)]
    pub(super) connections: u64,
}

impl Reactor {
    /// Does what the handover asks for, if one is under way: whether another process goes on from here.
    pub(super) fn hand_over_world(&mut self) -> io::Result<bool> {
        match self.core.shared.handover.stage() {
            Stage::Serving => {
                if self.accepts_nothing {
                    self.accept_again();
                }
                Ok(false)
            }
            Stage::Closing => {
                self.close_doors();
                Ok(false)
            }
            Stage::Still | Stage::Packing => self.stand_still(),
        }
    }

    /// Nothing is accepted any more; says when no handshake is left.
    fn close_doors(&mut self) {
        if !self.accepts_nothing {
            self.accepts_nothing = true;
            let listeners = self.acceptor.as_ref().map_or(Ok(Vec::new()), super::Acceptor::share);
            self.core.shared.handover.give_listeners(listeners);
        }
        if !self.core.has_handshakes() {
            self.core.shared.handover.is_closed(self.core.index);
        }
    }

    fn stand_still(&mut self) -> io::Result<bool> {
        let (shared, index) = (Arc::clone(&self.core.shared), self.core.index);
        let began_ms = shared.clock.now().ms;
        self.core.stands_still = true;
        self.core.answer_all_feeds();
        self.core.end_waits_for_users();
        shared.handover.stands(index, true);
        let (mut opened, mut answered) = (0, 0);
        let outcome = loop {
            match shared.handover.stage() {
                Stage::Serving | Stage::Closing => break Outcome::TakenBack,
                Stage::Packing => {
                    let Some(parcel) = shared.handover.parcel() else { break Outcome::TakenBack };
                    let packed = self.pack(&parcel);
                    drop(parcel);
                    break shared.handover.packed(index, packed);
                }
                Stage::Still => {}
            }
            // Who asks in a new round wakes those that have answered the last one.
            let round = shared.handover.round();
            self.may_sleep = (answered != round).then_some(Duration::ZERO);
            opened += self.still_turn()?;
            if self.core.is_quiet() && self.receiver.is_empty() {
                shared.handover.is_quiet(index, round, opened);
                answered = round;
            }
        };
        shared.handover.stands(index, false);
        if outcome == Outcome::Gone {
            self.leave_listeners();
            return Ok(true);
        }
        self.core.stands_still = false;
        self.accept_again();
        (self.expected_ms, self.interrupted) = (u64::MAX, false);
        // Nobody could be heard.
        self.core.now = shared.clock.now();
        let stood_ms = self.core.now.ms - began_ms;
        self.core.absent_ms += stood_ms;
        self.core.go_on_with_bus();
        self.stop.put_off(stood_ms);
        Ok(false)
    }

    /// No other process takes over.
    fn accept_again(&mut self) {
        self.accepts_nothing = false;
        self.accept_all_later();
        self.may_sleep = Some(Duration::ZERO);
    }

    /// What is under way goes on, and is written; nothing new begins. Returns how many envelopes were opened.
    fn still_turn(&mut self) -> io::Result<u64> {
        self.wait()?;
        self.core.now = self.core.shared.clock.now();
        self.core.budget.refill();
        self.follow_rules();
        self.note_ready();
        self.core.go_on_with_work();
        let opened = self.open_all();
        self.core.turn_bus_still();
        self.take_claims();
        self.tell_ended();
        self.core.peers.retry();
        self.gateway.go_on_with_links(&mut self.core);
        self.core.wake_peers();
        self.core.flush_bus();
        self.core.budget.refill_sockets();
        self.core.flush_ticks();
        self.core.flush_dirty();
        self.tell_ended();
        self.reap();
        self.core.settle();
        self.core.wake_peers();
        self.ended = self.core.shared.clock.now();
        Ok(opened)
    }

    /// Remembers which sockets have something to be read: no other event will say so.
    fn note_ready(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(token) = event.token();
            if token == WAKE.0 || token >= LISTENERS {
                continue;
            }
            if token >= BUS_TOKENS {
                self.core.bus_ready_still(token);
                continue;
            }
            let slot = token as u32;
            if event.is_writable() {
                self.core.writable(slot);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                if event.is_read_closed() || event.is_error() {
                    self.core.connection(slot).map(|connection| connection.flags.set(Flag::HungUp));
                }
                self.core.read_later(slot);
            }
        }
        self.events = events;
    }

    /// Opens what is in the mailbox, as far as a turn goes.
    fn open_all(&mut self) -> u64 {
        let mut opened = 0;
        for _ in 0..self.core.rules.settings.config.limits.turn_envelopes {
            if self.core.is_far_behind_with_work() {
                break;
            }
            let Some(envelope) = self.receiver.pop() else { break };
            opened += u64::from(!turn::is_call(&envelope));
            self.open(envelope);
        }
        self.receiver.drained();
        opened
    }

    /// Sends everything to the other process. Nothing is changed by it.
    pub(super) fn pack(&mut self, parcel: &Parcel) -> Result<Counts, Fault> {
        let part = self.core.index as u32;
        let slots: Vec<u32> = self.core.connections.slots().collect();
        // The keys of TLS sessions go through it.
        let mut bytes = Zeroizing::new(Vec::with_capacity(STATE_BYTES));
        let connections = slots.len() as u64;
        encode(&CarriedReactor { core: self.core.carry(&parcel.packer), connections }, &mut bytes);
        parcel.send(part, &self.core.bus_descriptors(), &bytes, SHARED_PART)?;
        step("old:sending");
        let mut counts = Counts::default();
        for slots in slots.chunks(MAX_DESCRIPTORS) {
            bytes.clear();
            let mut carried = Vec::with_capacity(slots.len());
            for slot in slots {
                let Some(member) = self.core.carry_member(*slot, &parcel.packer) else { continue };
                let door = self.gateway.carry_door(&mut self.core, *slot, &parcel.packer);
                carried.push(CarriedSlot { member, door });
            }
            let mut sockets: Vec<BorrowedFd<'_>> = Vec::with_capacity(carried.len());
            for carried in &carried {
                encode(carried, &mut bytes);
                let Some(connection) = self.core.connections.get(carried.member.id()) else { continue };
                // A session whose client is away has none.
                sockets.extend(connection.stream.descriptor());
                counts.connections += 1;
                counts.sessions += u64::from(connection.is_session());
            }
            parcel.send(part, &sockets, &bytes, SHARED_PART)?;
        }
        Ok(counts)
    }
}
