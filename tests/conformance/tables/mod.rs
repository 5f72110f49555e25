//! The tables, a file a group of behaviours.

mod close;
mod fragmentation;
mod framing;
mod limits;
mod utf8;

use crate::case::Case;

/// Every case, in the order of the groups.
pub fn all() -> Vec<Case> {
    [framing::cases(), fragmentation::cases(), utf8::cases(), close::cases(), limits::cases()]
        .into_iter()
        .flatten()
        .collect()
}
