//! How far another node's clock is from this one's, and its messages away.

/// How long one minimum counts: clocks drift apart by some milliseconds in that time.
const WINDOW_MS: u64 = 5 * 60 * 1000;

/// The shortest way of the last messages, clock and all: the smallest difference between when one was heard and when it was stamped,
/// over the current window and the one before it. The clocks have nothing in common, so the difference may be anything and wraps.
#[derive(Debug)]
pub(super) struct Offset {
    window_ms: u64,
    shortest: i64,
    /// That of the window before; that of this one where there was none.
    before: i64,
}

impl Offset {
    pub(super) fn new(stamp_ms: u64, now_ms: u64) -> Self {
        let way = way(stamp_ms, now_ms);
        Self { window_ms: now_ms, shortest: way, before: way }
    }

    /// A message has come.
    pub(super) fn note(&mut self, stamp_ms: u64, now_ms: u64) {
        let way = way(stamp_ms, now_ms);
        if now_ms >= self.window_ms.saturating_add(WINDOW_MS) {
            (self.window_ms, self.before, self.shortest) = (now_ms, self.shortest, way);
        }
        self.shortest = self.shortest.min(way);
    }

    /// How much longer than the shortest the way of a message was.
    pub(super) fn excess_ms(&self, stamp_ms: u64, now_ms: u64) -> u64 {
        let shortest = self.shortest.min(self.before);
        u64::try_from(i128::from(way(stamp_ms, now_ms)) - i128::from(shortest)).unwrap_or(0)
    }
}

fn way(stamp_ms: u64, now_ms: u64) -> i64 {
    now_ms.wrapping_sub(stamp_ms).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_than_the_shortest_is_in_excess() {
        // The other clock is 1,000,000 ms ahead, and the shortest way takes 3 ms.
        let stamp = |now_ms: u64, way_ms: u64| now_ms + 1_000_000 - way_ms;
        let mut offset = Offset::new(stamp(0, 10), 0);
        offset.note(stamp(250, 3), 250);
        offset.note(stamp(500, 90), 500);
        assert_eq!(offset.excess_ms(stamp(600, 3), 600), 0);
        assert_eq!(offset.excess_ms(stamp(600, 1), 600), 0, "the fastest of all");
        assert_eq!(offset.excess_ms(stamp(9_000, 2_003), 9_000), 2_000);
    }

    #[test]
    fn a_clock_that_drifts_is_followed_after_two_windows() {
        let mut offset = Offset::new(0_u64.wrapping_sub(5), 0);
        for minute in 1..=11 {
            // From the first minute on it is 40 ms further away.
            let now_ms = minute * 60_000;
            offset.note(now_ms - 45, now_ms);
            let excess = if minute < 10 { 40 } else { 0 };
            assert_eq!(offset.excess_ms(now_ms - 45, now_ms), excess, "minute {minute}");
        }
    }

    #[test]
    fn stamps_of_any_kind_are_survived() {
        let mut offset = Offset::new(u64::MAX, 0);
        for stamp in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1] {
            offset.note(stamp, 7);
            offset.excess_ms(u64::MAX - stamp, u64::MAX);
        }
    }
}
