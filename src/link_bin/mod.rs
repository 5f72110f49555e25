//! The wire layout of the binary link, `gannet.link.bin`: commands, replies and events as bytes, both ways, for the server
//! and for backends in Rust. docs/link.md has the layout in tables. Knows nothing of sockets, limits, or of what a command
//! does: it borrows from the bytes that it reads.
//!
//! ```
//! use gannet::link_bin::{Command, Payload, Push, Reply, Request, Selector};
//!
//! let target = [Selector::User("ada")].into_iter().collect();
//! let push = Push::new(target, Payload::Text("hi"));
//! let mut message = Vec::new();
//! Request::new(7, Command::Push(push)).encode(&mut message)?;
//! assert_eq!(message[..8], [1, 0, 0, 0, 7, 0, 0, 0]);
//!
//! let (id, reply) = Reply::decode(&[0x83, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0])?;
//! assert_eq!((id, reply), (7, Reply::Sessions(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod asks;
mod bans;
mod command;
mod details;
mod error;
mod event;
mod kept;
mod names;
mod number;
mod of_dispatch;
mod pages;
mod presence;
mod receipt;
mod reply;
mod resumption;
mod several;
mod state;
pub(crate) mod wire;

pub(crate) use command::Parts;
pub use command::{By, Command, Groups, Push, Refused, Request, Routed, Selector, Targets, Who, Whom};
pub use details::Details;
pub use error::{Malformed, TooLong, Wrong};
pub use event::{Event, Membership, Tagged};
pub use number::number_of;
pub(crate) use number::numbered;
pub use reply::Reply;
pub use resumption::{NotResumed, Resumption};
pub use several::{commands_of, encode_several};
pub use state::State;

/// The subprotocol of a link that speaks this layout.
pub const SUBPROTOCOL: &str = "gannet.link.bin";

/// Whether a message of the server is an event; if not, it is a reply.
pub fn is_event(message: &[u8]) -> bool {
    message.first().is_some_and(|opcode| *opcode >= event::OPEN)
}

/// A message of a player, or to one (RFC 6455 §5.6).
///
/// ```
/// use gannet::link_bin::Payload;
/// assert_eq!(Payload::Text("hi").as_bytes(), b"hi");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests;
