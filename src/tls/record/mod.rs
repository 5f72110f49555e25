//! The record layer of a session whose handshake is done: RFC 8446 §5 for TLS 1.3, RFC 5246 §6 with RFC 5288 and RFC 7905 for
//! TLS 1.2, on the AEADs of ring. It knows what may come after a handshake, and refuses everything else. Knows nothing of
//! sockets, handshakes and certificates.
//!
//! Begin with [`RecordLayer`]. docs/security.md says what it may do and why it is here.

mod carried;
#[cfg(any(test, feature = "fuzzing"))]
mod forger;
mod handshake;
mod header;
mod keys;
mod layer;
mod refusal;
mod secret;
mod suite;

pub use carried::{CarriedRecords, Secret};
#[cfg(any(test, feature = "fuzzing"))]
pub use forger::Forger;
pub use header::{HEADER_BYTES, missing_bytes};
pub use keys::Keys;
pub use layer::{RecordLayer, Secrets};
#[cfg(any(test, feature = "fuzzing"))]
pub use refusal::Refusal;
pub use secret::TrafficSecret;
pub use suite::{Aead, Suite, Version};

/// The longest record that is waited for, with its header.
pub const MAX_RECORD_BYTES: usize = HEADER_BYTES + suite::MAX_PLAINTEXT + 2048;
