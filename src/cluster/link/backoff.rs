//! How long a link waits before it tries again.

/// Doubles from a first delay to a last one. Half of each is random, so that nodes which lost one Redis do not come back at
/// once.
#[derive(Debug)]
pub struct Backoff {
    min_ms: u64,
    max_ms: u64,
    /// The tries in a row that failed.
    failed: u32,
}

impl Backoff {
    /// Waits from `min_ms` to `max_ms`.
    pub fn new(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms: max_ms.max(min_ms), failed: 0 }
    }

    /// The tries in a row that failed.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// How long to wait after one more that failed, in milliseconds.
    pub fn delay_ms(&mut self, random: u64) -> u64 {
        let doubled = self.min_ms.saturating_mul(1_u64.checked_shl(self.failed).unwrap_or(u64::MAX));
        self.failed = self.failed.saturating_add(1);
        let whole = doubled.min(self.max_ms);
        whole / 2 + random % (whole - whole / 2 + 1)
    }

    /// A try succeeded.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_the_first_to_the_last_and_half_of_each_is_random() {
        let mut backoff = Backoff::new(100, 1_000);
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let mut twin = Backoff { failed: backoff.failed, ..backoff };
            assert_eq!(twin.delay_ms(0), whole / 2);
            assert_eq!(backoff.delay_ms(whole / 2), whole);
        }
        for _ in 0..200 {
            assert!((500..=1_000).contains(&backoff.delay_ms(u64::MAX)));
        }
        backoff.reset();
        assert_eq!(backoff.delay_ms(0), 50);
        assert_eq!(Backoff::new(0, 0).delay_ms(7), 0);
    }
}
