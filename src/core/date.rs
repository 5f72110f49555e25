//! The date of HTTP answers: the wall clock is read, and the text is made, once a second and reactor, not once an answer.

use super::Core;
use crate::http::HttpDate;
use crate::timer::Clock;

/// See the module.
#[derive(Debug)]
pub(super) struct Dates {
    date: HttpDate,
    /// On the server's clock, in milliseconds: then the second is over.
    until_ms: u64,
}

impl Default for Dates {
    fn default() -> Self {
        Self { date: HttpDate::from_unix_seconds(0), until_ms: 0 }
    }
}

impl Dates {
    /// The second at `now_ms` of the server's clock; `wall_unix_ms` reads the wall clock.
    fn at(&mut self, now_ms: u64, wall_unix_ms: impl FnOnce() -> u64) -> HttpDate {
        if now_ms >= self.until_ms {
            let unix_ms = wall_unix_ms();
            self.date = HttpDate::from_unix_seconds(unix_ms / 1000);
            self.until_ms = now_ms + 1000 - unix_ms % 1000;
        }
        self.date
    }
}

impl Core {
    /// The date of the answers of this turn.
    pub fn http_date(&mut self) -> HttpDate {
        self.dates.at(self.now.ms, Clock::wall_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_holds_to_the_end_of_its_second() {
        let mut dates = Dates::default();
        for (now_ms, wall, expected) in [
            (7, Some(5_400), 5),
            (606, None, 5),
            (607, Some(6_000), 6),
            (1_606, None, 6),
            // The wall clock was set back.
            (1_607, Some(1_999), 1),
            (1_608, Some(2_000), 2),
        ] {
            let date = dates.at(now_ms, || wall.expect("it is not read again in the same second"));
            assert_eq!(date, HttpDate::from_unix_seconds(expected), "{now_ms}");
        }
    }
}
