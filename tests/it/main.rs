//! gannet from outside: real sockets, an independent WebSocket client, and what a naive model says must arrive.
//! One binary: it links once.
#![cfg(feature = "cli")]

mod accepting;
mod attacks;
mod auth;
mod bench;
mod churn;
mod cli_tls;
mod client_port;
mod configured;
mod crowd;
mod delivery;
mod delivery_classes;
mod doors_under_siege;

mod drain;
mod echo;
mod entry;
mod environment;
mod faults;
mod faults_deflate;
mod faults_growth;
mod faults_library;
mod faults_pause;
mod faults_promises;
mod faults_turn;
mod faults_unsent;
mod group_move;
mod hidden_addresses;
mod http_api;
mod idle;
#[path = "../../src/auth/issuer.rs"]
mod issuer;
mod lame_duck;
mod limits;
mod link_forms;
mod links;
mod listening;
mod log_lines;
mod logging;
mod metrics;
mod misbehaving;
mod misbehaving_backends;
mod openapi;
mod own_messages;
mod pipelining;
mod proxy;
mod pusher;
mod raw;
mod renewing;
mod retry_after;
mod smoke;
mod soak;
mod stalled;
mod standards;
mod stop;
mod strangers;
mod support;
mod tls;
mod tls_abuse;
mod tokens;
mod tokens_jwks;
mod tokens_offered;
mod tokens_public;
mod tokens_rotation;
mod wall_clock;
