//! What the standards ask of both ports, byte for byte: RFC 6455, RFC 9110, RFC 9112 and the PROXY protocol.

mod answers;
mod heads;
mod proxy;
mod upgrade;

use crate::raw::{Answer, Raw};
use std::net::SocketAddr;

/// The answer to `bytes` on a connection of their own, and what comes behind it.
fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> (Answer, Vec<u8>) {
    let mut raw = Raw::connect(address);
    raw.send(bytes);
    raw.end_writing();
    let answer = raw.answer();
    (answer, raw.rest())
}
