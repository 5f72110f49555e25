//! What becomes of the sessions of a link of a share that has ended: others of the share take them over, and get what no socket
//! had taken, each session's events in their order, before anything newer.
//!
//! Events come from many reactors to the link's own. So that none overtakes another:
//!
//! 1. Every reactor holds back the events for the link. Each says so to the link's reactor, behind all events that it has sent
//!    there: when all have, nothing is on its way.
//! 2. The link's reactor gives what no socket had taken back to the reactors of the sessions.
//! 3. Behind that every reactor strikes the link off, and sends what has come back, and what it has held back, to those that have
//!    the sessions now.
//!
//! Where a session moves while its link lives, its reactor holds back its events and asks the link's to say when the socket has
//! taken those before: a barrier. A link that is away gives back what it has not got of the session at once.

use super::super::listeners::Barrier;
use super::super::{Core, Envelope};
use super::ring::Kept;
use crate::dispatch::{Action, Apps, Operation, Origin};
use crate::session::SessionId;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

impl Core {
    /// From now on events for `link` are held back here, until it is struck off.
    pub fn hold_for(&mut self, link: SessionId) {
        for waits in self.what_waits_for(link) {
            self.send_on(link, waits);
        }
        self.listeners.ends(link);
        match usize::from(link.worker()) {
            own if own == self.index => self.one_is_through(link),
            other => self.peers.post_always(other, Envelope::Through(link)),
        }
    }

    /// A reactor holds back what is for `link`, and nothing of it is on its way from there.
    pub fn one_is_through(&mut self, link: SessionId) {
        let Some(left) = self.seats.handing.get_mut(&link) else { return };
        *left -= 1;
        if *left == 0 {
            self.seats.handing.remove(&link);
            self.give_back(link);
            self.strike_off(link);
        }
    }

    /// Goes on with the links that have ended.
    pub fn go_on_with_endings(&mut self) {
        self.seats.looked = true;
        while let Some(link) = self.seats.endings.pop_front() {
            match self.listeners.is_of_share(link) {
                true => self.begin_handing(link),
                false => self.end_alone(link),
            }
        }
    }

    /// Nobody takes over from the link.
    fn end_alone(&mut self, link: SessionId) {
        let Some(mut seat) = self.seats.remove(link) else { return };
        self.count_unconfirmed(&seat);
        let elsewhere = self.tell_end_abroad(link, &mut seat).len() as u64;
        self.metrics().link_events_lost.add(seat.ring.restart() - elsewhere);
        if seat.asks {
            self.strike_off(link);
        }
    }

    fn begin_handing(&mut self, link: SessionId) {
        let reactors = self.shared.reactors();
        self.seats.handing.insert(link, reactors);
        for reactor in (0..reactors).filter(|reactor| *reactor != self.index) {
            self.peers.post_always(reactor, Envelope::Hold(link));
        }
        self.hold_for(link);
    }

    /// Every event for the link that was on its way is here.
    fn give_back(&mut self, link: SessionId) {
        let Some(mut seat) = self.seats.remove(link) else { return };
        self.count_unconfirmed(&seat);
        // What other nodes sent they have still, and hand it on themselves.
        let elsewhere = self.tell_end_abroad(link, &mut seat);
        let numbered = (seat.ring.written()..).zip(seat.ring.take_unwritten());
        let own = numbered.filter(|(number, _)| elsewhere.binary_search(number).is_err());
        self.send_back(link, own.map(|(_, kept)| kept).collect());
    }

    /// The reactors of the sessions get what the link has not got.
    fn send_back(&mut self, link: SessionId, unwritten: Vec<Kept>) {
        let mut by_reactor: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
        for kept in unwritten {
            by_reactor.entry(self.reactor_of(kept.session)).or_default().push(kept);
        }
        for (reactor, events) in by_reactor {
            match reactor == self.index {
                true => self.events_come_back(link, events),
                false => self.peers.post_always(reactor, Envelope::ComeBack(link, events)),
            }
        }
    }

    /// The reactor of a session; what is about none is dealt with here.
    fn reactor_of(&self, session: SessionId) -> usize {
        let reactor = usize::from(session.worker());
        if reactor < self.shared.reactors() { reactor } else { self.index }
    }

    /// What a socket took of a link that did not say goodbye, and that it has not said to have read.
    fn count_unconfirmed(&self, seat: &super::Seat) {
        if seat.resume.is_some() && !seat.leaves {
            self.metrics().link_events_unconfirmed.add(seat.ring.unconfirmed());
        }
    }

    /// Every reactor forgets the link.
    fn strike_off(&mut self, link: SessionId) {
        // Where it is not in the list yet, what puts it there is in front of this. The app has no part in it.
        let app = self.listeners.app_of(link).unwrap_or(Apps::DEFAULT);
        self.start_operation(Operation::new(app, Action::Unlisten { link }, Origin::Nobody));
    }

    /// The reactor of the session is to hear when the socket of `link`, which is of this reactor, has taken what is before.
    pub fn barrier_arrives(&mut self, link: SessionId, session: SessionId, barrier: Barrier) {
        let Some(seat) = self.seats.seats.get_mut(&link) else { return self.tell_passed(link, session) };
        let next = seat.ring.next();
        if seat.ring.written() >= next && seat.before == 0 {
            return self.tell_passed(link, session);
        }
        seat.barriers.push_back((next, session, barrier));
        if seat.connection.is_none() && !seat.ended && seat.stand_in.is_none() {
            self.give_up_what_moves(link);
        }
    }

    /// The socket of the link has taken events: those that waited for it hear so.
    pub(in crate::core) fn lift_barriers(&mut self, link: SessionId) {
        while let Some(seat) = self.seats.seats.get_mut(&link)
            && let Some((number, session, _)) = seat.barriers.front().copied()
            && seat.ring.written() >= number
            && seat.before == 0
        {
            seat.barriers.pop_front();
            self.tell_passed(link, session);
        }
    }

    /// The link is away: what it has not got of sessions that move goes with them.
    pub(super) fn give_up_what_moves(&mut self, link: SessionId) {
        let Some(seat) = self.seats.seats.get_mut(&link).filter(|seat| !seat.ended) else { return };
        let (moving, staying) = std::mem::take(&mut seat.barriers)
            .into_iter()
            .partition(|(_, _, barrier)| matches!(barrier, Barrier::Moves { .. }));
        seat.barriers = staying;
        for (_, session, barrier) in Vec::from(moving) {
            // That it has the session no more it is to hear when it is back.
            let but = usize::from(barrier == Barrier::Moves { is_told: true });
            let taken = self.seats.change(link, |seat| seat.take_unwritten_of(session, but));
            self.ring_has_changed(link);
            self.send_back(link, taken.unwrap_or_default());
            self.tell_passed(link, session);
        }
    }

    pub(super) fn tell_passed(&mut self, link: SessionId, session: SessionId) {
        match self.reactor_of(session) {
            own if own == self.index => self.has_passed(link, session),
            other => self.peers.post_always(other, Envelope::Passed(link, session)),
        }
    }

    /// What the seats keep, for the counters.
    pub(in crate::core) fn count_seats(&self) {
        let (events, bytes) = self.seats.kept;
        self.metrics().link_kept_events.set(events as u64);
        self.metrics().link_kept_bytes.set(bytes as u64);
        debug_assert!(self.shared.links_away.load(Relaxed) < usize::MAX / 2, "no link comes back twice");
    }
}

impl super::Seat {
    /// Takes what no socket has taken of a session out, but for the last so many of it; what waits for later events waits for
    /// their new numbers.
    fn take_unwritten_of(&mut self, session: SessionId, but: usize) -> Vec<Kept> {
        let taken = self.ring.take_unwritten_of(session, but);
        self.foreign.shift(taken.iter().map(|(number, _)| *number));
        for (number, ..) in &mut self.barriers {
            *number -= taken.iter().filter(|(taken, _)| taken < number).count() as u64;
        }
        taken.into_iter().map(|(_, kept)| kept).collect()
    }
}
