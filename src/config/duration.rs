//! Durations as people write them: `250ms`, `30s`, `1m30s`, `7d`. The configuration, its variables and the command line
//! share this grammar.
//!
//! ```text
//! duration = 1*(number unit)              ; each unit once at most, the largest first
//! number   = 1*DIGIT ["." 1*DIGIT]
//! unit     = "d" / "h" / "m" / "s" / "ms"
//! ```
//!
//! The whole is a number of milliseconds without a fraction.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

use super::table::as_millis;

/// The units and their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// A day is 2^10 * 3^3 * 5^5 ms: a fraction of it with more digits, the last of them not 0, is never whole milliseconds.
const MAX_FRACTION_DIGITS: usize = 10;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidDuration {
    /// No number where one must stand.
    Number,
    /// A number without a unit.
    NoUnit,
    /// A unit that does not exist.
    Unit,
    /// A unit twice, or a larger one behind a smaller one.
    Order,
    /// A part of a millisecond.
    Fraction,
    /// More milliseconds than 64 bits hold.
    TooLong,
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "begin with a number, as 30s, 1m30s or 250ms",
            Self::NoUnit => "a number needs a unit: d, h, m, s or ms",
            Self::Unit => "the units are d, h, m, s and ms",
            Self::Order => "write each unit once, the largest first, as 1h30m",
            Self::Fraction => "the smallest part of a time is a millisecond",
            Self::TooLong => "it is longer than any time that can be set",
        })
    }
}

impl std::error::Error for InvalidDuration {}

/// The duration that `text` says.
///
/// # Errors
/// [`InvalidDuration`].
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let (mut rest, mut units, mut total_ms) = (text, UNITS.as_slice(), 0_u64);
    loop {
        let (number, behind) = split_at(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, behind) = split_at(behind, |c| c.is_ascii_digit() || c == '.');
        let place = units.iter().position(|(name, _)| *name == unit);
        let known = || UNITS.iter().any(|(name, _)| *name == unit);
        let place = match place {
            _ if number.is_empty() => Err(InvalidDuration::Number),
            Some(place) => Ok(place),
            None if unit.is_empty() => Err(InvalidDuration::NoUnit),
            None if known() => Err(InvalidDuration::Order),
            None => Err(InvalidDuration::Unit),
        }?;
        let part_ms = millis_of(number, units[place].1)?;
        total_ms = total_ms.checked_add(part_ms).ok_or(InvalidDuration::TooLong)?;
        if behind.is_empty() {
            return Ok(Duration::from_millis(total_ms));
        }
        (rest, units) = (behind, &units[place + 1..]);
    }
}

fn split_at(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// The milliseconds of `number`, digits and points, of a unit of `unit_ms`.
fn millis_of(number: &str, unit_ms: u64) -> Result<u64, InvalidDuration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(InvalidDuration::Number);
    }
    // Digits alone: what does not parse is too large.
    let whole: u64 = whole.parse().map_err(|_| InvalidDuration::TooLong)?;
    let whole_ms = whole.checked_mul(unit_ms).ok_or(InvalidDuration::TooLong)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > MAX_FRACTION_DIGITS {
        return Err(InvalidDuration::Fraction);
    }
    let scale = 10_u128.pow(fraction.len() as u32);
    let scaled_ms = fraction.parse().unwrap_or(0_u128) * u128::from(unit_ms);
    if scaled_ms % scale != 0 {
        return Err(InvalidDuration::Fraction);
    }
    // Less than one unit.
    whole_ms.checked_add((scaled_ms / scale) as u64).ok_or(InvalidDuration::TooLong)
}

/// A duration in a configuration: milliseconds as an integer, or a text with units. Written as milliseconds.
pub struct Millis(u64);

impl Millis {
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(as_millis(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        whole(deserializer).map(Duration::from_millis)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MillisVisitor)
    }
}

/// [`Millis`] for a key that is kept as a number of milliseconds.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    <Millis as Deserialize>::deserialize(deserializer).map(|Millis(ms)| ms)
}

/// A table of them, by names of the operator's own.
pub(super) fn whole_by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, u64>, D::Error> {
    let table: BTreeMap<String, Millis> = BTreeMap::deserialize(deserializer)?;
    Ok(table.into_iter().map(|(name, Millis(ms))| (name, ms)).collect())
}

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Millis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            r#"a whole number of milliseconds, or a time with the units d, h, m, s and ms such as "1m30s""#,
        )
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Millis, E> {
        Ok(Millis(ms))
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Millis, E> {
        let ms = u64::try_from(ms).map_err(|_| E::invalid_value(Unexpected::Signed(ms), &self))?;
        Ok(Millis(ms))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Millis, E> {
        let duration = parse(text).map_err(|error| E::custom(format!("{text:?} is no time: {error}")))?;
        Ok(Millis(as_millis(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::known::KnownKeys;

    #[test]
    fn durations_are_numbers_with_units() {
        let table = [
            ("250ms", 250),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("7d", 7 * 86_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1d5ms", 86_400_005),
            ("90m", 5_400_000),
            ("1.5m", 90_000),
            ("0.25s", 250),
            ("1.50s", 1_500),
            ("0.00001d", 864),
            ("0.0009765625d", 84_375),
            ("0s", 0),
            ("0d0ms", 0),
            ("007s", 7_000),
            ("18446744073709551615ms", u64::MAX),
        ];
        for (text, ms) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_texts_say_what_is_wrong() {
        use InvalidDuration::*;
        let table = [
            ("", Number),
            (".s", Number),
            ("ms", Number),
            ("-1s", Number),
            ("+1s", Number),
            (" 1s", Number),
            (".5s", Number),
            ("5.s", Number),
            (".s", Number),
            ("1.2.3s", Number),
            ("٣s", Number),
            ("10", NoUnit),
            ("1.5", NoUnit),
            ("1m30", NoUnit),
            ("1w", Unit),
            ("1 h", Unit),
            ("1s ", Unit),
            ("1S", Unit),
            ("1us", Unit),
            ("1sm", Unit),
            ("1s,2ms", Unit),
            ("1ü", Unit),
            ("30s1m", Order),
            ("1s1s", Order),
            ("1ms1s", Order),
            ("0.5ms", Fraction),
            ("0.0001s", Fraction),
            ("0.0000000125d", Fraction),
            ("1.0000000000000000000000000000001s", Fraction),
            ("18446744073709551616ms", TooLong),
            ("99999999999999999999d", TooLong),
            ("999999999999999999d", TooLong),
            ("18446744073709551s999ms", TooLong),
        ];
        for (text, error) in table {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn every_time_takes_units_and_is_written_in_milliseconds() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        let times: Vec<String> =
            KnownKeys::new().paths().into_iter().filter(|key| key.ends_with("_ms")).collect();
        assert!(times.len() > 15);
        for key in times {
            let forms = match key.ends_with(".group_tick_ms") {
                true => ["{ a = 9_000 }", "{ a = '8s1000ms' }"],
                false => ["9_000", "'8s1000ms'"],
            };
            let [number, text] = forms.map(|form| Config::from_toml(&format!("{key} = {form}")).unwrap());
            assert_eq!(number, text, "{key}");
            let written = serde_json::to_value(&text).unwrap();
            let value = key.split('.').fold(&written, |value, name| &value[name]);
            assert!(*value == 9_000 || value["a"] == 9_000, "{key} = {value}");
            assert_ne!(written, defaults, "{key}");
            assert_eq!(Config::from_toml(&toml::to_string(&text).unwrap()).unwrap(), text, "{key}");
        }
        let error = Config::from_toml("timeouts.ping_ms = '2d'").unwrap().validate().unwrap_err();
        assert_eq!(error.to_string(), "timeouts.ping_ms = 172800000 is out of range: choose 1 to 86400000");
    }
}
