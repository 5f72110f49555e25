//! RFC 6455 as a state machine: bytes in, events out, bytes out.
//!
//! There is no networking code here and no clock: the caller reads the socket and hands the bytes over, acts on the
//! events, and writes what was appended to its output. Randomness (masks, nonces) is an argument too.
//!
//! Two types to start from: [`WebSocket`], one end of a connection after the upgrade, and the [`handshake`] that
//! comes before it, for servers and for clients.
//!
//! ```text
//! bytes from the peer → Input → WebSocket::receive → Event
//!                                      ↓
//! bytes to the peer  ←  out  ←  answers; send_text, send_binary, ping, close
//! ```
//!
//! It is strict: what RFC 6455 forbids is refused with the close code that it names, at the first byte that is wrong.

pub mod handshake;

#[cfg(feature = "server")]
mod carry;
mod close;
mod close_code;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "deflate/absent.rs"]
mod deflate;
mod error;
mod event;
mod frame;
mod input;
mod limits;
mod mask;
mod partial;
mod send;
mod state;
mod utf8;
mod websocket;

#[cfg(feature = "server")]
pub(crate) use carry::{CarriedWebSocket, Unfinished};
pub use close::CloseFrame;
pub use close_code::CloseCode;
#[cfg(feature = "deflate")]
pub use deflate::{DeflateConfig, DeflateEngine, DeflateParameters, DeflateRefused};
pub use error::{ProtocolError, SendError};
pub use event::{Ending, Event};
#[cfg(feature = "server")]
pub(crate) use frame::MAX_HEADER;
pub use frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode, Role, encode_frame};
pub use input::Input;
pub use limits::Limits;
pub use mask::apply_mask;
pub use utf8::{InvalidUtf8, TextAssembly};
pub use websocket::WebSocket;

#[cfg(test)]
mod tests;
