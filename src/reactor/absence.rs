//! How long a reactor could not hear its peers: from three readings of the clock. Knows nothing of sockets.

/// A turn that begins or ends so much later than it was to is late: the process was stopped, or the machine, or something
/// held the thread. That time is no silence of the peers.
pub const LATE_MS: u64 = 200;

/// Of a sleep that ended late, so much may have been missed before its end was due: the machine does not say when it stopped.
/// A peer that had so long to answer as the reactor fell asleep has it once the reactor is back. No more: or a machine that wakes late from every long sleep
/// would never close anybody.
const UNSURE_MS: u64 = 1_000;

/// A sleep as it was planned, and as it came; in milliseconds of the server's clock.
#[derive(Debug, Clone, Copy)]
pub struct Sleep {
    pub began_ms: u64,
    /// When it was to be over at the latest; `u64::MAX` if nothing was due.
    pub expected_ms: u64,
    pub ended_ms: u64,
    /// A stop of the process ended it (signal(7): `epoll_wait` fails with `EINTR` when the process goes on).
    pub interrupted: bool,
}

impl Sleep {
    /// How long nobody may have been heard at the most, if the sleep was an absence. To a deadline that was `n` ms away as it
    /// began, `n` ms are left behind it, or no more than [`UNSURE_MS`] of them where nobody knows that the process was stopped.
    pub fn missed_ms(self) -> Option<u64> {
        let slept_ms = self.ended_ms.saturating_sub(self.began_ms);
        if self.interrupted {
            return (slept_ms > LATE_MS).then_some(slept_ms);
        }
        let late_ms = self.ended_ms.saturating_sub(self.expected_ms);
        (late_ms > LATE_MS).then(|| slept_ms.min(late_ms + UNSURE_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed_ms(expected_ms: u64, ended_ms: u64, interrupted: bool) -> Option<u64> {
        Sleep { began_ms: 10_000, expected_ms, ended_ms, interrupted }.missed_ms()
    }

    #[test]
    fn a_sleep_that_ends_in_time_misses_nothing() {
        for (expected_ms, ended_ms) in
            [(10_000, 10_000), (10_000, 10_200), (15_000, 12_000), (15_000, 15_200), (u64::MAX, 99_000)]
        {
            assert_eq!(missed_ms(expected_ms, ended_ms, false), None, "{expected_ms} {ended_ms}");
        }
    }

    #[test]
    fn of_a_sleep_that_ends_late_the_last_second_may_have_been_missed_too() {
        assert_eq!(missed_ms(10_000, 10_201, false), Some(201), "no sleep at all");
        assert_eq!(missed_ms(10_400, 13_900, false), Some(3_900), "a short one: all of it");
        assert_eq!(missed_ms(15_000, 18_000, false), Some(4_000));
    }

    #[test]
    fn of_a_sleep_that_a_stop_ended_all_may_have_been_missed() {
        assert_eq!(missed_ms(15_000, 18_000, true), Some(8_000));
        assert_eq!(missed_ms(15_000, 12_000, true), Some(2_000), "it went on before the end was due");
        assert_eq!(missed_ms(u64::MAX, 12_000, true), Some(2_000));
        assert_eq!(missed_ms(15_000, 10_200, true), None, "too short a stop to matter");
    }
}
