//! Pushes and operations that one turn did not finish, in the order in which they came. While any is here, later ones go
//! behind it: so what a backend asks is done in its order, however long a part takes.

use super::Core;
use super::Sent;
use super::behind::Looking;
use super::delivery::Delivery;
use super::execute::Listing;
use super::naming::Naming;
use super::presence::Gathering;
use super::recollection::Recollection;
use crate::dispatch::{EncodedFrame, Operation, Push};
use crate::metrics::DropReason;
use crate::protocol::CloseCode;
use crate::session::SessionId;
use std::sync::Arc;

/// So many pushes and operations are taken from the mailbox before those that are left over are done.
const TAKEN_AHEAD: usize = 32;

/// One thing that waits for its turn.
#[derive(Debug)]
pub(super) enum Work {
    /// A push that has not begun.
    Push(Arc<Push>),
    /// A push of which some sessions have been offered the message.
    Delivery(Delivery),
    /// An operation that has not begun.
    Operation(Arc<Operation>),
    /// A listing of which some sessions have been described.
    Listing(Listing),
    /// A look for those who are behind.
    Looking(Looking),
    /// A presence of which some members have been looked at.
    Presence(Gathering),
    /// A page of names of which some have been looked at.
    Names(Naming),
    /// What a group remembers, of which some of the sessions that have joined it have got it.
    Recollection(Box<Recollection>),
    /// A message to one session, sent behind a push that it follows.
    Send(SessionId, EncodedFrame),
    /// The end of one session, behind a push that it follows.
    Close(SessionId, CloseCode, Box<str>),
}

impl From<Delivery> for Work {
    fn from(delivery: Delivery) -> Self {
        Self::Delivery(delivery)
    }
}

impl From<Gathering> for Work {
    fn from(gathering: Gathering) -> Self {
        Self::Presence(gathering)
    }
}

impl From<Naming> for Work {
    fn from(naming: Naming) -> Self {
        Self::Names(naming)
    }
}

impl From<Looking> for Work {
    fn from(looking: Looking) -> Self {
        Self::Looking(looking)
    }
}

impl From<Listing> for Work {
    fn from(listing: Listing) -> Self {
        Self::Listing(listing)
    }
}

impl From<Box<Recollection>> for Work {
    fn from(recollection: Box<Recollection>) -> Self {
        Self::Recollection(recollection)
    }
}

impl Core {
    /// Puts off what a group remembers, of which the pushes before it are left over.
    pub(super) fn put_off_recollection(&mut self, recollection: Box<Recollection>) {
        self.work.push_back(recollection.into());
    }

    /// Puts off a push that came while earlier things were left over.
    pub(super) fn put_off_push(&mut self, push: &Arc<Push>) {
        self.work.push_back(Work::Push(Arc::clone(push)));
    }

    /// Puts off an operation that came while earlier things were left over.
    pub(super) fn put_off_operation(&mut self, operation: &Arc<Operation>) {
        self.work.push_back(Work::Operation(Arc::clone(operation)));
    }

    /// Puts back what has begun: it goes on before anything that came later.
    pub(super) fn put_back(&mut self, begun: impl Into<Work>) {
        self.work.push_front(begun.into());
    }

    /// Whether this reactor is behind with what it was asked, so that nothing more is to be asked of it here.
    pub fn is_behind_with_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Stands for all that is left over now; see [`Core::is_work_done`].
    pub fn work_ticket(&self) -> u64 {
        self.work_done + self.work.len() as u64
    }

    /// Whether all that was left over when the ticket was taken is done: who asked for the last of it may ask again.
    pub fn is_work_done(&self, ticket: u64) -> bool {
        self.work.is_empty() || self.work_done >= ticket
    }

    /// Whether so much is left over that no more is taken from the mailbox, whose bounds are those of what waits. What is done
    /// comes home through it too, and must not wait until nothing is left over.
    pub fn is_far_behind_with_work(&self) -> bool {
        self.work.len() >= TAKEN_AHEAD
    }

    /// Whether so much is left over that not even players are read.
    pub fn is_flooded_with_work(&self) -> bool {
        self.work.len() >= self.rules.settings.config.limits.turn_envelopes
    }

    /// Sends a message to a session behind what is left over, of which it must not overtake a push.
    pub fn send_behind_work(&mut self, id: SessionId, frame: EncodedFrame) -> Sent {
        if self.is_flooded_with_work() {
            self.settlements.drop_for(DropReason::Newest);
            return Sent::Dropped;
        }
        self.work.push_back(Work::Send(id, frame));
        Sent::Queued
    }

    /// Closes a session behind what is left over.
    pub fn close_behind_work(&mut self, id: SessionId, code: CloseCode, reason: &str) {
        self.work.push_back(Work::Close(id, code, reason.into()));
    }

    /// Goes on with what earlier turns left, as far as the budget goes.
    pub fn go_on_with_work(&mut self) {
        while let Some(work) = self.work.pop_front() {
            let is_spent = match &work {
                Work::Push(_) | Work::Delivery(_) | Work::Recollection(_) => {
                    self.budget.is_spent_on_deliveries()
                }
                Work::Operation(_) | Work::Send(..) | Work::Close(..) => false,
                Work::Listing(_) | Work::Looking(_) | Work::Presence(_) | Work::Names(_) => {
                    self.budget.is_spent_on_lists()
                }
            };
            if is_spent {
                return self.work.push_front(work);
            }
            let before = self.work.len();
            match work {
                Work::Push(push) => self.begin_delivery(&push),
                Work::Delivery(delivery) => self.go_on_delivering(delivery),
                Work::Operation(operation) => self.begin_operation(&operation),
                Work::Listing(listing) => self.go_on_listing(listing),
                Work::Looking(looking) => self.go_on_looking(looking),
                Work::Presence(gathering) => self.go_on_gathering(gathering),
                Work::Names(naming) => self.go_on_naming(naming),
                Work::Recollection(recollection) => self.go_on_recollecting(recollection),
                Work::Send(id, frame) if self.hub.id_of(id.slot()) == Some(id) => {
                    self.send(id.slot(), frame);
                }
                Work::Close(id, code, reason) if self.hub.id_of(id.slot()) == Some(id) => {
                    self.close_for_good(id.slot(), code, &reason);
                }
                Work::Send(..) | Work::Close(..) => {}
            }
            // A part that goes on in the next turn stands in front again.
            self.work_done += u64::from(self.work.len() <= before);
        }
        // The room of a long queue goes back.
        self.work.shrink_to(super::EVENTS);
    }
}
