//! How late something comes from another node, whose clock shows something else: measured against what came fastest.

/// The fastest of so long is what others are measured against: clocks drift.
const WINDOW_MS: u64 = 300_000;

/// The clock of another node, as far as it can be told.
#[derive(Debug, Default)]
pub struct Delay {
    /// The least difference between this node's clock at the arrival and the other's stamp, in this window and in the one before.
    now: Option<i64>,
    before: Option<i64>,
    since_ms: u64,
}

impl Delay {
    /// Something with this stamp has come.
    pub fn hear(&mut self, stamp_ms: u64, now_ms: u64) {
        if now_ms.saturating_sub(self.since_ms) >= WINDOW_MS {
            (self.before, self.now, self.since_ms) = (self.now, None, now_ms);
        }
        let difference = difference(stamp_ms, now_ms);
        self.now = Some(self.now.map_or(difference, |least| least.min(difference)));
    }

    /// How much longer something with this stamp took than what came fastest, in milliseconds.
    pub fn excess_ms(&self, stamp_ms: u64, now_ms: u64) -> u64 {
        let least = self.now.into_iter().chain(self.before).min();
        least
            .map_or(0, |least| u64::try_from(difference(stamp_ms, now_ms).saturating_sub(least)).unwrap_or(0))
    }
}

fn difference(stamp_ms: u64, now_ms: u64) -> i64 {
    now_ms.wrapping_sub(stamp_ms) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_late_by_what_came_fastest_however_the_clocks_differ() {
        for offset in [0, 1 << 40] {
            let mut delay = Delay::default();
            assert_eq!(delay.excess_ms(5, offset + 100), 0, "nothing is known");
            delay.hear(1_000, offset + 1_003);
            delay.hear(2_000, offset + 2_001);
            assert_eq!(delay.excess_ms(3_000, offset + 3_001), 0);
            assert_eq!(delay.excess_ms(3_000, offset + 8_001), 5_000);
            assert_eq!(delay.excess_ms(9_000, offset + 8_000), 0, "faster than ever");
        }
    }

    #[test]
    fn clocks_that_drift_apart_are_followed() {
        let mut delay = Delay::default();
        delay.hear(0, 10);
        for minute in 1..30 {
            // This clock runs 10 ms a minute faster than the other.
            delay.hear(minute * 60_000, 10 + minute * 60_010);
        }
        assert!(delay.excess_ms(30 * 60_000, 10 + 30 * 60_010) <= 120);
    }
}
