//! gannet from outside: real sockets, an independent WebSocket client, and what a naive model says must arrive.
//! One binary: it links once.
#![cfg(feature = "cli")]

mod accepting;
mod delivery;
mod group_move;
mod idle;
mod links;
mod misbehaving;
mod raw;
mod smoke;
mod stop;
mod support;
