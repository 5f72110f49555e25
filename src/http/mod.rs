//! HTTP/1.1 as far as a WebSocket server needs it (RFC 9110, RFC 9112): heads, bodies, targets and answers, bytes in and
//! bytes out. Strict where leniency lets requests be smuggled: a bare line feed, a folded line, a second `Host`, two
//! framings are refused. It knows nothing of sockets, of clocks and of what the paths mean.
//!
//! Start with [`RequestReader`], the server's side of a connection, or [`ResponseReader`], the client's. In the order that
//! data meets the parts they are made of: [`HeadScanner`] finds the end of a head, [`Request`] reads it, [`BodyReader`]
//! decodes the body that follows, [`path_segments`] and [`Query`] take the target apart, [`Response`] writes the answer.

mod body;
mod buffer;
#[cfg(feature = "server")]
mod carry;
mod coding;
mod date;
mod error;
mod fields;
mod framing;
mod head;
mod request;
mod request_reader;
mod request_target;
mod response;
mod response_reader;
mod target;

pub use body::{BodyFraming, BodyReader};
#[cfg(feature = "server")]
pub(crate) use carry::CarriedReader;
pub use coding::accepts_gzip;
pub use date::HttpDate;
pub use error::{BodyError, HeadError, TargetError};
pub use fields::{Headers, is_token, list_tokens};
pub use head::{HeadLimits, HeadScanner, MessageLimits};
pub use request::Request;
pub use request_reader::{RequestError, RequestProgress, RequestReader};
pub use response::{CONTINUE, Response};
pub use response_reader::{ResponseError, ResponseHead, ResponseProgress, ResponseReader};
pub use target::{PathSegments, Query, path_segments, percent_encode};
