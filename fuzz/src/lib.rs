//! The bodies of the fuzz targets: each takes any bytes and panics when something is wrong.
//!
//! The package's own tests replay them on the corpus, so that what fuzzing found stays found. Here are those of the
//! protocol; those of the rooms that are private are `gannet::fuzzing`.

pub mod connection;
pub mod decoder;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod differential;
pub mod handshake;
pub mod mask;
pub mod roundtrip;
pub mod utf8;

mod choices;
mod endpoint;

/// Takes any bytes, and panics when something is wrong.
pub type Body = fn(&[u8]);

/// Every target by its name, which is also its folder in the corpus.
pub const TARGETS: &[(&str, Body)] = &[
    ("connection", connection::run),
    ("decoder", decoder::run),
    #[cfg(feature = "deflate")]
    ("deflate", deflate::run),
    ("differential", differential::run),
    ("handshake", handshake::run),
    ("mask", mask::run),
    ("roundtrip", roundtrip::run),
    ("utf8", utf8::run),
];
