//! gannet from outside: real sockets, an independent WebSocket client, and what a naive model says must arrive.
//! One binary: it links once.
#![cfg(feature = "cli")]

mod bench;
mod smoke;
mod support;
