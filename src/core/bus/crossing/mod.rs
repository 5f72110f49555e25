//! Sessions that cross from one node to another, since their clients have come to the other one. The new node claims the session;
//! the old one says what it is. The new node makes a session of these names, and when other nodes reach it by them, it takes what
//! the client has not read.
//!
//! # Why a message is read once
//! A push reaches the old session, the new one, or both; *given* is what the old one was given.
//!
//! * **None is lost.** The session is taken when the new node hears its names. What was published before, by anybody, is in the
//!   order of that Redis before the message that takes it: the old node hears it first. What the new node has published itself, and
//!   delivered before the new session was there, Redis has taken before: the node waits for that ([`settling`]).
//! * **None comes twice.** The old node notes what it gives from the claim on, by the number that the push has on the bus, and tells
//!   it with the rest. The new session holds what comes until it has the rest, and leaves out what was given. What was given before
//!   the claim comes to no new session: what of it is the old node's own, Redis had taken before that answered, and the answer comes over each Redis,
//!   behind everything that was heard there. What was given later comes to the new node before the end of the rest, in the same way. A publisher whose connection breaks writes again what
//!   Redis had taken: the end of the rest says how far the old node has heard each, and the new node takes no more of that for news.
//! * **In order.** What the old session was given of one publisher is the beginning of what that published, and what is held of it
//!   and was not given follows on that.
//!
//! While one of the two waits for the other, either may vanish: before the session is taken it is where it was, and behind that it
//! is over, and the client is told of a gap.

mod coming;
mod going;
mod holding;
mod settling;
mod state;

pub(super) use state::Crossing;
pub use state::{CrossingNews, Ending, Said};
