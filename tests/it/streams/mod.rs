//! Sessions without WebSocket.

mod events;
mod poll_ends;
mod polls;
mod proxies;
mod resume;

use crate::support::*;

/// What a browser says that it takes.
pub const GZIP: &str = "Accept-Encoding: gzip, deflate, br\r\n";

/// Pushes, and says for how many sessions.
fn push(server: &Ports, target: &str, kind: &str, body: &[u8]) -> u64 {
    let mut backend = server.backend();
    backend.send("POST", &format!("/v1/push?{target}"), kind, body);
    let reply = backend.receive();
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    reply.json()["queued"].as_u64().unwrap()
}
