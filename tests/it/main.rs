//! gannet from outside: real sockets, an independent WebSocket client, and what a naive model says must arrive.
//! One binary: it links once.
#![cfg(feature = "cli")]

mod accepting;
mod client_port;
mod delivery;
mod http_api;
mod misbehaving;
mod raw;
mod smoke;
mod support;
