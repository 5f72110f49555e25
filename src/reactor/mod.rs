//! (in progress)

pub mod wheel;
