//! The bus to other nodes, over Redis: what is said and heard, and the connections that carry it. Start from [`Link`]. Knows
//! nothing of sockets of players.

mod channel;
mod cut;
mod hearing;
mod names;
mod outgoing;

pub use channel::{Channels, Set, hash, server_of};
pub use cut::{Cut, Way, cut, way_of};
pub use hearing::{Hearing, Missed, PublisherKey};
pub use names::{Names, Order};
pub use outgoing::{Digest, Lost, Number, Outgoing, QueueLimits};
