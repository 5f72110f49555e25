//! How the nodes of a cluster hear each other: links to Redis, whose channels are the bus. Knows nothing of sessions' sockets
//! and reactors: state machines whose time and randomness are arguments, and the one socket of a link.
//!
//! [`Link`] is a connection to one Redis, in the protocol that `resp` reads and writes; [`Fault`] says why one is down. A
//! [`message`] is what goes over it: a header and a body, which is a [`push`], a [`command`] or a [`part`] of an answer.

pub mod command;
mod fault;
mod link;
pub mod message;
pub mod part;
pub mod push;
#[cfg(test)]
mod redis_server;
mod resp;

pub use fault::{Fault, FaultKind};
pub use link::{Event, Greeting, Link, LinkLimits, NotTaken, Waker};
pub use resp::{Frame, ParseError, Parser, ParserLimits, Value, write_command, write_publish};
