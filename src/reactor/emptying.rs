//! The sessions of this reactor leave because the server is drained.

use super::Reactor;
use super::leaving::Leaving;
use crate::connection::Connection;
use crate::core::Plan;
use crate::gateway::Gateway;
use crate::protocol::CloseCode;
use crate::session::SessionId;
use std::sync::Arc;

/// How far a drain has come here.
#[derive(Debug)]
pub struct Emptying {
    plan: Arc<Plan>,
    leaving: Leaving,
}

impl Emptying {
    /// When the next session leaves.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.leaving.next_ms()
    }
}

impl Reactor {
    /// Looks whether the drain has begun, changed or been called off, and closes those whose time has come.
    pub(super) fn empty(&mut self) {
        let (order, now_ms) = (self.core.shared.drain.order(), self.core.now.ms);
        if order != self.drain_order {
            self.drain_order = order;
            self.emptying = self.core.shared.drain.plan().map(|plan| {
                let mut sessions = self.sessions(Connection::is_session);
                // Those whose clients are away, and not polling, have nobody who could be sent elsewhere.
                sessions.retain(|id| self.may_be_sent_elsewhere(*id));
                Emptying { leaving: Leaving::new(sessions, now_ms, plan.over_ms), plan }
            });
            for id in self.sessions(Connection::is_session) {
                self.core.keep_poller(id.slot());
            }
        }
        let Some(Emptying { plan, leaving }) = &mut self.emptying else { return };
        while let Some(id) = leaving.next_due(now_ms) {
            // It may have gone by itself.
            let Some(is_open) = self.core.connections.get(id).map(Connection::is_open_session) else {
                continue;
            };
            let (slot, after_ms) = (id.slot(), Plan::after_ms(id));
            if !is_open && !self.core.polls(slot) {
                continue;
            }
            Gateway::tell_to_reconnect(&mut self.core, slot, after_ms, plan.to.as_deref());
            match is_open {
                true => self.core.close(slot, CloseCode::SERVICE_RESTART, &plan.reason(id)),
                false => self.core.send_poller_elsewhere(slot, &plan.reason(id)),
            }
            plan.count_closed();
        }
    }

    fn may_be_sent_elsewhere(&self, id: SessionId) -> bool {
        let connection = self.core.connections.get(id);
        connection.is_some_and(|connection| connection.is_open_session() || self.core.polls(id.slot()))
    }
}
