//! The permissions of a Unix socket's file, as operators write them.

use std::fmt;
use std::str::FromStr;

/// Who may connect to a Unix socket: the permissions of its file, in octal as for chmod(1). Writing is connecting.
///
/// ```
/// use gannet::config::UnixMode;
/// assert_eq!(UnixMode::default(), "660".parse().unwrap());
/// assert_eq!("0600".parse::<UnixMode>().unwrap().bits(), 0o600);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixMode(u32);

/// A text is not a [`UnixMode`].
///
/// ```
/// assert!("rw-rw----".parse::<gannet::config::UnixMode>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUnixMode;

impl UnixMode {
    /// The nine bits of owner, group and others.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for UnixMode {
    /// The server's own user and group.
    fn default() -> Self {
        Self(0o660)
    }
}

impl FromStr for UnixMode {
    type Err = InvalidUnixMode;

    fn from_str(text: &str) -> Result<Self, InvalidUnixMode> {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if digits.len() == 3 && !digits.starts_with('+') => Ok(Self(bits)),
            _ => Err(InvalidUnixMode),
        }
    }
}

impl fmt::Display for UnixMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl fmt::Display for InvalidUnixMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mode is three octal digits, for the owner, the group and others: write it as \"660\"")
    }
}

impl std::error::Error for InvalidUnixMode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_three_octal_digits() {
        for (text, bits) in [("660", 0o660), ("0666", 0o666), ("000", 0), ("777", 0o777)] {
            assert_eq!(text.parse::<UnixMode>().map(UnixMode::bits), Ok(bits));
        }
        for text in ["", "66", "6600", "00660", "668", "+60", "-60", "rw-", "0o660", "1777"] {
            assert_eq!(text.parse::<UnixMode>(), Err(InvalidUnixMode), "{text}");
        }
    }
}
