//! The bus to other nodes, over Redis: what is said and heard, and the connections that carry it. State machines whose time and
//! randomness are arguments, and the socket of a link. Knows nothing of sockets of players.
//!
//! [`Link`] is a connection to one Redis, in the protocol that `resp` reads and writes; [`Fault`] says why one is down.

mod channel;
pub mod command;
pub mod crossing;
mod cut;
mod digest;
mod fault;
pub mod fence;
mod hearing;
mod held;
pub mod known;
mod lease;
mod link;
pub mod links;
mod members;
pub mod memory;
pub mod message;
mod names;
pub mod online;
mod outgoing;
pub mod part;
pub mod places;
mod planner;
pub mod push;
#[cfg(test)]
mod redis_connection;
#[cfg(test)]
mod redis_server;
mod resp;
mod slots;
mod spread;

pub use channel::{Channels, Set, hash, hash_for};
pub use cut::{Cut, Way, cut, way_of};
pub use digest::{read_digest, read_windows, write_digest, write_windows};
pub use fault::Fault;
pub use hearing::{CarriedHearing, Heard, Hearing, Missed, PublisherKey};
pub use held::{Held, HeldMessage};
pub use lease::{CarriedLease, Lease, LeaseEvent, LeaseSettings};
pub use link::{CarriedLink, Directory, Event, Greeting, Link, LinkLimits, Waker};
pub use members::{CarriedMembers, Heartbeat, Member, MemberEvent, Members, SharedLinks};
pub use names::{CarriedNames, Names, Order};
pub use outgoing::{CarriedOutgoing, Digest, Full, Number, Outgoing, QueueLimits};
pub use planner::{Plan, Planner};
#[cfg(any(test, feature = "fuzzing"))]
pub use resp::{Frame, ParseError, Parser, ParserLimits, write_command};
pub use resp::{Value, write_publish};
pub use slots::tag_of;
pub use spread::Spread;
