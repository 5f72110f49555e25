//! When messages are due at a constant rate, shared among threads. Times follow from the number of the message alone: a
//! message that is late does not make the next one late.

use super::clock::{Nanos, SECOND};

/// A turn takes at most so many before something else has its turn.
const MOST_A_TURN: usize = 64;
/// What is later than this may be left out: a load that has been held up does not come all at once.
const LATEST: Nanos = SECOND / 4;

/// One thread's share of a rate.
#[derive(Debug, Clone)]
pub struct Schedule {
    start: Nanos,
    end: Nanos,
    /// Of all threads together, a second.
    rate: u64,
    /// Number of the next message of this thread, among those of all.
    next: u64,
    step: u64,
}

impl Schedule {
    /// `rate` messages a second from `start` to `end`, of which this thread has every `threads`-th from `index` on.
    pub fn new(start: Nanos, end: Nanos, rate: usize, index: usize, threads: usize) -> Self {
        Self { start, end, rate: rate as u64, next: index as u64, step: threads as u64 }
    }

    /// Takes the next message if it is due: when it should have been sent.
    pub fn take_due(&mut self, now: Nanos) -> Option<Nanos> {
        let due = self.next_due()?;
        if due > now {
            return None;
        }
        self.next += self.step;
        Some(due)
    }

    /// Takes what is due for one turn: how many are, and how many more are too late.
    pub fn take_turn(&mut self, now: Nanos) -> (usize, usize) {
        let (mut due, mut late) = (0, 0);
        while due < MOST_A_TURN
            && let Some(at) = self.take_due(now)
        {
            match now - at > LATEST {
                true => late += 1,
                false => due += 1,
            }
        }
        (due, late)
    }

    /// When the next message is due; `None` when there is none before the end.
    pub fn next_due(&self) -> Option<Nanos> {
        let since_start = u128::from(self.next) * u128::from(SECOND) / u128::from(self.rate.max(1));
        let due = self.start.checked_add(u64::try_from(since_start).ok()?)?;
        (due < self.end).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_rate_evenly() {
        let (start, end, rate) = (77, 77 + SECOND, 1000);
        let mut all: Vec<Nanos> = Vec::new();
        for index in 0..3 {
            let mut schedule = Schedule::new(start, end, rate, index, 3);
            while let Some(due) = schedule.take_due(u64::MAX) {
                all.push(due);
            }
            assert_eq!(schedule.next_due(), None);
        }
        all.sort_unstable();
        let naive: Vec<Nanos> = (0..1000).map(|number| 77 + number * SECOND / 1000).collect();
        assert_eq!(all, naive);
    }

    #[test]
    fn nothing_is_taken_before_its_time_and_nothing_is_left_out_when_late() {
        let mut schedule = Schedule::new(0, SECOND, 10, 0, 1);
        assert_eq!(schedule.take_due(0), Some(0));
        assert_eq!(schedule.take_due(99_999_999), None);
        assert_eq!(schedule.next_due(), Some(100_000_000));
        let late: Vec<_> = std::iter::from_fn(|| schedule.take_due(350_000_000)).collect();
        assert_eq!(late, [100_000_000, 200_000_000, 300_000_000]);
    }
}
