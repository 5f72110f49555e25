//! The tables, a file a group of behaviours.

mod close;
mod deflate;
mod fragmentation;
mod framing;
mod limits;
mod utf8;

use crate::case::Case;

pub use fragmentation::split;

/// Every case, in the order of the groups.
pub fn all() -> Vec<Case> {
    let groups = [
        framing::cases(),
        fragmentation::cases(),
        utf8::cases(),
        close::cases(),
        limits::cases(),
        deflate::cases(),
    ];
    groups.into_iter().flatten().collect()
}
