//! How much is logged, changed by an operator, for a while or for good. The level is the process's: the `log` crate has one.

use log::{LevelFilter, info};
use std::time::{Duration, Instant};

/// A level that is in force for a while.
#[derive(Debug, Default)]
pub struct Temporary(Option<Until>);

#[derive(Debug)]
struct Until {
    level: LevelFilter,
    before: LevelFilter,
    end: Instant,
}

impl Temporary {
    /// Logs so much from `now` on, for so many milliseconds; without a number until it is changed again.
    pub fn set(&mut self, level: LevelFilter, for_ms: Option<u64>, now: Instant) {
        let current = log::max_level();
        let before =
            self.0.take().filter(|until| until.level == current).map_or(current, |until| until.before);
        log::set_max_level(level);
        let until = |for_ms| Until { level, before, end: now + Duration::from_millis(for_ms) };
        self.0 = for_ms.map(until);
    }

    /// When the level ends, if it does.
    pub fn end(&self) -> Option<Instant> {
        self.0.as_ref().map(|until| until.end)
    }

    /// Logs as much as before, if it is time. A level that a reload has set meanwhile stays.
    pub fn look(&mut self, now: Instant) {
        let Some(until) = self.0.take_if(|until| until.end <= now) else { return };
        if log::max_level() == until.level {
            log::set_max_level(until.before);
            info!("the level of the log is {} again", until.before.as_str().to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one test, since the level is the process's; no other test of this program sets it.
    #[test]
    fn a_level_ends_and_what_was_set_meanwhile_stays() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        log::set_max_level(LevelFilter::Warn);
        let mut temporary = Temporary::default();
        temporary.set(LevelFilter::Debug, Some(100), began);
        assert_eq!((log::max_level(), temporary.end()), (LevelFilter::Debug, Some(at(100))));
        // A longer one in its place ends in what was there before both.
        temporary.set(LevelFilter::Trace, Some(200), at(50));
        temporary.look(at(249));
        assert_eq!(log::max_level(), LevelFilter::Trace);
        temporary.look(at(250));
        assert_eq!((log::max_level(), temporary.end()), (LevelFilter::Warn, None));

        temporary.set(LevelFilter::Debug, Some(100), began);
        log::set_max_level(LevelFilter::Error);
        temporary.look(at(100));
        assert_eq!(log::max_level(), LevelFilter::Error);

        temporary.set(LevelFilter::Info, None, began);
        temporary.look(at(1_000_000));
        assert_eq!((log::max_level(), temporary.end()), (LevelFilter::Info, None));
        log::set_max_level(LevelFilter::Off);
    }
}
