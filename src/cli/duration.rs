//! Durations on the command line: the grammar of the configuration, and a number alone is seconds.

use std::error::Error;
use std::time::Duration;

use crate::config::{InvalidDuration, parse_duration};

/// The longest run of a load, and the longest drain.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration as `90s`, `1m30s` or `1.5h`; `90` is seconds.
///
/// # Errors
/// [`InvalidDuration`].
pub fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    match text.bytes().last() {
        Some(b'0'..=b'9') if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            parse_duration(&format!("{text}s"))
        }
        _ => parse_duration(text),
    }
}

/// The same, of a day at most.
///
/// # Errors
/// [`InvalidDuration`], or a text where it is longer.
pub fn up_to_a_day(text: &str) -> Result<Duration, Box<dyn Error + Send + Sync>> {
    let duration = duration(text)?;
    if duration > DAY { Err("a day is the most".into()) } else { Ok(duration) }
}

/// The same, of a millisecond at least: a wait that can end.
///
/// # Errors
/// As [`up_to_a_day`], and a text where it is nothing.
pub fn wait(text: &str) -> Result<Duration, Box<dyn Error + Send + Sync>> {
    let duration = up_to_a_day(text)?;
    if duration.is_zero() { Err("a millisecond is the least".into()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_seconds() {
        let table = [
            ("10", 10_000),
            ("1.5", 1_500),
            ("0", 0),
            ("10s", 10_000),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("1h30m", 5_400_000),
            ("30d", 30 * 86_400_000),
        ];
        for (text, ms) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5.", "1m30", "-1", "1 s", "10w", "1..5", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_is_the_most_for_a_run() {
        assert_eq!(up_to_a_day("1d").unwrap(), DAY);
        assert_eq!(up_to_a_day("86400").unwrap(), DAY);
        assert_eq!(up_to_a_day("1d1ms").unwrap_err().to_string(), "a day is the most");
        assert_eq!(wait("0").unwrap_err().to_string(), "a millisecond is the least");
        assert_eq!(wait("1ms").unwrap(), Duration::from_millis(1));
        assert_eq!(up_to_a_day("1x").unwrap_err().to_string(), "the units are d, h, m, s and ms");
    }
}
