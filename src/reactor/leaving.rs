//! How the sessions of a reactor leave when the server stops: one after the other, evenly, so that those who come back
//! elsewhere do not come all at once. Knows nothing of sockets or of what a session is told.

use crate::session::SessionId;

/// The sessions that are still to leave, and when each does.
#[derive(Debug)]
pub struct Leaving {
    begins_ms: u64,
    over_ms: u64,
    order: Vec<SessionId>,
    /// So many of them have left.
    left: usize,
}

impl Leaving {
    /// `sessions` leave over `over_ms` from `begins_ms` on, each in the middle of its share of that time.
    pub fn new(mut sessions: Vec<SessionId>, begins_ms: u64, over_ms: u64) -> Self {
        // Those who came together do not leave together: neighbours are the golden ratio apart.
        sessions.sort_unstable_by_key(|id| id.as_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self { begins_ms, over_ms, order: sessions, left: 0 }
    }

    /// The same, sooner where they are so few that `at_least` of them a second takes less.
    pub fn at_least(self, at_least: u64) -> Self {
        let fastest_ms = (self.order.len() as u64).saturating_mul(1_000) / at_least.max(1);
        Self { over_ms: self.over_ms.min(fastest_ms), ..self }
    }

    /// The next one whose time has come.
    pub fn next_due(&mut self, now_ms: u64) -> Option<SessionId> {
        let id = *self.order.get(self.left)?;
        if self.at_ms(self.left) > now_ms {
            return None;
        }
        self.left += 1;
        Some(id)
    }

    /// When the next one leaves; `None` when all have been told to.
    pub fn next_ms(&self) -> Option<u64> {
        (self.left < self.order.len()).then(|| self.at_ms(self.left))
    }

    fn at_ms(&self, index: usize) -> u64 {
        let part = u128::from(self.over_ms) * (2 * index as u128 + 1) / (2 * self.order.len() as u128);
        self.begins_ms + part as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(count: u64) -> Vec<SessionId> {
        (0..count).map(SessionId::from_u64).collect()
    }

    /// How many leave in each of the `parts` of a second of their time.
    fn leave(leaving: &mut Leaving, from_ms: u64, until_ms: u64, step_ms: usize) -> Vec<usize> {
        (from_ms..until_ms)
            .step_by(step_ms)
            .map(|ms| std::iter::from_fn(|| leaving.next_due(ms + step_ms as u64 - 1)).count())
            .collect()
    }

    #[test]
    fn they_leave_evenly_over_the_time_and_each_once() {
        let mut leaving = Leaving::new(sessions(2_000), 500, 10_000).at_least(20);
        assert_eq!(leaving.next_due(499), None);
        assert_eq!(leave(&mut leaving, 500, 10_500, 1_000), [200; 10]);
        assert_eq!((leaving.next_ms(), leaving.next_due(u64::MAX)), (None, None));
    }

    #[test]
    fn a_few_are_not_kept_for_the_whole_time() {
        let mut leaving = Leaving::new(sessions(3), 0, 10_000).at_least(20);
        assert_eq!(leave(&mut leaving, 0, 200, 50), [1, 1, 1, 0]);
        assert_eq!(Leaving::new(Vec::new(), 7, 10_000).at_least(20).next_ms(), None);
        // Nobody leaves at once where nobody is in a hurry.
        assert_eq!(Leaving::new(sessions(3), 7, 60_000).next_ms(), Some(10_007));
    }

    #[test]
    fn neighbours_do_not_leave_together() {
        let mut leaving = Leaving::new(sessions(1_000), 0, 1_000);
        let order: Vec<u64> =
            std::iter::from_fn(|| leaving.next_due(u64::MAX)).map(|id| id.as_u64()).collect();
        assert_eq!(order.len(), 1_000);
        let near = order.windows(2).filter(|two| two[0].abs_diff(two[1]) < 10).count();
        assert_eq!(near, 0);
        // Of every hundred who came together, some leave in each tenth of the time.
        for tenth in order.chunks(100) {
            for hundred in 0..10 {
                let part = tenth.iter().filter(|id| **id / 100 == hundred).count();
                assert!((5..=15).contains(&part), "{part} of {hundred}");
            }
        }
    }
}
