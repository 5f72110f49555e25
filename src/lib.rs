//! A WebSocket push server for games, and the RFC 6455 core it stands on.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod http;
pub mod protocol;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
pub mod dispatch;
#[cfg(feature = "server")]
mod gateway;
#[cfg(feature = "server")]
pub mod hub;
#[cfg(feature = "server")]
pub mod mailbox;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
mod reactor;
#[cfg(feature = "server")]
pub mod session;
