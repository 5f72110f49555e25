//! permessage-deflate, RFC 7692: how it is negotiated, and how messages are compressed. It knows nothing of frames.
//!
//! By default neither side takes its context over from one message to the next, so that a session holds no window, and
//! what goes to many is compressed once for all.

mod codec;
mod negotiation;

pub(super) use codec::Deflate;
pub use codec::DeflateEngine;
pub use negotiation::{DeflateConfig, DeflateParameters, DeflateRefused};
