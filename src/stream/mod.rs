//! A session over plain HTTP: the events of an event stream (the `text/event-stream` of the WHATWG HTML standard, §9.2) and
//! the documents of long polling, and gzip (RFC 1952) without a compressor for each stream. Bytes and values in, bytes out;
//! knows nothing of sessions and sockets.

mod event;
mod gzip;
mod id;
mod poll;
mod shared;

pub use event::{close, comment, own, padding, text_or_binary, welcome};
pub use gzip::Gzip;
pub use id::EventId;
pub use poll::{Beside, Document, element};
pub use shared::SharedEvent;
