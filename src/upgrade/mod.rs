//! Live sockets and their state on the way to a new process. Knows nothing of what a state means: each room says in one place
//! how what it owns is carried, in types named `Carried…`, which are CBOR (RFC 8949) on the way.
#![allow(dead_code, reason = "in the making")]

mod invalid;

pub use invalid::InvalidState;
