//! Plays a case's script against a peer. Frames are written and read here without the core.

use crate::case::{Case, FIN, Frame, Length, MaskBit, Reply, Role, Step};
use crate::deflate::Deflate;
use crate::peer::{Peer, Received};
use crate::tables::split;

const KEY: [u8; 4] = [0x5c, 0x00, 0xe1, 0x9a];

const RSV1: u8 = 0x40;

/// Plays `case`; the error says what went otherwise.
pub fn run(case: &Case, role: Role, peer: Box<dyn Peer>) -> Result<(), String> {
    let mut tester = Tester {
        role,
        peer,
        received: Vec::new(),
        deflate: case.extension.map(|extension| Deflate::new(extension, role == Role::Server)),
    };
    for (number, step) in case.script.iter().enumerate() {
        tester.play(step).map_err(|failure| format!("step {}: {failure}", number + 1))?;
    }
    Ok(())
}

struct Tester {
    /// Of the endpoint under test.
    role: Role,
    peer: Box<dyn Peer>,
    /// What came back and was not looked at.
    received: Vec<u8>,
    /// Where the handshake agreed on it.
    deflate: Option<Deflate>,
}

impl Tester {
    fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(frames) => self.peer.send(&self.wire(frames)),
            Step::Chopped(frames, size) => {
                for piece in self.wire(frames).chunks(*size) {
                    self.peer.send(piece);
                }
            }
            Step::Part { frame, from, to } => {
                let wire = self.wire(std::slice::from_ref(frame));
                let header = wire.len() - frame.payload.len();
                let from = if *from == 0 { 0 } else { header + from };
                self.peer.send(&wire[from..header + to]);
            }
            Step::Compressed { opcode, payload, fragment } => {
                let payload = self.compress(payload);
                let mut frames = split(*opcode, &payload, fragment.unwrap_or(payload.len()));
                frames[0].first |= RSV1;
                self.peer.send(&self.wire(&frames));
            }
            Step::Header { first, length, mask_bit } => {
                let masked = (self.role == Role::Server) == (*mask_bit == MaskBit::Right);
                self.peer.send(&header(*first, *length, masked));
            }
            Step::Expect(reply) => {
                let came = self.next_reply()?;
                if came != *reply {
                    return Err(format!("expected {reply:?}, came {came:?}"));
                }
            }
            Step::ExpectSilence => {
                if !(self.received.is_empty() && self.peer.is_silent()) {
                    return Err("something came back too early".to_owned());
                }
            }
        }
        Ok(())
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        self.deflate.as_mut().expect("the case has the extension").compress(payload)
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        match &mut self.deflate {
            Some(deflate) => deflate.inflate(payload),
            None => Err("RSV1 without the extension (§5.2)".to_owned()),
        }
    }

    /// The frames as the tester's role has to send them.
    fn wire(&self, frames: &[Frame]) -> Vec<u8> {
        let is_masked = self.role == Role::Server;
        let mut wire = Vec::new();
        for Frame { first, payload } in frames {
            let length = match payload.len() {
                length @ 0..=125 => Length::Seven(length as u8),
                length @ 126..=0xffff => Length::Sixteen(length as u16),
                length => Length::SixtyFour(length as u64),
            };
            wire.extend(header(*first, length, is_masked));
            let start = wire.len();
            wire.extend_from_slice(payload);
            if is_masked {
                mask(&mut wire[start..], KEY);
            }
        }
        wire
    }

    fn next_reply(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((reply, length)) = self.parse_reply()? {
                self.received.drain(..length);
                return Ok(reply);
            }
            match self.peer.receive() {
                Received::Bytes(bytes) => self.received.extend(bytes),
                Received::End if self.received.is_empty() => return Ok(Reply::End),
                Received::End => return Err("the stream ended within a frame".to_owned()),
                Received::Nothing => return Err("nothing came back".to_owned()),
            }
        }
    }

    /// The frame at the start of what came, and its length. An endpoint that echoes has no cause to fragment.
    fn parse_reply(&mut self) -> Result<Option<(Reply, usize)>, String> {
        let [first, second, rest @ ..] = &self.received[..] else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        if is_masked != (self.role == Role::Client) {
            return Err("the mask bit is wrong (§5.1)".to_owned());
        }
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key_bytes = if is_masked { 4 } else { 0 };
        if rest.len() < length_bytes + key_bytes {
            return Ok(None);
        }
        let length = match length_bytes {
            0 => usize::from(second & 0x7f),
            bytes => rest[..bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        };
        if (length_bytes == 2 && length < 126) || (length_bytes == 8 && length < 0x10000) {
            return Err("the length is not in its shortest form (§5.2)".to_owned());
        }
        let (key, rest) = rest[length_bytes..].split_at(key_bytes);
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let mut payload = payload.to_vec();
        if let Some(key) = key.first_chunk() {
            mask(&mut payload, *key);
        }
        let length = 2 + length_bytes + key_bytes + length;
        let first = *first;
        let (first, payload) = match first & RSV1 {
            0 => (first, payload),
            _ => (first ^ RSV1, self.inflate(&payload)?),
        };
        let reply = match first ^ FIN {
            0x1 => Reply::Text(payload),
            0x2 => Reply::Binary(payload),
            0xa => Reply::Pong(payload),
            0x8 if payload.is_empty() => Reply::Close(None),
            0x8 if payload.len() >= 2 => Reply::Close(Some(u16::from_be_bytes([payload[0], payload[1]]))),
            _ => return Err(format!("a frame came that begins with {first:#04x}")),
        };
        Ok(Some((reply, length)))
    }
}

/// Four bytes at a time, since the messages are large and the tests are not optimised.
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let (words, rest) = payload.as_chunks_mut::<4>();
    words.iter_mut().for_each(|bytes| *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes());
    rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}

fn header(first: u8, length: Length, masked: bool) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut header = vec![first];
    match length {
        Length::Seven(length) => header.push(mask_bit | length),
        Length::Sixteen(length) => {
            header.push(mask_bit | 126);
            header.extend(length.to_be_bytes());
        }
        Length::SixtyFour(length) => {
            header.push(mask_bit | 127);
            header.extend(length.to_be_bytes());
        }
    }
    if masked {
        header.extend(KEY);
    }
    header
}
