//! Compressing and inflating messages, RFC 7692 §7.2, over flate2.

use std::fmt;
use std::sync::{Arc, Mutex};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{DeflateConfig, DeflateParameters};
use crate::protocol::frame::{FrameHeader, OpCode, Role};
use crate::protocol::partial::Message;
use crate::protocol::{Limits, ProtocolError};

/// What ends a flush, and is left out on the wire, RFC 7692 §7.2.1.
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty final block: where it can be read, the blocks before it were whole.
const FINAL_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Inflated bytes are looked at in pieces of this size, so that a bomb costs no more than the limit and one piece.
const PIECE_BYTES: usize = 16 * 1024;

/// The smallest window that the compressor knows, as a power of two.
const MIN_COMPRESSOR_BITS: u8 = 9;

/// The largest one: every reader of deflate outside of WebSockets has it.
#[cfg(feature = "server")]
const MAX_COMPRESSOR_BITS: u8 = 15;

/// A compressor and a decompressor for all the connections of a thread that take no context over.
///
/// It can be shared further: who finds it in use makes a state of its own for the moment instead of waiting.
///
/// ```
/// use std::sync::Arc;
/// use gannet::protocol::{DeflateConfig, DeflateEngine, Event, Input, WebSocket};
///
/// let config = DeflateConfig::default();
/// let agreed = config.accept(&["permessage-deflate"]).unwrap();
/// let engine = Arc::new(DeflateEngine::new(config));
/// let mut server = WebSocket::server(Default::default()).with_deflate(agreed, Arc::clone(&engine));
/// let mut client =
///     WebSocket::client(Default::default(), Box::new(|| [0; 4])).with_deflate(agreed, engine);
///
/// let text = "lorem ipsum ".repeat(100);
/// let mut wire = Vec::new();
/// server.send_text(&text, &mut wire).unwrap();
/// assert!(wire.len() < 100);
/// let event = client.receive(&mut Input::new(&mut wire), &mut Vec::new()).unwrap();
/// assert_eq!(event, Some(Event::Text(text.into())));
/// ```
pub struct DeflateEngine {
    config: DeflateConfig,
    inflater: Mutex<Option<Inflater>>,
    /// With the largest window that the server's side may have.
    deflater: Mutex<Option<Deflater>>,
}

impl DeflateEngine {
    /// An engine without any state yet: about 48 KiB are taken on first inflating, 300 KiB on first compressing.
    pub fn new(config: DeflateConfig) -> Self {
        Self { config, inflater: Mutex::new(None), deflater: Mutex::new(None) }
    }

    /// What it was made for.
    pub fn config(&self) -> &DeflateConfig {
        &self.config
    }

    /// A whole final unmasked compressed frame, as a server sends it: made once, it serves every connection whose
    /// [`takes_shared_deflate`](crate::protocol::WebSocket::takes_shared_deflate). `None` where it would not be
    /// shorter: send [`encode_frame`](crate::protocol::encode_frame)'s.
    pub fn encode_frame(&self, opcode: OpCode, payload: &[u8]) -> Option<Vec<u8>> {
        let payload = self.compress(payload, self.config.server_max_window_bits)?;
        let header =
            FrameHeader { fin: true, rsv1: true, opcode, payload_length: payload.len() as u64, mask: None };
        let mut frame = Vec::with_capacity(header.encoded_length() + payload.len());
        header.encode(&mut frame);
        frame.extend_from_slice(&payload);
        Some(frame)
    }

    /// `bytes` as blocks of deflate (RFC 1951) that end at a byte, refer to nothing before them and are not the last of their
    /// stream: they may stand in any stream, between other such blocks. `None` where that is no shorter.
    #[cfg(feature = "server")]
    pub(crate) fn encode_block(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut block = self.compress(bytes, MAX_COMPRESSOR_BITS)?;
        block.extend_from_slice(&FLUSH_TAIL);
        Some(block).filter(|block| block.len() < bytes.len())
    }

    /// The payload on its own, compressed; `None` where that does not pay.
    fn compress(&self, payload: &[u8], window_bits: u8) -> Option<Vec<u8>> {
        if payload.len() < self.config.min_bytes.max(1) || window_bits < MIN_COMPRESSOR_BITS {
            return None;
        }
        let mut shared = self.deflater.try_lock().ok();
        let kept = shared.as_mut().and_then(|shared| shared.take());
        let mut deflater = match kept {
            Some(deflater) if deflater.window_bits == window_bits => deflater,
            _ => Deflater::new(self.config.level, window_bits),
        };
        let compressed = deflater.compress(payload);
        deflater.stream.reset();
        if let Some(shared) = &mut shared {
            **shared = Some(deflater);
        }
        compressed.filter(|compressed| compressed.len() < payload.len())
    }

    fn inflate(
        &self,
        payload: &[u8],
        sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        let mut shared = self.inflater.try_lock().ok();
        let kept = shared.as_mut().and_then(|shared| shared.take());
        let mut inflater = kept.unwrap_or_else(|| Inflater::new(15));
        let inflated = inflater.inflate_alone(payload, sink);
        inflater.stream.reset(false);
        if let Some(shared) = &mut shared {
            **shared = Some(inflater);
        }
        inflated
    }
}

impl fmt::Debug for DeflateEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeflateEngine").field("config", &self.config).finish_non_exhaustive()
    }
}

/// One connection's part in it.
pub(in crate::protocol) struct Deflate {
    engine: Arc<DeflateEngine>,
    parameters: DeflateParameters,
    role: Role,
    /// Some once a message was inflated, where the peer takes its context over.
    inflater: Option<Box<Inflater>>,
    /// Some once a message was compressed, where we take ours over.
    deflater: Option<Box<Deflater>>,
}

impl Deflate {
    pub(in crate::protocol) fn new(
        parameters: DeflateParameters,
        engine: Arc<DeflateEngine>,
        role: Role,
    ) -> Self {
        Self { engine, parameters, role, inflater: None, deflater: None }
    }

    /// What was agreed on.
    #[cfg(feature = "server")]
    pub(in crate::protocol) fn parameters(&self) -> &DeflateParameters {
        &self.parameters
    }

    /// Whether a context has been begun that either end may refer to.
    #[cfg(feature = "server")]
    pub(in crate::protocol) fn has_context(&self) -> bool {
        self.inflater.is_some() || self.deflater.is_some()
    }

    /// Whether frames of the engine's may be sent: they refer to nothing before them, and leave nothing to refer to.
    pub(in crate::protocol) fn takes_shared_frames(&self) -> bool {
        self.role == Role::Server
            && self.parameters.server_no_context_takeover
            && self.parameters.server_max_window_bits >= self.engine.config.server_max_window_bits
    }

    /// Inflates a whole message's payload into `message`.
    pub(in crate::protocol) fn inflate(
        &mut self,
        payload: &[u8],
        message: &mut Message,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let sink = |piece: &[u8]| {
            if message.len() + piece.len() > limits.max_message_bytes {
                return Err(ProtocolError::MessageTooBig);
            }
            message.push(piece, 0, false)
        };
        let (no_context_takeover, window_bits) = match self.role {
            Role::Server => {
                (self.parameters.client_no_context_takeover, self.parameters.client_max_window_bits)
            }
            Role::Client => {
                (self.parameters.server_no_context_takeover, self.parameters.server_max_window_bits)
            }
        };
        if no_context_takeover {
            return self.engine.inflate(payload, sink);
        }
        let inflater = self
            .inflater
            .get_or_insert_with(|| Box::new(Inflater::new(window_bits.max(MIN_COMPRESSOR_BITS))));
        inflater.inflate(payload, sink)
    }

    /// The payload of a message, compressed; `None` where it is to be sent as it is.
    pub(in crate::protocol) fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let (no_context_takeover, window_bits) = match self.role {
            Role::Server => {
                (self.parameters.server_no_context_takeover, self.parameters.server_max_window_bits)
            }
            Role::Client => {
                (self.parameters.client_no_context_takeover, self.parameters.client_max_window_bits)
            }
        };
        let config = &self.engine.config;
        if no_context_takeover {
            return self.engine.compress(payload, window_bits);
        }
        // A window of 256 bytes is beyond the compressor: such a connection sends nothing compressed, as §6 allows.
        if payload.len() < config.min_bytes.max(1) || window_bits < MIN_COMPRESSOR_BITS {
            return None;
        }
        // What went through the compressor is in its window, and must be sent in that form even if it is longer.
        self.deflater
            .get_or_insert_with(|| Box::new(Deflater::new(config.level, window_bits)))
            .compress(payload)
    }
}

struct Deflater {
    stream: Compress,
    window_bits: u8,
}

impl Deflater {
    fn new(level: u8, window_bits: u8) -> Self {
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        Self { stream: Compress::new_with_window_bits(level, false, window_bits), window_bits }
    }

    /// One message, RFC 7692 §7.2.1; `None` if the stream broke, which it does not for any input.
    fn compress(&mut self, mut payload: &[u8]) -> Option<Vec<u8>> {
        let mut compressed = Vec::with_capacity(payload.len() / 2 + 64);
        loop {
            let before = self.stream.total_in();
            self.stream.compress_vec(payload, &mut compressed, FlushCompress::Sync).ok()?;
            payload = payload.get((self.stream.total_in() - before) as usize..)?;
            // Room left over means that the flush is complete.
            if payload.is_empty() && compressed.len() < compressed.capacity() {
                break;
            }
            compressed.reserve(compressed.capacity());
        }
        let length = compressed.strip_suffix(&FLUSH_TAIL)?.len();
        compressed.truncate(length);
        Some(compressed)
    }
}

struct Inflater {
    stream: Decompress,
    /// Empty between calls.
    piece: Vec<u8>,
}

impl Inflater {
    fn new(window_bits: u8) -> Self {
        Self {
            stream: Decompress::new_with_window_bits(false, window_bits),
            piece: Vec::with_capacity(PIECE_BYTES),
        }
    }

    /// One message, RFC 7692 §7.2.2.
    fn inflate(
        &mut self,
        payload: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.feed(payload, &mut sink)?;
        self.feed(&FLUSH_TAIL, &mut sink)?;
        Ok(())
    }

    /// One message that nothing will refer to, so that its end can be checked.
    fn inflate_alone(
        &mut self,
        payload: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.inflate(payload, &mut sink)?;
        match self.feed(&FINAL_BLOCK, &mut sink)? {
            Status::StreamEnd => Ok(()),
            _ => Err(ProtocolError::InvalidDeflate),
        }
    }

    fn feed(
        &mut self,
        mut input: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<Status, ProtocolError> {
        loop {
            self.piece.clear();
            let before = self.stream.total_in();
            let status = self
                .stream
                .decompress_vec(input, &mut self.piece, FlushDecompress::Sync)
                .map_err(|_| ProtocolError::InvalidDeflate)?;
            let used = (self.stream.total_in() - before) as usize;
            input = input.get(used..).unwrap_or_default();
            sink(&self.piece)?;
            let is_stuck = used == 0 && self.piece.is_empty();
            if status == Status::StreamEnd {
                // §7.2.3.4: after a final block the message may go on with others.
                self.stream.reset(false);
            } else if !input.is_empty() && is_stuck {
                return Err(ProtocolError::InvalidDeflate);
            }
            if input.is_empty() && self.piece.len() < self.piece.capacity() {
                self.piece.clear();
                return Ok(status);
            }
        }
    }
}

#[cfg(test)]
mod tests;
