//! What proxies say about where a client is: the PROXY protocol in front of a connection, versions 1 and 2, and
//! `X-Forwarded-For` in a request. Bytes in, addresses out. Knows nothing of sockets, nor of whom to believe.

mod forwarded;
mod header;

pub use forwarded::client_behind;
pub use header::{InvalidHeader, MAX_HEADER_BYTES, ProxyHeader, begins_header};
