//! A WebSocket push server for games, and the RFC 6455 core it stands on.
//!
//! gannet holds players' WebSocket sessions, knows them by session, user, group and tag, and gets a message from the
//! game's backend to a player's socket in microseconds, whichever core owns the socket. One reactor thread a core, no
//! async runtime, no locks on the way of a message.
//!
//! Two types to start from:
//!
//! * [`Server`] embeds the server: implement [`App`], run it on every reactor, push from any thread through a
//!   [`Pusher`]. The `gannet` program is such an embedding.
//! * [`protocol::WebSocket`] is the RFC 6455 core: bytes in, events out, bytes out, both roles, with no networking code.
//!   With `default-features = false` it is all there is.
//!
//! # The rooms, in the order that data meets them
//!
//! ```text
//! socket → reactor → connection → protocol::Event → gateway, App → hub → mailbox
//!                                                                           ↓
//! socket ← one writev a turn ← outbox ← hub (local members) ← the owning reactor wakes
//! ```
//!
//! | room | is |
//! | --- | --- |
//! | `reactor` | the turn: poll, read, drain, run, flush, time, reap; accept |
//! | `proxy`, `tls` | where a client is, as a proxy says; TLS between the socket and its bytes |
//! | `connection` | one socket, its stage, its outbox, its deadlines |
//! | [`protocol`] | RFC 6455 as a state machine |
//! | [`http`] | HTTP/1.1 heads, bodies and responses |
//! | `gateway` | the upgrade, the HTTP API, links: commands in, answers and events out |
//! | [`link_bin`] | the bytes of the binary link, both ways |
//! | `auth` | tokens and signed queries, made and checked |
//! | `admission` | who fits in: sessions of an app, a user, an address; upgrades a second |
//! | [`dispatch`] | what travels between cores: pushes, operations, their receipts |
//! | [`hub`] | this core's users, groups and tags → sessions; the shared interest table |
//! | [`mailbox`] | a bounded lock-free queue a reactor, a sleeping flag, an eventfd wake |
//! | [`session`] | ids, names, the slab with generations |
//! | [`config`], [`metrics`], `cli` | settings and every limit; counters and histograms; the program |
// The map names the whole house, also where only the core is built.
#![cfg_attr(not(feature = "server"), allow(rustdoc::broken_intra_doc_links))]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod http;
pub mod protocol;

#[cfg(feature = "server")]
mod admission;
#[cfg(feature = "server")]
mod app;
#[cfg(feature = "server")]
mod auth;
#[cfg(any(feature = "fuzzing", all(test, feature = "server")))]
mod choices;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod core;
#[cfg(feature = "server")]
pub mod dispatch;
#[cfg(any(feature = "fuzzing", all(test, feature = "server")))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "server")]
mod gateway;
#[cfg(feature = "server")]
mod hub;
#[cfg(feature = "server")]
pub mod link_bin;
#[cfg(feature = "server")]
mod mailbox;
#[cfg(feature = "server")]
mod metrics;
#[cfg(feature = "server")]
mod proxy;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
pub mod session;
#[cfg(feature = "server")]
mod timer;
#[cfg(feature = "server")]
mod tls;

#[cfg(feature = "server")]
pub use app::{App, ClosedSession, Message, PushError, Pusher, Relay, Sent, Session, SessionError};
#[cfg(feature = "server")]
pub use server::{BindError, Certificates, RunError, Server, StopReport, Stopper, TlsError};

/// The code in the documents compiles and runs: it is tested as that of this file is.
#[cfg(all(doctest, feature = "server"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/library.md")]
    mod library {}
}
