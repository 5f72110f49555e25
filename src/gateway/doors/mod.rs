//! The doors: what an upgrade request, a backend connection and a link are in the middle of, and what their bytes do.

mod admit;
pub mod backend;
pub mod client;
pub mod link;
