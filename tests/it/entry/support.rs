//! Servers with keys, and requests that show one.

use crate::raw::{Answer, Raw};
use crate::support::ServerProcess;
use gannet::config::{BackendKey, Secret};
use gannet::dispatch::Right;
use std::net::SocketAddr;

pub const ALL: &str = "all-0123456789abcdef";
pub const READ: &str = "read-0123456789abcdef";
pub const PUSH: &str = "push-0123456789abcdef";
pub const CHESS: &str = "chess-0123456789abcdef";

/// A server of two reactors with the apps chess and default, and a key for each right.
pub fn with_keys() -> ServerProcess {
    let config = format!(
        "[apps.chess]\n[backend]\nkey = '{ALL}'\nkeys = [\n\
         {{ name = 'scraper', key = '{READ}', may = ['read'] }},\n\
         {{ name = 'pusher', key = '{PUSH}', may = ['push'] }},\n\
         {{ name = 'chess', key = '{CHESS}', may = ['all'], apps = ['chess'] }},\n]\n"
    );
    ServerProcess::start(&["--reactors", "2"], &config)
}

/// A key of the backend port.
pub fn key(name: &str, key: &str, may: &[Right], apps: &[&str]) -> BackendKey {
    BackendKey {
        name: name.to_owned(),
        key: Some(Secret::new(key)),
        key_file: None,
        may: may.to_vec(),
        apps: apps.iter().map(|app| (*app).to_owned()).collect(),
    }
}

/// The header line that shows `key`.
pub fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

/// What a request with these header lines is answered, on a connection of its own.
pub fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let mut raw = Raw::connect(address);
    raw.send(request(line, headers, body));
    raw.answer()
}

/// A request.
pub fn request(line: &str, headers: &str, body: &str) -> String {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\n{host}{headers}{length}\r\n{body}")
}

/// An upgrade to a link with these header lines.
pub fn link_upgrade(headers: &str) -> String {
    request(
        "GET /v1/link",
        &format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: gannet.link.json\r\n{headers}"
        ),
        "",
    )
}
