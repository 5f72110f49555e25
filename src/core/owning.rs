//! Whose the sessions of this reactor are, of those that the links of a share divide: what is asked of the list of links, and what
//! is said to the reactors of others. Knows nothing of how events are written.

use super::listeners::{Barrier, Order};
use super::replacing::Waits;
use super::seats::Kept;
use super::{Core, Envelope};
use crate::dispatch::Listen;
use crate::session::{AppId, SessionId};

/// Sessions that links are told of in one turn, beside those that something has happened to.
const TOLD_A_TURN: usize = 256;

impl Core {
    /// The link gets events from now on.
    pub(super) fn begin_to_listen(&mut self, link: SessionId, app: AppId, listen: &Listen) {
        // A share that has links knows whose the sessions are.
        let sessions = listen.share.as_ref().map_or_else(Vec::new, |_| self.sessions_of(app));
        let is_known = self.listeners.has(link);
        self.listeners.add(link, app, listen.clone(), sessions.into_iter());
        if listen.snapshot {
            self.begin_snapshot(link, app, is_known);
        }
    }

    /// A session of the app has opened here. Where it replaces another one, the end of that one is told first.
    pub fn session_opens(&mut self, app: AppId, session: SessionId, replaces: bool) {
        if !self.listeners.is_empty() {
            self.listeners.opens(app, session, replaces, &self.hub);
        }
    }

    /// Sends an event, which has entered the gate of `link`, on its way.
    pub fn post_event(&mut self, link: SessionId, kept: Kept) {
        if let Err(waits) = self.wait_with(link, kept.session, Waits::Event(kept)) {
            self.send_on(link, waits);
        }
    }

    /// Sends on its way what waits for nothing any more.
    pub(super) fn send_on(&mut self, link: SessionId, waits: Waits) {
        match (waits, usize::from(link.worker())) {
            (Waits::Event(Kept { session, frame }), own) if own == self.index => {
                self.event_arrives(link, session, frame);
            }
            // The gate bounds what is on its way; the mailbox must not lose any of it.
            (Waits::Event(Kept { session, frame }), other) => {
                self.peers.post_always(other, Envelope::Event(link, session, frame));
            }
            (Waits::Barrier(session, barrier), own) if own == self.index => {
                self.barrier_arrives(link, session, barrier);
            }
            (Waits::Barrier(session, barrier), other) => {
                self.peers.post_always(other, Envelope::Await(link, session, barrier));
            }
        }
    }

    /// Has the reactor of `link` say when the link has got all that it was sent of the session.
    pub fn await_barrier(&mut self, link: SessionId, session: SessionId, barrier: Barrier) {
        if let Err(waits) = self.wait_with(link, session, Waits::Barrier(session, barrier)) {
            self.send_on(link, waits);
        }
    }

    /// The link has got all that it was sent of a session of this reactor.
    pub fn has_passed(&mut self, link: SessionId, session: SessionId) {
        let has_moved = self.listeners.passed(link, session);
        self.metrics().link_moves.add(u64::from(has_moved));
    }

    /// Events that `link` will not get, of sessions of this reactor.
    pub fn events_come_back(&mut self, link: SessionId, events: Vec<Kept>) {
        self.listeners.come_back(link, events);
    }

    /// Links that are to be told of sessions, and have room as far as is known; how many they may be told of in one turn.
    pub fn untold(&self) -> (Vec<SessionId>, usize) {
        match self.stands_still || !self.listeners.has_work() {
            true => (Vec::new(), 0),
            false => (self.listeners.untold(), TOLD_A_TURN),
        }
    }

    /// The link is told of the next of its sessions, if there is room and one is left: that is among the orders then.
    pub fn tell_next(&mut self, link: SessionId) -> bool {
        let has_room = self.has_room(link);
        if !has_room {
            self.listeners.wait_for_room(link);
        }
        has_room && self.listeners.tell_next(link)
    }

    /// What is to be sent before any event that is newer.
    pub fn take_orders(&mut self) -> impl Iterator<Item = Order> + use<> {
        self.listeners.take_orders().into_iter()
    }
}
