//! Who a session is: its id, the names it is known by, where its client is, networks, and the slab that holds the live ones with a generation a slot.
//! Knows nothing of bytes, sockets or queues.

pub mod close_codes;
mod id;
mod name;
mod network;
mod remote;
mod slab;

pub use id::{ParseSessionIdError, SessionId};
pub(crate) use name::AppId;
pub use name::{InvalidName, Name};
pub use network::{InvalidNetwork, Network};
pub use remote::Remote;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use slab::model as slab_model;
pub(crate) use slab::{CarriedGenerations, GenerationalSlab};
