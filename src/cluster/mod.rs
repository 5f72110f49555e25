//! The bus to other nodes, over Redis: what is said and heard, and the connections that carry it. State machines whose time and
//! randomness are arguments, and the socket of a link. Knows nothing of sockets of players.
//!
//! [`Link`] is a connection to one Redis, in the protocol that `resp` reads and writes; [`Fault`] says why one is down.

mod channel;
pub mod command;
mod cut;
mod digest;
mod fault;
mod hearing;
mod lease;
mod link;
mod members;
pub mod message;
mod names;
mod outgoing;
pub mod part;
pub mod push;
#[cfg(test)]
mod redis_server;
mod resp;

pub use channel::{Channels, Set, hash, server_of};
pub use cut::{Cut, Way, cut, way_of};
pub use digest::{read_digest, read_windows, write_digest, write_windows};
pub use fault::{Fault, FaultKind};
pub use hearing::{Heard, Hearing, Missed, PublisherKey};
pub use lease::{CarriedLease, Command, Holder, Lease, LeaseEvent, LeaseFault, LeaseSettings, SharedSecret};
pub use link::{Event, Greeting, Link, LinkLimits, NotTaken, Waker};
pub use members::{Heartbeat, Member, MemberEvent, Members};
pub use names::{Names, Order};
pub use outgoing::{Digest, Lost, Number, Outgoing, QueueLimits};
pub use resp::{Frame, ParseError, Parser, ParserLimits, Value, write_command, write_publish};
