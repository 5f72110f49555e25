//! The opening handshake, RFC 6455 §4: what turns an HTTP/1.1 connection into a WebSocket, seen from both ends. It
//! knows nothing of what a path means or who may come in.

mod client;
mod extensions;
mod server;

pub use client::{Accepted, ClientHandshake, Request, RequestError, ResponseError};
#[cfg(feature = "deflate")]
pub(super) use extensions::Extension;
pub(super) use extensions::parse_extensions;
pub use server::{Upgrade, UpgradeError, check_upgrade, write_accept};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// The version of the protocol that RFC 6455 defines, the only one.
pub const VERSION: &str = "13";

/// The key's length in base64: 16 bytes.
const KEY_LENGTH: usize = 24;

/// The answer to a client's `Sec-WebSocket-Key`, RFC 6455 §1.3 and §4.2.2: ASCII.
///
/// ```
/// use gannet::protocol::handshake::accept_key;
/// assert_eq!(&accept_key("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let mut accept = [0; 28];
    let written = STANDARD.encode_slice(hash.finalize(), &mut accept);
    debug_assert_eq!(written, Ok(28), "20 bytes are 28 in base64");
    accept
}

/// Whether `text` is a token, RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The elements of a comma-separated list, RFC 9110 §5.6.1; empty ones are passed over.
fn list_elements(value: &str) -> impl Iterator<Item = &str> + Clone {
    value.split(',').map(trim_whitespace).filter(|element| !element.is_empty())
}

/// Without the optional whitespace around it, RFC 9110 §5.6.3.
fn trim_whitespace(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
