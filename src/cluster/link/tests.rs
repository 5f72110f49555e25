//! Links to real Redis servers, and to what only claims to be one.

mod broken;
mod carried;
mod greetings;
mod refused;
#[cfg(feature = "tls")]
mod secure;
mod served;
mod world;
