//! One end of a connection after the upgrade: the receiving half and the states. The sending half is in `send`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::deflate::Deflate;
use super::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode, Role};
use super::mask::{advance, apply_mask};
use super::partial::{Frame, Message, Partial};
use super::state::{Extras, MaskKeys, State};
use super::utf8;
use super::{CloseFrame, Ending, Event, Input, Limits, ProtocolError};
#[cfg(feature = "deflate")]
use super::{DeflateEngine, DeflateParameters};

/// One end of a WebSocket connection after the upgrade: bytes in, events out, bytes out.
///
/// It owns no buffer while it is idle: what is cut off at the end of an input, or comes in fragments, is kept in a
/// box that is made on need and dropped as soon as it is drained.
///
/// What there is to send is appended to the `out` that each call is given; the caller writes it to the socket.
///
/// ```
/// use gannet::protocol::{Event, Input, WebSocket};
///
/// let mut client = WebSocket::client(Default::default(), Box::new(|| [1, 2, 3, 4]));
/// let mut server = WebSocket::server(Default::default());
///
/// let mut wire = Vec::new();
/// client.send_text("hello", &mut wire).unwrap();
///
/// let mut input = Input::new(&mut wire);
/// let mut out = Vec::new();
/// while let Some(event) = server.receive(&mut input, &mut out).unwrap() {
///     assert_eq!(event, Event::Text("hello".into()));
/// }
/// ```
pub struct WebSocket {
    pub(super) limits: Arc<Limits>,
    /// Never some and empty between calls.
    pub(super) partial: Option<Box<Partial>>,
    /// What most ends do not have.
    pub(super) extras: Option<Box<Extras>>,
    pub(super) state: State,
    /// The type of the message that is being sent in fragments.
    pub(super) sending: Option<OpCode>,
}

const _: () = assert!(size_of::<WebSocket>() <= 32, "an idle session pays for this");

impl WebSocket {
    /// The server's end.
    pub fn server(limits: Arc<Limits>) -> Self {
        Self { limits, partial: None, extras: None, state: State::Open, sending: None }
    }

    /// The client's end. `mask_keys` gives a fresh key for each frame that is sent; it must be unpredictable to whoever
    /// chooses the payloads, RFC 6455 §5.3 and §10.3.
    pub fn client(limits: Arc<Limits>, mask_keys: Box<dyn FnMut() -> [u8; 4] + Send>) -> Self {
        let extras = Extras { mask_keys: Some(MaskKeys(mask_keys)), ..Extras::default() };
        Self { limits, partial: None, extras: Some(Box::new(extras)), state: State::Open, sending: None }
    }

    /// The same with permessage-deflate, which the handshake agreed on.
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, agreed: DeflateParameters, engine: Arc<DeflateEngine>) -> Self {
        let deflate = Deflate::new(agreed, engine, self.role());
        self.extras.get_or_insert_default().deflate = Some(deflate);
        self
    }

    /// Whether a frame of the [`DeflateEngine::encode_frame`] that this end was made with may be sent to its peer:
    /// permessage-deflate was agreed on, without context takeover, with a window as large. What holds for
    /// [`WebSocket::can_send`] holds too.
    #[cfg(feature = "deflate")]
    pub fn takes_shared_deflate(&self) -> bool {
        self.deflate().is_some_and(|deflate| deflate.takes_shared_frames())
    }

    /// Whether permessage-deflate was agreed on: then the payload of an [`Event`], which is inflated, may be far longer than
    /// what came for it. Bounds on what a peer costs have to count the payload, not the bytes read.
    ///
    /// ```
    /// use gannet::protocol::WebSocket;
    /// assert!(!WebSocket::server(Default::default()).deflates());
    /// ```
    pub fn deflates(&self) -> bool {
        self.deflate().is_some()
    }

    fn deflate(&self) -> Option<&Deflate> {
        self.extras.as_ref()?.deflate.as_ref()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        if self.extras.as_ref().is_some_and(|extras| extras.mask_keys.is_some()) {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// Whether a message may be sent now: no Close was sent or received, the connection has not failed, and no
    /// message in fragments is under way. Whoever sends a frame made by [`encode_frame`](super::encode_frame) past this
    /// type needs to ask nothing else.
    pub fn can_send(&self) -> bool {
        self.state == State::Open && self.sending.is_none()
    }

    /// Whether input still matters: the peer's Close has not come and the connection has not failed.
    pub fn can_receive(&self) -> bool {
        matches!(self.state, State::Open | State::Closing)
    }

    /// Whether a Close was sent and the peer's is awaited.
    pub fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Whether the closing handshake is complete or the connection has failed: when the output is written, the
    /// socket can be shut down.
    pub fn is_closed(&self) -> bool {
        !self.can_receive()
    }

    /// Whether a frame or a message has begun and is not complete.
    pub fn has_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// The memory that a half-received frame or message keeps alive, in bytes; 0 when there is none. It is asked for often:
    /// it costs no walk.
    ///
    /// ```
    /// use gannet::protocol::{Input, WebSocket};
    /// let mut socket = WebSocket::server(Default::default());
    /// // The header of a binary message of 1,000 bytes, and 100 of them.
    /// let mut bytes = [&b"\x82\xfe\x03\xe8\0\0\0\0"[..], &[7; 100]].concat();
    /// assert_eq!(socket.receive(&mut Input::new(&mut bytes), &mut Vec::new()), Ok(None));
    /// assert!(socket.partial_bytes() >= 100);
    /// socket.receive(&mut Input::new(&mut [7; 900]), &mut Vec::new()).unwrap().unwrap();
    /// assert_eq!(socket.partial_bytes(), 0);
    /// ```
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.memory_bytes())
    }

    /// The next event out of `input`; `None` when the input is used up. What has to be answered (Ping, Close, a
    /// broken rule) is answered in `out`.
    ///
    /// After a Close was sent here, what the peer had sent before it saw that Close is still checked and delivered,
    /// and Pings are still answered (RFC 6455 §5.5.2). After the peer's Close, and after an error, all input is
    /// discarded.
    ///
    /// # Errors
    /// Once, when the peer breaks the protocol: the connection has failed, and the Close frame that says why is in
    /// `out`, unless one had been sent before.
    #[inline(always)]
    pub fn receive<'b>(
        &mut self,
        input: &mut Input<'b>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        // Inlined as far as a small message goes: its event is then made where the caller looks at it. To hand it over in
        // memory costs more than to parse it.
        match self.take_small_message(input) {
            Some((OpCode::Text, payload)) => match utf8::check(payload) {
                Ok(text) => Ok(Some(Event::Text(Cow::Borrowed(text)))),
                Err(error) => self.fail(error.into(), input, out),
            },
            Some((_, payload)) => Ok(Some(Event::Binary(Cow::Borrowed(payload)))),
            None => self.receive_or_fail(input, out),
        }
    }

    fn receive_or_fail<'b>(
        &mut self,
        input: &mut Input<'b>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.receive_frames(input, out) {
            Err(error) => self.fail(error, input, out),
            received => received,
        }
    }

    /// Tells that the peer ended its stream, or that it is lost.
    pub fn end_of_input(&mut self) -> Ending {
        self.partial = None;
        if self.state == State::Closed {
            return Ending::Clean;
        }
        self.state = State::Failed;
        Ending::Abnormal
    }

    /// A small plain message in one frame, whole in the input, unmasked: nearly all that comes. What is not exactly
    /// that is left where it is, to be judged by [`receive_frames`](Self::receive_frames).
    #[inline]
    fn take_small_message<'b>(&mut self, input: &mut Input<'b>) -> Option<(OpCode, &'b mut [u8])> {
        const FIN: u8 = 0x80;
        const MASKED: u8 = 0x80;
        let [first, second, ..] = *input.as_slice() else { return None };
        let opcode = match first ^ FIN {
            0x1 => OpCode::Text,
            0x2 => OpCode::Binary,
            _ => return None,
        };
        let (mask_bit, header) = match self.role() {
            Role::Server => (MASKED, 6),
            Role::Client => (0, 2),
        };
        let length = usize::from(second ^ mask_bit);
        if length > MAX_CONTROL_PAYLOAD
            || input.remaining() < header + length
            || length > self.limits.max_frame_bytes.min(self.limits.max_message_bytes)
            || self.partial.is_some()
            || !self.can_receive()
        {
            return None;
        }
        let (header, payload) = input.take(header + length).split_at_mut(header);
        if let [_, _, key @ ..] = header
            && let Some(key) = key.first_chunk()
        {
            apply_mask(payload, *key, 0);
        }
        Some((opcode, payload))
    }

    fn receive_frames<'b>(
        &mut self,
        input: &mut Input<'b>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if !self.can_receive() {
            input.discard();
            return Ok(None);
        }
        while let Some(mut frame) = self.next_frame(input)? {
            let is_new = !self.is_within_frame();
            let payload = input.take(frame.remaining);
            frame.remaining -= payload.len();
            if let Some(key) = &mut frame.key {
                apply_mask(payload, *key, 0);
                *key = advance(*key, payload.len());
            }
            let is_complete = frame.remaining == 0;
            let event = if is_new && is_complete && frame.opcode.is_control() {
                Some(self.control(frame.opcode, Cow::Borrowed(payload), out)?)
            } else if is_new && is_complete && frame.fin && frame.opcode != OpCode::Continuation {
                Some(match frame.is_compressed {
                    false => whole_message(frame.opcode, payload)?,
                    true => self.inflate(frame.opcode, payload)?,
                })
            } else {
                self.keep(frame, payload, out)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    #[inline]
    fn is_within_frame(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.frame.is_some())
    }

    /// The frame that `input` goes on with, or the one that begins there.
    #[inline]
    fn next_frame(&mut self, input: &mut Input<'_>) -> Result<Option<Frame>, ProtocolError> {
        if input.is_empty() {
            return Ok(None);
        }
        let sender = match self.role() {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let header = match &mut self.partial {
            Some(partial) if partial.frame.is_some() => return Ok(partial.frame),
            Some(partial) if partial.has_header() => {
                let header = partial.continue_header(input, sender)?;
                self.drop_empty_partial();
                header
            }
            _ => match FrameHeader::parse(input.as_slice(), sender)? {
                Some((header, length)) => {
                    input.take(length);
                    Some(header)
                }
                None => {
                    let bytes = input.take(input.remaining());
                    self.partial().keep_header(bytes);
                    None
                }
            },
        };
        header.map(|header| self.begin(header)).transpose()
    }

    /// The checks of a header that need the frames before it, or the limits.
    #[inline]
    fn begin(&mut self, header: FrameHeader) -> Result<Frame, ProtocolError> {
        let FrameHeader { fin, rsv1, opcode, payload_length, mask } = header;
        // §5.2, RFC 7692 §6.1: RSV1 means compressed, where that was agreed on, on the first frame of a message.
        let may_be_compressed = self.deflate().is_some() && matches!(opcode, OpCode::Text | OpCode::Binary);
        if rsv1 && !may_be_compressed {
            return Err(ProtocolError::ReservedBits);
        }
        if !opcode.is_control() {
            let message = self.partial.as_mut().and_then(|partial| partial.message.as_mut());
            let (so_far, is_compressed) = match (opcode, message) {
                // §5.4: fragments of one message are not mixed with another's.
                (OpCode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
                (OpCode::Continuation, Some(message)) => {
                    message.fragments = message.fragments.saturating_add(1);
                    if message.fragments > self.limits.max_fragments.max(1) {
                        return Err(ProtocolError::TooManyFragments);
                    }
                    (message.len(), message.compressed.is_some())
                }
                (_, Some(_)) => return Err(ProtocolError::InterruptedMessage),
                (_, None) => (0, rsv1),
            };
            let on_wire = |limit: usize| match is_compressed {
                false => limit as u64,
                true => compressed_limit(limit),
            };
            if payload_length > on_wire(self.limits.max_frame_bytes) {
                return Err(ProtocolError::FrameTooBig);
            }
            if payload_length.saturating_add(so_far as u64) > on_wire(self.limits.max_message_bytes) {
                return Err(ProtocolError::MessageTooBig);
            }
        }
        // The limits are of type usize, a control frame has at most 125 bytes.
        let remaining = usize::try_from(payload_length).map_err(|_| ProtocolError::FrameTooBig)?;
        Ok(Frame { fin, opcode, key: mask, is_compressed: rsv1, remaining })
    }

    /// Takes a piece of a frame that is not whole in the input, or is not a whole message.
    #[cold]
    fn keep(
        &mut self,
        frame: Frame,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let is_complete = frame.remaining == 0;
        let partial = self.partial();
        partial.frame = (!is_complete).then_some(frame);
        if frame.opcode.is_control() {
            partial.control.extend_from_slice(piece);
            if !is_complete {
                return Ok(None);
            }
            let payload = std::mem::take(&mut partial.control);
            self.drop_empty_partial();
            return self.control(frame.opcode, Cow::Owned(payload), out).map(Some);
        }
        let message = partial.message.get_or_insert_with(|| match frame.is_compressed {
            false => Message::new(frame.opcode),
            true => Message::new_compressed(frame.opcode),
        });
        message.push(piece, frame.remaining, frame.fin)?;
        if !(is_complete && frame.fin) {
            return Ok(None);
        }
        let message = partial.message.take();
        self.drop_empty_partial();
        message
            .map(|message| match message.compressed {
                None => message.finish(),
                Some(opcode) => self.inflate(opcode, &message.into_bytes()),
            })
            .transpose()
    }

    /// A message whose compressed payload has come, RFC 7692 §6.2.
    fn inflate(&mut self, opcode: OpCode, payload: &[u8]) -> Result<Event<'static>, ProtocolError> {
        let mut message = Message::new(opcode);
        if let Some(extras) = &mut self.extras
            && let Some(deflate) = &mut extras.deflate
        {
            deflate.inflate(payload, &mut message, &self.limits)?;
            extras.inflated += message.len().saturating_sub(payload.len());
        }
        message.finish()
    }

    /// By how many bytes the compressed messages since the last call were longer than what came of them: what a bound on the
    /// bytes of a peer has to count beside those on the wire.
    ///
    /// ```
    /// let mut socket = gannet::protocol::WebSocket::server(Default::default());
    /// assert_eq!(socket.take_inflated(), 0);
    /// ```
    pub fn take_inflated(&mut self) -> usize {
        self.extras.as_mut().map_or(0, |extras| std::mem::take(&mut extras.inflated))
    }

    /// Obeys a whole control frame, RFC 6455 §5.5.
    fn control<'b>(
        &mut self,
        opcode: OpCode,
        payload: Cow<'b, [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<Event<'b>, ProtocolError> {
        Ok(match opcode {
            OpCode::Ping => {
                // §5.5.2: every Ping is answered, until the peer's Close has come.
                self.write_frame(true, OpCode::Pong, &payload, out);
                Event::Ping(payload)
            }
            OpCode::Close => {
                let close = match &payload {
                    Cow::Borrowed(payload) => CloseFrame::parse(payload)?,
                    Cow::Owned(payload) => CloseFrame::parse(payload)?.map(CloseFrame::into_owned),
                };
                if self.state == State::Open {
                    // §5.5.1: the answer echoes the code.
                    self.write_frame(true, OpCode::Close, &payload[..payload.len().min(2)], out);
                }
                self.partial = None;
                self.state = State::Closed;
                Event::Close(close)
            }
            _ => Event::Pong(payload),
        })
    }

    /// Fails the connection, RFC 6455 §7.1.7.
    #[cold]
    fn fail<'b>(
        &mut self,
        error: ProtocolError,
        input: &mut Input<'b>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        input.discard();
        if self.state == State::Open {
            self.write_frame(true, OpCode::Close, &error.close_code().0.to_be_bytes(), out);
        }
        self.partial = None;
        self.state = State::Failed;
        Err(error)
    }

    #[cold]
    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    fn drop_empty_partial(&mut self) {
        if self.partial.as_ref().is_some_and(|partial| partial.is_empty()) {
            self.partial = None;
        }
    }
}

/// What a limit on a message leaves to its compressed form, in bytes: the quickest compressors spend up to nine bits on
/// a byte.
fn compressed_limit(limit: usize) -> u64 {
    let limit = limit as u64;
    limit.saturating_add(limit / 8 + 64)
}

/// A message that came in one frame, whole in the input.
#[inline]
fn whole_message(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    Ok(match opcode {
        OpCode::Text => Event::Text(Cow::Borrowed(utf8::check(payload)?)),
        _ => Event::Binary(Cow::Borrowed(payload)),
    })
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.role())
            .field("state", &self.state)
            .field("partial", &self.partial)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
