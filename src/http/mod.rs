//! HTTP/1.1 as far as a WebSocket server needs it (RFC 9110, RFC 9112): heads, bodies, targets and answers, bytes in and
//! bytes out. Strict where leniency lets requests be smuggled: a bare line feed, a folded line, a second `Host`, two
//! framings are refused. It knows nothing of sockets, of clocks and of what the paths mean.
//!
//! In the order that data meets them: [`HeadScanner`] finds the end of a head, [`Request`] reads it, [`BodyReader`]
//! decodes the body that follows, [`path_segments`] and [`Query`] take the target apart, [`Response`] writes the answer.

mod body;
mod error;
mod head;
mod request;
mod response;
mod target;

pub use body::{BodyFraming, BodyReader};
pub use error::{BodyError, HeadError, TargetError};
pub use head::{HeadLimits, HeadScanner};
pub use request::{Headers, Request, list_tokens};
pub use response::{CONTINUE, Response};
pub use target::{PathSegments, Query, path_segments, percent_encode};
