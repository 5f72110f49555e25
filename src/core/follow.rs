//! What a reactor does when the rules are others: what it has of them in its own tables is brought up to date at once, and
//! its connections are looked through, some in each turn.

use super::{Core, EVENTS, Rules};
use crate::connection::{Inbound, Kind};
use crate::protocol::DeflateEngine;
use std::sync::Arc;

/// The connections that are still to be looked through.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// From this slot on; `None` is none.
    next: Option<u32>,
    /// Silence counts from the review on: it is held against other bounds than before.
    touches: bool,
}

impl Core {
    /// Follows the rules in force from now on, if they are others. Returns those from before.
    pub fn follow_rules(&mut self) -> Option<Arc<Rules>> {
        let number = self.shared.in_force.number();
        if number == self.rules_number {
            return None;
        }
        self.rules_number = number;
        let before = std::mem::replace(&mut self.rules, self.shared.in_force.rules());
        let (settings, reactors) = (&self.rules.settings, self.shared.reactors());
        self.budget.set_limits(&settings.config.limits);
        self.relief.set_limit(settings.config.limits.outboxes_bytes, reactors);
        self.incoming_relief.set_limit(settings.config.limits.incoming_bytes, reactors);
        self.kept_relief.set_limit(settings.config.limits.kept_bytes, reactors);
        self.ticks.forget_idle();
        self.memory.look_at_all();
        // Sessions that have agreed on it go on with it, also where it is not offered any more.
        if let Some(deflate) = &settings.deflate
            && before.settings.deflate.as_ref() != Some(deflate)
        {
            self.deflate = Some(Arc::new(DeflateEngine::new(deflate.clone())));
        }
        self.review.next = self.connections.next_slot(0);
        self.review.touches |= settings.silence != before.settings.silence;
        self.renew_all_memories();
        Some(before)
    }

    /// All that this reactor does follows the new rules.
    pub fn has_followed(&self) {
        self.shared.in_force.follow(self.index, self.rules_number);
    }

    /// Whether connections are still to be looked through.
    pub(super) fn is_reviewing(&self) -> bool {
        self.review.next.is_some()
    }

    /// Looks through some more of the connections.
    pub fn review(&mut self) {
        for _ in 0..EVENTS {
            let Some(slot) = self.review.next else { break };
            self.review_one(slot);
            self.review.next = self.connections.next_slot(slot + 1);
        }
        // Also where the last one was looked through just now: the next change says for itself whether it touches.
        self.review.touches &= self.is_reviewing();
    }

    fn review_one(&mut self, slot: u32) {
        let attended_ms = self.attended_ms();
        let touches = self.review.touches;
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        // A bound that is lower now closes none for the silence that was legal until now.
        if touches {
            connection.touch(attended_ms);
        }
        let is_session = connection.kind == Kind::Player;
        if is_session && self.rules.settings.inbound.is_some() && connection.inbound().is_none() {
            connection.extras().inbound = Some(Inbound::default());
        }
        let (address, network) =
            (connection.remote().ip(), connection.extras.as_ref().and_then(|extras| extras.session_from));
        if let (Some(id), Some(app)) = (self.hub.id_of(slot), self.hub.app_of(slot)) {
            let user = self.hub.user_of(slot);
            let counted = self.shared.admission.count_in(app, user, id, network, address);
            if counted != network
                && let Some(connection) = self.connections.slot_mut(slot)
            {
                connection.extras().session_from = counted;
            }
        }
        self.arm(slot);
    }
}
