//! Pressure to its source: players whose messages fill a link's queue are not read until it has room.
//!
//! A [`Gate`] counts the events that are on their way to one link, from the moment that any reactor sends one until the
//! link's socket has taken it. Beyond [`Gate::mark`] no reactor reads the players whose messages go there; each notes itself
//! in the gate, and keeps its players in a line. When the events have fallen to half the mark, the link's own reactor tells
//! those that are noted, and each reads on along its line for as long as the gate is open: so all have their turn.
//!
//! Both sides write one thing and then read the other, with a sequentially consistent fence between: a reactor notes itself
//! and then looks at the count, the link's reactor lowers the count and then looks who is noted. So no player waits at a
//! gate that is open.

mod carry;

pub use carry::CarriedLines;

use super::event_limit::EventLimit;
use super::{Core, Envelope};
use crate::connection::{Events, Kind, Pause};
use crate::session::SessionId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};

/// What the reactors see of one link's queue.
#[derive(Debug)]
pub struct Gate {
    /// What may be on its way at the most.
    limit: EventLimit,
    bytes: AtomicUsize,
    events: AtomicUsize,
    /// The link has no connection.
    is_away: AtomicBool,
    /// Events that the link's ring keeps then and no socket has taken, and their bytes.
    kept: (AtomicUsize, AtomicUsize),
    /// The reactors that have players in line.
    noted: Noted,
    /// Those that have sessions to tell the link of, for which its ring has no room.
    tellers: Noted,
    /// An event was lost: the link is told once, by its end.
    lost: AtomicBool,
}

/// A bit for each reactor.
#[derive(Debug, Default)]
struct Noted([AtomicU64; 2]);

impl Noted {
    fn note(&self, reactor: usize) {
        self.0[reactor / 64].fetch_or(1 << (reactor % 64), Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Relaxed) == 0)
    }

    fn take(&self) -> u128 {
        let [low, high] = [0, 1].map(|word: usize| u128::from(self.0[word].swap(0, Relaxed)));
        high << 64 | low
    }
}

impl Gate {
    /// Nothing is on its way.
    pub fn new(limit: EventLimit) -> Self {
        let (bytes, events, kept, noted, tellers) = Default::default();
        let [is_away, lost] = [const { AtomicBool::new(false) }; 2];
        Self { limit, bytes, events, is_away, kept, noted, tellers, lost }
    }

    /// Beyond it players are not read: half of the bound. The other half is for events that cannot wait.
    fn mark(&self) -> EventLimit {
        EventLimit { bytes: self.limit.bytes / 2, events: self.limit.events.div_ceil(2) }
    }

    fn is_beyond(&self, limit: EventLimit) -> bool {
        self.bytes.load(Relaxed) >= limit.bytes || self.events.load(Relaxed) >= limit.events
    }

    /// Whether players whose messages go there are not to be read.
    pub fn is_shut(&self) -> bool {
        self.is_beyond(self.mark())
    }

    /// Whether those that wait may be read again.
    fn is_open(&self) -> bool {
        let EventLimit { bytes, events } = self.mark();
        !self.is_beyond(EventLimit { bytes: (bytes / 2).max(1), events: (events / 2).max(1) })
    }

    /// An event of so many bytes sets out. One that can wait always may: whoever sends it is not read any more then.
    /// `false` where the bound is reached and it cannot wait.
    fn enter(&self, bytes: usize, can_wait: bool) -> bool {
        if !can_wait && self.is_beyond(self.limit) {
            return false;
        }
        self.bytes.fetch_add(bytes, Relaxed);
        self.events.fetch_add(1, Relaxed);
        true
    }

    /// So much has arrived or is lost. Returns the reactors to be told that the gate is open.
    fn leave(&self, bytes: usize, events: usize) -> u128 {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.events.fetch_sub(events, Relaxed);
        fence(SeqCst);
        match self.is_open() && !self.noted.is_empty() {
            true => self.noted.take(),
            false => 0,
        }
    }

    /// The reactor has players in line. Returns whether the gate has opened meanwhile.
    fn note(&self, reactor: usize) -> bool {
        self.noted.note(reactor);
        fence(SeqCst);
        self.is_open()
    }

    /// Whether a ring of this bound is half full, with what is on its way there. A link that has a connection has no such bound.
    fn is_ring_half_full(&self, ring: EventLimit) -> bool {
        let events = self.kept.0.load(Relaxed) + self.events.load(Relaxed);
        let bytes = self.kept.1.load(Relaxed) + self.bytes.load(Relaxed);
        self.is_away.load(Relaxed) && (events >= ring.events.div_ceil(2) || bytes >= ring.bytes / 2)
    }

    /// The link has no connection, and its ring keeps so many events, of so many bytes, that no socket has taken; or it has one.
    /// Returns the reactors to be told that there is more room than before.
    fn keep(&self, kept: Option<(usize, usize)>) -> u128 {
        let (events, bytes) = kept.unwrap_or_default();
        self.is_away.store(kept.is_some(), Relaxed);
        let before = self.kept.0.swap(events, Relaxed);
        self.kept.1.store(bytes, Relaxed);
        fence(SeqCst);
        // Where it keeps none, what was on its way there may have been lost.
        match events < before || events == 0 {
            true => self.tellers.take(),
            false => 0,
        }
    }

    /// The reactor has sessions to tell the link of. Returns whether its ring has got room meanwhile.
    fn note_teller(&self, reactor: usize, ring: EventLimit) -> bool {
        self.tellers.note(reactor);
        fence(SeqCst);
        !self.is_ring_half_full(ring)
    }
}

/// The gates of the links that listen, as one reactor has them.
#[derive(Debug, Default)]
pub struct Gates {
    lines: Vec<Line>,
    /// Players whose link has gone: they are read again whatever the other gates say.
    released: VecDeque<SessionId>,
}

#[derive(Debug)]
struct Line {
    link: SessionId,
    gate: Arc<Gate>,
    /// Players of this reactor that wait at the gate, in the order in which they came to it.
    players: VecDeque<SessionId>,
    /// The gate is said to be open.
    is_called: bool,
}

impl Gates {
    fn find(&mut self, link: SessionId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.link == link)
    }

    /// Whether players wait that may go on.
    pub fn has_work(&self) -> bool {
        !self.released.is_empty() || self.lines.iter().any(|line| line.is_called && !line.players.is_empty())
    }
}

impl Core {
    /// The link listens from now on.
    pub(super) fn open_gate(&mut self, link: SessionId) {
        if self.gates.find(link).is_none() {
            let gate = self.shared.gate_of(link);
            self.gates.lines.push(Line { link, gate, players: VecDeque::new(), is_called: false });
        }
    }

    /// The link has gone: nobody waits for it.
    pub(super) fn remove_gate(&mut self, link: SessionId) {
        if let Some(at) = self.gates.lines.iter().position(|line| line.link == link) {
            let line = self.gates.lines.swap_remove(at);
            self.gates.released.extend(line.players);
        }
        self.shared.forget_gate(link);
    }

    /// The first of `links` whose gate is shut.
    pub fn shut_gate(&mut self, links: impl IntoIterator<Item = SessionId>) -> Option<SessionId> {
        links.into_iter().find(|link| self.gates.find(*link).is_some_and(|line| line.gate.is_shut()))
    }

    /// The player in `slot` is not read until the gate of `link` is open.
    pub fn wait_at_gate(&mut self, slot: u32, link: SessionId) {
        let (Some(id), index) = (self.connections.id_of(slot), self.index) else { return };
        let Some(line) = self.gates.find(link) else { return };
        line.players.push_back(id);
        line.is_called |= line.gate.note(index);
        self.pause(slot, Pause::Link);
    }

    /// Whether there is room at the gate of `link`, and in its ring where it has no connection. If not, this reactor is called
    /// when there is.
    pub(super) fn has_room(&mut self, link: SessionId) -> bool {
        let (index, ring) = (self.index, self.ring_limits());
        let Some(Line { gate, .. }) = self.gates.find(link) else { return true };
        let is_open = !gate.is_shut() || gate.note(index);
        is_open && (!gate.is_ring_half_full(ring) || gate.note_teller(index, ring))
    }

    /// The ring of a link of this reactor has changed, or whether it has a connection.
    pub(super) fn ring_has_changed(&mut self, link: SessionId) {
        let kept = self.seats.kept_while_away(link);
        let Some(line) = self.gates.find(link) else { return };
        let tellers = line.gate.keep(kept);
        self.call_to_gate(link, tellers);
    }

    /// The gate of `link` is open.
    pub fn called_to_gate(&mut self, link: SessionId) {
        self.listeners.has_room(link);
        if let Some(line) = self.gates.find(link) {
            line.is_called = true;
        }
    }

    /// The next player that may be read again, if any may.
    pub fn next_through_gate(&mut self) -> Option<u32> {
        loop {
            let id = match self.gates.released.pop_front() {
                Some(id) => id,
                None => self.gates.next(self.index)?,
            };
            let waits = self.connections.get(id).is_some_and(|connection| connection.pauses.has(Pause::Link));
            if waits {
                self.resume(id.slot(), Pause::Link);
                return Some(id.slot());
            }
        }
    }

    /// An event sets out for a link. Returns whether it may: if not, it is lost, and the first time the link is to be told.
    pub fn enter_gate(&mut self, link: SessionId, bytes: usize, can_wait: bool) -> Result<(), EventLost> {
        let Some(line) = self.gates.find(link) else { return Ok(()) };
        match line.gate.enter(bytes, can_wait) {
            true => Ok(()),
            false => Err(EventLost { is_first: !line.gate.lost.swap(true, Relaxed) }),
        }
    }

    /// An event that is on its way has so many more bytes than when it set out.
    pub(super) fn grows_at_gate(&mut self, link: SessionId, bytes: usize) {
        if let Some(line) = self.gates.find(link).filter(|_| bytes > 0) {
            line.gate.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// An event for a link that has gone came too late.
    pub fn event_too_late(&mut self, link: SessionId, bytes: usize) {
        self.metrics().link_events_lost.add(1);
        self.leave_gate(link, bytes, 1);
    }

    /// What became of events since `before` was taken was of the link in `slot`.
    pub(super) fn events_left(&mut self, slot: u32, before: Events) {
        let after = self.settlements.events;
        let (written, lost) = (after.written - before.written, after.lost - before.lost);
        let is_link = self.connections.slot(slot).is_some_and(|connection| connection.kind == Kind::Link);
        if let (1.., true, Some(id)) = (written + lost, is_link, self.connections.id_of(slot)) {
            let link = self.seats.link_of(id);
            self.note_unconfirmed(id, link, written);
            if self.seats.has(link) {
                // What the socket has not taken is in the seat: it is not lost yet.
                self.settlements.events.lost -= lost;
                let limits = self.ring_limits();
                self.seats.wrote(link, written, limits);
                self.lift_barriers(link);
                self.foreign_is_written(link);
            }
            self.leave_gate(link, (after.bytes - before.bytes) as usize, (written + lost) as usize);
        }
    }

    /// The link has been told that events were lost: the next loss is told again.
    pub(super) fn forgive_gate(&mut self, link: SessionId) {
        if let Some(line) = self.gates.find(link) {
            line.gate.lost.store(false, Relaxed);
        }
    }

    pub fn leave_gate(&mut self, link: SessionId, bytes: usize, events: usize) {
        let Some(line) = self.gates.find(link) else { return };
        let noted = line.gate.leave(bytes, events);
        self.call_to_gate(link, noted);
    }

    fn call_to_gate(&mut self, link: SessionId, mut noted: u128) {
        while noted != 0 {
            let reactor = noted.trailing_zeros() as usize;
            noted &= noted - 1;
            match reactor == self.index {
                true => self.called_to_gate(link),
                false => self.peers.post_always(reactor, Envelope::GateOpen(link)),
            }
        }
    }
}

/// An event that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLost {
    /// Whether it is the first one of its link: then the link is to be told.
    pub is_first: bool,
}

impl Gates {
    /// The next player of a line whose gate is open; where it has shut again, the line waits to be called.
    fn next(&mut self, index: usize) -> Option<SessionId> {
        for line in self.lines.iter_mut().filter(|line| line.is_called) {
            if line.players.is_empty() {
                line.is_called = false;
                line.players = VecDeque::new();
            } else if line.gate.is_shut() {
                line.is_called = line.gate.note(index);
            } else {
                return line.players.pop_front();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_shuts_at_half_the_bound_and_opens_at_a_quarter() {
        let gate = Gate::new(EventLimit { bytes: 1000, events: 100 });
        (0..5).for_each(|_| assert!(gate.enter(100, true)));
        assert!(gate.is_shut() && !gate.is_open());
        assert!(!gate.note(3) && !gate.note(70));
        assert_eq!(gate.leave(200, 2), 0);
        assert!(!gate.is_shut());
        assert_eq!(gate.leave(100, 1), 1 << 3 | 1 << 70);
        assert_eq!(gate.leave(100, 1), 0, "they have been told");
        assert!(gate.note(3), "it is open: nobody would tell");
    }

    #[test]
    fn who_tells_a_link_without_a_connection_waits_for_room_in_its_ring() {
        let gate = Gate::new(EventLimit { bytes: 1000, events: 100 });
        let keep = |events, bytes| gate.keep(Some((events, bytes)));
        let ring = EventLimit { bytes: 200, events: 10 };
        (0..20).for_each(|_| assert!(gate.enter(10, true)));
        assert!(!gate.is_ring_half_full(ring), "its socket is to take them");
        gate.leave(160, 16);
        assert_eq!(keep(1, 10), 0);
        assert!(gate.is_ring_half_full(ring), "one is there and four are on their way");
        assert!(!gate.note_teller(2, ring) && !gate.note_teller(90, ring));
        assert_eq!((keep(5, 50), gate.leave(40, 4)), (0, 0));
        assert_eq!(keep(4, 40), 1 << 2 | 1 << 90);
        assert_eq!(keep(3, 30), 0, "they have been told");
        assert!(!gate.is_ring_half_full(ring) && gate.note_teller(2, ring));
        keep(4, 100);
        assert!(gate.is_ring_half_full(ring), "its bytes count as well");
        assert!(!gate.note_teller(7, ring));
        assert_eq!(gate.keep(None), 1 << 2 | 1 << 7);
        assert!(!gate.is_ring_half_full(ring), "it is back");
        assert!(!gate.is_shut(), "players do not wait for it");
    }

    #[test]
    fn what_can_wait_always_enters_and_what_cannot_up_to_the_bound() {
        let gate = Gate::new(EventLimit { bytes: 1000, events: 3 });
        (0..2).for_each(|_| assert!(gate.enter(1, false)));
        assert!(gate.is_shut());
        assert!(gate.enter(1, false) && !gate.enter(1, false));
        assert!(gate.enter(5000, true));
    }
}
