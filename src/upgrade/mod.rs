//! Live sockets and their state on the way to a new process. Knows nothing of what a state means: each room says in one place
//! how what it owns is carried, in types named `Carried…`, which are CBOR (RFC 8949) on the way.
//!
//! The old process starts a [`Child`] and talks to it over a [`Line`]. Both send and receive the messages of
//! `docs/upgrade.md` with it, and the state through a [`Sink`] and a [`Source`], which also lead through a store where no
//! process answers ([`Parking`], [`Unparked`]). Who takes the [`Token`] owns the players. A [`Fault`] anywhere takes
//! everything back.

mod child;
mod fault;
mod frame;
mod invalid;
mod line;
mod message;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) mod model;
mod parked;
mod process;
mod receiver;
mod socket;
mod step;
mod stream;
#[cfg(test)]
mod tests;
mod token;

pub use child::{Child, Start};
pub use fault::{Cause, Fault, Peer};
pub use invalid::InvalidState;
pub use line::Line;
pub use message::{Counts, Formats, Hello, MAX_DESCRIPTORS, PROTOCOL, Ready, Totals};
pub use parked::{Parking, Unparked};
pub use receiver::Batch;
pub use step::step;
pub use stream::{Sink, Source};
pub use token::Token;
