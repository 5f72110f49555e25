//! What bytes are no message of the link for, and what does not fit into one.

use std::fmt;

/// The bytes are not of the layout: where, and what should have stood there.
///
/// ```
/// use gannet::link_bin::Reply;
/// let malformed = Reply::decode(&[0x83, 0, 0, 0, 7, 0, 0, 0, 1]).unwrap_err();
/// assert_eq!(malformed.offset, 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Bytes from the beginning of the message.
    pub offset: usize,
    /// What is there, or is not.
    pub wrong: Wrong,
}

/// See [`Malformed`].
///
/// ```
/// use gannet::link_bin::{Request, Wrong};
/// let refused = Request::decode(&[4, 0, 0, 0, 7, 0, 0, 0, 0, 9, b'g']).unwrap_err();
/// assert!(matches!(refused.error.wrong, Wrong::Truncated { needs: 9, left: 1, .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The message ends within something.
    Truncated {
        /// What should have followed.
        what: &'static str,
        /// Its bytes.
        needs: usize,
        /// The bytes that are left.
        left: usize,
    },
    /// Something goes on behind its end.
    Trailing {
        /// So many bytes.
        bytes: usize,
    },
    /// Text that is not UTF-8.
    NotUtf8 {
        /// Which.
        what: &'static str,
    },
    /// A number that stands for nothing.
    Unknown {
        /// Of what.
        what: &'static str,
        /// The number.
        value: u64,
        /// What there is.
        known: &'static str,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: ", self.offset)?;
        match self.wrong {
            Wrong::Truncated { what, needs, left } => {
                write!(f, "expected {what}, {needs} bytes; the message has {left} left")
            }
            Wrong::Trailing { bytes } => {
                write!(f, "expected the end of the message; it has {bytes} bytes more")
            }
            Wrong::NotUtf8 { what } => write!(f, "expected {what} in UTF-8"),
            Wrong::Unknown { what, value, known } => {
                write!(f, "expected {what}, one of {known}; it is {value:#x}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// A field does not fit into what the layout has for its length.
///
/// ```
/// use gannet::link_bin::{Command, Request};
/// let group = "x".repeat(300);
/// let request = Request::new(7, Command::Destroy { group: &group });
/// let too_long = request.encode(&mut Vec::new()).unwrap_err();
/// assert_eq!((too_long.length, too_long.most), (300, 255));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// Which field.
    pub what: &'static str,
    /// Its length.
    pub length: usize,
    /// The longest there is.
    pub most: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} long; the layout has room for {}", self.what, self.length, self.most)
    }
}

impl std::error::Error for TooLong {}
