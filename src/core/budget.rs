//! What one phase of a turn may do before the reactor looks at everything else again. What is left goes on in the next
//! turn, from a cursor and in order.

use crate::config::Limits;

/// What is left of a phase's share.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    full: Full,
    /// Messages offered to sessions.
    pub deliveries: usize,
    /// Writes to sockets.
    pub writes: usize,
    /// Sessions listed.
    pub listed: usize,
    /// Sessions resumed.
    pub resumes: usize,
    /// Bytes read, answered and written.
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Full {
    deliveries: usize,
    writes: usize,
    listed: usize,
    resumes: usize,
    bytes: usize,
}

impl Full {
    fn of(limits: &Limits) -> Self {
        Self {
            deliveries: limits.turn_deliveries,
            writes: limits.turn_writes,
            listed: limits.turn_listed,
            resumes: limits.turn_resumes,
            bytes: limits.turn_bytes,
        }
    }
}

impl Budget {
    /// A full one, by `limits.turn_deliveries`, `turn_writes`, `turn_listed` and `turn_bytes`.
    pub fn new(limits: &Limits) -> Self {
        let full = Full::of(limits);
        Self {
            full,
            deliveries: full.deliveries,
            writes: full.writes,
            listed: full.listed,
            resumes: full.resumes,
            bytes: full.bytes,
        }
    }

    /// The shares are others from the next phase on.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.full = Full::of(limits);
    }

    /// The turn begins: everything is there again.
    pub fn refill(&mut self) {
        (self.deliveries, self.listed) = (self.full.deliveries, self.full.listed);
        self.resumes = self.full.resumes;
        self.refill_sockets();
    }

    /// The next phase that works on sockets begins: one must not take all of another's share.
    pub fn refill_sockets(&mut self) {
        (self.writes, self.bytes) = (self.full.writes, self.full.bytes);
    }

    /// So much has been done with a socket.
    pub fn charge_socket(&mut self, writes: usize, bytes: usize) {
        self.writes = self.writes.saturating_sub(writes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether no further socket is to be worked on in this phase.
    pub fn is_spent_on_sockets(&self) -> bool {
        self.writes == 0 || self.bytes == 0
    }

    /// Whether no further message is to be offered in this turn.
    pub fn is_spent_on_deliveries(&self) -> bool {
        self.deliveries == 0 || self.is_spent_on_sockets()
    }

    /// Whether no further session is to be listed in this turn.
    pub fn is_spent_on_lists(&self) -> bool {
        self.listed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_spent_once_a_turn_and_never_owed() {
        let limits = Limits { turn_writes: 2, turn_bytes: 100, turn_deliveries: 3, ..Limits::default() };
        let mut budget = Budget::new(&limits);
        budget.charge_socket(1, 40);
        assert!(!budget.is_spent_on_sockets());
        budget.charge_socket(1, 1_000);
        assert!(budget.is_spent_on_sockets() && budget.is_spent_on_deliveries());
        budget.refill_sockets();
        budget.deliveries = 0;
        assert!(!budget.is_spent_on_sockets() && budget.is_spent_on_deliveries());
        budget.refill();
        assert_eq!((budget.deliveries, budget.writes, budget.bytes), (3, 2, 100));
    }
}
