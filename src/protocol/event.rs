//! What the state machine tells its caller.

use std::borrow::Cow;

use super::CloseFrame;

/// Something that the peer sent, whole and checked.
///
/// Borrowed from the input where it lay there in one piece, owned where it had to be put together.
///
/// ```
/// use gannet::protocol::{Event, Input, WebSocket};
/// let mut socket = WebSocket::server(Default::default());
/// let mut bytes = *b"\x81\x82\0\0\0\0hi";
/// let event = socket.receive(&mut Input::new(&mut bytes), &mut Vec::new()).unwrap();
/// assert_eq!(event, Some(Event::Text("hi".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'b> {
    /// A text message.
    Text(Cow<'b, str>),
    /// A binary message.
    Binary(Cow<'b, [u8]>),
    /// A Ping; its Pong is already in the output.
    Ping(Cow<'b, [u8]>),
    /// A Pong.
    Pong(Cow<'b, [u8]>),
    /// The peer's Close, the last event. Where no Close had been sent, the answer is already in the output.
    Close(Option<CloseFrame<'b>>),
}

impl Event<'_> {
    /// The same, owning its payload.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(bytes) => Event::Ping(Cow::Owned(bytes.into_owned())),
            Self::Pong(bytes) => Event::Pong(Cow::Owned(bytes.into_owned())),
            Self::Close(close) => Event::Close(close.map(CloseFrame::into_owned)),
        }
    }
}

/// How the peer's stream ended.
///
/// ```
/// use gannet::protocol::{Ending, WebSocket};
/// let mut socket = WebSocket::server(Default::default());
/// assert_eq!(socket.end_of_input(), Ending::Abnormal);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After the closing handshake, RFC 6455 §7.1.4.
    Clean,
    /// Without it: the close code is 1006, §7.1.5.
    Abnormal,
}
