//! Lines of the log about a client, and how they show where it is.

use crate::session::Remote;
use std::fmt;

/// Where a client is, as far as that is known: `-` where it is not.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub Option<Remote>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(remote) => remote.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// A line about a client: `log_client!(debug, connection = id, remote, "refused with {status}")`. Its address is in the text,
/// for every logger, and a field of its own, `remote`, by which the log of the program tells clients apart: a second line from
/// the same place in the code about the same client is held back for a second. What it says is worked out only where the level
/// is logged.
macro_rules! log_client {
    ($level:ident, $what:ident = $id:expr, $remote:expr, $($text:tt)+) => {
        log::$level!(
            remote:% = $remote, $what:% = $id;
            concat!(stringify!($what), " {} from {}: {}"), $id, $remote, format_args!($($text)+)
        )
    };
    ($level:ident, $remote:expr, $($text:tt)+) => {
        log::$level!(remote:% = $remote; "a connection from {}: {}", $remote, format_args!($($text)+))
    };
}
pub(crate) use log_client;
