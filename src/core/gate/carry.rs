//! How the links that listen, their gates, and the players that wait at these are carried to another process. No event is
//! between two reactors when a core is packed: what is on its way to a link waits in the link's outbox, and the gate counts
//! that again.

use super::{Gate, Gates, Line};
use crate::connection::{Kind, Pause};
use crate::core::Core;
use crate::core::listeners::{CarriedListener, CarriedShare, Listeners};
use crate::dispatch::{Apps, EventSet, Unpacker};
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use hashbrown::HashSet;
use minicbor::{Decode, Encode};
use std::sync::atomic::Ordering::Relaxed;

/// The players of one reactor that wait for links, on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedLines {
    #[n(0)]
    lines: Vec<CarriedLine>,
    /// Those whose link has gone, in their order.
    #[n(1)]
    released: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedLine {
    #[n(0)]
    link: u64,
    /// In the order in which they came to the gate.
    #[n(1)]
    players: Vec<u64>,
}

impl Gate {
    /// So much waits in the link's outbox, or until sessions have other links.
    fn restore(&self, (events, bytes): (usize, usize)) {
        // What rings keep is counted from the seats, and whoever waits asks again.
        let Self { limit: _, bytes: counted_bytes, events: counted_events, .. } = self;
        counted_bytes.fetch_add(bytes, Relaxed);
        counted_events.fetch_add(events, Relaxed);
    }
}

impl Core {
    /// The players here that wait for links.
    pub fn carry_lines(&self) -> CarriedLines {
        let Gates { lines, released } = &self.gates;
        let waits = |id: &&SessionId| self.waits_for_link(**id);
        let ids = |players: &std::collections::VecDeque<SessionId>| -> Vec<u64> {
            players.iter().filter(waits).map(|id| id.as_u64()).collect()
        };
        let carried = lines.iter().map(|line| {
            // The gate is counted anew, and the line looks at it before it waits on.
            let Line { link, gate: _, players, is_called: _ } = line;
            CarriedLine { link: link.as_u64(), players: ids(players) }
        });
        CarriedLines {
            lines: carried.filter(|line| !line.players.is_empty()).collect(),
            released: ids(released),
        }
    }

    /// The links that listen, the same on every reactor, and the players here that wait for them. The connections of this
    /// reactor are there, with their outboxes.
    ///
    /// # Errors
    /// A link that is not on this server, or is none; an app that there is not; a player who waits twice, or for a link that
    /// does not listen.
    pub fn restore_listeners(
        &mut self,
        listeners: &[CarriedListener],
        lines: &CarriedLines,
    ) -> Result<(), InvalidState> {
        let listeners = Listeners::restore(listeners)?;
        for (link, app, listen) in listeners.links() {
            self.check_link(link)?;
            if !self.rules.apps.has(app) {
                return Err(InvalidState::new("a link listens to an app that there is not"));
            }
            // The reactor of a link knows whether it is one, or stands for one of another node.
            if usize::from(link.worker()) == self.index && !self.seats.is_stand_in(link) {
                self.shared.listening().put(link, app, listen);
            }
            self.open_gate(link);
            self.count_again(link);
        }
        self.listeners = listeners;
        self.follow_listeners(EventSet::NONE, None);
        self.tell_of_links_again();
        self.restore_lines(lines)
    }

    /// Whose the sessions of this reactor are. The links that listen are there.
    ///
    /// # Errors
    /// As [`Listeners::restore_shares`].
    pub fn restore_shares(
        &mut self,
        shares: Vec<CarriedShare>,
        unpacker: &Unpacker,
    ) -> Result<(), InvalidState> {
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.restore_shares(shares, unpacker, |app| self.sessions_of(app))?;
        for (link, events, bytes) in listeners.held() {
            if let Some(line) = self.gates.find(link) {
                line.gate.restore((events, bytes));
            }
        }
        for link in listeners.in_snapshot() {
            let app = listeners.app_of(link).unwrap_or(Apps::DEFAULT);
            listeners.begin_snapshot(link, true, self.sessions_of(app).into_iter());
        }
        self.shared.routes.fetch_max(listeners.next_route(), Relaxed);
        self.listeners = listeners;
        Ok(())
    }

    /// A core of another process knows of no link.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn forget_listeners(&mut self) {
        for (link, ..) in self.listeners.links() {
            self.shared.forget_gate(link);
        }
        (self.listeners, self.gates) = Default::default();
    }

    fn check_link(&self, link: SessionId) -> Result<(), InvalidState> {
        let reactor = usize::from(link.worker());
        let is_of_this_server = link.node() == self.shared.node && reactor < self.shared.reactors();
        let is_link = || {
            let is_link =
                |id| self.connections.get(id).is_some_and(|connection| connection.kind == Kind::Link);
            self.seats.connection_of(link).is_none_or(is_link)
        };
        match is_of_this_server && (reactor != self.index || is_link()) {
            true => Ok(()),
            false => Err(InvalidState::new("who listens is no link")),
        }
    }

    /// The reactor of a link counts what is on its way to it; the others know of none of its events, and leave the gate as it is.
    fn count_again(&mut self, link: SessionId) {
        if usize::from(link.worker()) != self.index {
            return;
        }
        if let Some(waiting) = self.seats.waiting_for_elsewhere(link) {
            return self.gates.find(link).into_iter().for_each(|line| line.gate.restore(waiting));
        }
        let connection = self.seats.connection_of(link).and_then(|id| self.connections.get(id));
        let Some(connection) = connection else { return self.ring_has_changed(link) };
        let events = connection.outbox.as_ref().map_or((0, 0), |outbox| outbox.events());
        if let Some(line) = self.gates.find(link) {
            line.gate.restore(events);
        }
    }

    fn restore_lines(&mut self, carried: &CarriedLines) -> Result<(), InvalidState> {
        let CarriedLines { lines, released } = carried;
        let mut waiting = HashSet::new();
        let mut check = |id: u64, core: &Self| match waiting.insert(id) {
            true if core.waits_for_link(SessionId::from_u64(id)) => Ok(SessionId::from_u64(id)),
            true => Err(InvalidState::new("who waits for a link is no player that does")),
            false => Err(InvalidState::new("a player waits for links twice")),
        };
        for CarriedLine { link, players } in lines {
            let players = players.iter().map(|id| check(*id, self)).collect::<Result<_, _>>()?;
            let line = self.gates.find(SessionId::from_u64(*link));
            let line =
                line.ok_or_else(|| InvalidState::new("players wait for a link that does not listen"))?;
            if !line.players.is_empty() {
                return Err(InvalidState::new("players wait for a link in two lines"));
            }
            // Whether the gate is open is seen when all reactors have counted.
            (line.players, line.is_called) = (players, true);
        }
        self.gates.released = released.iter().map(|id| check(*id, self)).collect::<Result<_, _>>()?;
        // Whoever else is said to wait would do so for ever.
        let lost = self.connections.slots().filter_map(|slot| self.connections.id_of(slot));
        let lost = lost.filter(|id| !waiting.contains(&id.as_u64()) && self.waits_for_link(*id));
        match lost.count() {
            0 => Ok(()),
            _ => Err(InvalidState::new("a player waits for a link in no line")),
        }
    }

    fn waits_for_link(&self, id: SessionId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.pauses.has(Pause::Link))
    }
}
