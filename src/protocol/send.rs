//! The sending half of [`WebSocket`]: messages, whole or in fragments, control frames, and the Close.

use super::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode};
use super::mask::apply_mask;
use super::state::State;
use super::{CloseCode, CloseFrame, SendError, WebSocket};

impl WebSocket {
    /// Appends a text message in one frame to `out`.
    ///
    /// # Errors
    /// [`SendError::Closed`] and [`SendError::UnfinishedMessage`].
    #[inline]
    pub fn send_text(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_message(OpCode::Text, text.as_bytes(), out)
    }

    /// Appends a binary message in one frame to `out`.
    ///
    /// # Errors
    /// As [`WebSocket::send_text`].
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_message(OpCode::Binary, bytes, out)
    }

    /// Appends a fragment of a text message to `out`; `fin` ends the message. The first fragment begins it,
    /// RFC 6455 §5.4. Fragments are not compressed.
    ///
    /// # Errors
    /// [`SendError::Closed`]; [`SendError::UnfinishedMessage`] when a binary message is under way.
    pub fn send_text_fragment(&mut self, text: &str, fin: bool, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_fragment(OpCode::Text, text.as_bytes(), Place::among_others(fin), out)
    }

    /// Appends a fragment of a binary message to `out`, as [`WebSocket::send_text_fragment`].
    ///
    /// # Errors
    /// [`SendError::Closed`]; [`SendError::UnfinishedMessage`] when a text message is under way.
    pub fn send_binary_fragment(
        &mut self,
        bytes: &[u8],
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_fragment(OpCode::Binary, bytes, Place::among_others(fin), out)
    }

    /// Appends a Ping to `out`; it may stand between fragments.
    ///
    /// # Errors
    /// [`SendError::Closed`] and [`SendError::ControlTooLong`].
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(OpCode::Ping, payload, out)
    }

    /// Appends a Pong that no Ping asked for to `out`, RFC 6455 §5.5.3.
    ///
    /// # Errors
    /// As [`WebSocket::ping`].
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(OpCode::Pong, payload, out)
    }

    /// Starts the closing handshake, RFC 6455 §7.1.2: appends a Close to `out`. Nothing is sent after it, and the
    /// peer's Close completes the handshake. A message in fragments is abandoned.
    ///
    /// # Errors
    /// [`SendError::Closed`] when a Close was sent before, [`SendError::ForbiddenCloseCode`],
    /// [`SendError::ReasonTooLong`] and [`SendError::ReasonWithoutCode`].
    pub fn close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if reason.len() > CloseFrame::MAX_REASON_BYTES {
            return Err(SendError::ReasonTooLong);
        }
        let payload = match code {
            Some(code) if !code.is_allowed_on_wire() => return Err(SendError::ForbiddenCloseCode(code)),
            Some(code) => [&code.0.to_be_bytes()[..], reason.as_bytes()].concat(),
            None if reason.is_empty() => Vec::new(),
            None => return Err(SendError::ReasonWithoutCode),
        };
        self.write_frame(true, OpCode::Close, &payload, out);
        self.state = State::Closing;
        Ok(())
    }

    /// Whether a message goes out as it is: it may be sent now, and is neither masked nor compressed.
    #[inline]
    pub(crate) fn sends_plain(&self) -> bool {
        self.can_send() && self.extras.is_none()
    }

    #[inline]
    fn send_message(&mut self, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        const FIN: u8 = 0x80;
        // Nearly all that a server sends.
        if payload.len() <= MAX_CONTROL_PAYLOAD && self.sends_plain() {
            out.extend_from_slice(&[FIN | opcode as u8, payload.len() as u8]);
            out.extend_from_slice(payload);
            return Ok(());
        }
        self.send_fragment(opcode, payload, Place::Only, out)
    }

    fn send_fragment(
        &mut self,
        opcode: OpCode,
        payload: &[u8],
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        let opcode = match self.sending {
            None => opcode,
            Some(under_way) if under_way == opcode && place != Place::Only => OpCode::Continuation,
            Some(_) => return Err(SendError::UnfinishedMessage),
        };
        if place == Place::Last {
            self.sending = None;
        } else if place == Place::NotLast && self.sending.is_none() {
            self.sending = Some(opcode);
        }
        let extras = self.extras.as_mut().filter(|_| place == Place::Only);
        let deflate = extras.and_then(|extras| extras.deflate.as_mut());
        match deflate.and_then(|deflate| deflate.deflate(payload)) {
            Some(compressed) => self.write_header_and_payload(true, true, opcode, &compressed, out),
            None => self.write_frame(place != Place::NotLast, opcode, payload, out),
        }
        Ok(())
    }

    fn send_control(&mut self, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong);
        }
        self.write_frame(true, opcode, payload, out);
        Ok(())
    }

    pub(super) fn write_frame(&mut self, fin: bool, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
        self.write_header_and_payload(fin, false, opcode, payload, out);
    }

    fn write_header_and_payload(
        &mut self,
        fin: bool,
        rsv1: bool,
        opcode: OpCode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let mask_keys = self.extras.as_mut().and_then(|extras| extras.mask_keys.as_mut());
        let mask = mask_keys.map(|keys| keys.0());
        let header = FrameHeader { fin, rsv1, opcode, payload_length: payload.len() as u64, mask };
        out.reserve(header.encoded_length() + payload.len());
        header.encode(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            apply_mask(&mut out[start..], key, 0);
        }
    }
}

/// Where a frame stands in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the message.
    Only,
    /// More will follow.
    NotLast,
    /// It ends the message.
    Last,
}

impl Place {
    fn among_others(fin: bool) -> Self {
        if fin { Self::Last } else { Self::NotLast }
    }
}
