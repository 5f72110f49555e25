//! The stop: a time in which only new players are refused, then sessions that leave evenly, then the end of all that is left.

use super::leaving::Leaving;
use super::{Reactor, StopReport};
use crate::connection::{Connection, Kind};
use crate::core::Envelope;
use crate::protocol::CloseCode;
use crate::session::SessionId;
use std::sync::atomic::Ordering;

const REASON: &str = "server going away";

/// How far the stop has come.
#[derive(Debug)]
pub(super) enum Stop {
    No,
    /// New players are refused, and `/readyz` says so: until `until_ms` nobody is closed.
    LameDuck {
        until_ms: u64,
    },
    /// Sessions leave; at `by_ms` all is over.
    Leaving {
        leaving: Leaving,
        by_ms: u64,
    },
    /// Those of this reactor have left. Its backends stay as long as another reactor has players.
    Left {
        by_ms: u64,
    },
    /// Until `by_ms` connections may end by themselves.
    Ending {
        by_ms: u64,
    },
}

impl Stop {
    /// When there is something to do for it.
    pub(super) fn next_ms(&self) -> Option<u64> {
        match self {
            Self::No => None,
            Self::LameDuck { until_ms } => Some(*until_ms),
            Self::Leaving { leaving, by_ms } => Some(leaving.next_ms().map_or(*by_ms, |ms| ms.min(*by_ms))),
            Self::Left { by_ms } | Self::Ending { by_ms } => Some(*by_ms),
        }
    }

    /// The world stood still for so long: nobody could leave meanwhile.
    pub(super) fn put_off(&mut self, ms: u64) {
        match self {
            Self::No => {}
            Self::LameDuck { until_ms: at_ms }
            | Self::Leaving { by_ms: at_ms, .. }
            | Self::Left { by_ms: at_ms }
            | Self::Ending { by_ms: at_ms } => *at_ms += ms,
        }
    }

    fn by_ms(&self) -> Option<u64> {
        match self {
            Self::No | Self::LameDuck { .. } => None,
            Self::Leaving { by_ms, .. } | Self::Left { by_ms } | Self::Ending { by_ms } => Some(*by_ms),
        }
    }
}

impl Reactor {
    /// Does what the stop asks for in this turn.
    pub(super) fn look_for_the_stop(&mut self, report: &mut StopReport) {
        let now_ms = self.core.now.ms;
        if matches!(self.stop, Stop::No) && self.core.shared.draining.load(Ordering::Acquire) {
            let drain_ms = self.core.rules.settings.config.timeouts.drain.as_millis() as u64;
            self.stop = Stop::LameDuck { until_ms: now_ms + drain_ms };
        }
        let at_once = self.core.shared.ends_at_once.load(Ordering::Acquire);
        if let Stop::LameDuck { until_ms } = self.stop
            && (until_ms <= now_ms || at_once)
        {
            self.begin_leaving(report);
        }
        self.leave();
        if at_once && !matches!(self.stop, Stop::No | Stop::Ending { .. }) {
            self.end_all();
        }
    }

    fn begin_leaving(&mut self, report: &mut StopReport) {
        let (now_ms, config) = (self.core.now.ms, &self.core.rules.settings.config);
        let (shutdown, close) = (config.timeouts.shutdown, config.timeouts.close);
        let at_least = config.limits.drain_per_second.div_ceil(self.core.shared.reactors()) as u64;
        let shutdown_ms = shutdown.as_millis() as u64;
        // The last ones leave at the end of that time, and have theirs for the closing handshake.
        let by_ms = now_ms + shutdown_ms + shutdown.min(close).as_millis() as u64;
        let sessions = self.sessions(Connection::is_session);
        report.sessions = sessions.len() as u64;
        self.core.closed_cleanly = 0;
        let leaving = Leaving::new(sessions, now_ms, shutdown_ms).at_least(at_least);
        // The stop goes on where a drain was.
        self.emptying = None;
        self.stop = Stop::Leaving { leaving, by_ms };
    }

    /// The players' sessions of this reactor that are such.
    pub(super) fn sessions(&self, is_such: impl Fn(&Connection) -> bool) -> Vec<SessionId> {
        let connections = &self.core.connections;
        let ids = connections.slots().filter_map(|slot| connections.id_of(slot));
        ids.filter(|id| connections.get(*id).is_some_and(&is_such)).collect()
    }

    /// Closes the sessions whose time has come. The last reactor that is through ends all.
    fn leave(&mut self) {
        let now_ms = self.core.now.ms;
        let Stop::Leaving { leaving, by_ms } = &mut self.stop else { return };
        let by_ms = *by_ms;
        while let Some(id) = leaving.next_due(now_ms) {
            if self.core.connections.get(id).is_some() {
                self.core.close_for_good(id.slot(), CloseCode::GOING_AWAY, REASON);
            }
        }
        if leaving.next_ms().is_some() {
            return;
        }
        // Links hear of each before they are told to go.
        self.tell_ended();
        self.stop = Stop::Left { by_ms };
        if self.core.shared.reactors_with_sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
            for reactor in 0..self.core.shared.reactors() {
                self.core.peers.post_always(reactor, Envelope::StopBackends);
            }
        }
    }

    /// Ends what is left: the listeners, upgrades that are under way, echoes, backends.
    pub(super) fn end_all(&mut self) {
        self.stop = Stop::Ending { by_ms: self.stop.by_ms().unwrap_or(self.core.now.ms) };
        self.core.shared.ending.store(true, Ordering::Release);
        self.core.draining = true;
        self.core.answer_all_feeds();
        if let Some(mut acceptor) = self.acceptor.take() {
            acceptor.deregister(self.poll.registry());
        }
        self.end_clients();
        self.tell_ended();
        self.end_backends();
    }

    fn end_clients(&mut self) {
        let slots: Vec<u32> = self.core.connections.slots().collect();
        for slot in slots {
            let Some(connection) = self.core.connection(slot) else { continue };
            match connection.kind {
                Kind::Player if connection.is_session() => {
                    self.core.close_for_good(slot, CloseCode::GOING_AWAY, REASON);
                }
                Kind::Echo => self.core.close(slot, CloseCode::GOING_AWAY, REASON),
                Kind::Upgrade if connection.is_wrapping() => self.core.doom(slot),
                Kind::Upgrade => self.gateway.head_late(&mut self.core, slot),
                _ => {}
            }
        }
    }

    fn end_backends(&mut self) {
        let slots: Vec<u32> = self.core.connections.slots().collect();
        for slot in slots {
            match self.core.connection(slot).is_some_and(|connection| connection.is_wrapping()) {
                true => self.core.doom(slot),
                false => self.gateway.stop_backend(&mut self.core, slot),
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        match self.stop {
            Stop::Ending { by_ms } => self.core.connections.is_empty() || self.core.now.ms >= by_ms,
            _ => self.stop.by_ms().is_some_and(|by_ms| self.core.now.ms >= by_ms),
        }
    }
}
