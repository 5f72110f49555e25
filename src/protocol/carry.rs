//! How a server's end of a connection is carried to another process: what has come of a message, and where the closing
//! handshake stands.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::deflate::{Deflate, DeflateEngine, DeflateParameters};
use super::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode, Role};
use super::partial::{Body, Frame, Message, Partial, PartialHeader};
use super::state::{Extras, State};
use super::utf8::TextAssembly;
use super::{Limits, WebSocket};

/// A server's [`WebSocket`] on its way.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CarriedWebSocket {
    /// Where the closing handshake stands: 0 none, 1 ours is sent, 2 both are, 3 failed.
    #[n(0)]
    state: u8,
    /// The opcode of a message that is being sent in fragments.
    #[n(1)]
    sending: Option<u8>,
    #[n(2)]
    partial: Option<Box<CarriedPartial>>,
    #[n(3)]
    deflate: Option<CarriedDeflate>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedPartial {
    /// The start of a header.
    #[cbor(n(0), with = "minicbor::bytes")]
    header: Vec<u8>,
    #[n(1)]
    frame: Option<CarriedFrame>,
    /// The start of the payload of a control frame.
    #[cbor(n(2), with = "minicbor::bytes")]
    control: Vec<u8>,
    #[n(3)]
    message: Option<CarriedMessage>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedFrame {
    #[n(0)]
    fin: bool,
    #[n(1)]
    opcode: u8,
    /// As it applies to the next byte.
    #[n(2)]
    key: Option<u32>,
    #[n(3)]
    is_compressed: bool,
    /// Bytes to come.
    #[n(4)]
    remaining: u64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedMessage {
    #[n(0)]
    is_text: bool,
    #[cbor(n(1), with = "minicbor::bytes")]
    payload: Vec<u8>,
    #[n(2)]
    fragments: u32,
    /// What it becomes when it is inflated.
    #[n(3)]
    compressed: Option<u8>,
}

/// What permessage-deflate agreed on (RFC 7692 §7.1). The windows of a context that is taken over are not carried: they belong
/// to a library that does not give them out.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedDeflate {
    #[n(0)]
    server_no_context_takeover: bool,
    #[n(1)]
    client_no_context_takeover: bool,
    #[n(2)]
    server_max_window_bits: u8,
    #[n(3)]
    client_max_window_bits: u8,
    /// A context has been begun, and stays behind.
    #[n(4)]
    loses_context: bool,
}

/// A [`WebSocket`] that has come from another process.
pub(crate) struct Restored {
    /// It.
    pub websocket: WebSocket,
    /// The peer refers to what was compressed before, which has not come along: the connection can only be closed, and
    /// nothing more that comes can be read.
    pub has_lost_context: bool,
}

/// A frame of which not all has come.
#[derive(Debug)]
pub(crate) enum Unfinished<'a> {
    /// Of its header only this.
    Header(&'a [u8]),
    /// So many bytes of its payload are to come.
    Payload(u64),
}

impl WebSocket {
    /// The frame of which not all has come, where there is one.
    pub(crate) fn unfinished(&self) -> Option<Unfinished<'_>> {
        let partial = self.partial.as_ref()?;
        match &partial.frame {
            Some(frame) => Some(Unfinished::Payload(frame.remaining as u64)),
            None => partial.has_header().then(|| Unfinished::Header(partial.header.as_slice())),
        }
    }

    /// What another process goes on with. Only of a server's end.
    pub(crate) fn carry(&self) -> CarriedWebSocket {
        // The limits are those of the configuration that the other process has read.
        let Self { limits: _, partial, extras, state, sending } = self;
        let deflate = extras.as_deref().and_then(|extras| {
            // A server has no masks; what was inflated has been counted in the turn.
            let Extras { mask_keys: _, deflate, inflated: _ } = extras;
            deflate.as_ref().map(CarriedDeflate::of)
        });
        CarriedWebSocket {
            state: match state {
                State::Open => 0,
                State::Closing => 1,
                State::Closed => 2,
                State::Failed => 3,
            },
            sending: sending.map(|opcode| opcode as u8),
            partial: partial.as_deref().map(|partial| Box::new(CarriedPartial::of(partial))),
            deflate,
        }
    }
}

impl CarriedWebSocket {
    /// The end that goes on from it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn restore(
        self,
        limits: Arc<Limits>,
        engine: impl FnOnce() -> Arc<DeflateEngine>,
    ) -> Result<Restored, &'static str> {
        let Self { state, sending, partial, deflate } = self;
        let mut websocket = WebSocket::server(limits);
        websocket.state = match state {
            0 => State::Open,
            1 => State::Closing,
            2 => State::Closed,
            3 => State::Failed,
            _ => return Err("a closing handshake that stands nowhere"),
        };
        websocket.sending = sending.map(data_opcode).transpose()?;
        websocket.partial = match partial {
            Some(partial) => {
                Some(Box::new(partial.restore(deflate.is_some())?)).filter(|partial| !partial.is_empty())
            }
            None => None,
        };
        let mut has_lost_context = false;
        if let Some(carried) = deflate {
            has_lost_context = carried.loses_context;
            websocket = websocket.with_deflate(carried.restore()?, engine());
        }
        Ok(Restored { websocket, has_lost_context })
    }
}

impl CarriedPartial {
    fn of(partial: &Partial) -> Self {
        let Partial { header, frame, control, message } = partial;
        Self {
            header: header.as_slice().to_vec(),
            frame: frame.as_ref().map(|frame| {
                let Frame { fin, opcode, key, is_compressed, remaining } = *frame;
                CarriedFrame {
                    fin,
                    opcode: opcode as u8,
                    key: key.map(u32::from_be_bytes),
                    is_compressed,
                    remaining: remaining as u64,
                }
            }),
            control: control.clone(),
            message: message.as_ref().map(|message| {
                let Message { body, fragments, compressed } = message;
                let (is_text, payload) = match body {
                    Body::Text(text) => (true, text.bytes()),
                    Body::Binary(bytes) => (false, bytes.clone()),
                };
                let compressed = compressed.map(|opcode| opcode as u8);
                CarriedMessage { is_text, payload, fragments: *fragments, compressed }
            }),
        }
    }

    fn restore(self, deflates: bool) -> Result<Partial, &'static str> {
        let Self { header, frame, control, message } = self;
        let mut partial = Partial::default();
        if !header.is_empty() {
            // The start of a header, and no whole one.
            let is_start = matches!(FrameHeader::parse(&header, Role::Client), Ok(None));
            partial.header =
                PartialHeader::of(&header).filter(|_| is_start).ok_or("a header that is none")?;
        }
        partial.frame = frame.map(CarriedFrame::restore).transpose()?;
        partial.message = message.map(|message| message.restore(deflates)).transpose()?;
        let is_control = partial.frame.is_some_and(|frame| frame.opcode.is_control());
        let payload = partial.frame.map_or(0, |frame| frame.remaining.saturating_add(control.len()));
        if (is_control && payload > MAX_CONTROL_PAYLOAD) || (!is_control && !control.is_empty()) {
            return Err("a control frame that is none");
        }
        let goes_on = partial.frame.is_some_and(|frame| !frame.opcode.is_control());
        if goes_on && partial.message.is_none() || !header.is_empty() && partial.frame.is_some() {
            return Err("a frame of no message");
        }
        partial.control = control;
        Ok(partial)
    }
}

impl CarriedFrame {
    fn restore(self) -> Result<Frame, &'static str> {
        let Self { fin, opcode, key, is_compressed, remaining } = self;
        let opcode = OpCode::from_nibble(opcode).ok_or("an opcode that is none")?;
        let remaining = usize::try_from(remaining).ok().filter(|remaining| *remaining > 0);
        let remaining = remaining.ok_or("a frame of which nothing is to come")?;
        // §5.1: what a client sends is masked.
        let key = Some(key.ok_or("a frame without a mask")?.to_be_bytes());
        Ok(Frame { fin, opcode, key, is_compressed, remaining })
    }
}

impl CarriedMessage {
    fn restore(self, deflates: bool) -> Result<Message, &'static str> {
        let Self { is_text, payload, fragments, compressed } = self;
        let compressed = compressed.map(data_opcode).transpose()?;
        if compressed.is_some() && (is_text || !deflates) {
            return Err("a compressed message where nothing is compressed");
        }
        let body = match is_text {
            true => {
                let mut text = TextAssembly::default();
                text.push(&payload).map_err(|_| "a text that is not UTF-8")?;
                Body::Text(text)
            }
            false => Body::Binary(payload),
        };
        Ok(Message { body, fragments, compressed })
    }
}

impl CarriedDeflate {
    fn of(deflate: &Deflate) -> Self {
        let DeflateParameters {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        } = *deflate.parameters();
        Self {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            loses_context: deflate.has_context(),
        }
    }

    fn restore(self) -> Result<DeflateParameters, &'static str> {
        let Self {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            loses_context: _,
        } = self;
        if [server_max_window_bits, client_max_window_bits].iter().any(|bits| !(8..=15).contains(bits)) {
            return Err("a window that RFC 7692 has not");
        }
        Ok(DeflateParameters {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        })
    }
}

fn data_opcode(nibble: u8) -> Result<OpCode, &'static str> {
    match OpCode::from_nibble(nibble) {
        Some(opcode @ (OpCode::Text | OpCode::Binary)) => Ok(opcode),
        _ => Err("a message of no type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{DeflateConfig, Event, Input};

    /// Through bytes, as between two processes.
    fn carried(websocket: &WebSocket) -> Restored {
        let bytes = minicbor::to_vec(websocket.carry()).unwrap();
        let carried: CarriedWebSocket = minicbor::decode(&bytes).unwrap();
        let engine = || Arc::new(DeflateEngine::new(DeflateConfig::default()));
        carried.restore(Arc::default(), engine).unwrap()
    }

    fn client() -> WebSocket {
        let mut key = 0_u8;
        WebSocket::client(
            Arc::default(),
            Box::new(move || {
                key = key.wrapping_add(41);
                [key, 3, key, 7]
            }),
        )
    }

    fn receive(websocket: &mut WebSocket, bytes: &[u8], out: &mut Vec<u8>) -> Vec<Event<'static>> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        let mut events = Vec::new();
        while let Ok(Some(event)) = websocket.receive(&mut input, out) {
            events.push(event.into_owned());
        }
        events
    }

    /// Whatever a client sends, and wherever it is cut, the end that was carried at the cut hears and answers the same.
    #[test]
    fn it_hears_and_answers_the_same_wherever_it_is_carried() {
        let (mut wire, mut sender) = (Vec::new(), client());
        sender.send_text("whole", &mut wire).unwrap();
        sender.send_text_fragment("naï", false, &mut wire).unwrap();
        sender.ping(b"between", &mut wire).unwrap();
        sender.send_text_fragment("ve ☃", true, &mut wire).unwrap();
        sender.send_binary(&[7; 300], &mut wire).unwrap();
        sender.close(Some(crate::protocol::CloseCode(4001)), "bye", &mut wire).unwrap();
        let (mut expected_out, mut whole) = (Vec::new(), WebSocket::server(Arc::default()));
        let expected = receive(&mut whole, &wire, &mut expected_out);
        for cut in 0..=wire.len() {
            let (mut out, mut first) = (Vec::new(), WebSocket::server(Arc::default()));
            let mut events = receive(&mut first, &wire[..cut], &mut out);
            let mut second = carried(&first).websocket;
            events.extend(receive(&mut second, &wire[cut..], &mut out));
            assert_eq!((&events, &out), (&expected, &expected_out), "cut at {cut}");
            assert_eq!(second.state, whole.state);
        }
    }

    #[test]
    fn compressed_messages_go_on_and_a_context_stays_behind() {
        for offer in ["permessage-deflate; client_no_context_takeover", "permessage-deflate"] {
            let takes_over = !offer.contains("no_context");
            let config =
                DeflateConfig { client_no_context_takeover: !takes_over, ..DeflateConfig::default() };
            let agreed = config.accept(&[offer]).unwrap();
            let engine = Arc::new(DeflateEngine::new(config));
            let mut sender = client().with_deflate(agreed, Arc::clone(&engine));
            let mut server = WebSocket::server(Arc::default()).with_deflate(agreed, engine);
            let text = "lorem ipsum ".repeat(60);
            let mut wire = Vec::new();
            sender.send_text(&text, &mut wire).unwrap();
            assert!(!carried(&server).has_lost_context);
            let half = wire.len() / 2;
            assert!(receive(&mut server, &wire[..half], &mut Vec::new()).is_empty());
            let mut second = carried(&server).websocket;
            let events = receive(&mut second, &wire[half..], &mut Vec::new());
            assert_eq!(events, [Event::Text(text.into())]);
            assert_eq!(carried(&second).has_lost_context, takes_over);
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let partial = |edit: fn(&mut CarriedPartial)| {
            let mut websocket = WebSocket::server(Arc::default());
            receive(&mut websocket, &[0x81, 0x85, 1, 2, 3, 4, 9], &mut Vec::new());
            let mut carried = websocket.carry();
            edit(carried.partial.as_mut().unwrap());
            carried
        };
        let state = |state| CarriedWebSocket { state, sending: None, partial: None, deflate: None };
        let table = [
            state(4),
            CarriedWebSocket { sending: Some(8), ..state(0) },
            partial(|partial| partial.message = None),
            partial(|partial| partial.control = vec![0]),
            partial(|partial| partial.header = vec![0x81]),
            partial(|partial| partial.frame.as_mut().unwrap().key = None),
            partial(|partial| partial.frame.as_mut().unwrap().remaining = 0),
            partial(|partial| partial.frame.as_mut().unwrap().opcode = 3),
            partial(|partial| partial.message.as_mut().unwrap().compressed = Some(1)),
            partial(|partial| partial.message.as_mut().unwrap().payload = vec![0xff]),
        ];
        for carried in table {
            let shown = format!("{carried:?}");
            let engine = || Arc::new(DeflateEngine::new(DeflateConfig::default()));
            assert!(carried.restore(Arc::default(), engine).is_err(), "{shown}");
        }
    }
}
