//! How the nodes of a cluster hear each other: links to Redis, whose channels are the bus. Knows nothing of sessions' sockets
//! and reactors: state machines whose time and randomness are arguments, and the one socket of a link.
//!
//! [`Link`] is a connection to one Redis, in the protocol that `resp` reads and writes; [`Fault`] says why one is down. [`Lease`] is how a node
//! comes by its number, and [`Members`] are the nodes that heartbeats are heard of.

mod fault;
mod lease;
mod link;
mod members;
#[cfg(test)]
mod redis_server;
mod resp;

pub use fault::{Fault, FaultKind};
pub use lease::{CarriedLease, Command, Holder, Lease, LeaseEvent, LeaseFault, LeaseSettings, SharedSecret};
pub use link::{Event, Greeting, Link, LinkLimits, NotTaken, Waker};
pub use members::{Heartbeat, InvalidHeartbeat, Member, MemberEvent, Members, PublishedTo};
pub use resp::{Frame, ParseError, Parser, ParserLimits, Value, write_command, write_publish};
