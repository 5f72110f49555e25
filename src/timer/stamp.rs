//! A time in four bytes, read back by somebody who knows about when it was. Knows nothing of clocks.

use std::time::Duration;

/// What a stamp tells apart: as much as the timer wheel does.
const TICK_MS: u64 = super::wheel::RESOLUTION_MS;

/// A time of the server's clock, rounded up to the resolution of the timer wheel.
///
/// It is right for whoever reads it within [`Stamp::REACH`] of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u32);

impl Stamp {
    /// So far from now a stamp can be.
    pub const REACH: Duration = Duration::from_secs(190 * 24 * 60 * 60);

    /// The time `ms`, in milliseconds of the server's clock.
    pub fn at(ms: u64) -> Self {
        Self(ms.div_ceil(TICK_MS) as u32)
    }

    /// The time in milliseconds of the server's clock, of those that it may stand for the one nearest to `now_ms`.
    pub fn near(self, now_ms: u64) -> u64 {
        let now = now_ms.div_ceil(TICK_MS);
        let ahead = self.0.wrapping_sub(now as u32).cast_signed();
        now.saturating_add_signed(ahead.into()).saturating_mul(TICK_MS)
    }
}

const _: () = assert!(Stamp::REACH.as_millis() < (1_u128 << 31) * TICK_MS as u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_far_on_either_side() {
        let reach = Stamp::REACH.as_millis() as u64;
        for now in [0, 1, 7, 8, 9, 1_000, reach, 5 * reach + 3, 1 << 50] {
            for then in [now, now + 1, now + reach, now.saturating_sub(1), now.saturating_sub(reach)] {
                assert_eq!(Stamp::at(then).near(now), then.next_multiple_of(TICK_MS), "{then} from {now}");
            }
        }
    }
}
