//! The core beside tungstenite on the same wire: the same messages, and the same verdict.
//!
//! Differences that are allowed, all of them because the core is stricter or quicker:
//! - Lengths that are not in their shortest form (§5.2): tungstenite accepts them.
//! - A frame that is wrong before it is whole: tungstenite waits for its end, and sees the end of the stream first.
//! - A header that is wrong in two ways: tungstenite looks at the limit first.
//! - A Close that is wrong in two ways: tungstenite looks at the reason first.
//! - A close code that may not be on the wire: tungstenite reports it as a Close with 1002. So it does with 1014,
//!   which the registry has assigned since.

use std::io::{self, Cursor, Read, Write};

use gannet::protocol::{CloseCode, CloseFrame, Event, Limits, ProtocolError};
use tungstenite::Message;
use tungstenite::error::{Error, ProtocolError as TheirProtocolError};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::choices::Choices;
use super::endpoint::{LIMITS, client, receive, server};

/// A byte for the role, the wire.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let role = if choices.byte().is_multiple_of(2) { Role::Server } else { Role::Client };
    let wire = choices.rest();
    // tungstenite does not count fragments.
    let limits = Limits { max_fragments: u32::MAX, ..LIMITS };
    let mut socket = if role == Role::Server { server(limits) } else { client(limits) };
    let mut ours = receive(&mut socket, &[wire]);
    let theirs = tungstenite(role, wire);
    // A control frame may be too long only because its length is not in its shortest form.
    if let Some(ProtocolError::NonMinimalLength | ProtocolError::ControlTooLong) = ours.error {
        assert!(theirs.events.starts_with(&ours.events));
        return;
    }
    let Some(error) = ours.error else {
        if let Some(Event::Close(Some(close))) = ours.events.last_mut()
            && close.code == CloseCode::BAD_GATEWAY
        {
            *close = CloseFrame { code: CloseCode::PROTOCOL_ERROR, reason: "Protocol violation".into() };
        }
        assert_eq!(ours.events, theirs.events);
        assert!(
            matches!(theirs.verdict, Verdict::EndOfStream | Verdict::Closed),
            "accepted here, but there: {theirs:?}"
        );
        return;
    };
    if let (ProtocolError::ForbiddenCloseCode(_), Verdict::Closed) = (error, &theirs.verdict) {
        let (close, before) = theirs.events.split_last().expect("it ends with a Close");
        assert!(matches!(close, Event::Close(Some(close)) if close.code == CloseCode::PROTOCOL_ERROR));
        assert_eq!(ours.events, before);
        return;
    }
    assert_eq!(ours.events, theirs.events);
    match theirs.verdict {
        Verdict::Rejected(code) if code == error.close_code() => {}
        Verdict::Rejected(CloseCode::TOO_BIG) if error.close_code() == CloseCode::PROTOCOL_ERROR => {}
        Verdict::Rejected(CloseCode::INVALID_DATA)
            if matches!(error, ProtocolError::ForbiddenCloseCode(_)) => {}
        Verdict::EndOfStream => {
            // It waits for the frame's end. Given more, it must not take the frame for good.
            let filled = [wire, &[0; LIMITS.max_frame_bytes + 14]].concat();
            let theirs = tungstenite(role, &filled);
            let messages = theirs.events.iter().take_while(|event| !matches!(event, Event::Close(_)));
            assert_eq!(messages.count(), ours.events.len(), "accepted there: {theirs:?}");
        }
        _ => panic!("{error:?} here, but there: {theirs:?}"),
    }
}

#[derive(Debug)]
struct Theirs {
    events: Vec<Event<'static>>,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    /// The Close has come.
    Closed,
    EndOfStream,
    Rejected(CloseCode),
}

fn tungstenite(role: Role, wire: &[u8]) -> Theirs {
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .max_frame_size(Some(LIMITS.max_frame_bytes))
        .max_message_size(Some(LIMITS.max_message_bytes));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(wire)), role, Some(config));
    let mut events = Vec::new();
    let verdict = loop {
        let bytes = |bytes: tungstenite::Bytes| bytes.to_vec().into();
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Event::Text(text.as_str().to_owned().into())),
            Ok(Message::Binary(payload)) => events.push(Event::Binary(bytes(payload))),
            Ok(Message::Ping(payload)) => events.push(Event::Ping(bytes(payload))),
            Ok(Message::Pong(payload)) => events.push(Event::Pong(bytes(payload))),
            Ok(Message::Close(close)) => {
                events.push(Event::Close(close.map(|close| CloseFrame {
                    code: CloseCode(close.code.into()),
                    reason: close.reason.as_str().to_owned().into(),
                })));
                break Verdict::Closed;
            }
            Ok(Message::Frame(_)) => unreachable!("reading gives messages"),
            Err(Error::Protocol(TheirProtocolError::ResetWithoutClosingHandshake)) => {
                break Verdict::EndOfStream;
            }
            Err(Error::Protocol(_)) => break Verdict::Rejected(CloseCode::PROTOCOL_ERROR),
            Err(Error::Utf8(_)) => break Verdict::Rejected(CloseCode::INVALID_DATA),
            Err(Error::Capacity(_)) => break Verdict::Rejected(CloseCode::TOO_BIG),
            Err(error) => panic!("not expected of tungstenite: {error}"),
        }
    };
    Theirs { events, verdict }
}

/// Gives the wire and swallows the answers.
struct Wire<'w>(Cursor<&'w [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
