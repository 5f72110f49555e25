//! How a table of numbers is written down: every key once, with its default and its legal values beside it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ConfigError;

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const GIB: u64 = 1024 * MIB;
/// The most of anything that is counted and has no bound of its own.
pub(super) const COUNT: u64 = 1 << 24;
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A table of the configuration: the struct, its defaults, `check_ranges`, and its part of the schema. A key is a line: `name: Type = default, in
/// min..=max;`. Default and bounds are in the unit of the file, which for a [`Duration`] is the millisecond. What is no
/// number has no bounds.
macro_rules! table {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $table:literal {
            $($(#[$key_meta:meta])* pub $key:ident: $type:ty = $default:expr $(, in $legal:expr)?;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
        #[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$key_meta])*
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`" $(, "; legal: `", stringify!($legal), "`")?, ".")]
                $(#[cfg_attr(feature = "cli", schemars(transform = $crate::config::table::Legal::from($legal)))])?
                pub $key: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $crate::config::table::table!(@default $default $(, $legal)?),)* }
            }
        }

        impl $name {
            /// Whether every number is within its bounds.
            pub(super) fn check_ranges(&self) -> Result<(), $crate::config::ConfigError> {
                $($(
                    let legal = $crate::config::table::Legal::from($legal);
                    let key = concat!($table, ".", stringify!($key));
                    $crate::config::table::Number::check(&self.$key, key, &legal)?;
                )?)*
                Ok(())
            }
        }
    };
    (@default $default:expr, $legal:expr) => {
        $crate::config::table::Number::of($default)
    };
    (@default $default:expr) => {
        $default
    };
}
pub(super) use table;

/// The legal values of a number.
pub(super) struct Legal {
    range: RangeInclusive<u64>,
    /// 0 is legal too, and means something else.
    zero: bool,
}

impl From<RangeInclusive<u64>> for Legal {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self { range, zero: false }
    }
}

/// 0, or a number in `range`.
pub(super) fn zero_or(range: RangeInclusive<u64>) -> Legal {
    Legal { range, zero: true }
}

impl Legal {
    /// Whether `value` of `key` is one of them.
    pub(super) fn check(&self, key: impl Into<String>, value: u64) -> Result<(), ConfigError> {
        if self.range.contains(&value) || (self.zero && value == 0) {
            return Ok(());
        }
        let (min, max) = (*self.range.start(), *self.range.end());
        Err(ConfigError::OutOfRange { key: key.into(), value, min, max })
    }
}

/// Puts the bounds into the schema of a key, wherever it takes a number: beside a text with units, or in a table of
/// numbers.
#[cfg(feature = "cli")]
impl schemars::transform::Transform for Legal {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        let takes_number = match schema.get("type") {
            Some(serde_json::Value::Array(types)) => types.contains(&"integer".into()),
            one => one == Some(&"integer".into()),
        };
        if takes_number {
            let (min, max) = self.range.clone().into_inner();
            schema.remove("minimum");
            if self.zero {
                let either = serde_json::json!([{ "const": 0 }, { "minimum": min, "maximum": max }]);
                schema.insert("anyOf".to_owned(), either);
            } else {
                schema.insert("minimum".to_owned(), min.into());
                schema.insert("maximum".to_owned(), max.into());
            }
        }
        schemars::transform::transform_subschemas(self, schema);
    }
}

/// What a bounded key holds.
pub(super) trait Number {
    /// From the number in the file.
    fn of(value: u64) -> Self;

    /// Whether it is legal; `key` is its path without the unit of its type.
    fn check(&self, key: &str, legal: &Legal) -> Result<(), ConfigError>;
}

impl Number for usize {
    fn of(value: u64) -> Self {
        value as Self
    }

    fn check(&self, key: &str, legal: &Legal) -> Result<(), ConfigError> {
        legal.check(key, *self as u64)
    }
}

impl Number for Duration {
    fn of(value: u64) -> Self {
        Self::from_millis(value)
    }

    fn check(&self, key: &str, legal: &Legal) -> Result<(), ConfigError> {
        legal.check(format!("{key}_ms"), as_millis(*self))
    }
}

/// A duration in whole milliseconds; what does not fit into 64 bits is out of every range anyway.
pub(super) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
