//! Connections whose doors are carried to another process in the middle: their clients see the same bytes as without.

mod keys;
mod links;
mod random;
#[cfg(feature = "tls")]
mod reference;
mod states;
mod support;
mod waits;
#[cfg(feature = "tls")]
mod world;
