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
//! # The rooms
//!
//! ```text
//! socket → reactor → connection → protocol::Event → gateway, App → hub → mailbox
//!                                                                           ↓
//! socket ← one writev a turn ← outbox ← hub (local members) ← the owning reactor wakes
//! ```
//!
//! From the bottom up: a room imports only rooms above it in this table, and a test reads the source to see that.
//!
//! | room | is |
//! | --- | --- |
//! | [`protocol`] | RFC 6455 as a state machine |
//! | [`http`] | HTTP/1.1 heads, bodies and responses, without I/O |
//! | `timer` | clock, moments, the wheel |
//! | `mailbox` | a bounded lock-free queue a reactor, a sleeping flag, an eventfd wake |
//! | `proxy` | where a client is, as a proxy says |
//! | `metrics` | counters, gauges and histograms, a set a reactor |
//! | `upgrade` | live sockets and their state on the way to a new process |
//! | `stream` | a session over plain HTTP: events, documents of polls, gzip without state |
//! | [`session`] | ids and names; where a client is; the slab with generations |
//! | [`client`] | a blocking WebSocket client |
//! | [`dispatch`] | the vocabulary of pushes and operations, and inside what travels between reactors |
//! | `ops` | one row for each operation and page: its fields, opcode, path, what a key must be allowed |
//! | [`link_bin`] | the bytes of the binary link, both ways |
//! | [`config`] | settings and every limit |
//! | `hub` | this core's users, groups and tags → sessions; the shared interest table |
//! | `tls` | certificates; TLS between the socket and its bytes |
//! | `cluster` | links to Redis, over which nodes hear each other |
//! | `auth` | tokens and signed queries, made and checked |
//! | `admission` | who fits in: sessions of an app, a user, an address; upgrades a second |
//! | `gateway::api` | requests, commands and events as HTTP, JSON and bytes, both ways |
//! | `connection` | one socket, its WebSocket, its outbox, its deadlines, why it is paused |
//! | `core` | what one reactor's rooms act on together: offering, writing, closing |
//! | `app` | [`App`], [`Session`], [`Message`], [`Pusher`] |
//! | `gateway::doors` | what a client, a backend and a link are in the middle of |
//! | `gateway` | which door a connection came through; who is told of opens, messages and closes |
//! | `reactor` | the turn; accepting, reading, wrapping, spinning |
//! | `server` | [`Server`]: bind, run, stop |
//! | `cli` | the program: a file a subcommand |
// The map names the whole house, also where only the core is built.
#![cfg_attr(not(feature = "server"), allow(rustdoc::broken_intra_doc_links))]
// The schemas of the OpenAPI document are one literal.
#![recursion_limit = "256"]
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
mod cluster;
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
mod ops;
#[cfg(feature = "server")]
mod proxy;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
pub mod session;
#[cfg(feature = "server")]
mod stream;
#[cfg(feature = "server")]
mod timer;
#[cfg(feature = "server")]
mod tls;
#[cfg(feature = "server")]
mod upgrade;

#[cfg(feature = "server")]
pub use app::{App, ClosedSession, Message, PushError, Pusher, Relay, Sent, Session, SessionError};
#[cfg(feature = "server")]
pub use server::{
    BindError, Certificates, PassedFault, Pulse, ReloadError, Reloaded, Reloader, RulesError, RunError,
    Server, StopReport, Stopper, TlsError,
};

/// The code in the documents compiles and runs: it is tested as that of this file is.
#[cfg(all(doctest, feature = "server"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/library.md")]
    mod library {}
}
