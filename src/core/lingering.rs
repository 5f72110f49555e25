//! A session whose connection ends may stay, and wait for its client: its socket goes separate ways with it. Knows nothing of who
//! comes back for it.

use super::departed::is_final;
use super::{Captured, Core};
use crate::connection::{Away, Connection, Flag, Phase};
use crate::metrics::LingerEnd;
use crate::protocol::CloseCode;
use crate::session::{AppId, Name, SessionId, close_codes};
use std::sync::atomic::Ordering;

/// A session's client is away: what the app and the links are told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// The session, which lives.
    pub id: SessionId,
    /// Its app.
    pub app: AppId,
    /// The user it is bound to.
    pub user: Option<Name>,
    /// How its connection ended, as for [`Ended`](super::Ended).
    pub code: u16,
    /// The reason of that.
    pub reason: Box<str>,
    /// What it is in and has, where links ask for it.
    pub captured: Option<Box<Captured>>,
}

/// What this reactor remembers of sessions and sockets that went separate ways.
#[derive(Debug, Default)]
pub(super) struct Partings {
    /// The slots of sessions, and the connections that have their sockets now, which the poll knows under the slots of the
    /// sessions.
    moved: Vec<(u32, SessionId)>,
    /// Nobody has been told of these.
    untold: Vec<Parted>,
}

/// Whether the client of a session is away.
pub(super) fn is_away(connection: &Connection) -> bool {
    connection.phase == Phase::Away
}

impl Core {
    /// The connection of the session in `slot` ends, with this code. Where the session stays, and waits for its client, its socket
    /// belongs to another connection from then on: returns the slot of the connection that ends.
    pub fn part(&mut self, slot: u32, code: u16, reason: &str) -> u32 {
        match self.may_linger(slot, code) {
            true => self.part_from_socket(slot, code, reason).unwrap_or(slot),
            false => slot,
        }
    }

    fn may_linger(&self, slot: u32, code: u16) -> bool {
        let resumes =
            |connection: &Connection| connection.resume().is_some() && connection.phase == Phase::Open;
        let app = self.hub.app_of(slot).filter(|app| self.rules.resume_rules.of(*app).is_some());
        app.is_some()
            && self.connections.slot(slot).is_some_and(resumes)
            && !is_final(code)
            && !self.shared.draining.load(Ordering::Relaxed)
    }

    fn part_from_socket(&mut self, slot: u32, code: u16, reason: &str) -> Option<u32> {
        let (id, app) = (self.hub.id_of(slot)?, self.hub.app_of(slot)?);
        let linger_ms = self.rules.resume_rules.of(app)?.linger_ms;
        let until_ms = self.end_of_wait(linger_ms);
        // Pauses and half messages are the connection's, which has nothing to do but to end.
        self.resume_for_the_end(slot);
        self.forget_incoming(slot);
        let new = self.connections.insert_with(|_| Connection::without_socket())?;
        let away = Away { until_ms, code, reason: reason.into() };
        if !self.go_away(slot, away) {
            self.connections.remove(new);
            self.metrics().linger_ends.of(LingerEnd::Full).add(1);
            return None;
        }
        // What is still sent on a socket that has not failed, its peer may read and count.
        self.move_socket(slot, new, code != CloseCode::ABNORMAL.0);
        let user = self.hub.user_of(slot).cloned();
        let captured = self.capture_for_links(slot);
        self.partings.untold.push(Parted { id, app, user, code, reason: reason.into(), captured });
        self.wheel.disarm(slot);
        self.arm(slot);
        Some(new.slot())
    }

    /// The socket of the session in `slot` is that of the connection `new` from now on. Where the rest of what is on the wire
    /// `counts`, the messages in it have been sent.
    pub(super) fn move_socket(&mut self, slot: u32, new: SessionId, counts: bool) {
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        connection.flags.clear(Flag::Incoming);
        let gone = connection.part();
        let rest = self.part_outbox(slot, counts);
        if let Some(connection) = self.connections.slot_mut(new.slot()) {
            *connection = gone;
            if !rest.is_empty() {
                let outbox = connection.outbox.insert(self.pool.pop().unwrap_or_default());
                outbox.begin_with(rest, &mut self.settlements);
            }
        }
        self.partings.moved.push((slot, new));
        self.mark_dirty(new.slot());
        self.arm(new.slot());
    }

    /// The outbox of the session in `slot` stays when its socket goes. Returns what has to go with that; where it `counts`, the
    /// messages in it have been sent.
    pub(super) fn part_outbox(&mut self, slot: u32, counts: bool) -> Box<[u8]> {
        let (app, acting) = (self.hub.app_of(slot), self.act_for(slot));
        let rest = self.part_outbox_of(slot, app, counts);
        self.end_acting(acting);
        self.record_parting(slot);
        rest
    }

    fn part_outbox_of(&mut self, slot: u32, app: Option<AppId>, counts: bool) -> Box<[u8]> {
        let Some(connection) = self.connections.slot_mut(slot) else { return Box::default() };
        let place = connection.resume().filter(|_| counts);
        let Some(outbox) = &mut connection.outbox else { return Box::default() };
        let mut keeping = place.and_then(|place| Self::keeping(&mut self.resumes, &self.rules, place, app));
        let rest = outbox.part(keeping.as_mut(), self.now.ns, &mut self.settlements);
        let (is_empty, behind) = (outbox.is_empty(), outbox.leave_behind());
        if let Some(place) = behind {
            self.strike_behind(place);
        }
        if is_empty {
            self.free_outbox(slot);
        }
        rest
    }

    /// Input that has been read from the socket that the session in `slot` had until a moment ago: the connection that has the
    /// socket now reads it later.
    pub fn hold_for_parted(&mut self, slot: u32, input: &[u8]) {
        let parted = self.partings.moved.iter().rev().find(|(from, _)| *from == slot);
        let Some(new) = parted.map(|(_, new)| new.slot()) else { return };
        if let Some(connection) = self.connections.slot_mut(new)
            && !input.is_empty()
        {
            connection.extras().held.extend_from_slice(input);
            self.read_later(new);
        }
    }

    /// The connections whose sockets the poll knows under other slots than theirs, each once.
    pub fn take_moved(&mut self) -> impl Iterator<Item = SessionId> + use<> {
        std::mem::take(&mut self.partings.moved).into_iter().map(|(_, new)| new)
    }

    /// The sessions that have gone away and of which nobody has been told.
    pub fn take_parted(&mut self) -> Vec<Parted> {
        std::mem::take(&mut self.partings.untold)
    }

    /// Whether somebody has to be told of a session that has gone away.
    pub fn has_parted(&self) -> bool {
        !self.partings.untold.is_empty()
    }

    /// The session in `slot`, whose client is away, ends for good.
    pub(super) fn end_away(&mut self, slot: u32, code: u16, reason: &str, why: LingerEnd) {
        if why == LingerEnd::Overflow {
            self.remember_overflow(slot);
        }
        self.metrics().linger_ends.of(why).add(1);
        self.end_session(slot, code, reason);
        self.doom(slot);
    }

    /// Its client has not come back in time: the session ends as its connection did.
    ///
    /// A poll that waits for the session has had its time: from here on the session waits for the next one.
    pub fn linger_over(&mut self, slot: u32) {
        if self.answer_poll(slot, None) {
            return;
        }
        let away = self.resume_of(slot).and_then(|resume| resume.away.as_deref().cloned());
        if let Some(Away { code, reason, .. }) = away {
            self.end_away(slot, code, &reason, LingerEnd::Expired);
        }
    }

    /// Ends sessions whose clients are away where all outboxes are beyond their bound, those that went first before others, until
    /// `is_enough`.
    pub(super) fn end_oldest_away(&mut self, goal: u64) {
        /// Of those that went, how many are looked at in one turn.
        const LOOKED_AT: usize = 4096;
        let connections = &self.connections;
        let holds = |connection: &Connection| is_away(connection) && connection.outbox.is_some();
        let oldest = self.resumes.went().take(LOOKED_AT).filter(|id| connections.get(*id).is_some_and(holds));
        for id in oldest.collect::<Vec<_>>() {
            if self.settlements.memory <= goal {
                return;
            }
            self.metrics().relieved.add(1);
            self.clear_outbox(id.slot());
            self.end_away(id.slot(), close_codes::TOO_SLOW.0, "too slow", LingerEnd::Overflow);
        }
    }
}
