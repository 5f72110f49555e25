//! A door on its way to another process.

use super::backend::CarriedBackend;
use super::client::CarriedHead;
use super::link::CarriedLink;
use minicbor::{Decode, Encode};

/// What a connection is in the middle of, on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CarriedDoor {
    /// An upgrade request that is being read.
    #[n(0)]
    Head(#[n(0)] CarriedHead),
    /// HTTP on the backend port.
    #[n(1)]
    Backend(#[n(0)] Box<CarriedBackend>),
    /// A link.
    #[n(2)]
    Link(#[n(0)] Box<CarriedLink>),
}
