//! The sessions of this reactor leave because the server is drained.

use super::Reactor;
use super::leaving::Leaving;
use crate::connection::Connection;
use crate::core::Plan;
use crate::gateway::Gateway;
use crate::protocol::CloseCode;
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
                // Those whose clients are away have nobody who could be sent elsewhere.
                let sessions = self.sessions(Connection::is_open_session);
                Emptying { leaving: Leaving::new(sessions, now_ms, plan.over_ms), plan }
            });
        }
        let Some(Emptying { plan, leaving }) = &mut self.emptying else { return };
        while let Some(id) = leaving.next_due(now_ms) {
            // It may have gone by itself.
            if self.core.connections.get(id).is_some_and(|connection| connection.is_open_session()) {
                let (slot, after_ms) = (id.slot(), Plan::after_ms(id));
                Gateway::tell_to_reconnect(&mut self.core, slot, after_ms, plan.to.as_deref());
                self.core.close(slot, CloseCode::SERVICE_RESTART, &plan.reason(id));
                plan.count_closed();
            }
        }
    }
}
